"""Gradients of outputs, integrated gradients and permutation importance against formulas, PyTorch's rules, scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import permutation_importance as theirs

import nncore as nn
from nncore import explain
from nncore.optable import OPS

RNG = np.random.Generator(np.random.Philox(key=23))
X = RNG.normal(size=(7, 3))


def network(engine, dtype="float64", activation="tanh", shape=(3,), outputs=4):
    layers = [nn.Flatten()] if len(shape) > 1 else []
    model = nn.Sequential(
        [nn.Input(shape), *layers, nn.Dense(6, activation=activation), nn.Dropout(0.5), nn.Dense(outputs)]
    )
    model.compile(loss="mse", engine=engine, dtype=dtype, seed=4)
    return model


def central(model, x, chosen, h=1e-5):
    """Finite differences of each sample's chosen output, from predictions alone."""
    gradient = np.zeros(x.shape)
    for place in np.ndindex(x.shape[1:]):
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[:, *place] += sign * h
            sides.append(model.predict(moved).reshape(len(x), -1)[np.arange(len(x)), chosen])
        gradient[:, *place] = (sides[0] - sides[1]) / (2 * h)
    return gradient


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)])
def test_input_gradients(engine_name, shape):
    model, x = network(engine_name, shape=shape), RNG.normal(size=(7, *shape))
    np.testing.assert_allclose(explain.input_gradients(model, x, output=2), central(model, x, 2), atol=1e-9)
    each = RNG.integers(0, 4, 7)
    np.testing.assert_allclose(explain.input_gradients(model, x, each), central(model, x, each), atol=1e-9)
    largest = model.predict(x).argmax(axis=1)
    np.testing.assert_allclose(explain.input_gradients(model, x), central(model, x, largest), atol=1e-9)


def test_normalisation_by_running_averages(engine_name):
    """A sample's explanation does not depend on the others."""
    model = nn.Sequential([nn.Input((3,)), nn.Dense(6), nn.BatchNorm(momentum=0.5), nn.Activation("tanh"), nn.Dense(4)])
    model.compile("sgd", "mse", engine=engine_name, dtype="float64", seed=4)
    model.fit(X, RNG.normal(size=(7, 4)), epochs=3, verbose=0)
    before = model.get_weights()
    np.testing.assert_allclose(explain.input_gradients(model, X, 1), central(model, X, 1), atol=1e-9)
    found = explain.integrated_gradients(model, X, 1)
    np.testing.assert_allclose(found.sum(axis=1), (model.predict(X) - model.predict(0 * X))[:, 1], atol=1e-12)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_rrelu_has_its_mean_slope(engine_name):
    model = network(engine_name, activation="rrelu")
    np.testing.assert_allclose(explain.input_gradients(model, X, 1), central(model, X, 1), atol=1e-9)


def test_every_op_that_is_another_in_inference_is_known():
    known = {*explain._IDENTITIES, *explain._OTHERS}
    assert {name for name, op in OPS.items() if op.stochastic} <= known
    assert {name for name, op in OPS.items() if op.mixes_rows} == {name for name, op in OPS.items() if "frozen" in op.attrs}


def test_gradients_of_a_model_in_float32(engine_name):
    model, same = network(engine_name, "float32"), network(engine_name, "float64")
    same.set_weights(model.get_weights())
    for function in (explain.input_gradients, explain.integrated_gradients):
        found = function(model, X, output=1)
        assert found.dtype == np.float64
        assert (found == function(same, X, output=1)).all()


def test_many_samples_are_explained_one_by_one(engine_name):
    model, x = network(engine_name), RNG.normal(size=(600, 3))
    for function in (explain.input_gradients, explain.integrated_gradients):
        whole = function(model, x)
        np.testing.assert_allclose(whole[500:510], function(model, x[500:510]), rtol=1e-12)


@pytest.mark.parametrize(
    ("activation", "steps", "tolerance"),
    [("tanh", 64, 1e-12), ("sigmoid", 64, 1e-12), ("relu", 64, 0.05), ("relu", 256, 0.01)],
)
@pytest.mark.parametrize("baseline", [0.0, np.array([0.5, -1.0, 2.0]), X[::-1]])
def test_completeness(engine_name, activation, steps, tolerance, baseline):
    """The contributions add up to the difference of the outputs; for kinks, up to the error of the integral."""
    model = network(engine_name, activation=activation)
    for output in (0, 3):
        found = explain.integrated_gradients(model, X, output, baseline, steps)
        start = np.broadcast_to(baseline, X.shape)
        difference = (model.predict(X) - model.predict(start))[:, output]
        np.testing.assert_allclose(found.sum(axis=1), difference, atol=tolerance)


def test_integrated_gradients_by_hand(engine_name):
    """In a linear net the gradient is the same everywhere, and one point is enough."""
    model = nn.Sequential([nn.Input((3,)), nn.Dense(1, kernel_initializer=lambda shape, rng: [[1.0], [-2.0], [0.0]])])
    model.compile(engine=engine_name, dtype="float64")
    found = explain.integrated_gradients(model, X, baseline=1.0, steps=1)
    np.testing.assert_allclose(found, (X - 1.0) * [1.0, -2.0, 0.0], atol=1e-14)


