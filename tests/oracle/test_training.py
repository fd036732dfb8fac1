"""Whole training runs against PyTorch: the same weights, data and optimizer give the same trajectory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nncore as nn

RNG = np.random.Generator(np.random.Philox(key=7))
X = RNG.normal(size=(64, 5))
CLASSES = RNG.integers(0, 3, 64)
VALUES = RNG.normal(size=(64, 3))
BITS = RNG.integers(0, 2, (64, 3)).astype(float)

OPTIMIZERS = [
    (nn.SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    (nn.SGD(0.1, weight_decay=0.01), lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.01)),
    (
        nn.SGD(0.05, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    ),
    (nn.Adam(0.01, weight_decay=0.01), lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.01)),
    (nn.AdamW(0.01, beta_1=0.8), lambda p: torch.optim.AdamW(p, 0.01, betas=(0.8, 0.999))),
    (nn.RMSprop(0.01, rho=0.9), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9)),
]
LOSSES = [
    ("cross_entropy", CLASSES, torch.nn.CrossEntropyLoss()),
    ("mse", VALUES, torch.nn.MSELoss()),
    ("bce_with_logits", BITS, torch.nn.BCEWithLogitsLoss()),
]


def pair(engine: str) -> tuple[nn.Sequential, torch.nn.Sequential]:
    """The same net in both packages."""
    ours = nn.Sequential([nn.Input((5,)), nn.Dense(8, activation="tanh"), nn.Dense(6, activation="gelu"), nn.Dense(3)])
    ours.compile(engine=engine, dtype="float64", seed=1)
    dense = [torch.nn.Linear(a, b, dtype=torch.float64) for a, b in ((5, 8), (8, 6), (6, 3))]
    theirs = torch.nn.Sequential(dense[0], torch.nn.Tanh(), dense[1], torch.nn.GELU(), dense[2])
    weights = iter(ours.get_weights())
    with torch.no_grad():
        for linear in dense:
            linear.weight.copy_(torch.from_numpy(next(weights).T))
            linear.bias.copy_(torch.from_numpy(next(weights)))
    return ours, theirs


def flat(theirs: torch.nn.Sequential) -> list[np.ndarray]:
    return [p.detach().numpy().T for p in theirs.parameters()]


@pytest.mark.parametrize(
    ("optimizer", "make"), OPTIMIZERS, ids=lambda v: repr(v) if isinstance(v, nn.optimizers.Optimizer) else ""
)
@pytest.mark.parametrize(("loss", "target", "criterion"), LOSSES, ids=["cross_entropy", "mse", "bce"])
def test_twenty_steps(engine_name, optimizer, make, loss, target, criterion):
    ours, theirs = pair(engine_name)
    ours.compile(optimizer, loss, engine=engine_name, dtype="float64")
    stepper = make(theirs.parameters())
    for step in range(20):
        rows = slice(step % 4 * 16, step % 4 * 16 + 16)
        value = ours.train_on_batch(X[rows], target[rows])["loss"]
        stepper.zero_grad()
        expected = criterion(theirs(torch.from_numpy(X[rows])), torch.from_numpy(target[rows]))
        expected.backward()
        stepper.step()
        assert value == pytest.approx(expected.item(), abs=1e-10)
    for mine, other in zip(ours.get_weights(), flat(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-10)


def test_gradients_of_parameters_and_input(engine_name):
    ours, theirs = pair(engine_name)
    loss = nn.CrossEntropyLoss()
    x = torch.tensor(X, requires_grad=True)
    torch.nn.CrossEntropyLoss()(theirs(x), torch.from_numpy(CLASSES)).backward()
    _, dy = loss(ours.forward(X, training=True), CLASSES)
    dx = ours.backward(dy)
    np.testing.assert_allclose(dx, x.grad.numpy(), rtol=0, atol=1e-12)
    for mine, other in zip(ours.gradients().values(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine, other.grad.numpy().T, rtol=0, atol=1e-12)


def test_fit_is_the_loop_over_batches(engine_name):
    ours, theirs = pair(engine_name)
    ours.compile("adam", "cross_entropy", engine=engine_name, dtype="float64")
    history = ours.fit(X, CLASSES, batch_size=20, epochs=3, shuffle=False, verbose=0)
    stepper = torch.optim.Adam(theirs.parameters(), 1e-3)
    for epoch in range(3):
        total = 0.0
        for start in range(0, 64, 20):
            stepper.zero_grad()
            rows = slice(start, start + 20)
            value = torch.nn.functional.cross_entropy(theirs(torch.from_numpy(X[rows])), torch.from_numpy(CLASSES[rows]))
            value.backward()
            stepper.step()
            total += value.item() * len(X[rows])
        assert history.history["loss"][epoch] == pytest.approx(total / 64, abs=1e-10)


def test_dense_over_positions(engine_name):
    """Five steps of layers on the last axis of samples [4, 3, 5], one of them used twice, beside `torch.nn.Linear`."""
    rng = np.random.default_rng(6)
    x, t = rng.standard_normal((7, 4, 3, 5)), rng.standard_normal((7, 4, 3, 2))
    twice = nn.Dense(20, activation="tanh")
    start = nn.Input((4, 3, 5))
    model = nn.Model(start, nn.Dense(2)(twice(twice(nn.Dense(20)(start)))))
    model.compile(nn.SGD(0.1), "mse", engine=engine_name, dtype="float64")
    theirs = [torch.nn.Linear(a, b, dtype=torch.float64) for a, b in ((5, 20), (20, 20), (20, 2))]
    with torch.no_grad():
        for layer, (kernel, bias) in zip(theirs, zip(*[iter(model.get_weights())] * 2, strict=True), strict=True):
            layer.weight.copy_(torch.tensor(kernel.T))
            layer.bias.copy_(torch.tensor(bias))
    optimizer = torch.optim.SGD([p for layer in theirs for p in layer.parameters()], 0.1)
    first, middle, last = theirs
    for _ in range(5):
        optimizer.zero_grad()
        y = last(torch.tanh(middle(torch.tanh(middle(first(torch.tensor(x)))))))
        loss = torch.nn.functional.mse_loss(y, torch.tensor(t))
        loss.backward()
        optimizer.step()
        assert model.train_on_batch(x, t)["loss"] == pytest.approx(loss.item(), rel=1e-12)
    weights = [p for layer in theirs for p in (layer.weight.T, layer.bias)]
    for ours, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(ours, other.detach().numpy(), rtol=0, atol=1e-12)
