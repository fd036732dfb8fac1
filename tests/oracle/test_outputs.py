"""Twenty steps of a residual network with two outputs against PyTorch, in float64."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

import nncore as nn


def test_twenty_steps_of_a_residual_network_with_two_outputs(engine_name):
    rng = np.random.default_rng(7)
    x, labels, values = rng.standard_normal((24, 6)), rng.integers(0, 3, 24), rng.standard_normal((24, 2))
    a = nn.Input((6,))
    shared = nn.Dense(6, activation="tanh")
    h = nn.Add()([shared(a), a])
    h = nn.Multiply()([shared(h), h])
    model = nn.Model(a, [nn.Dense(3)(h), nn.Dense(2)(nn.Average()([h, a]))])
    model.compile(
        nn.Adam(0.01), loss=["cross_entropy", "mse"], loss_weights=[1.0, 0.3], engine=engine_name, dtype="float64"
    )

    w, b, w1, b1, w2, b2 = (torch.tensor(p, requires_grad=True) for p in model.get_weights())
    optimizer = torch.optim.Adam([w, b, w1, b1, w2, b2], lr=0.01)
    losses = []
    for _ in range(20):
        start = torch.tensor(x)
        first = torch.tanh(start @ w + b) + start
        second = torch.tanh(first @ w + b) * first
        loss = F.cross_entropy(second @ w1 + b1, torch.tensor(labels))
        loss = loss + 0.3 * F.mse_loss((second + start) / 2 @ w2 + b2, torch.tensor(values))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    history = model.fit(x, [labels, values], batch_size=24, epochs=20, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-10)
    for ours, theirs in zip(model.get_weights(), (w, b, w1, b1, w2, b2), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
