"""Each rule for three steps against its published formula, on one number, in Python's floats."""

import math

import numpy as np
import pytest

GRADIENTS = (0.5, -1.5, 0.25)


def sgd(p, lr, wd):
    for g in GRADIENTS:
        p -= lr * (g + wd * p)
    return p


def momentum(p, lr, wd, mu, nesterov):
    velocity = 0.0
    for g in GRADIENTS:
        g += wd * p
        velocity = mu * velocity + g
        p -= lr * (g + mu * velocity if nesterov else velocity)
    return p


def adam(p, lr, wd, beta_1, beta_2, epsilon, decoupled):
    """With the bias-corrected means of the paper's algorithm 1."""
    m = v = 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        if decoupled:
            p -= lr * wd * p
        else:
            g += wd * p
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        p -= lr * (m / (1 - beta_1**t)) / (math.sqrt(v / (1 - beta_2**t)) + epsilon)
    return p


def adam_as_in_section_2(p, lr, beta_1, beta_2, epsilon):
    """The end of section 2: the learning rate has both corrections, so that epsilon has none."""
    m = v = 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        p -= lr * math.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (math.sqrt(v) + epsilon)
    return p


def rmsprop(p, lr, wd, rho, epsilon):
    v = 0.0
    for g in GRADIENTS:
        g += wd * p
        v = rho * v + (1 - rho) * g * g
        p -= lr * g / (math.sqrt(v) + epsilon)
    return p


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "states", "attrs", "expected"),
    [
        ("sgd", 0, {"learning_rate": 0.1}, sgd(2.0, 0.1, 0)),
        ("sgd", 0, {"learning_rate": 0.1, "weight_decay": 0.2}, sgd(2.0, 0.1, 0.2)),
        ("momentum", 1, {"learning_rate": 0.1, "momentum": 0.8}, momentum(2.0, 0.1, 0, 0.8, False)),
        (
            "momentum",
            1,
            {"learning_rate": 0.1, "nesterov": True, "weight_decay": 0.2},
            momentum(2.0, 0.1, 0.2, 0.9, True),
        ),
        ("adam", 2, {}, adam(2.0, 1e-3, 0, 0.9, 0.999, 1e-8, False)),
        (
            "adam",
            2,
            {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.75, "epsilon": 0.01, "weight_decay": 0.2},
            adam(2.0, 0.1, 0.2, 0.5, 0.75, 0.01, False),
        ),
        (
            "adam",
            2,
            {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.75, "epsilon": 0.01, "epsilon_hat": True},
            adam_as_in_section_2(2.0, 0.1, 0.5, 0.75, 0.01),
        ),
        ("adamw", 2, {"learning_rate": 0.1}, adam(2.0, 0.1, 0.01, 0.9, 0.999, 1e-8, True)),
        ("rmsprop", 1, {}, rmsprop(2.0, 1e-2, 0, 0.99, 1e-8)),
        (
            "rmsprop",
            1,
            {"learning_rate": 0.1, "rho": 0.5, "epsilon": 0.01, "weight_decay": 0.2},
            rmsprop(2.0, 0.1, 0.2, 0.5, 0.01),
        ),
    ],
)
def test_three_steps(backend, dtype, name, states, attrs, expected):
    p = np.full(5, 2.0, dtype)
    arrays = [np.zeros(5, dtype) for _ in range(states)]
    for t, g in enumerate(GRADIENTS, start=1):
        count = {"iteration": t} if name in ("momentum", "adam", "adamw") else {}
        getattr(backend, f"{name}_step")(p, np.full(5, g, dtype), *arrays, **attrs, **count)
    np.testing.assert_allclose(p, expected, rtol=1e-6 if dtype == "float32" else 1e-14)


def test_a_gradient_stays_as_it_is(backend):
    g = np.ones(3)
    backend.momentum_step(np.ones(3), g, np.ones(3), iteration=1, nesterov=True, weight_decay=0.5)
    backend.adam_step(np.ones(3), g, np.ones(3), np.ones(3), iteration=1, weight_decay=0.5)
    np.testing.assert_array_equal(g, np.ones(3))
