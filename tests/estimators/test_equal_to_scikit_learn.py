"""The same random state gives scikit-learn's weights, losses, scores and predictions, to rounding, in float64."""

import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning

import nncore.sklearn as ours

RNG = np.random.default_rng(5)


def digits(n=230):
    x, y = load_digits(return_X_y=True)
    return x[:n] / 16, y[:n]


def binary():
    x, y = digits()
    return x, np.where(y > 4, "high", "low")


def labels():
    x, y = make_multilabel_classification(90, 6, n_classes=4, random_state=0)
    return x / 20, y  # small enough that no probability is clipped, as scikit-learn does in the loss


def numbers(outputs=1):
    x, y = load_diabetes(return_X_y=True)
    y = (y[:130] - 150) / 80
    return x[:130] * 20, y if outputs == 1 else np.column_stack([y, np.sin(2 * y)])


def counts(outputs=1):
    x, y = numbers(outputs)
    return x, np.round(np.exp(y))


DATA = {
    "digits": ("MLPClassifier", digits()),
    "binary": ("MLPClassifier", binary()),
    "labels": ("MLPClassifier", labels()),
    "numbers": ("MLPRegressor", numbers()),
    "two numbers": ("MLPRegressor", numbers(2)),
    "counts": ("MLPRegressor", counts()),
    "two counts": ("MLPRegressor", counts(2)),
}


def pair(kind, **options):
    options = {"hidden_layer_sizes": (9, 7), "max_iter": 12, "random_state": 3, "batch_size": 50, "tol": 0.0, **options}
    return getattr(theirs, kind)(**options), getattr(ours, kind)(**options, dtype="float64")


def assert_equal(a, b, x, rtol=1e-9):
    """Weights, what training reported, and predictions."""
    for mine, expected in zip([*b.coefs_, *b.intercepts_], [*a.coefs_, *a.intercepts_], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=rtol, atol=rtol / 10)
    assert (b.n_iter_, b.t_, b.n_layers_, b.n_outputs_) == (a.n_iter_, a.t_, a.n_layers_, a.n_outputs_)
    assert b.out_activation_ == a.out_activation_
    assert b.loss_ == pytest.approx(a.loss_, rel=1e-9)
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
        if getattr(a, name, None) is None:
            assert getattr(b, name, None) in (None, [])
        else:
            np.testing.assert_allclose(getattr(b, name), getattr(a, name), rtol=1e-9)
    if not hasattr(a, "predict_proba"):
        np.testing.assert_allclose(b.predict(x), a.predict(x), rtol=1e-8)
    else:
        np.testing.assert_array_equal(b.predict(x), a.predict(x))
        np.testing.assert_allclose(b.predict_proba(x), a.predict_proba(x), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(b.predict_log_proba(x), a.predict_log_proba(x), rtol=1e-7, atol=1e-12)
        np.testing.assert_array_equal(b.classes_, a.classes_)


def fit(a, b, x, y, method="fit", **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        getattr(a, method)(x, y, **arguments)
        getattr(b, method)(x, y, **arguments)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("data", DATA)
def test_solvers_by_steps(data, solver):
    """The last batch is smaller, so that its penalty is another one."""
    kind, (x, y) = DATA[data]
    options = {"loss": "poisson"} if "counts" in data else {}
    a, b = pair(kind, solver=solver, alpha=0.3, learning_rate_init=0.01, **options)
    fit(a, b, x, y)
    assert_equal(a, b, x)


@pytest.mark.parametrize("data", ["digits", "binary", "labels", "numbers", "counts"])
def test_lbfgs(data):
    kind, (x, y) = DATA[data]
    a, b = pair(kind, solver="lbfgs", alpha=0.1, max_iter=5, **({"loss": "poisson"} if data == "counts" else {}))
    fit(a, b, x, y)
    assert_equal(a, b, x, rtol=1e-7)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_activations(activation):
    x, y = digits()
    a, b = pair("MLPClassifier", activation=activation, shuffle=False)
    fit(a, b, x, y)
    assert_equal(a, b, x)


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": "invscaling", "power_t": 0.3},
        {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1, "max_iter": 30},
        {"learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1, "max_iter": 60, "learning_rate_init": 1e-5},
        {"nesterovs_momentum": False, "momentum": 0.7},
        {"momentum": 0.0},
        {"tol": 0.01, "n_iter_no_change": 2, "max_iter": 60},
        {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 3, "max_iter": 40},
        {"early_stopping": True, "learning_rate": "adaptive", "n_iter_no_change": 1, "max_iter": 30},
        {"batch_size": "auto"},
        {"hidden_layer_sizes": 5},
        {"hidden_layer_sizes": ()},
    ],
    ids=str,
)
@pytest.mark.parametrize("data", ["digits", "binary", "two numbers"])
def test_options_of_sgd(data, options):
    kind, (x, y) = DATA[data]
    a, b = pair(kind, **{"solver": "sgd", "learning_rate_init": 0.05, **options})
    fit(a, b, x, y)
    assert_equal(a, b, x)


@pytest.mark.parametrize("options", [{"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("data", ["digits", "labels", "two counts"])
def test_options_of_adam(data, options):
    kind, (x, y) = DATA[data]
    a, b = pair(kind, **{"learning_rate_init": 0.05, "n_iter_no_change": 2, "max_iter": 20, **options})
    fit(a, b, x, y)
    assert_equal(a, b, x)


@pytest.mark.parametrize("data", ["digits", "binary", "numbers"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_sample_weights(data, solver):
    """Weights and predictions are equal; the reported loss is one mean by weight, not one of the batches' means."""
    kind, (x, y) = DATA[data]
    a, b = pair(kind, solver=solver, alpha=0.5, max_iter=6)
    fit(a, b, x, y, sample_weight=RNG.uniform(0, 3, len(x)))
    for mine, expected in zip([*b.coefs_, *b.intercepts_], [*a.coefs_, *a.intercepts_], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-7, atol=1e-9)
    if solver == "lbfgs":
        assert b.loss_ == pytest.approx(a.loss_, rel=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_warm_start_and_partial_fit_go_on_alike(solver):
    x, y = load_iris(return_X_y=True)
    a, b = pair("MLPClassifier", solver=solver, warm_start=True, max_iter=3, learning_rate_init=0.02)
    for _ in range(3):
        fit(a, b, x, y)
        assert_equal(a, b, x)
    a, b = pair("MLPClassifier", solver=solver, learning_rate_init=0.02)
    for i in range(6):
        part = slice(40 * (i % 3), 40 * (i % 3) + 40)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*batch_size")  # is larger than these samples
            fit(a, b, x[part], y[part], "partial_fit", **({"classes": [0, 1, 2]} if i == 0 else {}))
        assert_equal(a, b, x)


def test_what_is_printed(capsys):
    x, y = digits(60)
    a, b = pair("MLPClassifier", verbose=True, early_stopping=True, n_iter_no_change=1, max_iter=50, tol=0.1)
    a.fit(x, y)
    expected = capsys.readouterr().out
    b.fit(x, y)
    assert capsys.readouterr().out == expected
    assert "Stopping" in expected
