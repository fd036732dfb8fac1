"""Batch normalisation in whole networks: statistics, what changes them and what does not, threads, frozen layers, files."""

import math

import numpy as np
import pytest

import networks
import nncore as nn
from nncore.engines import create
from nncore.optable import LossSpec, RuleSpec

RNG = np.random.default_rng(5)
X = RNG.standard_normal((90, 7)) * [1, 2, 3, 4, 5, 6, 7] + 3


def model(engine="native", **options):
    made = nn.Sequential([nn.Input((7,)), nn.BatchNorm(**{"momentum": 0.75, "name": "b", **options}), nn.Dense(2)])
    made.compile("adam", "mse", dtype="float64", engine=engine)
    return made


def averages(made, name="b"):
    found = made.parameters()
    return found[f"{name}.moving_mean"], found[f"{name}.moving_variance"]


def test_averages_follow_every_training_pass(engine_name):
    made = model(engine_name)
    mean, variance = np.zeros(7), np.ones(7)
    for k in range(4):
        batch = X[20 * k : 20 * k + 20]
        if k % 2:
            made.forward(batch, training=True)
        else:
            made.train_on_batch(batch, np.zeros((20, 2)))
        mean, variance = 0.75 * mean + 0.25 * batch.mean(0), 0.75 * variance + 0.25 * batch.var(0)
        for actual, expected in zip(averages(made), (mean, variance), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-13)


def test_inference_uses_the_averages_and_leaves_them(engine_name):
    made = model(engine_name, momentum=0.0, epsilon=0.01)
    made.forward(X, training=True)
    before = [a.copy() for a in averages(made)]
    kernel, bias = made.get_weights()[-2:]
    expected = (X[:5] - X.mean(0)) / np.sqrt(X.var(0) + 0.01) @ kernel + bias
    for y in (made.predict(X[:5]), made.predict(X[:5], batch_size=1), made.forward(X[:5])):
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
    made.evaluate(X[:5], np.zeros((5, 2)))
    np.testing.assert_array_equal(averages(made), before)


def test_a_step_that_diverges_changes_nothing(engine_name):
    made = model(engine_name)
    made.train_on_batch(X, np.zeros((90, 2)))
    before = made.get_weights()
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError):
        made.train_on_batch(X[:3], np.full((3, 2), 1e200))
    for actual, expected in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_no_rows_teach_nothing(engine_name):
    made = model(engine_name)
    (y,) = made.engine.forward([np.zeros((0, 7))], training=True)
    assert y.shape == (0, 2)
    np.testing.assert_array_equal(averages(made), [np.zeros(7), np.ones(7)])


@pytest.mark.parametrize("how", ["constructor", "attribute"])
def test_frozen_runs_as_in_inference(engine_name, how):
    made = model(engine_name, momentum=0.0)
    made.forward(X, training=True)
    if how == "attribute":
        made.layers[1].trainable = False
        made.compile("adam", "mse", dtype="float64", engine=engine_name)
    else:
        weights = made.get_weights()
        made = model(engine_name, momentum=0.0, trainable=False)
        made.set_weights(weights)
    before = made.parameters()
    np.testing.assert_allclose(made.forward(X[:9], training=True), made.predict(X[:9]), rtol=1e-13)
    made.fit(X, np.ones((90, 2)), epochs=2, verbose=0)
    after = made.parameters()
    for name, value in before.items():
        assert np.array_equal(after[name], value) == name.startswith("b."), name


def test_freezing_takes_effect_at_compile(engine_name):
    made = model(engine_name)
    made.layers[1].trainable = False
    made.train_on_batch(X, np.zeros((90, 2)))
    assert averages(made)[0].any()
    made.compile("adam", "mse", dtype="float64", engine=engine_name)
    assert [p.trainable for p in made.graph.parameters] == [False, False, False, False, True, True]
    made.layers[1].trainable = True
    made.compile("adam", "mse", dtype="float64", engine=engine_name)
    assert [p.trainable for p in made.graph.parameters] == [True, True, False, False, True, True]


def test_frozen_dense_keeps_its_weights_and_passes_gradients_on(engine_name):
    made = nn.Sequential([nn.Input((7,)), nn.Dense(5, name="a"), nn.Dense(4, trainable=False, name="f"), nn.Dense(2)])
    made.compile("sgd", "mse", engine=engine_name)
    before = made.parameters()
    made.fit(X, np.ones((90, 2)), verbose=0)
    changed = {name for name, value in made.parameters().items() if not np.array_equal(value, before[name])}
    assert changed == {"a.kernel", "a.bias", "dense.kernel", "dense.bias"}


