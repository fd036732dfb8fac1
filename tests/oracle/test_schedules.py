"""Schedules against PyTorch's `lr_scheduler`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from nncore import schedules

STEPS = 60


def followed_by(before, after, milestone):
    """`after` once `before` is over."""
    return lambda o: lr_scheduler.SequentialLR(o, [before(o), after(o)], [milestone])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (schedules.Constant(0.5), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
        (schedules.Step(0.5, 7, gamma=0.3), lambda o: lr_scheduler.StepLR(o, 7, gamma=0.3)),
        (schedules.MultiStep(0.5, [3, 4, 20], gamma=0.3), lambda o: lr_scheduler.MultiStepLR(o, [3, 4, 20], gamma=0.3)),
        (schedules.Exponential(0.5, 0.9), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
        (schedules.Polynomial(0.5, 40, power=2.0), lambda o: lr_scheduler.PolynomialLR(o, 40, power=2.0)),
        (schedules.Function(lambda t: 0.5 * 0.95**t), lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.95**t)),
        (
            schedules.Cosine(0.5, STEPS, alpha=0.1),
            lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.05),
        ),
        (
            schedules.CosineRestarts(0.5, 5, t_mul=2.0, alpha=0.1),
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5, T_mult=2, eta_min=0.05),
        ),
        (schedules.CosineRestarts(0.5, 7, t_mul=1.0), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7)),
        (
            schedules.Warmup(schedules.Constant(0.5), 10, start=0.25),
            lambda o: lr_scheduler.LinearLR(o, start_factor=0.25, total_iters=10),
        ),
        (
            schedules.Warmup(schedules.Step(0.5, 4, gamma=0.7), 10, start=0.25),
            followed_by(
                lambda o: lr_scheduler.LinearLR(o, start_factor=0.25, total_iters=10),
                lambda o: lr_scheduler.StepLR(o, 4, gamma=0.7),
                10,
            ),
        ),
        (schedules.OneCycle(0.5, STEPS), lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=STEPS)),
        (
            schedules.OneCycle(0.5, STEPS, pct_start=0.4, anneal="linear", div_factor=10.0, final_div_factor=100.0),
            lambda o: lr_scheduler.OneCycleLR(
                o, 0.5, total_steps=STEPS, pct_start=0.4, anneal_strategy="linear", div_factor=10.0, final_div_factor=100.0
            ),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, schedules.Schedule) else "",
)
def test_values(ours, theirs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5, momentum=0.9)
    scheduler = theirs(optimizer)
    expected = []
    for _ in range(STEPS):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(ours.rates(np.arange(STEPS)), expected, rtol=1e-12, atol=1e-15)
