"""Optimizer rules: one update each, in place, with PyTorch's arithmetic (``torch.optim``); Adam's family is in `adaptive`.

`p` is the parameter, `g` its gradient (read only), and the other arrays are the rule's states: shaped like `p`, zero before
the first update, and updated in place too. All are float32 or float64 arrays of one dtype and shape.

Weight decay is added to the gradient, ``g' = g + weight_decay * p``, or with `decoupled_weight_decay` taken off the
parameter before the rule sees it, ``p *= 1 - learning_rate * weight_decay`` (Loshchilov and Hutter 2019, arXiv:1711.05101).

Common errors: an argument that is no array or of another dtype is a TypeError; another shape, or a read-only array where
one is written, is a ValueError. An error leaves everything as it was.
"""

from __future__ import annotations

import numpy as np

from nncore.reference.arrays import Array, as_integer

__all__ = [
    "adadelta_step",
    "adagrad_step",
    "lion_step",
    "momentum_step",
    "rmsprop_centered_momentum_step",
    "rmsprop_centered_step",
    "rmsprop_momentum_step",
    "rmsprop_step",
    "sgd_step",
]


def sgd_step(
    p: Array, g: Array, *, learning_rate: float = 1e-3, weight_decay: float = 0.0, decoupled_weight_decay: bool = False
) -> None:
    """Stochastic gradient descent: ``p -= learning_rate * g'``. Source: Robbins and Monro 1951.

    >>> p = np.array([1.0])
    >>> sgd_step(p, np.array([2.0]), learning_rate=0.25)
    >>> p
    array([0.5])
    """
    check_arrays(p, g)
    p -= learning_rate * decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)


def momentum_step(
    p: Array,
    g: Array,
    velocity: Array,
    *,
    iteration: int,
    learning_rate: float = 1e-3,
    momentum: float = 0.9,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """Gradient descent with a memory of past gradients. Source: Polyak 1964; Sutskever et al. 2013.

    With the update's number `iteration`, counted from 1::

        velocity = momentum * velocity + (1 - dampening if iteration > 1 else 1) * g'
        p -= learning_rate * (g' + momentum * velocity if nesterov else velocity)

    Raises:
        ValueError: `iteration` is less than 1.

    >>> p, velocity = np.array([1.0]), np.array([4.0])
    >>> momentum_step(p, np.array([2.0]), velocity, iteration=2, learning_rate=0.25, momentum=0.5)
    >>> p, velocity
    (array([0.]), array([4.]))
    """
    check_arrays(p, g, velocity=velocity)
    check_iteration(iteration)
    g = decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)
    velocity[...] = momentum * velocity + (1 - dampening if iteration > 1 else 1) * g
    p -= learning_rate * (g + momentum * velocity if nesterov else velocity)


def rmsprop_step(
    p: Array,
    g: Array,
    v: Array,
    *,
    learning_rate: float = 1e-2,
    rho: float = 0.99,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """RMSprop: every element divided by a running root mean square of its gradient. Source: Hinton 2012, lecture 6.5.

    ::

        v = rho * v + (1 - rho) * g'^2
        p -= learning_rate * g' / (sqrt(v) + epsilon)

    >>> p = np.array([1.0])
    >>> rmsprop_step(p, np.array([2.0]), np.array([4.0]), learning_rate=0.5)
    >>> p.round(6)
    array([0.5])
    """
    check_arrays(p, g, v=v)
    g = decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)
    v[...] = rho * v + (1 - rho) * g * g
    p -= learning_rate * (g / (np.sqrt(v) + epsilon))


def rmsprop_momentum_step(
    p: Array,
    g: Array,
    v: Array,
    velocity: Array,
    *,
    learning_rate: float = 1e-2,
    rho: float = 0.99,
    momentum: float = 0.9,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """RMSprop with momentum. Source: ``torch.optim.RMSprop``.

    ::

        v = rho * v + (1 - rho) * g'^2
        velocity = momentum * velocity + g' / (sqrt(v) + epsilon)
        p -= learning_rate * velocity

    >>> p, velocity = np.array([1.0]), np.array([1.0])
    >>> rmsprop_momentum_step(p, np.array([2.0]), np.array([4.0]), velocity, learning_rate=0.5, momentum=0.5)
    >>> p.round(6), velocity.round(6)
    (array([0.25]), array([1.5]))
    """
    check_arrays(p, g, v=v, velocity=velocity)
    g = decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)
    v[...] = rho * v + (1 - rho) * g * g
    velocity[...] = momentum * velocity + g / (np.sqrt(v) + epsilon)
    p -= learning_rate * velocity


def rmsprop_centered_step(
    p: Array,
    g: Array,
    v: Array,
    mean: Array,
    *,
    learning_rate: float = 1e-2,
    rho: float = 0.99,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """RMSprop by the running variance of the gradient. Source: Graves 2013, arXiv:1308.0850.

    ::

        v = rho * v + (1 - rho) * g'^2
        mean = rho * mean + (1 - rho) * g'
        p -= learning_rate * g' / (sqrt(max(0, v - mean^2)) + epsilon)

    >>> p = np.array([1.0])
    >>> rmsprop_centered_step(p, np.array([1.0]), np.array([1.0]), np.array([-1.0]), learning_rate=0.5, rho=0.5)
    >>> p.round(6)
    array([0.5])
    """
    check_arrays(p, g, v=v, mean=mean)
    g = decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)
    p -= learning_rate * (g / (_deviation(g, v, mean, rho) + epsilon))


