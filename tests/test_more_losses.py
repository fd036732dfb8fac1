"""Every loss as an object and in training: options, targets, huge numbers, both engines."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nncore as nn
from nncore import losses

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
LABELS = RNG.integers(0, 4, 40)
VALUES = RNG.standard_normal((40, 4))
UNIT = RNG.random((40, 4))

# name: options that are not the defaults, the last layer's activation, targets
ALL = {
    "mse": ({}, "identity", VALUES),
    "mae": ({}, "identity", VALUES),
    "huber": ({"delta": 0.5}, "identity", VALUES),
    "smooth_l1": ({"beta": 0.5}, "identity", VALUES),
    "log_cosh": ({}, "identity", VALUES),
    "quantile": ({"quantile": [0.1, 0.3, 0.5, 0.9]}, "identity", VALUES[:, 0]),
    "poisson": ({"log_input": False, "full": True}, "elu", np.round(3 * UNIT)),
    "gaussian_nll": ({"full": True, "eps": 0.5}, "sigmoid", VALUES[:, :2]),
    "cosine": ({}, "identity", VALUES),
    "kl_div": ({"log_target": True}, "log_softmax", np.log(UNIT)),
    "hinge": ({}, "identity", np.sign(VALUES)),
    "squared_hinge": ({}, "identity", np.round(UNIT)),
    "multi_margin": ({"p": 2, "margin": 0.7, "weight": [1, 2, 0.5, 1]}, "identity", LABELS),
    "bce": ({"weight": [1, 2, 0, 1]}, "sigmoid", UNIT),
    "bce_with_logits": ({"weight": [1, 2, 0, 1], "pos_weight": 3.0}, "identity", UNIT),
    "nll": ({"weight": [1, 2, 0, 1], "ignore_index": 3}, "log_softmax", LABELS),
    "cross_entropy": ({"weight": [1, 2, 0, 1], "ignore_index": 3, "label_smoothing": 0.2}, "identity", LABELS),
    "focal": ({"alpha": 0.6, "gamma": 1.5}, "identity", UNIT),
}


def network(engine, loss, activation="identity", dtype="float64", bias=0.0):
    last = nn.Dense(4, activation=activation, bias_initializer=nn.initializers.Constant(bias))
    model = nn.Sequential([nn.Input((3,)), nn.Dense(5, activation="tanh"), last])
    model.compile(optimizer=nn.SGD(0.05), loss=loss, engine=engine, dtype=dtype)
    return model


def test_every_loss_is_here():
    assert set(ALL) == set(losses.LOSSES)


@pytest.mark.parametrize("name", ALL)
def test_both_engines_train_alike(name):
    options, activation, target = ALL[name]
    loss = losses.LOSSES[name](**options)
    weights = np.arange(40) % 4 / 2
    models = [
        network(engine, loss, activation, bias=2.0 if name == "poisson" else 0.0) for engine in ("reference", "native")
    ]
    logs = [model.fit(X, target, batch_size=7, epochs=3, verbose=0, sample_weight=weights).history for model in models]
    np.testing.assert_allclose(logs[1]["loss"], logs[0]["loss"], rtol=1e-10)
    assert logs[0]["loss"][-1] < logs[0]["loss"][0]
    for p, q in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-9, atol=1e-11)
    value = loss(models[1].predict(X), target, weights)[0]
    assert models[1].evaluate(X, target, sample_weight=weights)["loss"] == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("name", ["cross_entropy", "bce_with_logits", "focal", "hinge", "squared_hinge", "multi_margin"])
def test_logits_may_be_huge_in_float32(backend, name):
    x = np.array([[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4], [0.0, -1e4]], "float32")
    for target in (np.zeros(4, int), np.ones(4, int)) if name in ("cross_entropy", "multi_margin") else (x * 0, x * 0 + 1):
        for options in ({}, {"gamma": 0.0}, {"gamma": 0.5}) if name == "focal" else ({},):
            exact = getattr(backend, name)(x.astype(float), target, "none", **options)
            np.testing.assert_allclose(getattr(backend, name)(x, target, "none", **options), exact, rtol=1e-5)
            gradient = getattr(backend, f"{name}_backward")(x, target, "sum", **options)
            assert gradient.dtype == np.float32
            assert np.isfinite(gradient).all()


def test_probabilities_of_0_and_1_have_bounded_losses(backend):
    x = np.array([0.0, 1.0, 0.0, 1.0], "float32")
    np.testing.assert_array_equal(backend.bce(x, [1.0, 0.0, 0.0, 1.0], "none"), [100, 100, 0, 0])
    assert np.isfinite(backend.bce_backward(x, np.float32([1, 0, 0, 1]), "sum")).all()


def test_variances_below_eps_count_as_eps(backend):
    x, t = np.array([[1.0, 0.0], [1.0, -3.0]]), np.array([[3.0], [3.0]])
    expected = 0.5 * (math.log(0.5) + 4 / 0.5)
    np.testing.assert_allclose(backend.gaussian_nll(x, t, "none", eps=0.5), [[expected]] * 2, rtol=1e-14)
    gradient = backend.gaussian_nll_backward(x, t, "sum", eps=0.5)
    np.testing.assert_allclose(gradient, [[-4.0, 0.5 * (2 - 16)]] * 2, rtol=1e-14)


def test_a_rate_that_is_negative_shows(backend):
    with np.errstate(invalid="ignore"):
        assert np.isnan(backend.poisson(np.array([-1.0]), [1.0], log_input=False))


def test_kinks_have_slope_0(backend):
    for name, options in (("mae", {}), ("quantile", {"quantile": 0.9}), ("smooth_l1", {"beta": 0.0})):
        assert getattr(backend, f"{name}_backward")([2.0], [2.0], "sum", **options).tolist() == [0.0]


def test_cosine_of_nothing(backend):
    np.testing.assert_array_equal(backend.cosine(np.zeros((1, 2)), np.ones((1, 2)), "none"), [1.0])
    assert np.isfinite(backend.cosine_backward(np.zeros((1, 2)), np.ones((1, 2)))).all()


def test_nothing_but_ignored_rows_is_0(backend):
    for name in ("nll", "cross_entropy"):
        assert getattr(backend, name)(np.ones((2, 3)), [-100, -100]) == 0.0
        assert not getattr(backend, f"{name}_backward")(np.ones((2, 3)), [-100, -100]).any()


def test_hinge_labels_are_one_pair_or_the_other():
    a, b = nn.HingeLoss()(VALUES, np.sign(VALUES)), nn.HingeLoss()(VALUES, VALUES > 0)
    assert a[0] == b[0]
    np.testing.assert_array_equal(a[1], b[1])
    model = network("native", "hinge")
    model.compile(loss="hinge", metrics=["accuracy"])
    signs, bits = (model.evaluate(X, target) for target in (np.sign(VALUES), VALUES > 0))
    assert signs == bits


def test_several_quantiles_take_one_target():
    loss = nn.QuantileLoss([0.1, 0.9])
    y = VALUES[:, :2]
    whole = loss(y, np.stack([VALUES[:, 3]] * 2, axis=1))
    for target in (VALUES[:, 3], VALUES[:, 3:]):
        assert loss(y, target)[0] == whole[0]


def test_metrics_beside_gaussian_nll_are_of_the_means():
    for engine in ("native", "reference"):
        model = network(engine, None)
        model.compile(loss=nn.GaussianNLLLoss(eps=0.1), metrics=["mse"], engine=engine, dtype="float64")
        expected = ((model.predict(X)[:, :2] - VALUES[:, :2]) ** 2).mean()
        assert model.evaluate(X, VALUES[:, :2])["mse"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.HuberLoss(delta=0.0), ValueError, "delta"),
        (lambda: nn.HuberLoss(delta="a"), TypeError, "delta"),
        (lambda: nn.SmoothL1Loss(beta=-1.0), ValueError, "beta"),
        (lambda: nn.QuantileLoss(1.0), ValueError, r"quantile: expected numbers in \(0, 1\), got 1.0"),
        (lambda: nn.QuantileLoss([0.1, 0.2])(VALUES, VALUES), ValueError, "quantile: .*4 columns, got 2"),
        (lambda: nn.PoissonLoss()(VALUES, VALUES), ValueError, ">= 0"),
        (lambda: nn.PoissonLoss(eps=-1), ValueError, "eps"),
        (lambda: nn.GaussianNLLLoss()(VALUES[:, :3], VALUES[:, :1]), ValueError, "2 k"),
        (lambda: nn.GaussianNLLLoss()(VALUES, VALUES), ValueError, r"\(n, 2\), got \(40, 4\)"),
        (lambda: nn.GaussianNLLLoss(eps=0.0), ValueError, "eps"),
        (lambda: nn.CosineLoss()(VALUES.reshape(40, 2, 2), VALUES.reshape(40, 2, 2)), ValueError, "one vector"),
        (lambda: nn.KLDivLoss()(VALUES, VALUES), ValueError, r"\[0, 1\]"),
        (lambda: nn.HingeLoss()(VALUES, VALUES), ValueError, "labels -1 and 1, or 0 and 1"),
        (lambda: nn.HingeLoss()(VALUES[:2], [[-1, 0, 1, 1]] * 2), ValueError, "labels -1 and 1"),
        (lambda: nn.MultiMarginLoss(p=3), ValueError, "^p of"),
        (lambda: nn.MultiMarginLoss()(VALUES, LABELS + 1), ValueError, "from 0 to 3, got 4"),
        (lambda: nn.MultiMarginLoss()(VALUES, UNIT), ValueError, r"class indices of shape \(40,\), got \(40, 4\)"),
        (lambda: nn.BCELoss()(UNIT, UNIT + 1), ValueError, r"\[0, 1\]"),
        (lambda: nn.BCELoss(weight=[1, 2])(UNIT, UNIT), ValueError, "weight: .*4 columns, got 2"),
        (lambda: nn.BCEWithLogitsLoss(pos_weight=[-1.0]), ValueError, "pos_weight: .*got -1.0 at position 0"),
        (lambda: nn.BCEWithLogitsLoss(pos_weight=[[1.0]]), ValueError, r"pos_weight: .*shape \(1, 1\)"),
        (lambda: nn.NLLLoss(weight=[1, math.nan]), ValueError, "weight: .*nan at position 1"),
        (lambda: nn.NLLLoss(weight=["a"]), TypeError, "weight"),
        (lambda: nn.NLLLoss(weight=[1, 2])(VALUES, LABELS), ValueError, "weight: .*each of 4 classes, got 2"),
        (lambda: nn.NLLLoss(ignore_index=0.5), TypeError, "ignore_index"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), ValueError, "label_smoothing"),
        (lambda: nn.FocalLoss(alpha=2.0), ValueError, "alpha"),
        (lambda: nn.FocalLoss(gamma=-1.0), ValueError, "gamma"),
        (lambda: nn.MSELoss()(VALUES, VALUES, [1.0]), ValueError, "sample_weight"),
        (lambda: nn.MSELoss()(VALUES, VALUES, -np.ones(40)), ValueError, "sample_weight: .*got -1.0"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_names_are_losses_with_their_defaults():
    for name, cls in losses.LOSSES.items():
        assert type(losses.get(name)) is cls
        assert losses.get(name).attrs["reduction"] == "mean"


def test_a_loss_that_does_not_fit_leaves_the_model():
    model = network("native", "mse")
    before = model.get_weights()
    for loss in (nn.NLLLoss(weight=[1, 2]), nn.QuantileLoss([0.1, 0.9])):
        with pytest.raises(ValueError, match="got 2"):
            model.compile(loss=loss)
    assert model.loss.name == "mse"
    for p, q in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(p, q)
