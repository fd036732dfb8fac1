"""Penalties and bounds on weights: their values, gradients and updates in both engines, and what they refuse."""

import numpy as np
import pytest

import nncore as nn
from nncore import regularizers

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((40, 6)), RNG.standard_normal((40, 3))


def model(engine="native", dtype="float64", optimizer="sgd", **options):
    made = nn.Sequential([nn.Input((6,)), nn.Dense(130, activation="tanh", name="a"), nn.Dense(3, name="b", **options)])
    made.compile(optimizer, "mse", dtype=dtype, engine=engine)
    return made


def elastic(made, l1, l2):
    kernel = made.parameters()["b.kernel"].astype(np.float64)
    return l1 * np.abs(kernel).sum() + l2 * np.square(kernel).sum()


def test_the_penalty_is_part_of_the_reported_loss(engine_name):
    plain, penalised = model(engine_name), model(engine_name, kernel_regularizer=nn.L1L2(0.1, 0.2))
    expected = plain.evaluate(X, Y)["loss"] + elastic(penalised, 0.1, 0.2)
    assert penalised.penalty() == pytest.approx(elastic(penalised, 0.1, 0.2), rel=1e-12)
    assert penalised.evaluate(X, Y)["loss"] == pytest.approx(expected, rel=1e-12)
    assert penalised.train_on_batch(X, Y)["loss"] == pytest.approx(expected, rel=1e-12)
    assert plain.penalty() == 0


def test_the_gradient_is_that_of_loss_and_penalty(engine_name):
    made = model(engine_name, kernel_regularizer=nn.L1L2(0.1, 0.2), bias_regularizer="l2")
    dy = RNG.standard_normal((40, 3))
    made.forward(X, training=True)
    made.backward(dy)
    gradients, weights, step = made.gradients(), made.get_weights(), 1e-6
    names = list(made.parameters())

    def value(i, index, moved):
        changed = [w.copy() for w in weights]
        changed[i][index] += moved
        made.set_weights(changed)
        return float((dy * made.forward(X)).sum()) + made.penalty()

    for name in ("b.kernel", "b.bias"):
        i = names.index(name)
        for index in list(np.ndindex(weights[i].shape))[:12]:
            if name == "b.bias":
                weights[i][index] = 0.5  # off zero
        for index in list(np.ndindex(weights[i].shape))[:12]:
            slope = (value(i, index, step) - value(i, index, -step)) / (2 * step)
            added = 2 * 0.01 * 0.5 if name == "b.bias" else 0.0  # the bias was zero when the gradient was taken
            assert gradients[name][index] + added == pytest.approx(slope, rel=1e-6, abs=1e-7)


