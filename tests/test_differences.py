"""Finite differences and gradcheck: they find what is wrong, and nothing where all is right, and touch nothing."""

from __future__ import annotations

import numpy as np
import pytest

import nncore as nn
from nncore.differences import finite_differences
from nncore.optable import OPS

RNG = np.random.Generator(np.random.Philox(key=5))
X = RNG.normal(size=(6, 3))
TARGETS = {"mse": RNG.normal(size=(6, 4)), "cross_entropy": RNG.integers(0, 4, 6), "bce_with_logits": RNG.random((6, 4))}


def model_of(engine, layers, loss="mse", dtype="float64"):
    model = nn.Sequential([nn.Input((3,)), *layers, nn.Dense(4)])
    model.compile("adam", loss, engine=engine, dtype=dtype, seed=3)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", TARGETS)
def test_right_gradients(engine_name, loss, dtype):
    model = model_of(engine_name, [nn.Dense(5, activation="tanh"), nn.Dropout(0.4)], loss, dtype)
    errors = nn.gradcheck(model, X, TARGETS[loss])
    assert list(errors) == ["dense.kernel", "dense.bias", "dense_1.kernel", "dense_1.bias"]
    assert max(errors.values()) < 1e-7
    assert all(type(error) is float for error in errors.values())


def test_finite_differences_are_the_derivatives(engine_name):
    """Of a linear model: dL/dW = 2 x^T (x W + b - t) / (n outputs)."""
    model = model_of(engine_name, [])
    found = finite_differences(model, X, TARGETS["mse"])
    residual = 2 * (model.predict(X) - TARGETS["mse"]) / 24
    np.testing.assert_allclose(found["dense.kernel"], X.T @ residual, atol=1e-10)
    np.testing.assert_allclose(found["dense.bias"], residual.sum(axis=0), atol=1e-10)


@pytest.mark.parametrize("factor", [1.001, -1.0, 0.0])
def test_a_wrong_backward_is_found(engine_name, factor, monkeypatch):
    """The gradient of one parameter is off by a factor; the others are right."""
    model = model_of(engine_name, [nn.Dense(5, activation="sigmoid")])
    right = type(model.engine).get_gradient
    monkeypatch.setattr(type(model.engine), "get_gradient", lambda self, i: right(self, i) * (factor if i == 0 else 1.0))
    errors = nn.gradcheck(model, X, TARGETS["mse"])
    assert errors["dense.kernel"] == pytest.approx(min(abs(1 - factor), 2.0 if factor < 0 else 1.0), rel=0.01)
    assert max(error for name, error in errors.items() if name != "dense.kernel") < 1e-7


def state(model):
    engine = model.engine
    slots = [("adam", name, i) for name in ("m", "v") for i in range(len(model.graph.parameters))]
    return [
        *(p.tobytes() for p in model.get_weights()),
        *(engine.get_gradient(i).tobytes() for i in range(len(model.graph.parameters))),
        *(engine.get_state(*slot).tobytes() for slot in slots),
        engine.draws,
        engine.iterations,
        engine.seed,
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_model_stays_as_it_was(engine_name, dtype):
    def prepared():
        model = model_of(engine_name, [nn.Dense(5, activation="gelu"), nn.Dropout(0.4)], dtype=dtype)
        model.fit(X, TARGETS["mse"], epochs=2, verbose=0)
        model.backward(np.ones_like(model.forward(X, training=True)))
        return model

    checked, untouched = prepared(), prepared()
    before = state(checked)
    assert before == state(untouched)
    nn.gradcheck(checked, X, TARGETS["mse"])
    finite_differences(checked, X, TARGETS["mse"])
    assert state(checked) == before
    for model in (checked, untouched):  # the same masks come next, and a pending backward is not disturbed
        model.optimizer.step(model)
    assert (checked.forward(X, training=True) == untouched.forward(X, training=True)).all()
    assert (checked.backward(np.ones((6, 4))) == untouched.backward(np.ones((6, 4)))).all()
    assert state(checked) == state(untouched)


def test_a_backward_may_still_follow(engine_name):
    model = model_of(engine_name, [nn.Dropout(0.5)])
    dy = np.ones_like(model.forward(X, training=True))
    nn.gradcheck(model, X, TARGETS["mse"])
    other = model_of(engine_name, [nn.Dropout(0.5)])
    other.forward(X, training=True)
    assert (model.backward(dy) == other.backward(dy)).all()


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.activation])
def test_every_activation(engine_name, name):
    """With a step so small that no kink lies within it here."""
    model = model_of(engine_name, [nn.Dense(6), nn.Activation(name)])
    assert max(nn.gradcheck(model, X, TARGETS["mse"], step=1e-6).values()) < 1e-6