def _train(dtype):
    """Wide and deep enough for four threads, several panels and an uneven last batch."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((150, 90)), rng.integers(0, 10, 150)
    layers = [nn.Dense(120), nn.BatchNorm(momentum=0.9), nn.Activation("relu"), nn.Dropout(0.2)] * 1
    more = [nn.Dense(70), nn.BatchNorm(center=False), nn.BatchNorm(scale=False), nn.Activation("tanh"), nn.Dense(10)]
    made = nn.Sequential([nn.Input((90,)), nn.BatchNorm(), *layers, *more])
    made.compile("adam", "cross_entropy", dtype=dtype, seed=3)
    losses = made.fit(x, y, batch_size=64, epochs=3, verbose=0).history["loss"]
    return [losses, made.predict(x).tobytes(), made.evaluate(x, y), *map(bytes, made.get_weights())]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads(dtype):
    before = nn.get_num_threads()
    try:
        results = []
        for n in (1, 2, 3, 4):
            nn.set_num_threads(n)
            results.append(_train(dtype))
    finally:
        nn.set_num_threads(before)
    assert all(result == results[0] for result in results)


def test_saved_and_loaded_with_its_averages(tmp_path):
    made = model(trainable=False)
    made.forward(X, training=True)
    made.save(tmp_path / "m.safetensors")
    same = nn.load(tmp_path / "m.safetensors")
    assert not same.layers[1].trainable
    assert same.predict(X).tobytes() == made.predict(X).tobytes()
    np.testing.assert_array_equal(averages(same), averages(made))


@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_of_a_network_by_finite_differences(engine_name, frozen):
    graph = networks.normalized(frozen)
    engine = networks.randomize(create(engine_name, graph, "float64", 1))
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((6, 2, 3)), rng.standard_normal((6, 3))
    start = networks.parameters(engine)

    def value(values, inputs):
        for i, parameter in enumerate(values):
            engine.set_parameter(i, parameter)
        engine.draws = 7
        return float(np.sum(dy * engine.forward([inputs], training=True)[0]))

    value(start, x)
    (dx,) = engine.backward([dy])
    gradients = [engine.get_gradient(i) for i in range(len(start))]
    step = 1e-6
    for i, spec in enumerate(graph.parameters):
        if not spec.trainable:
            assert not gradients[i].any()
            continue
        for index in np.ndindex(spec.shape):
            both = []
            for sign in (1, -1):
                moved = [p.copy() for p in start]
                moved[i][index] += sign * step
                both.append(value(moved, x))
            assert gradients[i][index] == pytest.approx((both[0] - both[1]) / (2 * step), rel=1e-5, abs=1e-6), spec.name
    for index in np.ndindex(x.shape):
        both = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * step
            both.append(value(start, moved))
        assert dx[index] == pytest.approx((both[0] - both[1]) / (2 * step), rel=1e-5, abs=1e-6)


def test_one_parallel_region_holds_many_steps():
    """The statistics of a step are committed once, however the run is cut."""
    graph = networks.normalized()
    results = []
    for deadline in (math.inf, 0.0):
        engine = networks.randomize(create("native", graph, "float64", 1))
        position, x, t = 0, np.random.default_rng(2).standard_normal((30, 2, 3)), np.arange(30) % 3
        while position < 30:
            position = engine.run(
                [x],
                t,
                order=None,
                start=position,
                batch_size=7,
                loss=LossSpec("cross_entropy"),
                metrics=(),
                rule=RuleSpec("sgd"),
                deadline=deadline,
            ).position
        results.append([p.tobytes() for p in networks.parameters(engine)])
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.BatchNorm(momentum=1.5), ValueError, "momentum of 'batch_norm'.*1.5"),
        (lambda: nn.BatchNorm(epsilon=-1.0), ValueError, "epsilon of 'batch_norm'.*-1.0"),
        (lambda: nn.BatchNorm(center=1), TypeError, "center of 'batch_norm'"),
        (lambda: nn.BatchNorm(trainable="no"), TypeError, "trainable of BatchNorm"),
        (lambda: nn.BatchNorm(gamma_initializer="goofy"), ValueError, "goofy"),
    ],
)
def test_bad_options(make, error, words):
    with pytest.raises(error, match=words):
        make()