def test_the_penalty_may_be_that_of_all_samples_of_a_batch(engine_name):
    """Two batches, the second smaller, by hand: (sum(w * loss) + penalty) / sum(w)."""
    made = model(engine_name, optimizer=nn.SGD(0.3), kernel_regularizer=nn.L1L2(0.1, 0.2))
    by_hand = model(engine_name, optimizer=nn.SGD(0.3))
    made.engine.divide_penalty = True
    weights = RNG.uniform(0.1, 2.0, 40)
    total = 0.0
    for rows in (slice(0, 25), slice(25, 40)):
        w, kernel = weights[rows], by_hand.parameters()["b.kernel"]
        y = by_hand.forward(X[rows], training=True)
        squares = np.square(y - Y[rows]).mean(axis=1)
        total += w @ squares + 0.1 * np.abs(kernel).sum() + 0.2 * np.square(kernel).sum()
        by_hand.backward(2 * (y - Y[rows]) * w[:, None] / (3 * w.sum()))
        gradients = by_hand.gradients()
        gradients["b.kernel"] = gradients["b.kernel"] + (0.1 * np.sign(kernel) + 0.4 * kernel) / w.sum()
        by_hand.set_weights([p - 0.3 * gradients[name] for name, p in by_hand.parameters().items()])
    history = made.fit(X, Y, batch_size=25, shuffle=False, sample_weight=weights, verbose=0)
    assert history.history["loss"][0] == pytest.approx(total / weights.sum(), rel=1e-12)
    for ours, expected in zip(made.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-13)
    plain = made.evaluate(X, Y)["loss"] - made.penalty()
    by_hand.set_weights(made.get_weights())
    assert plain == pytest.approx(by_hand.evaluate(X, Y)["loss"], rel=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_engines_agree_over_training(optimizer):
    options = {"kernel_regularizer": nn.L1L2(0.01, 0.02), "bias_regularizer": "l1", "kernel_constraint": nn.MaxNorm(0.7)}
    pair = [
        model(name, optimizer=optimizer, bias_constraint=nn.MaxNorm(0.05), **options) for name in ("reference", "native")
    ]
    losses = [made.fit(X, Y, batch_size=16, epochs=20, verbose=0).history["loss"] for made in pair]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    for expected, actual in zip(*(made.get_weights() for made in pair), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)


def test_max_norm_bounds_columns_and_vectors(engine_name):
    made = model(engine_name, optimizer=nn.SGD(0.5), kernel_constraint=nn.MaxNorm(0.5), bias_constraint=nn.MaxNorm(0.1))
    made.fit(X, 10 * Y, epochs=5, verbose=0)
    found = made.parameters()
    np.testing.assert_allclose(np.linalg.norm(found["b.kernel"], axis=0), 0.5, rtol=1e-12)
    assert np.linalg.norm(found["b.bias"]) == pytest.approx(0.1, rel=1e-12)
    free = model(engine_name, kernel_constraint=nn.MaxNorm(1e9))
    same = model(engine_name)
    for each in (free, same):
        each.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(free.parameters()["b.kernel"], same.parameters()["b.kernel"])


def test_l1_gives_zeros_only_with_its_sign():
    made = model(optimizer=nn.SGD(0.25), kernel_initializer=nn.Constant(1.0), kernel_regularizer=nn.L1(1.0), trainable=True)
    made.forward(np.zeros((1, 6)), training=True)
    made.backward(np.zeros((1, 3)))
    np.testing.assert_array_equal(made.gradients()["b.kernel"], np.ones((130, 3)))


def test_frozen_weights_have_no_penalty(engine_name):
    assert model(engine_name, kernel_regularizer="l2", trainable=False).penalty() == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((100, 230)), rng.standard_normal((100, 90))

    def train():
        options = {
            "kernel_regularizer": nn.L1L2(1e-3, 1e-3),
            "bias_regularizer": "l2",
            "kernel_constraint": nn.MaxNorm(1.0),
        }
        made = nn.Sequential([nn.Input((230,)), nn.Dense(300, activation="relu", **options), nn.Dense(90, **options)])
        made.compile("adam", "mse", dtype=dtype)
        losses = made.fit(x, y, batch_size=64, epochs=3, verbose=0).history["loss"]
        return [losses, made.evaluate(x, y), *map(bytes, made.get_weights())]

    before = nn.get_num_threads()
    try:
        results = []
        for n in (1, 2, 3, 4):
            nn.set_num_threads(n)
            results.append(train())
    finally:
        nn.set_num_threads(before)
    assert all(result == results[0] for result in results)


def test_saved_with_the_model(tmp_path):
    made = model(kernel_regularizer=nn.L2(0.3), kernel_constraint=nn.MaxNorm(1.5))
    made.save(tmp_path / "m.safetensors")
    same = nn.load(tmp_path / "m.safetensors")
    assert same.penalty() == pytest.approx(made.penalty(), rel=1e-12)
    assert [p.max_norm for p in same.graph.parameters] == [None, None, 1.5, None]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.L1(-1.0), ValueError, "l1 of L1.*-1.0"),
        (lambda: nn.L2("a"), TypeError, "l2 of L2.*'a'"),
        (lambda: nn.L1L2(0.1, float("nan")), ValueError, "l2 of L1L2.*nan"),
        (lambda: nn.MaxNorm(0), ValueError, "max_value of MaxNorm.*above 0.*0"),
        (lambda: nn.Dense(2, kernel_regularizer="l3"), ValueError, "kernel_regularizer.*'l3'"),
        (lambda: nn.Dense(2, bias_regularizer=0.1), TypeError, "bias_regularizer.*0.1"),
        (lambda: nn.Dense(2, kernel_constraint=3.0), TypeError, "kernel_constraint.*3.0"),
    ],
)
def test_bad_options(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_by_name():
    assert repr(regularizers.get("l1")) == "L1L2(l1=0.01, l2=0.0)"
    assert regularizers.get(None) is None


def penalised(metrics=(), **options):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(4, "tanh", kernel_regularizer=nn.L1L2(0.02, 0.3)), nn.Dense(2)])
    model.compile("sgd", "mse", metrics=list(metrics), dtype="float64", **options)
    return model


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_gradcheck_counts_the_penalty(engine):
    rng = np.random.default_rng(3)
    errors = nn.gradcheck(penalised(engine=engine), rng.standard_normal((5, 3)), rng.standard_normal((5, 2)))
    assert max(errors.values()) < 1e-7


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_every_way_of_evaluating_counts_the_penalty(engine):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    model = penalised(engine=engine)
    error = float(np.square(model.predict(x) - y).mean())
    expected = pytest.approx(error + model.penalty(), rel=1e-12)
    assert model.penalty() > 0.1
    assert model.evaluate(x, y)["loss"] == expected
    assert penalised(["r2"], engine=engine).evaluate(x, y, batch_size=7)["loss"] == expected

    a = nn.Input((3,))
    h = nn.Dense(4, "tanh", kernel_regularizer=nn.L1L2(0.02, 0.3))(a)
    outputs = {"left": nn.Dense(2)(h), "right": nn.Dense(2)(h)}
    forked = nn.Model(a, outputs)
    forked.compile(nn.SGD(1e-3), "mse", dtype="float64", engine=engine)
    p = forked.predict(x)
    parts = [float(np.square(p[name] - y).mean()) for name in outputs]
    both = {"left": y, "right": y}
    assert forked.evaluate(x, both, batch_size=7)["loss"] == pytest.approx(sum(parts) + forked.penalty(), rel=1e-12)
    before = sum(parts) + forked.penalty()
    assert forked.train_on_batch(x, both)["loss"] == pytest.approx(before, rel=1e-12)
