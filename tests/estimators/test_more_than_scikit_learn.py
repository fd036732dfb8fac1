"""What scikit-learn has not: regularisation by layer, any loss, weights of classes, given validation sets, callbacks."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.neural_network import MLPClassifier as Theirs

import nncore as nn
from nncore.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS, SHOWN = load_digits(return_X_y=True)
DIGITS = DIGITS / 16
IRIS, KINDS = load_iris(return_X_y=True)
BODY, DISEASE = load_diabetes(return_X_y=True)
BODY, DISEASE = BODY * 20, (DISEASE - 150) / 80
QUICK = {"hidden_layer_sizes": (16,), "max_iter": 30, "random_state": 0, "learning_rate_init": 0.01}


def test_layers_of_their_own():
    options = {"activation": ["tanh", "gelu"], "dropout": [0.0, 0.3], "batch_norm": True, "dtype": "float32"}
    model = MLPClassifier((30, 20), **options, max_iter=25, random_state=0, batch_size=50).fit(DIGITS, SHOWN)
    layers = model._network.model.layers
    kinds = [type(layer).__name__ for layer in layers]
    assert kinds == [
        *["Input", "Dense", "BatchNorm", "Activation"],
        *["Dense", "BatchNorm", "Activation", "Dropout", "Dense"],
    ]
    assert [layer.get_config()["activation"] for layer in layers if type(layer) is nn.Activation] == ["tanh", "gelu"]
    assert model.score(DIGITS, SHOWN) > 0.97
    assert [c.shape for c in model.coefs_] == [(64, 30), (30, 20), (20, 10)]
    assert {c.dtype.name for c in model.coefs_} == {"float32"}


def test_dropout_is_that_of_the_random_state_and_off_in_prediction():
    a, b, c = (MLPClassifier(dropout=0.5, **{**QUICK, "random_state": seed}).fit(IRIS, KINDS) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])
    assert not np.array_equal(a.coefs_[0], c.coefs_[0])
    np.testing.assert_array_equal(a.predict_proba(IRIS), a.predict_proba(IRIS))
    hidden = np.maximum(IRIS @ a.coefs_[0] + a.intercepts_[0], 0)
    logits = hidden @ a.coefs_[1] + a.intercepts_[1]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(a.predict_proba(IRIS), expected, rtol=1e-9)


def test_class_weights_are_sample_weights():
    y = np.array(["a", "b", "c"])[KINDS]
    by_class = MLPClassifier(class_weight={"a": 2.0, "c": 0.5}, **QUICK).fit(IRIS, y)
    by_sample = MLPClassifier(**QUICK).fit(IRIS, y, sample_weight=np.array([2.0, 1.0, 0.5])[KINDS])
    np.testing.assert_array_equal(by_class.coefs_[0], by_sample.coefs_[0])
    few = np.r_[0:50, 50:60]
    balanced = MLPClassifier(class_weight="balanced", **QUICK).fit(IRIS[few], y[few])
    weights = np.where(few < 50, 60 / (2 * 50), 60 / (2 * 10))
    expected = MLPClassifier(**QUICK).fit(IRIS[few], y[few], sample_weight=weights)
    np.testing.assert_allclose(balanced.coefs_[0], expected.coefs_[0], rtol=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        *["cross_entropy", "multi_margin", "nll", "bce_with_logits", "focal", "squared_hinge", "kl_div", "mse"],
        nn.CrossEntropyLoss(label_smoothing=0.1),
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_losses_of_classes(loss, classes):
    keep = np.isin(KINDS, range(classes))
    x, y = IRIS[keep], KINDS[keep]
    model = MLPClassifier(loss=loss, **{**QUICK, "max_iter": 200, "tol": 0, "learning_rate_init": 0.03}).fit(x, y)
    assert model.score(x, y) > 0.93
    p = model.predict_proba(x)
    assert p.shape == (len(x), classes)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(p.argmax(axis=1), model.predict(x))


@pytest.mark.parametrize(
    "loss",
    ["mae", "huber", "log_cosh", "smooth_l1", nn.QuantileLoss(0.5), nn.HuberLoss(delta=2.0)],
    ids=str,
)
def test_losses_of_numbers(loss):
    x = np.linspace(-2, 2, 300)[:, None]
    y = np.column_stack([x[:, 0] ** 2, -x[:, 0]])
    model = MLPRegressor(loss, **{**QUICK, "max_iter": 150, "activation": "tanh"}).fit(x, y)
    assert model.predict(x).shape == (300, 2)
    assert model.score(x, y) > 0.95


def test_quantiles_are_quantiles():
    x = np.zeros((400, 1))
    y = np.random.default_rng(0).exponential(size=400)
    model = MLPRegressor(nn.QuantileLoss(0.9), **{**QUICK, "max_iter": 300, "tol": 0}).fit(x, y)
    assert model.predict(x[:1])[0] == pytest.approx(np.quantile(y, 0.9), rel=0.05)


def test_a_loss_written_in_python():
    class Squares(nn.Loss):
        def forward(self, y, t):
            return np.square(y - t).mean(axis=1)

        def backward(self, y, t):
            return 2 * (y - t) / y.shape[1]

    options = {**QUICK, "max_iter": 5, "alpha": 0.0, "dtype": "float64"}
    ours = MLPRegressor(Squares(), **options).fit(BODY, DISEASE)
    expected = MLPRegressor("mse", **options).fit(BODY, DISEASE)
    np.testing.assert_allclose(ours.coefs_[0], expected.coefs_[0], rtol=1e-9)


def test_a_given_validation_set():
    train, val = slice(0, 1000), slice(1000, None)
    names = np.array([f"n{i}" for i in range(10)])[SHOWN]
    weights = np.random.default_rng(0).uniform(size=len(SHOWN))[val]
    model = MLPClassifier(**{**QUICK, "max_iter": 8})
    model.fit(DIGITS[train], names[train], X_val=DIGITS[val], y_val=names[val], sample_weight_val=weights)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == len(model.loss_curve_) == 8
    expected = accuracy_score(names[val], model.predict(DIGITS[val]), sample_weight=weights)
    assert model.validation_scores_[-1] == pytest.approx(expected, abs=1e-12)
    expected = log_loss(names[val], model.predict_proba(DIGITS[val]), sample_weight=weights)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-5)

    model = MLPClassifier(early_stopping=True, n_iter_no_change=2, **{**QUICK, "max_iter": 100, "learning_rate_init": 0.05})
    model.fit(DIGITS[train], names[train], X_val=DIGITS[val], y_val=names[val])
    assert model.t_ == 1000 * model.n_iter_  # no sample is held out
    assert model.n_iter_ < 100
    assert model.score(DIGITS[val], names[val]) == pytest.approx(max(model.validation_scores_), abs=1e-12)


def test_the_validation_score_of_numbers_is_r2():
    y = np.column_stack([DISEASE, DISEASE**2])
    model = MLPRegressor(dtype="float64", **{**QUICK, "max_iter": 3}).fit(
        BODY[:300], y[:300], X_val=BODY[300:], y_val=y[300:]
    )
    assert model.validation_scores_[-1] == pytest.approx(r2_score(y[300:], model.predict(BODY[300:])), rel=1e-9)


def test_callbacks_see_epochs_and_may_stop():
    class Note(nn.callbacks.Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, epoch, logs):
            self.seen.append((epoch, sorted(logs)))
            self.model.stop_training = epoch == 2

    note = Note()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = MLPClassifier(callbacks=[note], **QUICK).fit(IRIS, KINDS, X_val=IRIS, y_val=KINDS)
    assert note.seen == [(epoch, ["loss", "val_loss", "val_score"]) for epoch in range(3)]
    assert model.n_iter_ == 3
    assert not hasattr(note, "model")
    clone(model)
    monitor = nn.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    options = {**QUICK, "max_iter": 300, "learning_rate_init": 0.1}
    model = MLPClassifier(callbacks=monitor, **options).fit(
        DIGITS[:500], SHOWN[:500], X_val=DIGITS[500:], y_val=SHOWN[500:]
    )
    assert model.n_iter_ < 300
    loss = log_loss(SHOWN[500:], model.predict_proba(DIGITS[500:]))
    assert loss == pytest.approx(min(model.validation_loss_curve_), rel=1e-4)


def test_what_is_no_callback_is_an_error():
    with pytest.raises(TypeError, match="callbacks: expected a Callback at position 0, got 7"):
        MLPClassifier(callbacks=[7], **QUICK).fit(IRIS, KINDS)


def test_any_optimizer():
    model = MLPClassifier(solver=nn.AdamW(0.02, weight_decay=0.1), **{**QUICK, "max_iter": 60}).fit(IRIS, KINDS)
    assert model.score(IRIS, KINDS) > 0.94
    assert model._network.optimizer is not model.solver
    model.partial_fit(IRIS, KINDS)


@pytest.mark.parametrize(
    ("x", "dtype", "expected"),
    [
        (DIGITS, "auto", "float32"),
        (DIGITS[:30], "auto", "float64"),
        (DIGITS[:30].astype("float32"), "auto", "float32"),
        (DIGITS, "float64", "float64"),
        ((16 * DIGITS).astype("uint8"), "auto", "float32"),
        (csr_array(DIGITS), "float32", "float32"),
    ],
)
def test_dtypes(x, dtype, expected):
    y = SHOWN[: x.shape[0]]
    model = MLPClassifier(dtype=dtype, **{**QUICK, "max_iter": 3}).fit(x, y)
    assert {w.dtype.name for w in [*model.coefs_, *model.intercepts_]} == {expected}
    whole = MLPClassifier(dtype="float64", **{**QUICK, "max_iter": 3})
    whole.fit(x.toarray() if hasattr(x, "toarray") else x.astype(float), y)
    np.testing.assert_allclose(model.predict_proba(x), whole.predict_proba(x), atol=1e-3)


def test_threads_do_not_change_results_and_are_set_back():
    before = nn.get_num_threads()
    one, two = (MLPClassifier(n_threads=n, **{**QUICK, "max_iter": 4}).fit(DIGITS, SHOWN) for n in (1, 2))
    np.testing.assert_array_equal(one.coefs_[0], two.coefs_[0])
    assert nn.get_num_threads() == before


def test_partial_fit_of_labels():
    x, y = make_multilabel_classification(120, 6, n_classes=3, random_state=0)
    options = {"shuffle": False, "random_state": 0, "batch_size": 40}
    model = MLPClassifier(**options)
    for _ in range(10):
        model.partial_fit(x / 20, y)
    expected = Theirs(max_iter=10, **options).fit(x / 20, y)
    np.testing.assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.predict_proba(x / 20), expected.predict_proba(x / 20), rtol=1e-9)
    assert model.predict(x / 20).shape == y.shape
    with pytest.raises(ValueError, match=r"y: expected an indicator matrix \[n, 3\] as before"):
        model.partial_fit(x, y[:, :2])


@pytest.mark.parametrize("copies", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_copies_go_on_from_the_same_point(copies, solver):
    options = {"batch_norm": True, "dropout": 0.2, "solver": solver}
    model = MLPClassifier(**options, **{**QUICK, "max_iter": 3}).partial_fit(IRIS, KINDS, classes=[0, 1, 2])
    other = copies(model)
    np.testing.assert_array_equal(model.predict_proba(IRIS), other.predict_proba(IRIS))
    for _ in range(2):
        model.partial_fit(IRIS, KINDS)
        other.partial_fit(IRIS, KINDS)
    np.testing.assert_array_equal(model.predict_proba(IRIS), other.predict_proba(IRIS))


def test_what_is_written_into_coefs_is_used():
    model = MLPRegressor(**{**QUICK, "max_iter": 2}).fit(BODY, DISEASE)
    model.coefs_[-1][:] = 0
    model.intercepts_[-1][:] = 7
    np.testing.assert_array_equal(model.predict(BODY), np.full(len(BODY), 7.0))
    model.coefs_ = [model.coefs_[0]]
    with pytest.raises(ValueError, match="coefs_: expected 2 arrays, got 1"):
        model.predict(BODY)


def test_alpha_may_change_between_calls():
    model = MLPClassifier(solver="sgd", alpha=0.0, **QUICK)
    model.partial_fit(IRIS, KINDS, classes=[0, 1, 2])
    other = copy.deepcopy(model).set_params(alpha=50.0)
    for _ in range(3):
        model.partial_fit(IRIS, KINDS)
        other.partial_fit(IRIS, KINDS)
    assert abs(other.coefs_[0]).sum() < abs(model.coefs_[0]).sum()


def test_class_weights_of_a_batch_without_some_classes():
    options = {"solver": "sgd", "random_state": 0, "class_weight": {0: 3.0, 2: 0.5}}
    model = MLPClassifier(**options).partial_fit(IRIS[:100], KINDS[:100], classes=[0, 1, 2])
    weights = np.where(KINDS[:100] == 0, 3.0, 1.0)
    expected = MLPClassifier(**{**options, "class_weight": None})
    expected.partial_fit(IRIS[:100], KINDS[:100], sample_weight=weights, classes=[0, 1, 2])
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])


def test_solvers_and_stopping_may_change_between_fits():
    model = MLPClassifier(solver="lbfgs", warm_start=True, **{**QUICK, "max_iter": 5}).fit(IRIS, KINDS)
    assert not hasattr(model, "loss_curve_")
    model.set_params(solver="adam").fit(IRIS, KINDS)
    assert len(model.loss_curve_) == 5
    model.set_params(early_stopping=True).fit(IRIS, KINDS)
    assert len(model.loss_curve_) == 10
    assert len(model.validation_scores_) == 5
    model.set_params(early_stopping=False).fit(IRIS, KINDS)
    assert model.best_loss_ <= min(model.loss_curve_[:5])


def test_lbfgs_with_dropout_and_normalisation_goes_down():
    model = MLPRegressor(solver="lbfgs", batch_norm=True, dropout=0.1, **QUICK).fit(BODY, DISEASE)
    assert model.score(BODY, DISEASE) > 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes: expected integers >= 1, got \(3, 0\)"),
        ({"activation": "relux"}, "activation: expected one of 'logistic'"),
        ({"activation": ["relu", "tanh"]}, "activation: expected one for each of 1 hidden layers"),
        ({"dropout": 1.0}, "dropout: expected a number >= 0 and < 1, got 1.0"),
        ({"solver": "newton"}, "solver: expected 'lbfgs', 'sgd', 'adam' or an optimizer"),
        ({"alpha": -1}, "alpha: expected a number >= 0, got -1"),
        ({"alpha": "much"}, "alpha: expected a number"),
        ({"batch_size": 0}, "batch_size: expected an integer >= 1 or 'auto', got 0"),
        ({"learning_rate": "fast"}, "learning_rate: expected one of 'constant'"),
        ({"learning_rate_init": 0}, "learning_rate_init: expected a number > 0"),
        ({"momentum": 1.0}, "momentum"),
        ({"shuffle": "yes"}, "shuffle: expected True or False"),
        ({"n_iter_no_change": 0}, "n_iter_no_change: expected an integer >= 1 or inf"),
        ({"dtype": "float16"}, "dtype: expected one of 'auto', 'float32', 'float64'"),
        ({"n_threads": 0}, "n_threads: expected an integer >= 1 or None, got 0"),
        ({"class_weight": "even"}, "class_weight: expected 'balanced', a dict or None, got 'even'"),
        ({"class_weight": {7: 2.0}}, r"class_weight: expected classes of \[0 1 2\], got 7"),
        ({"loss": "bce"}, "loss: expected one of scores"),
        ({"loss": "nothing"}, "loss"),
        ({"callbacks": [nn.callbacks.TerminateOnNaN()], "solver": "lbfgs"}, "callbacks: expected None"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "validation_fraction: expected to hold out 2"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        MLPClassifier(**{**QUICK, **options}).fit(IRIS, KINDS)


def test_bad_data():
    model = MLPClassifier(**{**QUICK, "max_iter": 2}).fit(IRIS, KINDS)
    before = model.coefs_[0].copy()
    for arguments, words in [
        ({"sample_weight": -np.ones(150)}, "sample_weight: expected finite weights that are not negative"),
        ({"sample_weight": np.zeros(150)}, "sample_weight: expected some weights that are not zero"),
        ({"X_val": IRIS}, "X_val: expected y_val beside it"),
        ({"X_val": IRIS, "y_val": KINDS + 5}, "classes not in"),
        ({"X_val": IRIS[:, :2], "y_val": KINDS}, "features"),
    ]:
        with pytest.raises(ValueError, match=words):
            clone(model).fit(IRIS, KINDS, **arguments)
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(IRIS, KINDS + 1)
    with pytest.raises(ValueError, match=r"classes: expected \[0 1 2\] as before, got \[0 1\]"):
        model.partial_fit(IRIS, KINDS, classes=[0, 1])
    with pytest.raises(ValueError, match="loss: expected one of numbers, got 'cross_entropy'"):
        MLPRegressor("cross_entropy").fit(IRIS, KINDS)
    with pytest.raises(ValueError, match="loss: expected one with one output for each number, got 'gaussian_nll'"):
        MLPRegressor("gaussian_nll").fit(IRIS, KINDS)
    for x, y in [(IRIS[:, :2], KINDS), (IRIS, KINDS[:10]), (np.where(IRIS > 1, IRIS, np.nan), KINDS)]:
        with pytest.raises(ValueError, match=r".+"):
            model.fit(x, y, X_val=IRIS[:, :1], y_val=KINDS)
    model.predict(IRIS)
    np.testing.assert_array_equal(model.coefs_[0], before)
    with pytest.raises(ValueError, match="non-finite"):
        MLPRegressor(solver="sgd", learning_rate_init=1e30, max_iter=50).fit(BODY, DISEASE)
    with pytest.raises(AttributeError, match="partial_fit"):
        MLPClassifier(solver="lbfgs").partial_fit(IRIS, KINDS)