def test_inputs_that_do_nothing_contribute_nothing(engine_name):
    """Sensitivity and dummy axioms."""
    model = network(engine_name)
    weights = model.get_weights()
    weights[0][1] = 0.0
    model.set_weights(weights)
    assert (explain.integrated_gradients(model, X)[:, 1] == 0).all()
    assert (explain.input_gradients(model, X)[:, 1] == 0).all()


def test_the_model_stays_as_it_was(engine_name):
    model, untouched = network(engine_name), network(engine_name)
    dy = np.ones_like(model.forward(X, training=True))
    untouched.forward(X, training=True)
    explain.input_gradients(model, X)
    explain.integrated_gradients(model, X, steps=3)
    explain.permutation_importance(model, X, np.zeros((7, 4)), n_repeats=1)
    assert model.engine.draws == untouched.engine.draws
    assert (model.backward(dy) == untouched.backward(dy)).all()
    assert all((a == b).all() for a, b in zip(model.get_weights(), untouched.get_weights(), strict=True))


def two_inputs(engine, outputs=1):
    a, b = nn.Input((3,), name="a"), nn.Input((2,), name="b")
    h = nn.Concatenate()([nn.Dense(4, activation="tanh")(a), nn.Dense(3, activation="sigmoid")(b)])
    model = nn.Model({"a": a, "b": b}, [nn.Dense(2)(h) for _ in range(outputs)] if outputs > 1 else nn.Dense(2)(h))
    model.compile(engine=engine, dtype="float64", seed=8)
    return model


def test_several_inputs(engine_name):
    model, z = two_inputs(engine_name), RNG.normal(size=(7, 2))
    gradients = explain.input_gradients(model, {"a": X, "b": z}, output=1)
    assert {name: g.shape for name, g in gradients.items()} == {"a": (7, 3), "b": (7, 2)}
    h = 1e-5
    for name, place in (("a", 2), ("b", 0)):
        moved = [{"a": X.copy(), "b": z.copy()} for _ in range(2)]
        moved[0][name][:, place] += h
        moved[1][name][:, place] -= h
        slope = (model.predict(moved[0]) - model.predict(moved[1]))[:, 1] / (2 * h)
        np.testing.assert_allclose(gradients[name][:, place], slope, atol=1e-9)
    for baseline in (0.5, {"a": np.full(3, 0.5), "b": 0.5}):
        found = explain.integrated_gradients(model, {"a": X, "b": z}, 0, baseline)
        start = model.predict({"a": np.full((1, 3), 0.5), "b": np.full((1, 2), 0.5)})
        difference = (model.predict({"a": X, "b": z}) - start)[:, 0]
        np.testing.assert_allclose(found["a"].sum(axis=1) + found["b"].sum(axis=1), difference, atol=1e-12)
    importance = explain.permutation_importance(model, {"a": X, "b": z}, np.zeros((7, 2)), "mse", n_repeats=2)
    assert {name: i.importances.shape for name, i in importance.items()} == {"a": (3, 2), "b": (2, 2)}


@pytest.mark.parametrize("of", [1, "dense_3"])
def test_several_outputs(of, engine_name):
    """The gradient of one output is its slope; its contributions add up; a metric is that output's."""
    model, x = two_inputs(engine_name, outputs=2), {"a": X, "b": RNG.normal(size=(7, 2))}
    gradients = explain.input_gradients(model, x, 1, of)
    h = 1e-5
    for name, place in (("a", 2), ("b", 0)):
        high, low = ({key: array.copy() for key, array in x.items()} for _ in range(2))
        high[name][:, place] += h
        low[name][:, place] -= h
        slope = (model.predict(high)[1] - model.predict(low)[1])[:, 1] / (2 * h)
        np.testing.assert_allclose(gradients[name][:, place], slope, atol=1e-9)
    found = explain.integrated_gradients(model, x, 1, of=of)
    difference = model.predict(x)[1] - model.predict({name: 0 * array for name, array in x.items()})[1]
    np.testing.assert_allclose(found["a"].sum(axis=1) + found["b"].sum(axis=1), difference[:, 1], atol=1e-12)
    targets = [np.full((7, 2), np.nan), model.predict(x)[1]]  # the first is not looked at
    worse = explain.permutation_importance(model, x, targets, "mse", of=of)
    assert (worse["a"].importances_mean > 0).all()


def test_which_of_several_outputs_must_be_said():
    model = two_inputs("reference", outputs=2)
    x = {"a": X, "b": np.zeros((7, 2))}
    for of in (None, 2, -1, "dense", True):
        with pytest.raises(ValueError, match=r"of: expected one of the outputs \['dense_2', 'dense_3'\]"):
            explain.input_gradients(model, x, of=of)
    with pytest.raises(ValueError, match="of: expected"):
        explain.permutation_importance(model, x, [X, X], "mse")
    with pytest.raises(ValueError, match="of: expected None without a metric"):
        explain.permutation_importance(model, x, [X, X], of=0)


