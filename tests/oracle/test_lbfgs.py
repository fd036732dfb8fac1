"""L-BFGS against `torch.optim.LBFGS`: the same iterates, with and without a line search, over several calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nncore as nn


def rosenbrock(x):
    """In any number of dimensions, as tensors."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def bowl(x):
    return (torch.arange(1, len(x) + 1) * x**2).sum() + torch.cos(x).sum()


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (rosenbrock, {}),
        (rosenbrock, {"max_iter": 5, "history_size": 3}),
        (rosenbrock, {"max_iter": 1}),
        (rosenbrock, {"learning_rate": 0.5, "max_eval": 7}),
        (bowl, {}),
        (bowl, {"learning_rate": 0.1, "line_search": None}),
        (bowl, {"learning_rate": 0.1, "max_iter": 3, "history_size": 2, "line_search": None}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "-".join(f"{k}={v}" for k, v in value.items()),
)
def test_twenty_calls(function, options):
    start = np.linspace(-1.2, 1.0, 6)
    tensor = torch.tensor(start, requires_grad=True)
    names = {"learning_rate": "lr", "line_search": "line_search_fn"}
    theirs = torch.optim.LBFGS(
        [tensor], **{"line_search_fn": "strong_wolfe", **{names.get(k, k): v for k, v in options.items()}}
    )

    def closure():
        theirs.zero_grad()
        value = function(tensor)
        value.backward()
        return value

    def value_and_gradient(x):
        point = torch.tensor(x, requires_grad=True)
        value = function(point)
        value.backward()
        return value.item(), point.grad.numpy()

    ours, x, memory = nn.LBFGS(**options), start, None
    for _ in range(20):
        theirs.step(closure)
        x, _, memory = ours.minimize(value_and_gradient, x, memory)
        np.testing.assert_allclose(x, tensor.detach().numpy(), rtol=0, atol=1e-10)


def test_a_model(engine_name):
    """Two epochs of `fit` are two calls of PyTorch's on the same network, frozen parameters aside."""
    rng = np.random.Generator(np.random.Philox(key=4))
    x, t = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    model = nn.Sequential([nn.Input((4,)), nn.Dense(5, activation="tanh"), nn.Dense(3)])
    model.compile(nn.LBFGS(max_iter=8), "cross_entropy", ["accuracy"], engine=engine_name, dtype="float64", seed=1)
    tensors = [torch.tensor(w, requires_grad=True) for w in model.get_weights()]
    theirs = torch.optim.LBFGS(tensors, max_iter=8, line_search_fn="strong_wolfe")

    def closure():
        theirs.zero_grad()
        y = torch.tanh(torch.tensor(x) @ tensors[0] + tensors[1]) @ tensors[2] + tensors[3]
        value = torch.nn.functional.cross_entropy(y, torch.tensor(t))
        value.backward()
        return value

    history = model.fit(x, t, epochs=2, verbose=0)
    losses = [theirs.step(closure).item() for _ in range(2)]
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-9)
    for ours, other in zip(model.get_weights(), tensors, strict=True):
        np.testing.assert_allclose(ours, other.detach().numpy(), rtol=0, atol=1e-8)
    assert model.evaluate(x, t)["loss"] < losses[1]
    assert model.engine.iterations == 2


def test_several_inputs_and_outputs(engine_name):
    """Two epochs on two inputs and two weighted losses, with a penalty, are two calls of PyTorch's."""
    rng = np.random.Generator(np.random.Philox(key=5))
    x, z = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    t, v = rng.integers(0, 3, 30), rng.normal(size=(30, 1))
    a, b = nn.Input((3,)), nn.Input((2,))
    h = nn.Dense(4, activation="tanh", kernel_regularizer=nn.L2(0.01))(nn.Concatenate()([a, b]))
    model = nn.Model([a, b], [nn.Dense(3)(h), nn.Dense(1)(h)])
    model.compile(
        nn.LBFGS(max_iter=8), ["cross_entropy", "mse"], engine=engine_name, dtype="float64", loss_weights=[1.0, 0.5]
    )
    w = [torch.tensor(value, requires_grad=True) for value in model.get_weights()]
    theirs = torch.optim.LBFGS(w, max_iter=8, line_search_fn="strong_wolfe")

    def closure():
        theirs.zero_grad()
        y = torch.tanh(torch.tensor(np.concatenate([x, z], axis=1)) @ w[0] + w[1])
        value = torch.nn.functional.cross_entropy(y @ w[2] + w[3], torch.tensor(t)) + 0.01 * (w[0] ** 2).sum()
        value = value + 0.5 * torch.nn.functional.mse_loss(y @ w[4] + w[5], torch.tensor(v))
        value.backward()
        return value

    history = model.fit([x, z], [t, v], epochs=2, verbose=0)
    losses = [theirs.step(closure).item() for _ in range(2)]
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-9)
    for ours, other in zip(model.get_weights(), w, strict=True):
        np.testing.assert_allclose(ours, other.detach().numpy(), rtol=0, atol=1e-9)