def rmsprop_centered_momentum_step(
    p: Array,
    g: Array,
    v: Array,
    mean: Array,
    velocity: Array,
    *,
    learning_rate: float = 1e-2,
    rho: float = 0.99,
    momentum: float = 0.9,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """`rmsprop_centered_step` with the momentum of `rmsprop_momentum_step`. Source: ``torch.optim.RMSprop``.

    >>> p, states = np.array([1.0]), (np.array([1.0]), np.array([-1.0]), np.array([1.0]))
    >>> rmsprop_centered_momentum_step(p, np.array([1.0]), *states, learning_rate=0.5, rho=0.5, momentum=0.5)
    >>> p.round(6)
    array([0.25])
    """
    check_arrays(p, g, v=v, mean=mean, velocity=velocity)
    g = decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)
    velocity[...] = momentum * velocity + g / (_deviation(g, v, mean, rho) + epsilon)
    p -= learning_rate * velocity


def adagrad_step(
    p: Array,
    g: Array,
    v: Array,
    *,
    learning_rate: float = 1e-2,
    initial_accumulator_value: float = 0.0,
    epsilon: float = 1e-10,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """Adagrad: every element divided by the root of the sum of its squared gradients. Source: Duchi et al. 2011, JMLR 12.

    ::

        v = v + g'^2
        p -= learning_rate * g' / (sqrt(v + initial_accumulator_value) + epsilon)

    The state `v` is the sum without the initial value. PyTorch's ``lr_decay`` is `nncore.schedules.InverseTime`.

    >>> p = np.array([1.0])
    >>> adagrad_step(p, np.array([2.0]), np.array([8.0]), learning_rate=0.5, initial_accumulator_value=4.0)
    >>> p.round(6)
    array([0.75])
    """
    check_arrays(p, g, v=v)
    g = decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)
    v += g * g
    p -= learning_rate * (g / (np.sqrt(v + initial_accumulator_value) + epsilon))


def adadelta_step(
    p: Array,
    g: Array,
    v: Array,
    u: Array,
    *,
    learning_rate: float = 1.0,
    rho: float = 0.9,
    epsilon: float = 1e-6,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """Adadelta: steps in units of the parameter, from past steps. Source: Zeiler 2012, arXiv:1212.5701.

    ::

        v = rho * v + (1 - rho) * g'^2
        d = sqrt(u + epsilon) / sqrt(v + epsilon) * g'
        u = rho * u + (1 - rho) * d^2
        p -= learning_rate * d

    >>> p = np.array([1.0])
    >>> adadelta_step(p, np.array([2.0]), np.array([4.0]), np.array([1.0]), learning_rate=0.5)
    >>> p.round(6)
    array([0.5])
    """
    check_arrays(p, g, v=v, u=u)
    g = decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)
    v[...] = rho * v + (1 - rho) * g * g
    d = np.sqrt(u + epsilon) / np.sqrt(v + epsilon) * g
    u[...] = rho * u + (1 - rho) * d * d
    p -= learning_rate * d


def lion_step(
    p: Array,
    g: Array,
    m: Array,
    *,
    learning_rate: float = 1e-4,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
    weight_decay: float = 0.0,
) -> None:
    """Lion: steps of one size, by the sign of a mean of gradients. Source: Chen et al. 2023, arXiv:2302.06675, algorithm 2.

    Weight decay is decoupled. First p *= 1 - learning_rate * weight_decay, then::

        p -= learning_rate * sign(beta_1 * m + (1 - beta_1) * g)
        m = beta_2 * m + (1 - beta_2) * g

    >>> p = np.array([1.0, 1.0])
    >>> lion_step(p, np.array([7.0, -0.1]), np.zeros(2), learning_rate=0.25)
    >>> p
    array([0.75, 1.25])
    """
    check_arrays(p, g, m=m)
    g = decayed(p, g, learning_rate, weight_decay, True)
    p -= learning_rate * np.sign(beta_1 * m + (1 - beta_1) * g)
    m[...] = beta_2 * m + (1 - beta_2) * g


def _deviation(g: Array, v: Array, mean: Array, rho: float) -> Array:
    """The gradient's running standard deviation; rounding may have taken its square below zero."""
    v[...] = rho * v + (1 - rho) * g * g
    mean[...] = rho * mean + (1 - rho) * g
    deviation: Array = np.sqrt(np.maximum(v - mean * mean, 0))
    return deviation


def decayed(p: Array, g: Array, learning_rate: float, weight_decay: float, decoupled: bool) -> Array:
    """Apply weight decay: to `p` in place if `decoupled`, otherwise to the gradient; returns the gradient."""
    if decoupled:
        p *= 1 - learning_rate * weight_decay
        return g
    return g + weight_decay * p if weight_decay != 0 else g


def check_iteration(iteration: int) -> None:
    as_integer("iteration", iteration, 1)


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
