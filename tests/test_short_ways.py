"""train_on_batch and predict on plain arrays go a short way to the core: the same results and errors as the long way."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import nncore as nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5))
VALUES = RNG.uniform(size=(12, 3))
LABELS = RNG.integers(0, 3, 12)


def _model(loss="mse", optimizer="adam", dtype="float32", out=3, metrics=(), extra=()):
    model = nn.Sequential([nn.Input((5,)), nn.Dense(8, activation="relu"), *extra, nn.Dense(out)])
    model.compile(optimizer, loss, metrics=list(metrics), dtype=dtype, seed=1)
    return model


def _assert_same_bits(one, other):
    assert [a.tobytes() for a in one.get_weights()] == [b.tobytes() for b in other.get_weights()]


LOSSES = [
    ("mse", VALUES, ["mae"]),
    ("huber", VALUES, []),
    (nn.BCEWithLogitsLoss(pos_weight=2.0), VALUES, []),
    (nn.BCEWithLogitsLoss(), (VALUES > 0.5).astype(np.uint8), ["accuracy"]),
    ("cross_entropy", LABELS, ["accuracy"]),
    ("cross_entropy", LABELS[:, None].astype(np.uint8), ["accuracy"]),
    (nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0], label_smoothing=0.1, ignore_index=1), LABELS, ["accuracy"]),
    ("cross_entropy", VALUES / VALUES.sum(1, keepdims=True), ["accuracy"]),
    ("hinge", np.sign(VALUES - 0.5), []),
    (nn.MultiMarginLoss(), LABELS, []),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("loss", "target", "metrics"), LOSSES)
def test_steps_are_those_of_the_long_way(loss, target, metrics, dtype):
    x, y = X.astype(dtype), target.astype(dtype) if target.dtype.kind == "f" else target
    short, long = _model(loss, dtype=dtype, metrics=metrics), _model(loss, dtype=dtype, metrics=metrics)
    for rows in (12, 7, 1, 12):
        assert short.train_on_batch(x[:rows], y[:rows]) == long.train_on_batch(x[:rows].tolist(), y[:rows].tolist())
    _assert_same_bits(short, long)


@pytest.mark.parametrize(
    "x",
    [X.astype(np.float32), X.round().astype(np.int8), X.astype(np.float16), X.astype(">f4"), np.asfortranarray(X), X > 0],
)
def test_predictions_are_those_of_the_long_way(x):
    model = _model()
    wanted = np.concatenate([model.predict(x[i : i + 5].tolist()) for i in range(0, 12, 5)])
    assert model.predict(x).tobytes() == wanted.tobytes()
    assert model.predict(x, batch_size=5).tobytes() == wanted.tobytes()
    with pytest.raises(ValueError, match="batch_size: expected an integer >= 1, got 0"):
        model.predict(x, batch_size=0)


def test_one_output_takes_vectors_and_columns():
    models = [_model(out=1), _model(out=1)]
    x, y = X.astype(np.float32), VALUES[:, 0].astype(np.float32)
    for _ in range(3):
        assert models[0].train_on_batch(x, y) == models[1].train_on_batch(x, y[:, None])
    _assert_same_bits(*models)


@pytest.mark.parametrize("per", ["step", "epoch"])
def test_learning_rates_may_change(per):
    schedule = nn.schedules.Exponential(0.1, 0.5, 2, per=per) if per == "step" else nn.schedules.Step(0.1, 1, 0.5, per=per)
    models = [_model(optimizer=nn.SGD(schedule)), _model(optimizer=nn.SGD(schedule))]
    x, y = X.astype(np.float32), VALUES.astype(np.float32)
    for _ in range(5):
        assert models[0].train_on_batch(x, y) == models[1].train_on_batch(x.tolist(), y.tolist())
    _assert_same_bits(*models)
    for model in models:
        model.compile(nn.SGD(0.25), "mse")
        model.set_weights([np.ones_like(w) for w in model.get_weights()])
    assert models[0].train_on_batch(x, y) == models[1].train_on_batch(x.tolist(), y.tolist())
    _assert_same_bits(*models)


@pytest.mark.parametrize(
    ("loss", "x", "y", "error", "words"),
    [
        ("mse", X, np.where(VALUES > 0.9, np.nan, VALUES), ValueError, "y: expected finite values"),
        ("mse", X, VALUES * 1e300, ValueError, "y: expected finite values"),
        ("mse", X, VALUES[:5], ValueError, r"y: expected as many targets as samples \(12\), got 5"),
        ("mse", X[:, :4], VALUES, ValueError, r"x: expected shape \(n, 5\)"),
        ("mse", X[:0], VALUES[:0], ValueError, "x: expected at least one sample"),
        ("mse", X.astype(str), VALUES, TypeError, "x: expected real numbers"),
        ("mse", X, None, TypeError, "y"),
        ("bce_with_logits", X, VALUES + 1, ValueError, r"y: expected finite values in \[0, 1\]"),
        ("cross_entropy", X, LABELS + 1, ValueError, "y: expected class indices from 0 to 2, got 3"),
        ("cross_entropy", X, LABELS - 1, ValueError, "y: expected class indices from 0 to 2, got -1"),
        ("cross_entropy", X, LABELS.astype(float), TypeError, "y: expected integer class indices"),
        ("mse", X * np.inf, VALUES, FloatingPointError, "the loss of batch 0 is"),
    ],
)
def test_errors_are_those_of_the_long_way_and_change_nothing(loss, x, y, error, words):
    model = _model(loss)
    good = LABELS if loss == "cross_entropy" else VALUES.astype(np.float32)
    model.train_on_batch(X.astype(np.float32), good)
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(error, match=words):
        model.train_on_batch(x.astype(np.float32) if x.dtype.kind == "f" else x, y)
    assert [w.tobytes() for w in model.get_weights()] == before
    assert np.isfinite(model.train_on_batch(X.astype(np.float32), good)["loss"])


def test_rows_to_ignore_go_the_long_way():
    loss = nn.CrossEntropyLoss(ignore_index=-100)
    models = [_model(loss), _model(loss)]
    labels = LABELS.copy()
    labels[::3] = -100
    x = X.astype(np.float32)
    for y in (LABELS, labels, LABELS):
        assert models[0].train_on_batch(x, y) == models[1].train_on_batch(x.tolist(), y.tolist())
    _assert_same_bits(*models)


def test_what_a_training_step_forbids_is_forbidden_here_too():
    model = _model(optimizer=nn.SGD(0.1, use_ema=True))
    x, y = X.astype(np.float32), VALUES.astype(np.float32)
    model.train_on_batch(x, y)
    with model.averaged_weights(), pytest.raises(RuntimeError, match="averaged_weights"):
        model.train_on_batch(x, y)
    model.forward(x, training=True)
    model.train_on_batch(x, y)
    with pytest.raises(RuntimeError, match="backward: expected a forward"):
        model.backward(y)


def test_dropout_draws_anew_at_each_step():
    models = [_model(extra=[nn.Dropout(0.5)]), _model(extra=[nn.Dropout(0.5)])]
    x, y = X.astype(np.float32), VALUES.astype(np.float32)
    for _ in range(4):
        assert models[0].train_on_batch(x, y) == models[1].train_on_batch(x.tolist(), y.tolist())
    _assert_same_bits(*models)


@pytest.mark.parametrize("made", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), nn.Sequential.clone])
def test_a_copy_has_a_way_of_its_own(made):
    model = _model()
    x, y = X.astype(np.float32), VALUES.astype(np.float32)
    model.train_on_batch(x, y)
    model.train_on_batch(x, y)
    twin = made(model)
    before = [w.tobytes() for w in model.get_weights()]
    twin_before = [w.tobytes() for w in twin.get_weights()]
    twin.train_on_batch(x, y)
    assert [w.tobytes() for w in model.get_weights()] == before
    assert [w.tobytes() for w in twin.get_weights()] != twin_before


def test_frozen_layers_stay():
    model = _model()
    x, y = X.astype(np.float32), VALUES.astype(np.float32)
    model.train_on_batch(x, y)
    model.train_on_batch(x, y)
    model.freeze("dense")
    before = [w.tobytes() for w in model.get_weights()]
    model.train_on_batch(x, y)
    assert [w.tobytes() == b for w, b in zip(model.get_weights(), before, strict=True)] == [True, True, False, False]


def test_layers_in_python_see_batches_of_the_size_that_is_asked_for():
    class Counted(nn.Layer):
        rows = ()

        def forward(self, x):
            self.rows = (*self.rows, len(x))
            return x

        def backward(self, x, y, dy):
            return dy

    layer = Counted()
    model = nn.Sequential([nn.Input((5,)), layer])
    model.predict(X.astype(np.float32), batch_size=5)
    model.predict(X.astype(np.float32), batch_size=5)
    assert layer.rows == (5, 5, 2) * 2
