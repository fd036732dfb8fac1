"""The learning rate on plateaus against PyTorch's scheduler."""

import numpy as np
import pytest
import torch

import nncore as nn


@pytest.mark.parametrize(("seed", "options"), [(0, {}), (1, {"min_delta": 0.05}), (2, {"min_lr": 0.1, "mode": "max"})])
def test_plateaus(seed, options):
    values = np.random.default_rng(seed).random(60).tolist()
    mode, delta, low = options.get("mode", "min"), options.get("min_delta", 0.0), options.get("min_lr", 0.0)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    # PyTorch reduces after more than `patience` epochs, Keras after as many.
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, 0.5, patience=2, threshold=delta, threshold_mode="abs", min_lr=low, eps=0.0
    )
    model = nn.Sequential([nn.Dense(1)])
    model.compile(nn.SGD(1.0), "mse")
    plateau = nn.callbacks.ReduceLROnPlateau("score", 0.5, patience=3, mode=mode, min_delta=delta, min_lr=low)
    seen, expected = [], []

    def step(epoch, logs):
        logs["score"] = values[epoch]
        scheduler.step(values[epoch])
        expected.append(optimizer.param_groups[0]["lr"])

    def look(epoch, logs):
        seen.append(model.optimizer.learning_rate)

    callbacks = [nn.callbacks.LambdaCallback(on_epoch_end=f) for f in (step, look)]
    callbacks.insert(1, plateau)
    model.fit(np.zeros((2, 1)), np.zeros(2), epochs=60, verbose=0, callbacks=callbacks)
    assert seen == pytest.approx(expected)
    assert len(set(seen)) > 3
