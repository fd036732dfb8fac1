"""Perceptron: scikit-learn's weights in storage order, its stopping, and what it refuses."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Perceptron as Theirs

from nncore.sklearn import Perceptron

X, Y = load_iris(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(len(X))
X, Y = X[ORDER], np.array(["setosa", "versicolor", "virginica"])[Y[ORDER]]
HARD = Y == "versicolor"
WEIGHTS = np.random.default_rng(1).uniform(0, 3, len(X))


def fit(x, y, sample_weight=None, **options):
    options = {"shuffle": False, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = Theirs(**options).fit(x, y, sample_weight=sample_weight)
        return Perceptron(**options).fit(x, y, sample_weight=sample_weight), theirs


def assert_equal(ours, theirs, x=X):
    scale = abs(theirs.coef_).max()
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-12 * scale)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-12 * scale)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("y", [Y == "setosa", HARD], ids=["separable", "not separable"])
@pytest.mark.parametrize(
    "options",
    [{}, {"eta0": 0.3}, {"fit_intercept": False}, {"class_weight": "balanced"}, {"n_iter_no_change": 2, "tol": 0.1}],
    ids=str,
)
def test_two_classes(y, options, weights):
    assert_equal(*fit(X, y, weights, **options))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_three_classes(weights):
    assert_equal(*fit(X, Y, weights, tol=None, max_iter=9))


@pytest.mark.parametrize("y", [Y, HARD], ids=["three", "two"])
def test_l2(y):
    assert_equal(*fit(X, y, penalty="l2", alpha=0.01, tol=None, max_iter=7))


def test_l1_makes_weights_small():
    x, y = load_digits(return_X_y=True)
    dense, sparse = (fit(x[:300], y[:300] == 3, penalty=p, alpha=0.1, tol=None, max_iter=5)[0] for p in (None, "l1"))
    both = fit(x[:300], y[:300] == 3, penalty="elasticnet", l1_ratio=1.0, alpha=0.1, tol=None, max_iter=5)[0]
    assert abs(sparse.coef_).sum() < 0.9 * abs(dense.coef_).sum()
    np.testing.assert_array_equal(both.coef_, sparse.coef_)


def test_partial_fit_goes_on():
    ours, theirs = Perceptron(shuffle=False), Theirs(shuffle=False)
    for part in (slice(0, 40), slice(40, 90), slice(90, 150)):
        for model in (ours, theirs):
            model.partial_fit(X[part], Y[part], classes=np.unique(Y))
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-12 * abs(theirs.coef_).max())


def test_warm_start_goes_on():
    ours, theirs = fit(X, HARD, tol=None, max_iter=2, warm_start=True)
    for model in (ours, theirs):
        model.fit(X, HARD)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-12 * abs(theirs.coef_).max())


def test_shuffled_it_learns_and_repeats_itself():
    x, y = load_digits(return_X_y=True)
    a, b = (Perceptron(random_state=1).fit(csr_array(x), y) for _ in range(2))
    assert a.score(x, y) > 0.93
    np.testing.assert_array_equal(a.coef_, b.coef_)
    assert not np.array_equal(a.coef_, Perceptron(random_state=2).fit(x, y).coef_)


def test_early_stopping_keeps_the_best(capsys):
    x, y = load_digits(return_X_y=True)
    model = Perceptron(early_stopping=True, n_iter_no_change=2, verbose=True).fit(x, y)
    assert model.n_iter_ < 100
    assert capsys.readouterr().out.count("Epoch") == model.n_iter_ == len(model.loss_curve_)
    assert model.score(x, y) > 0.9


@pytest.mark.parametrize(
    ("options", "y", "words"),
    [
        ({"penalty": "l3"}, Y, "penalty: expected one of 'l2', 'l1', 'elasticnet', got 'l3'"),
        ({"eta0": 0}, Y, "eta0: expected a number > 0"),
        ({"l1_ratio": 2}, Y, "l1_ratio"),
        ({"fit_intercept": 2}, Y, "fit_intercept: expected True or False"),
        ({"tol": -1}, Y, "tol"),
        ({}, np.ones(150), "one class"),
    ],
    ids=str,
)
def test_bad_options(options, y, words):
    with pytest.raises(ValueError, match=words):
        Perceptron(**options).fit(X, y)


@pytest.mark.parametrize(
    ("options", "classes", "words"),
    [
        ({}, None, "classes: expected all classes at the first call"),
        ({"early_stopping": True}, np.unique(Y), "early_stopping: expected False with partial_fit"),
        ({"class_weight": "balanced"}, np.unique(Y), "class_weight: expected a dict with partial_fit"),
        ({}, ["setosa", "virginica"], "classes not in"),
    ],
    ids=str,
)
def test_bad_partial_fit(options, classes, words):
    with pytest.raises(ValueError, match=words):
        Perceptron(**options).partial_fit(X, Y, classes=classes)


def test_what_is_refused_changes_nothing():
    model = Perceptron().fit(X, Y)
    before = {name: np.copy(value) for name, value in vars(model).items()}
    for x, y in [(X[:, :2], np.ones(150)), (X, Y[:5])]:
        with pytest.raises(ValueError, match=r".+"):
            model.fit(x, y)
    assert vars(model).keys() == before.keys()
    assert all(np.array_equal(value, before[name]) for name, value in vars(model).items() if name != "tol")


def test_max_iter_is_a_warning():
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        Perceptron(max_iter=2).fit(X, HARD)
