"""What surrounds an optimizer's rule: groups, clipping, accumulation, averages, L-BFGS in a model, threads, resuming."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nncore as nn

RNG = np.random.Generator(np.random.Philox(key=11))
X = RNG.normal(size=(48, 6))
T = RNG.integers(0, 3, 48)


def make(engine_name, optimizer, *, units=8, dtype="float64"):
    model = nn.Sequential([nn.Input((6,)), nn.Dense(units, activation="tanh"), nn.Dense(3)])
    model.compile(optimizer, "cross_entropy", engine=engine_name, dtype=dtype, seed=2)
    return model


def gradients(model, rows=slice(None)):
    _, dy = model.loss(model.forward(X[rows], training=True), T[rows])
    model.backward(dy)
    return list(model.gradients().values())


def norm(arrays):
    return math.sqrt(sum(float((a**2).sum()) for a in arrays))


@pytest.mark.parametrize("bound", [0.01, 0.3, 1e3])
@pytest.mark.parametrize("kind", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_clipping(engine_name, kind, bound):
    """One step of gradient descent is the clipped gradient; small gradients stay as they are."""
    model = make(engine_name, nn.SGD(1.0, **{kind: bound}))
    before, g = model.get_weights(), gradients(model)
    if kind == "clipvalue":
        expected = [np.clip(a, -bound, bound) for a in g]
    elif kind == "clipnorm":
        expected = [a * min(1, bound / norm([a])) for a in g]
    else:
        expected = [a * min(1, bound / norm(g)) for a in g]
    model.optimizer.step(model)
    for a, b, e in zip(before, model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(a - b, e, rtol=0, atol=1e-15)
    for a, b in zip(g, model.gradients().values(), strict=True):
        np.testing.assert_array_equal(a, b)  # they are still those of the last backward
    fitted = make(engine_name, nn.SGD(1.0, **{kind: bound}))
    fitted.fit(X, T, batch_size=48, shuffle=False, verbose=0)
    for a, b in zip(fitted.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)


def test_groups(engine_name):
    groups = [
        {"match": "*.bias", "weight_decay": 0.0, "learning_rate_factor": 0.1},
        {"match": "dense_1.*", "learning_rate_factor": 0.0},
    ]
    model = make(engine_name, nn.SGD(0.5, weight_decay=0.1, groups=groups))
    names = list(model.parameters())
    before, g = model.get_weights(), gradients(model)
    model.optimizer.step(model)
    for name, a, b, d in zip(names, before, model.get_weights(), g, strict=True):
        if name.endswith(".bias"):
            np.testing.assert_allclose(a - b, 0.05 * d, rtol=0, atol=1e-15)
        elif name.startswith("dense_1."):
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a - b, 0.5 * (d + 0.1 * a), rtol=0, atol=1e-15)


def test_a_group_that_matches_nothing_is_refused(engine_name):
    with pytest.raises(ValueError, match=r"groups: expected '\*\.gamma' to match one of dense\.kernel"):
        make(engine_name, nn.SGD(groups=[{"match": "*.gamma"}]))
    late = nn.Sequential([nn.Dense(3)])
    late.compile(nn.SGD(groups=[{"match": "*.gamma"}]), "cross_entropy", engine=engine_name)
    with pytest.raises(ValueError, match="groups"):
        late.fit(X, T, verbose=0)
    with pytest.raises(RuntimeError, match="input shape"):
        _ = late.graph


@pytest.mark.parametrize("options", [{}, {"global_clipnorm": 0.1}, {"clipvalue": 0.01}], ids=str)
def test_accumulation_equals_the_larger_batch(engine_name, options):
    small = make(engine_name, nn.Adam(0.01, gradient_accumulation_steps=3, **options))
    large = make(engine_name, nn.Adam(0.01, **options))
    small.fit(X, T, batch_size=8, epochs=2, shuffle=False, verbose=0)
    large.fit(X, T, batch_size=24, epochs=2, shuffle=False, verbose=0)
    assert small.engine.iterations == large.engine.iterations == 4
    for a, b in zip(small.get_weights(), large.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_accumulation_goes_on_from_call_to_call(engine_name):
    model = make(engine_name, nn.SGD(0.5, gradient_accumulation_steps=3))
    before, g = model.get_weights(), []
    for i in range(3):
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert model.engine.accumulated == i
        g.append(gradients(model, slice(16 * i, 16 * i + 16)))
        model.optimizer.step(model)
    for a, b, *parts in zip(before, model.get_weights(), *g, strict=True):
        np.testing.assert_allclose(a - b, 0.5 * sum(parts) / 3, rtol=0, atol=1e-15)
    assert (model.engine.iterations, model.engine.accumulated) == (1, 0)


def test_the_average_is_keras_s(engine_name, tmp_path):
    model = make(engine_name, nn.SGD(0.5, use_ema=True, ema_momentum=0.75))
    with pytest.raises(RuntimeError, match="use_ema"), model.averaged_weights():
        pass
    average = None
    for i in range(4):
        model.train_on_batch(X[12 * i : 12 * i + 12], T[12 * i : 12 * i + 12])
        now = model.get_weights()
        average = now if average is None else [0.75 * a + 0.25 * w for a, w in zip(average, now, strict=True)]
    outside = model.evaluate(X, T)["loss"]
    with model.averaged_weights():
        for a, w in zip(average, model.get_weights(), strict=True):
            np.testing.assert_allclose(w, a, rtol=0, atol=1e-15)
        inside, y = model.evaluate(X, T)["loss"], model.predict(X)
        model.save(tmp_path / "average.safetensors")
        for refused in (
            lambda: model.fit(X, T, verbose=0),
            lambda: model.compile(),
            lambda: model.averaged_weights().__enter__(),
        ):
            with pytest.raises(RuntimeError, match="averaged_weights"):
                refused()
    assert inside != outside == model.evaluate(X, T)["loss"]
    np.testing.assert_allclose(nn.load(tmp_path / "average.safetensors").predict(X), y, rtol=0, atol=1e-14)


OPTIMIZERS = [
    nn.AdamW(0.01, global_clipnorm=0.05, groups=[{"match": "*.bias", "weight_decay": 0.0}]),
    nn.LAMB(0.01, clipnorm=0.05, gradient_accumulation_steps=2, use_ema=True),
    nn.LAMB(0.01),
    nn.SGD(0.05, momentum=0.9, gradient_accumulation_steps=3, use_ema=True),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_the_same_bits_for_any_number_of_threads(optimizer, dtype):
    """Of a network that is worth several threads."""
    before, results = nn.get_num_threads(), []
    x, t = np.tile(X, (8, 20)), np.tile(T, 8)
    try:
        for threads in (1, 2, 3, 4):
            nn.set_num_threads(threads)
            model = nn.Sequential([nn.Input((120,)), nn.Dense(300, activation="tanh"), nn.Dense(3)])
            model.compile(optimizer, "cross_entropy", dtype=dtype, seed=2)
            model.fit(x, t, batch_size=64, epochs=2, verbose=0)
            states = [
                model.engine.get_state(owner, state, i)
                for owner, state in optimizer.states
                for i in range(len(model.get_weights()))
            ]
            results.append([a.tobytes() for a in (*model.get_weights(), *states)])
    finally:
        nn.set_num_threads(before)
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, nn.Adam(nn.schedules.Exponential(0.1, 0.9), amsgrad=True)], ids=repr)
def test_resuming_from_all_states(engine_name, optimizer):
    """Weights, states and counters carried over to another engine go on as if nothing had happened."""
    one, two = make(engine_name, optimizer), make(engine_name, optimizer)
    one.fit(X, T, batch_size=8, epochs=1, verbose=0, shuffle=False)
    one.train_on_batch(X[:8], T[:8])
    two.set_weights(one.get_weights())
    for owner, state in optimizer.states:
        for i in range(len(one.get_weights())):
            two.engine.set_state(owner, state, i, one.engine.get_state(owner, state, i))
    for counter in ("draws", "iterations", "accumulated"):
        setattr(two.engine, counter, getattr(one.engine, counter))
    for model in (one, two):
        model.fit(X, T, batch_size=8, epochs=1, verbose=0, shuffle=False)
    states = [[model.engine.get_state(o, s, 0) for o, s in optimizer.states] for model in (one, two)]
    for a, b in zip([*one.get_weights(), *states[0]], [*two.get_weights(), *states[1]], strict=True):
        np.testing.assert_array_equal(a, b)


def test_lbfgs_fits_faster_than_gradient_descent(engine_name):
    model = make(engine_name, "lbfgs")
    history = model.fit(X, T, epochs=4, verbose=0, validation_split=0.25)
    plain = make(engine_name, nn.SGD(0.5)).fit(X[:36], T[:36], batch_size=36, epochs=80, verbose=0)
    assert history.history["loss"][-1] < plain.history["loss"][-1] < history.history["loss"][0]
    assert len(history.history["val_loss"]) == 4


def test_lbfgs_heeds_sample_weights(engine_name):
    """A sample that counts twice is as good as two of them."""
    weight = np.where(np.arange(48) < 20, 2.0, 1.0)
    one, two = make(engine_name, nn.LBFGS(max_iter=5)), make(engine_name, nn.LBFGS(max_iter=5))
    one.fit(X, T, sample_weight=weight, verbose=0)
    two.fit(np.concatenate([X, X[:20]]), np.concatenate([T, T[:20]]), verbose=0)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)


def test_lbfgs_leaves_the_model_as_it_was_where_the_loss_is_not_finite(engine_name):
    model = make(engine_name, nn.LBFGS(1e300, line_search=None), dtype="float32")
    before = model.get_weights()
    with pytest.raises(FloatingPointError):
        model.fit(1e3 * X, T, epochs=3, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_lbfgs_takes_arrays_only(engine_name):
    model = make(engine_name, "lbfgs")
    with pytest.raises(ValueError, match="LBFGS"):
        model.fit([(X, T)], verbose=0)


def test_lbfgs_goes_on_from_a_saved_state(engine_name):
    """Two epochs, and two more in another model with the first one's weights and state: the bits of four epochs."""
    whole, first, second = (make(engine_name, nn.LBFGS(max_iter=4)) for _ in range(3))
    whole.fit(X, T, epochs=4, verbose=0)
    first.fit(X, T, epochs=2, verbose=0)
    state = {name: array.copy() for name, array in first.optimizer.get_state(first).items()}
    second.set_weights(first.get_weights())
    second.optimizer.set_state(second, state)
    first.fit(X, T, epochs=1, verbose=0)  # what follows in the first does not reach the second
    second.fit(X, T, epochs=2, verbose=0)
    for a, b in zip(whole.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, array in whole.optimizer.get_state(whole).items():
        np.testing.assert_array_equal(array, second.optimizer.get_state(second)[name])


def test_lbfgs_refuses_a_state_that_does_not_fit(engine_name):
    model = make(engine_name, nn.LBFGS(max_iter=4))
    model.fit(X, T, verbose=0)
    state = model.optimizer.get_state(model)
    for bad, error, message in (
        ({**state, "step": state["step"][1:]}, ValueError, "step: expected shape"),
        ({**state, "scale": "large"}, TypeError, "scale: expected"),
        ({**state, "scale": np.nan}, ValueError, "scale: expected finite"),
        ({**state, "inverses": state["inverses"][1:]}, ValueError, "expected shape"),
        ({"iterations": 1}, ValueError, "arrays: expected those of LBFGS.get_state"),
    ):
        with pytest.raises(error, match=message):
            model.optimizer.set_state(model, bad)
    for name, array in model.optimizer.get_state(model).items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_average_overwrites_the_weights_every_other_update(engine_name, momentum):
    """Weights and average beside Keras's recursion, in plain Python, for a gradient that is known: d/dw of w * 1."""
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1, use_bias=False, kernel_initializer=nn.Constant(2.0))])
    optimizer = nn.SGD(0.25, use_ema=True, ema_momentum=momentum, ema_overwrite_frequency=2)
    model.compile(optimizer, engine=engine_name, dtype="float64")
    w, average = 2.0, 0.0
    for update in range(5):
        model.forward([[1.0]], training=True)
        model.backward([[1.0]])
        model.apply_gradients(optimizer)
        w -= 0.25
        average = w if update == 0 else momentum * average + (1 - momentum) * w
        if (update + 1) % 2 == 0:
            w = average
        assert model.get_weights()[0].item() == pytest.approx(w, rel=1e-15)
        assert model.engine.get_state("ema", "average", 0).item() == pytest.approx(average, rel=1e-15)
        assert model.predict([[1.0]]).item() == pytest.approx(w, rel=1e-15)
