"""The classic rules: truth tables, scikit-learn's Perceptron, formulas, and descent that agrees with backpropagation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Perceptron as Theirs

import nncore as nn
from nncore import classic

TABLE = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
RNG = np.random.Generator(np.random.Philox(key=17))


@pytest.mark.parametrize(
    ("weights", "threshold", "expected"),
    [
        ([1, 1], 2, TABLE.all(axis=1)),
        ([1, 1], 1, TABLE.any(axis=1)),
        ([-1, -1], 0, ~TABLE.any(axis=1)),
        ([-1, -1], -1, ~TABLE.all(axis=1)),
        ([1, -1], 1, [0, 0, 1, 0]),
    ],
)
def test_mp_neurons(weights, threshold, expected):
    y = classic.MPNeuron(weights, threshold)(TABLE)
    assert y.dtype == np.int64
    assert y.tolist() == np.asarray(expected, int).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_xor_net(engine_name, dtype):
    net = classic.xor_net()
    net.compile(loss="mse", engine=engine_name, dtype=dtype)
    assert net.predict(np.tile(TABLE, (3, 1))).tolist() == [[0], [1], [1], [0]] * 3
    net.backward(net.forward(TABLE, training=True) - 0.5)
    assert not any(gradient.any() for gradient in net.gradients().values())  # nothing to learn from


def test_the_xor_net_is_made_of_mp_neurons():
    hidden, bias, output, last = classic.xor_net().get_weights()
    neurons = [classic.MPNeuron(w, -b) for w, b in zip(hidden.T, bias.tolist(), strict=True)]
    y = classic.MPNeuron(output[:, 0], -float(last[0]))(np.stack([neuron(TABLE) for neuron in neurons], axis=1))
    assert y.tolist() == [0, 1, 1, 0]


def test_no_single_threshold_neuron_computes_xor():
    """On a grid of weights and thresholds, as Minsky and Papert prove of all."""
    grid = np.linspace(-2, 2, 17)
    for a in grid:
        for b in grid:
            total = TABLE @ [a, b]
            assert not any(((total >= t) == [False, True, True, False]).all() for t in grid)


def iris(classes=3, order=None):
    x, y = nn.datasets.load_iris()
    x, y = x[y < classes], y[y < classes]
    order = np.arange(len(x)) if order is None else np.random.Generator(np.random.Philox(order)).permutation(len(x))
    return np.asarray(x, np.float64)[order], y[order]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("order", [None, 0, 1])
@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_the_perceptron_equals_scikit_learns(classes, order, epochs):
    x, y = iris(classes, order)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # three classes of iris are not separable
        theirs = Theirs(max_iter=epochs, tol=None, shuffle=False).fit(x, y)
    ours = classic.Perceptron(epochs=epochs).fit(x, y)
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.intercept_, theirs.intercept_)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.decision_function(x), theirs.decision_function(x), rtol=1e-12, atol=1e-12)
    assert (ours.predict(x) == theirs.predict(x)).all()


def test_a_separable_set_ends_without_mistakes():
    x, y = iris(2, order=0)
    perceptron = classic.Perceptron().fit(x, y)
    assert perceptron.mistakes_[0][-1] == 0
    assert len(perceptron.mistakes_[0]) < 10
    assert (perceptron.predict(x) == y).all()


def test_the_learning_rate_only_scales():
    x, y = iris(3, order=1)
    one, four = classic.Perceptron(epochs=9).fit(x, y), classic.Perceptron(4.0, epochs=9).fit(x, y)
    assert (4 * one.coef_ == four.coef_).all()
    assert one.mistakes_ == four.mistakes_


def test_a_set_that_no_plane_separates_never_settles():
    perceptron = classic.Perceptron(epochs=50).fit(TABLE, [0, 1, 1, 0])
    assert len(perceptron.mistakes_[0]) == 50
    assert min(perceptron.mistakes_[0]) > 0


def test_classes_may_be_names():
    y = np.array(["no", "no", "no", "yes"])
    assert classic.Perceptron().fit(TABLE, y).predict(TABLE).tolist() == y.tolist()


def test_hebb_sums_outer_products():
    x, y = RNG.choice([-1.0, 1.0], (7, 4)), RNG.choice([-1.0, 1.0], (7, 2))
    expected = sum(0.5 * np.outer(a, b) for a, b in zip(x, y, strict=True))
    np.testing.assert_allclose(classic.hebb(x, y, 0.5), expected, rtol=1e-15)
    assert classic.hebb(x, y[:, 0]).shape == (4, 1)


def test_hebb_recalls_orthogonal_patterns():
    x = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    y = RNG.choice([-1.0, 1.0], (4, 3))
    np.testing.assert_allclose(x @ classic.hebb(x, y), 4 * y)


@pytest.mark.parametrize("loss", ["mse", "bce_with_logits"])
def test_descent_without_backpropagation_takes_the_same_steps(engine_name, loss):
    x, y = RNG.normal(size=(8, 3)), RNG.integers(0, 2, (8, 2)).astype(float)
    models = []
    for _ in range(2):
        model = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="sigmoid"), nn.Dropout(0.25), nn.Dense(2)])
        model.compile(nn.SGD(0.5), loss, engine=engine_name, dtype="float64", seed=9)
        models.append(model)
    losses = classic.finite_difference_descent(models[0], x, y, learning_rate=0.5, steps=12)
    expected = [models[1].train_on_batch(x, y)["loss"] for _ in range(12)]
    np.testing.assert_allclose(losses, expected, rtol=1e-8)
    for ours, theirs in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_descent_that_diverges_says_so(engine_name):
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
    model.compile(loss="mse", engine=engine_name, dtype="float64")
    with (
        pytest.raises(FloatingPointError, match=r"before step \d+ is (inf|nan)"),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        classic.finite_difference_descent(model, [[1.0]], [[1.0]], learning_rate=1e30, steps=100)


def fitted():
    return classic.Perceptron().fit(TABLE, [0, 0, 0, 1])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: classic.MPNeuron([[1]], 1), ValueError, r"weights: expected shape \(inputs,\)"),
        (lambda: classic.MPNeuron([np.nan], 1), ValueError, "weights"),
        (lambda: classic.MPNeuron([1], "1"), ValueError, "threshold"),
        (lambda: classic.MPNeuron([1], 1)([[1, 2]]), ValueError, r"x: expected shape \(n, 1\)"),
        (lambda: classic.hebb([[1]], [1, 2]), ValueError, "y: expected as many rows"),
        (lambda: classic.hebb([1], [1]), ValueError, "x: expected shape"),
        (lambda: classic.hebb([[1]], [1], 0.0), ValueError, "learning_rate"),
        (lambda: classic.hebb([[1]], [np.inf]), ValueError, "y: expected finite"),
        (lambda: classic.Perceptron(epochs=0), ValueError, "epochs"),
        (lambda: classic.Perceptron(-1.0), ValueError, "learning_rate"),
        (lambda: classic.Perceptron().fit(TABLE, [1, 1, 1, 1]), ValueError, "two classes"),
        (lambda: classic.Perceptron().fit(TABLE, [1]), ValueError, "y: expected one class for each"),
        (lambda: classic.Perceptron().fit(TABLE, [1, None, 2, 3]), TypeError, "y: expected classes that have an order"),
        (lambda: classic.Perceptron().predict(TABLE), RuntimeError, "fit first"),
        (lambda: fitted().predict([[1.0]]), ValueError, r"x: expected shape \(n, 2\)"),
        (lambda: fitted().predict([["a", "b"]]), TypeError, "x: expected real"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(
    ("options", "words"), [({"learning_rate": 0.0}, "learning_rate"), ({"steps": 0}, "steps"), ({"step": 0.0}, "step")]
)
def test_bad_options_of_descent(options, words):
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match=words):
        classic.finite_difference_descent(model, TABLE, [0, 1, 1, 0], **options)