class Estimator(RegressorMixin, BaseEstimator):
    """A model as scikit-learn sees it."""

    def __init__(self, model=None):
        self.model = model

    def fit(self, x, y):
        return self

    def predict(self, x):
        return self.model.predict(x)[:, 0]


@pytest.fixture(scope="module")
def trained():
    x = np.random.Generator(np.random.Philox(1)).normal(size=(300, 4))
    y = 3 * x[:, 0] + x[:, 1] * x[:, 2]
    model = nn.Sequential([nn.Input((4,)), nn.Dense(32, activation="tanh"), nn.Dense(1)])
    model.compile(nn.Adam(0.01), "mse", dtype="float64", seed=1)
    model.fit(x, y, epochs=60, verbose=0)
    return model, x, y


@pytest.mark.parametrize(
    ("metric", "scoring"), [("r2", "r2"), ("mae", "neg_mean_absolute_error"), (None, "neg_mean_squared_error")]
)
def test_permutation_importance_agrees_with_scikit_learns(trained, metric, scoring):
    """Both draw their own shuffles: means over many agree within their standard errors."""
    model, x, y = trained
    ours = explain.permutation_importance(model, x, y, metric, n_repeats=40, seed=0)
    expected = theirs(Estimator(model), x, y, scoring=scoring, n_repeats=40, random_state=0)
    assert ours.importances.shape == expected.importances.shape
    error = np.sqrt((ours.importances_std**2 + expected.importances_std**2) / 40)
    assert (abs(ours.importances_mean - expected.importances_mean) < 4 * error + 1e-12).all()
    assert ours.importances_mean.argmax() == 0
    np.testing.assert_array_equal(ours.importances_mean, ours.importances.mean(axis=1))
    np.testing.assert_array_equal(ours.importances_std, ours.importances.std(axis=1))


def test_permutation_importance_by_its_definition(trained):
    model, x, y = trained
    ours = explain.permutation_importance(model, x, y, nn.metrics.R2(), n_repeats=2, seed=5)
    generator = np.random.Generator(np.random.Philox(key=5))
    for feature in range(4):
        for repeat in range(2):
            shuffled = x.copy()
            shuffled[:, feature] = generator.permutation(x[:, feature])
            drop = sk.r2_score(y, model.predict(x)) - sk.r2_score(y, model.predict(shuffled))
            assert ours.importances[feature, repeat] == pytest.approx(drop, rel=1e-12)


def test_permutation_importance_of_images_and_classes(engine_name):
    x, y = RNG.normal(size=(40, 2, 3)), RNG.integers(0, 4, 40)
    model = network(engine_name, shape=(2, 3))
    model.compile(loss="cross_entropy", engine=engine_name, dtype="float64", seed=4)
    for metric in (None, "accuracy", "log_loss", "roc_auc_ovr"):
        found = explain.permutation_importance(model, x, y, metric, n_repeats=3)
        assert found.importances.shape == (2, 3, 3)
        assert found.importances_mean.shape == (2, 3)
        assert (found.importances == explain.permutation_importance(model, x, y, metric, n_repeats=3).importances).all()
    log_loss = explain.permutation_importance(model, x, y, "log_loss", n_repeats=3).importances
    np.testing.assert_allclose(log_loss, explain.permutation_importance(model, x, y, n_repeats=3).importances, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: explain.input_gradients(m, X[:, :2]), ValueError, "x: expected shape"),
        (lambda m: explain.input_gradients(m, X, 4), ValueError, "4 outputs, got 4"),
        (lambda m: explain.input_gradients(m, X, -1), ValueError, "output"),
        (lambda m: explain.input_gradients(m, X, 1.0), TypeError, "output: expected an integer"),
        (lambda m: explain.input_gradients(m, X, [0, 1]), TypeError, "7 samples"),
        (lambda m: explain.integrated_gradients(m, X, steps=0), ValueError, "steps"),
        (lambda m: explain.integrated_gradients(m, X, baseline=np.zeros(2)), ValueError, "baseline: expected a shape"),
        (lambda m: explain.integrated_gradients(m, X, baseline=np.nan), ValueError, "baseline"),
        (lambda m: explain.permutation_importance(m, X, X[:, 0]), ValueError, "expected targets"),
        (lambda m: explain.permutation_importance(m, X, np.zeros((7, 4)), "f2"), ValueError, "metric"),
        (lambda m: explain.permutation_importance(m, X, np.zeros((7, 4)), n_repeats=0), ValueError, "n_repeats"),
        (lambda m: explain.permutation_importance(m, X, np.zeros((7, 4)), seed=-1), ValueError, "seed"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call(network("reference"))


def test_importance_without_anything_to_measure():
    with pytest.raises(RuntimeError, match="no loss"):
        explain.permutation_importance(nn.Sequential([nn.Dense(1)]), X, X[:, 0])