def test_batch_normalisation_and_frozen_layers(engine_name):
    """The moving averages and what is frozen have no gradients; the model's averages stay where they are."""
    model = model_of(engine_name, [nn.Dense(5, trainable=False), nn.BatchNorm(), nn.Activation("tanh")])
    model.fit(X, TARGETS["mse"], epochs=2, verbose=0)
    before = [weight.tobytes() for weight in model.get_weights()]
    errors = nn.gradcheck(model, X, TARGETS["mse"])
    assert list(errors) == ["batch_norm.gamma", "batch_norm.beta", "dense_1.kernel", "dense_1.bias"]
    assert max(errors.values()) < 1e-6
    assert [weight.tobytes() for weight in model.get_weights()] == before


def test_vanishing_gradients_are_no_errors(engine_name):
    model = model_of(engine_name, [nn.Dense(5, activation="relu", bias_initializer=nn.Constant(-100.0))])
    errors = nn.gradcheck(model, X, TARGETS["mse"])
    assert errors["dense.kernel"] == 0.0
    assert max(errors.values()) < 1e-8


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"step": 0.0}, ValueError, "step"),
        ({"step": np.nan}, ValueError, "step"),
        ({"x": np.zeros((6, 2))}, ValueError, "x: expected shape"),
        ({"y": np.zeros((6, 3))}, ValueError, "expected targets"),
        ({"y": np.zeros((5, 4))}, ValueError, "as many targets"),
    ],
)
@pytest.mark.parametrize("function", [nn.gradcheck, finite_differences])
def test_bad_input(function, change, error, words):
    model = model_of("reference", [])
    with pytest.raises(error, match=words):
        function(model, **{"x": X, "y": TARGETS["mse"], **change})


def test_a_model_without_a_loss():
    with pytest.raises(RuntimeError, match="no loss"):
        nn.gradcheck(nn.Sequential([nn.Dense(1)]), X, X[:, :1])


def branched(engine, weights=(1.0, 0.25), dtype="float64"):
    """Two inputs, three outputs of which one is not trained, a penalty."""
    a, b = nn.Input((3,), name="a"), nn.Input((2,), name="b")
    h = nn.Dense(4, activation="tanh", kernel_regularizer="l2", name="h")(nn.Concatenate()([a, b]))
    ends = {"label": nn.Dense(3, name="label")(h), "value": nn.Dense(1, name="value")(h), "spare": nn.Dense(2)(h)}
    model = nn.Model([a, b], ends)
    losses, share = {"label": "cross_entropy", "value": "mse"}, {"label": weights[0], "value": weights[1]}
    model.compile(loss=losses, loss_weights=share, engine=engine, dtype=dtype, seed=1)
    return model


TWO = [X, RNG.normal(size=(6, 2))]
BOTH = {"label": RNG.integers(0, 3, 6), "value": RNG.normal(size=(6, 1))}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_several_inputs_and_outputs(engine_name, dtype):
    model = branched(engine_name, dtype=dtype)
    errors = nn.gradcheck(model, TWO, BOTH)
    assert list(errors) == [name for name, spec in zip(model.parameters(), model.graph.parameters, strict=True)]
    assert max(errors.values()) < 1e-7
    assert nn.gradcheck(model, TWO, {**BOTH, "spare": None}) == errors


def test_the_weights_of_losses_count(engine_name):
    """The derivative is linear in them; the penalty is there once."""
    parts = [
        finite_differences(branched(engine_name, weights), TWO, BOTH) for weights in ((1, 0.25), (1, 0), (0, 1), (0, 0))
    ]
    for name, whole in parts[0].items():
        label, value, penalty = (part[name] for part in parts[1:])
        np.testing.assert_allclose(whole, label + 0.25 * (value - penalty), atol=1e-9)
    assert np.abs(parts[3]["h.kernel"]).max() > 1e-3


def test_targets_that_do_not_fit_several_outputs():
    model = branched("reference")
    with pytest.raises(ValueError, match=r"y\['value'\]: expected targets"):
        nn.gradcheck(model, TWO, {**BOTH, "value": None})
    with pytest.raises(ValueError, match=r"x: expected one for each of \['a', 'b'\]"):
        nn.gradcheck(model, TWO[:1], BOTH)
