"""Numbers at the edges: subnormals cost nothing in training, and sums over ten million rows keep their digits."""

import time

import numpy as np
import pytest

import nncore as nn

TINY = 1e-41  # subnormal in float32


def make(scale):
    """A network whose weights, gradients and Adam's moments are about `scale`, or become subnormal where that is tiny."""
    model = nn.Sequential(
        [nn.Input((64,)), nn.Dense(256, activation="sigmoid"), nn.Dense(256, activation="tanh"), nn.Dense(16)]
    )
    model.compile(nn.Adam(1e-4), "mse")
    model.set_weights([np.full_like(array, scale) for array in model.get_weights()])
    rows = np.full((64, 64), scale, np.float32)
    return model, rows, np.full((64, 16), scale, np.float32)


def spend(model, x, y, steps=20):
    """The least processor time of a few steps, of several tries."""
    times = []
    for _ in range(9):
        began = time.process_time()
        for _ in range(steps):
            model.train_on_batch(x, y)
        times.append(time.process_time() - began)
    return min(times)


@pytest.fixture
def one_thread():
    threads = nn.get_num_threads()
    nn.set_num_threads(1)
    yield
    nn.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_subnormals_do_not_slow_a_step():
    usual, tiny = make(1e-2), make(TINY)
    for model, x, y in (usual, tiny):
        model.train_on_batch(x, y)
    assert spend(*tiny) < 1.5 * spend(*usual)


@pytest.mark.usefixtures("one_thread")
def test_subnormal_moments_do_not_slow_a_step():
    usual, tiny = make(1e-2), make(TINY)
    for (model, x, y), scale in ((usual, 1e-3), (tiny, TINY)):
        model.train_on_batch(x, y)
        for state in ("m", "v"):
            for i, spec in enumerate(model.graph.parameters):
                model.engine.set_state("adam", state, i, np.full(spec.shape, scale))
    assert spend(*tiny) < 1.5 * spend(*usual)


def test_the_native_engine_counts_subnormals_as_zero(engine_name):
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1, kernel_initializer=nn.Constant(1e-30))])
    model.compile(engine=engine_name)
    assert (model.predict([[1e-10]])[0, 0] == 0) == (engine_name == "native")


@pytest.mark.parametrize("call", ["predict", "fit", "train_on_batch", "forward", "evaluate"])
def test_the_callers_arithmetic_keeps_subnormals(call):
    model, x, y = make(1e-2)
    tiny = np.float32(TINY)
    arguments = {"predict": (x,), "forward": (x, True), "fit": (x, y, 32, 1)}.get(call, (x, y))
    getattr(model, call)(*arguments, **({"verbose": 0} if call == "fit" else {}))
    assert tiny / np.float32(2) > 0
    assert np.full(1000, tiny).sum() > 0


ROWS = 10**7
BATCH = 2**16


@pytest.fixture(scope="module")
def column():
    """Positive numbers, whose float32 sum loses a digit after every few rows if nothing is done; and their exact mean."""
    x = np.random.default_rng(0).random((ROWS, 1), dtype=np.float32)
    return x, np.zeros_like(x), x.astype(np.float64)


def near(value, right):
    assert abs(value - right) <= 1e-6 * abs(right), (value, right)


def test_losses_and_metrics_of_many_rows(column):
    x, zeros, exact = column
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(nn.SGD(0.0), "mse", metrics=["mae"])
    for logs in (model.evaluate(x, zeros, batch_size=BATCH), model.partial_fit(x, zeros, batch_size=BATCH, shuffle=False)):
        near(logs["loss"], np.square(exact).mean())
        near(logs["mae"], exact.mean())
    near(nn.ops.mse(x, zeros, "sum"), np.square(exact).sum())
    near(nn.ops.mae(x, zeros), exact.mean())
    metric = nn.metrics.MAE()
    metric.update(zeros, x)
    near(metric.result(), exact.mean())


@pytest.mark.parametrize("backend", [nn.ops, nn.reference])
def test_sums_over_the_rows_of_a_batch(column, backend):
    x, _, exact = column
    gamma = np.ones(1, np.float32)
    xhat = (exact - exact.mean()) / np.sqrt(exact.var() + 1e-3)
    np.testing.assert_allclose(backend.batch_norm(x), xhat, rtol=1e-6, atol=1e-6)
    _, dgamma, dbeta = backend.batch_norm_backward(x, gamma, gamma, x, x)
    near(dbeta[0], exact.sum())
    near(dgamma[0], (exact * xhat).sum())
    _, dw, db = backend.dense_backward(x, np.ones((1, 1), np.float32), gamma, x, x)
    near(dw[0, 0], np.square(exact).sum())
    near(db[0], exact.sum())
    near(backend.matmul_backward(x, np.ones((1, 1), np.float32), x)[1][0, 0], np.square(exact).sum())
    near(backend.prelu_backward(-x, gamma, x, x)[1][0], -np.square(exact).sum())


@pytest.mark.parametrize("shape", [(3,), (4, 3)])
def test_gradients_of_a_batch_of_many_rows(engine_name, shape):
    rows = 2**19 + 7
    x = np.random.default_rng(1).random((rows, *shape), dtype=np.float32)
    model = nn.Sequential([nn.Input(shape), nn.Dense(70)])
    model.compile(engine=engine_name)
    dy = np.ones((rows, *shape[:-1], 70), np.float32) + x[..., :1]
    model.forward(x, training=True)
    model.backward(dy)
    dw, db = model.gradients().values()
    exact_x, exact_dy = (a.reshape(-1, a.shape[-1]).astype(np.float64) for a in (x, dy))
    np.testing.assert_allclose(dw, exact_x.T @ exact_dy, rtol=1e-6)
    np.testing.assert_allclose(db, exact_dy.sum(0), rtol=1e-6)
