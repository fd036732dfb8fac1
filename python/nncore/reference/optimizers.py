"""Optimizer rules: one elementwise update each, in place, with exactly PyTorch's arithmetic (``torch.optim``).

`p` is the parameter, `g` its gradient (read only), and the other arrays are the rule's states: shaped like `p`, zero before
the first update, and updated in place too. All are float32 or float64 arrays of one dtype and shape.

Common errors: an argument that is no array or of another dtype is a TypeError; another shape, or a read-only array where
one is written, is a ValueError. An error leaves everything as it was.
"""

from __future__ import annotations

import math

import numpy as np

from nncore.reference.arrays import Array

__all__ = ["adam_step", "adamw_step", "momentum_step", "rmsprop_step", "sgd_step"]


def sgd_step(p: Array, g: Array, *, learning_rate: float = 1e-3, weight_decay: float = 0.0) -> None:
    """Stochastic gradient descent: ``p -= learning_rate * (g + weight_decay * p)``. Source: Robbins and Monro 1951.

    >>> p = np.array([1.0])
    >>> sgd_step(p, np.array([2.0]), learning_rate=0.25)
    >>> p
    array([0.5])
    """
    check_arrays(p, g)
    p -= learning_rate * _decayed(p, g, weight_decay)


def momentum_step(
    p: Array,
    g: Array,
    velocity: Array,
    *,
    learning_rate: float = 1e-3,
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> None:
    """Gradient descent with a memory of past gradients. Source: Polyak 1964; Sutskever et al. 2013.

    With g' = g + weight_decay * p::

        velocity = momentum * velocity + g'
        p -= learning_rate * (g' + momentum * velocity if nesterov else velocity)

    >>> p, velocity = np.array([1.0]), np.array([4.0])
    >>> momentum_step(p, np.array([2.0]), velocity, learning_rate=0.25, momentum=0.5)
    >>> p, velocity
    (array([0.]), array([4.]))
    """
    check_arrays(p, g, velocity=velocity)
    g = _decayed(p, g, weight_decay)
    velocity[...] = momentum * velocity + g
    p -= learning_rate * (g + momentum * velocity if nesterov else velocity)


def adam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    iteration: int,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """Adam. Source: Kingma and Ba 2015, arXiv:1412.6980.

    With g' = g + weight_decay * p and t = `iteration`, counted from 1::

        m = beta_1 * m + (1 - beta_1) * g'        (a running mean of gradients)
        v = beta_2 * v + (1 - beta_2) * g'^2      (and of their squares)
        p -= learning_rate / (1 - beta_1^t) * m / (sqrt(v) / sqrt(1 - beta_2^t) + epsilon)

    The two powers make up for m and v having started at zero.

    Raises:
        ValueError: `iteration` is less than 1.

    >>> p = np.array([1.0])
    >>> adam_step(p, np.array([7.0]), np.zeros(1), np.zeros(1), iteration=1, learning_rate=0.5)
    >>> p.round(6)
    array([0.5])
    """
    check_arrays(p, g, m=m, v=v)
    _adam(p, _decayed(p, g, weight_decay), m, v, iteration, learning_rate, beta_1, beta_2, epsilon)


def adamw_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    iteration: int,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> None:
    """Adam with decoupled weight decay. Source: Loshchilov and Hutter 2019, arXiv:1711.05101.

    First p *= 1 - learning_rate * weight_decay, then `adam_step` without weight decay.

    >>> p = np.array([1.0])
    >>> adamw_step(p, np.array([0.0]), np.zeros(1), np.zeros(1), iteration=1, learning_rate=0.5, weight_decay=0.5)
    >>> p
    array([0.75])
    """
    check_arrays(p, g, m=m, v=v)
    check_iteration(iteration)
    p *= 1 - learning_rate * weight_decay
    _adam(p, g, m, v, iteration, learning_rate, beta_1, beta_2, epsilon)


def rmsprop_step(
    p: Array,
    g: Array,
    v: Array,
    *,
    learning_rate: float = 1e-2,
    rho: float = 0.99,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """RMSprop: every element divided by a running root mean square of its gradient. Source: Hinton 2012, lecture 6.5.

    With g' = g + weight_decay * p::

        v = rho * v + (1 - rho) * g'^2
        p -= learning_rate * g' / (sqrt(v) + epsilon)

    >>> p = np.array([1.0])
    >>> rmsprop_step(p, np.array([2.0]), np.array([4.0]), learning_rate=0.5)
    >>> p.round(6)
    array([0.5])
    """
    check_arrays(p, g, v=v)
    g = _decayed(p, g, weight_decay)
    v[...] = rho * v + (1 - rho) * g * g
    p -= learning_rate * (g / (np.sqrt(v) + epsilon))


def _adam(
    p: Array, g: Array, m: Array, v: Array, t: int, learning_rate: float, beta_1: float, beta_2: float, epsilon: float
) -> None:
    """The part that Adam and AdamW share."""
    check_iteration(t)
    m[...] = beta_1 * m + (1 - beta_1) * g
    v[...] = beta_2 * v + (1 - beta_2) * g * g
    denominator = np.sqrt(v) / math.sqrt(1 - beta_2**t) + epsilon
    p -= learning_rate / (1 - beta_1**t) * (m / denominator)


def _decayed(p: Array, g: Array, weight_decay: float) -> Array:
    """The gradient with weight decay added, in a new array if there is any."""
    return g + weight_decay * p if weight_decay != 0 else g


def check_iteration(iteration: int) -> None:
    if iteration < 1:
        raise ValueError(f"iteration: expected an integer from 1, got {iteration}")


def check_arrays(p: Array, g: Array, **states: Array) -> None:
    """Raise unless all arrays are of p's dtype and shape and those that are written may be."""
    for name, array in {"p": p, "g": g, **states}.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected a NumPy array, got {type(array).__name__}")
        if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)) or array.dtype != p.dtype:
            raise TypeError(f"{name}: expected float32 or float64 as in p, got {array.dtype}")
        if array.shape != p.shape:
            raise ValueError(f"{name}: expected the shape of p, {p.shape}, got {array.shape}")
        if name != "g" and not array.flags.writeable:
            raise ValueError(f"{name}: expected a writeable array, got a read-only one")
