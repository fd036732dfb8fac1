"""Sample and class weights as fit, evaluate, train_on_batch and loaders take them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import nncore as nn
from nncore.data import DataLoader

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((24, 3)), np.array([0, 1, 1, 2, 1, 0, 1, 2] * 3)
W = np.arange(24) % 5 / 2


def make(engine="native", loss="cross_entropy", metrics=("accuracy",), units=3):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="tanh"), nn.Dense(units)])
    model.compile(optimizer=nn.SGD(0.1), loss=loss, metrics=metrics, engine=engine, dtype="float64")
    return model


def assert_same(a, b, **tolerance):
    for p, q in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(p, q, **{"rtol": 1e-12, "atol": 1e-14, **tolerance})


def test_weights_count_samples(engine_name):
    a, b = make(engine_name), make(engine_name)
    times = np.arange(24) % 3
    weighted = a.fit(X, Y, batch_size=24, shuffle=False, epochs=3, verbose=0, sample_weight=times)
    repeated = b.fit(np.repeat(X, times, axis=0), np.repeat(Y, times), batch_size=99, shuffle=False, epochs=3, verbose=0)
    assert_same(a, b)
    for name in ("loss", "accuracy"):
        assert weighted.history[name] == pytest.approx(repeated.history[name], rel=1e-12)
    assert a.evaluate(X, Y, sample_weight=times) == pytest.approx(b.evaluate(np.repeat(X, times, 0), np.repeat(Y, times)))


def test_balanced_is_scikit_learn_s(engine_name):
    a, b, c = (make(engine_name) for _ in range(3))
    weights = compute_class_weight("balanced", classes=np.arange(3), y=Y)
    a.fit(X, Y, shuffle=False, verbose=0, class_weight="balanced")
    b.fit(X, Y, shuffle=False, verbose=0, class_weight=dict(enumerate(weights)))
    c.fit(X, np.eye(3)[Y], shuffle=False, verbose=0, sample_weight=weights[Y])
    assert_same(a, b)
    assert_same(a, c)


def test_class_weights_are_those_of_the_loss(engine_name):
    a, b = make(engine_name), make(engine_name, nn.CrossEntropyLoss(weight=[0.5, 1.0, 3.0]))
    logs = a.fit(X, Y, batch_size=8, verbose=0, class_weight={0: 0.5, 2: 3.0})
    assert logs.history["loss"] == pytest.approx(b.fit(X, Y, batch_size=8, verbose=0).history["loss"], rel=1e-12)
    assert_same(a, b)


def test_all_ways_to_give_weights_agree(engine_name):
    arrays, loader, batches, steps = (make(engine_name) for _ in range(4))
    parts = [slice(0, 10), slice(10, 20), slice(20, 24)]
    class_weight = {1: 0.25}
    logs = arrays.fit(X, Y, batch_size=10, shuffle=False, verbose=0, sample_weight=W, class_weight=class_weight)
    by_loader = loader.fit(DataLoader(X, Y, sample_weight=W, batch_size=10), verbose=0, class_weight=class_weight)
    by_batch = batches.fit([(X[p], Y[p], W[p]) for p in parts], verbose=0, class_weight=class_weight)
    for p in parts:
        steps.train_on_batch(X[p], Y[p], W[p] * np.where(Y[p] == 1, 0.25, 1.0))
    for other in (loader, batches, steps):
        assert_same(arrays, other)
    assert by_loader.history["loss"] == pytest.approx(logs.history["loss"], rel=1e-12)
    assert by_batch.history["accuracy"] == pytest.approx(logs.history["accuracy"], rel=1e-12)
    expected = arrays.evaluate(X, Y, sample_weight=W)
    assert loader.evaluate(DataLoader(X, Y, sample_weight=W, batch_size=7)) == pytest.approx(expected, rel=1e-12)
    assert batches.evaluate([(X[p], Y[p], W[p]) for p in parts]) == pytest.approx(expected, rel=1e-12)


def test_a_shuffled_loader_takes_the_weights_along():
    loader = DataLoader(np.arange(9.0)[:, None], np.arange(9), sample_weight=np.arange(9) * 2, batch_size=4, shuffle=True)
    for x, y, w in loader:
        np.testing.assert_array_equal(x[:, 0] * 2, w)
        np.testing.assert_array_equal(y * 2, w)


def test_validation_has_weights_of_its_own(engine_name):
    model = make(engine_name)
    logs = model.fit(X, Y, verbose=0, class_weight="balanced", validation_data=(X, Y, W))
    assert logs.history["val_loss"][0] == pytest.approx(model.evaluate(X, Y, sample_weight=W)["loss"], rel=1e-12)
    model = make(engine_name)
    logs = model.fit(X, Y, verbose=0, sample_weight=W, class_weight="balanced", validation_split=0.25)
    expected = model.evaluate(X[18:], Y[18:], sample_weight=W[18:])
    assert logs.history["val_accuracy"][0] == pytest.approx(expected["accuracy"], rel=1e-12)
    by_hand = make(engine_name)
    balance = compute_class_weight("balanced", classes=np.arange(3), y=Y[:18])
    by_hand.fit(X[:18], Y[:18], verbose=0, sample_weight=W[:18] * balance[Y[:18]])
    assert_same(model, by_hand)


def test_metrics_of_outputs_see_the_weights_and_not_the_ignored_rows(engine_name):
    model = make(engine_name, nn.CrossEntropyLoss(ignore_index=0), metrics=(nn.metrics.F1(average="macro"), "accuracy"))
    known = Y != 0
    expected = model.evaluate(X[known], Y[known], sample_weight=W[known])
    assert model.evaluate(X, Y, sample_weight=W) == pytest.approx(expected, rel=1e-12)


def test_two_classes_in_one_column(engine_name):
    for y, labels in ((Y > 0, (0, 1)), (np.where(Y > 0, 1.0, -1.0), (-1, 1))):
        a, b = (make(engine_name, "mse", metrics=(), units=1) for _ in range(2))
        a.fit(X, y, verbose=0, class_weight={labels[0]: 3.0})
        b.fit(X, y, verbose=0, sample_weight=np.where(y == labels[0], 3.0, 1.0))
        assert_same(a, b)


def test_a_batch_of_no_weight_is_a_loss_of_0(engine_name):
    model = make(engine_name)
    before = model.get_weights()
    assert model.train_on_batch(X, Y, np.zeros(24)) == {"loss": 0.0, "accuracy": 0.0}
    for p, q in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(p, q)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"sample_weight": W[:5]}, ValueError, r"sample_weight: .*24 samples, got shape \(5,\)"),
        ({"sample_weight": W - 1}, ValueError, r"sample_weight: .*got -1.0 in row 0"),
        ({"sample_weight": W * np.nan}, ValueError, r"sample_weight: .*nan in row 0"),
        ({"sample_weight": ["a"] * 24}, TypeError, "sample_weight: expected real numbers"),
        ({"class_weight": "balance"}, ValueError, "class_weight: .*'balance'"),
        ({"class_weight": [1, 2]}, TypeError, "class_weight: expected a dict"),
        ({"class_weight": {"a": 1}}, TypeError, "class_weight: expected integer classes, got 'a'"),
        ({"class_weight": {0: "a"}}, TypeError, "class_weight: expected numbers, got 'a' for class 0"),
        ({"class_weight": {0: -1.0}}, ValueError, "class_weight: .*got -1.0 for class 0"),
        ({"class_weight": {0: np.nan}}, ValueError, "class_weight: .*got nan for class 0"),
        ({"class_weight": {3: 1.0}}, ValueError, "class_weight: expected classes from 0 to 2, got 3"),
        ({"x": [(X, Y)], "y": None, "class_weight": "balanced"}, ValueError, "class_weight: expected a dict"),
        ({"x": [(X, Y)], "y": None, "sample_weight": W}, ValueError, "sample_weight: expected none beside batches"),
    ],
)
def test_bad_weights_change_nothing(engine_name, options, error, words):
    model = make(engine_name)
    before = model.get_weights()
    arguments = {"x": X, "y": Y, "verbose": 0, **options}
    with pytest.raises(error, match=words):
        model.fit(**arguments)
    with pytest.raises(error, match=words):
        model.evaluate(**arguments)
    for p, q in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(p, q)


def test_values_that_are_no_classes_have_no_class_weights():
    model = make(loss="mse", units=1, metrics=())
    with pytest.raises(ValueError, match=r"class_weight: expected y of whole numbers, got 0.5 in row 0"):
        model.fit(X, np.full(24, 0.5), verbose=0, class_weight={0: 2.0})


@pytest.mark.parametrize(
    ("options", "words"), [({"sample_weight": [1.0]}, "each of 24"), ({"sample_weight": W, "y": None}, "without y")]
)
def test_a_loader_refuses_weights_that_do_not_fit(options, words):
    with pytest.raises(ValueError, match=words):
        DataLoader(**{"x": X, "y": Y, **options})
