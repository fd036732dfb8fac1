"""Optimizer rules with running means of gradients and of their squares: Adam and its family. See `optimizers` for terms."""

from __future__ import annotations

import math

import numpy as np

from nncore.reference.arrays import Array
from nncore.reference.optimizers import check_arrays, check_iteration, decayed

__all__ = ["adam_step", "adamax_step", "adamw_step", "amsgrad_step", "lamb_step", "nadam_step", "radam_step"]


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
    epsilon_hat: bool = False,
) -> None:
    """Adam. Source: Kingma and Ba 2015, arXiv:1412.6980.

    With g' = g + weight_decay * p and t = `iteration`, counted from 1::

        m = beta_1 * m + (1 - beta_1) * g'        (a running mean of gradients)
        v = beta_2 * v + (1 - beta_2) * g'^2      (and of their squares)
        p -= learning_rate / (1 - beta_1^t) * m / (sqrt(v) / sqrt(1 - beta_2^t) + epsilon)

    The two powers make up for m and v having started at zero. With `epsilon_hat`, epsilon is divided by the root as well:
    the end of section 2 of the paper, and what Keras and scikit-learn do.

    Raises:
        ValueError: `iteration` is less than 1.

    >>> p = np.array([1.0])
    >>> adam_step(p, np.array([7.0]), np.zeros(1), np.zeros(1), iteration=1, learning_rate=0.5)
    >>> p.round(6)
    array([0.5])
    """
    check_arrays(p, g, m=m, v=v)
    check_iteration(iteration)
    _moments(decayed(p, g, learning_rate, weight_decay, False), m, v, beta_1, beta_2)
    if epsilon_hat:
        epsilon /= math.sqrt(1 - beta_2**iteration)
    p -= learning_rate / (1 - beta_1**iteration) * (m / _root(v, beta_2, iteration, epsilon))


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
    _moments(decayed(p, g, learning_rate, weight_decay, True), m, v, beta_1, beta_2)
    p -= learning_rate / (1 - beta_1**iteration) * (m / _root(v, beta_2, iteration, epsilon))


def amsgrad_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    largest: Array,
    *,
    iteration: int,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """Adam or AdamW that divides by the largest v so far. Source: Reddi et al. 2018, arXiv:1904.09237.

    As `adam_step`, but with ``largest = max(largest, v)`` in the last line instead of v.

    Raises:
        ValueError: `iteration` is less than 1.

    >>> p = np.array([1.0])
    >>> amsgrad_step(p, np.array([7.0]), np.zeros(1), np.zeros(1), np.array([0.196]), iteration=1, learning_rate=0.5)
    >>> p.round(6)
    array([0.75])
    """
    check_arrays(p, g, m=m, v=v, largest=largest)
    check_iteration(iteration)
    _moments(decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay), m, v, beta_1, beta_2)
    np.maximum(largest, v, out=largest)
    p -= learning_rate / (1 - beta_1**iteration) * (m / _root(largest, beta_2, iteration, epsilon))


def adamax_step(
    p: Array,
    g: Array,
    m: Array,
    u: Array,
    *,
    iteration: int,
    learning_rate: float = 2e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """Adam with the largest absolute gradient instead of a mean square. Source: Kingma and Ba 2015, section 7.1.

    With t = `iteration`, counted from 1::

        m = beta_1 * m + (1 - beta_1) * g'
        u = max(beta_2 * u, |g'| + epsilon)
        p -= learning_rate / (1 - beta_1^t) * m / u

    Raises:
        ValueError: `iteration` is less than 1.

    >>> p = np.array([1.0])
    >>> adamax_step(p, np.array([7.0]), np.zeros(1), np.zeros(1), iteration=1, learning_rate=0.5)
    >>> p.round(6)
    array([0.5])
    """
    check_arrays(p, g, m=m, u=u)
    check_iteration(iteration)
    g = decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)
    m[...] = beta_1 * m + (1 - beta_1) * g
    np.maximum(beta_2 * u, np.abs(g) + epsilon, out=u)
    p -= learning_rate / (1 - beta_1**iteration) * (m / u)


def nadam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    iteration: int,
    learning_rate: float = 2e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    momentum_decay: float = 4e-3,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> None:
    """Adam with Nesterov's momentum. Source: Dozat 2016, "Incorporating Nesterov momentum into Adam".

    With m and v as in `adam_step`, t = `iteration`, mu(i) = beta_1 * (1 - 0.96^(i * momentum_decay) / 2), and M the
    product of mu(1) .. mu(t)::

        d = (1 - mu(t)) / (1 - M) * g' + mu(t + 1) / (1 - M * mu(t + 1)) * m
        p -= learning_rate * d / (sqrt(v) / sqrt(1 - beta_2^t) + epsilon)

    Raises:
        ValueError: `iteration` is less than 1.

    >>> p = np.array([1.0])
    >>> nadam_step(p, np.array([7.0]), np.zeros(1), np.zeros(1), iteration=1, learning_rate=0.5, momentum_decay=0.0)
    >>> p.round(6)
    array([0.471787])
    """
    check_arrays(p, g, m=m, v=v)
    check_iteration(iteration)

    def mu(i: int) -> float:
        return float(beta_1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)))

    g = decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay)
    _moments(g, m, v, beta_1, beta_2)
    product = math.prod(mu(i) for i in range(1, iteration + 1))
    of_gradient = (1 - mu(iteration)) / (1 - product)
    of_mean = mu(iteration + 1) / (1 - product * mu(iteration + 1))
    p -= learning_rate * (of_gradient * g + of_mean * m) / _root(v, beta_2, iteration, epsilon)


def radam_step(
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
    decoupled_weight_decay: bool = False,
) -> None:
    """Adam that divides by v only when it has seen enough to trust it. Source: Liu et al. 2020, arXiv:1908.03265.

    With m and v as in `adam_step`, t = `iteration`, R = 2 / (1 - beta_2) - 1 and
    r = R - 2 * t * beta_2^t / (1 - beta_2^t)::

        d = m / (1 - beta_1^t)
        if r > 5:
            d *= sqrt((r - 4) * (r - 2) * R / ((R - 4) * (R - 2) * r)) * sqrt(1 - beta_2^t) / (sqrt(v) + epsilon)
        p -= learning_rate * d

    Raises:
        ValueError: `iteration` is less than 1.

    >>> p = np.array([1.0])
    >>> radam_step(p, np.array([2.0]), np.zeros(1), np.zeros(1), iteration=1, learning_rate=0.25)
    >>> p.round(6)
    array([0.5])
    """
    check_arrays(p, g, m=m, v=v)
    check_iteration(iteration)
    _moments(decayed(p, g, learning_rate, weight_decay, decoupled_weight_decay), m, v, beta_1, beta_2)
    rest = 1 - beta_2**iteration
    longest = 2 / (1 - beta_2) - 1
    r = longest - 2 * iteration * beta_2**iteration / rest
    step = learning_rate / (1 - beta_1**iteration)
    if r > 5:
        rectification = math.sqrt((r - 4) * (r - 2) * longest / ((longest - 4) * (longest - 2) * r))
        p -= step * rectification * math.sqrt(rest) * (m / (np.sqrt(v) + epsilon))
    else:
        p -= step * m


def lamb_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    iteration: int,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-6,
    weight_decay: float = 0.01,
) -> None:
    """LAMB: Adam with steps in proportion to the parameter's norm. Source: You et al. 2020, arXiv:1904.00962, algorithm 2.

    With t = `iteration`, counted from 1, |.| the Euclidean norm of the whole array, and phi(z) = z::

        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g^2
        d = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon) + weight_decay * p
        p -= learning_rate * |p| / |d| * d        (without the ratio where |p| or |d| is zero)

    Raises:
        ValueError: `iteration` is less than 1.

    >>> p = np.array([3.0, 4.0])
    >>> lamb_step(p, np.array([1.0, 1.0]), np.zeros(2), np.zeros(2), iteration=1, learning_rate=0.2, weight_decay=0.0)
    >>> p.round(4)
    array([2.2929, 3.2929])
    """
    check_arrays(p, g, m=m, v=v)
    check_iteration(iteration)
    _moments(g, m, v, beta_1, beta_2)
    d = m / (1 - beta_1**iteration) / _root(v, beta_2, iteration, epsilon) + weight_decay * p
    of_p, of_d = (np.sqrt(np.sum(np.square(a, dtype=np.float64))) for a in (p, d))
    p -= learning_rate * float(of_p / of_d if of_p > 0 and of_d > 0 else 1) * d


def _moments(g: Array, m: Array, v: Array, beta_1: float, beta_2: float) -> None:
    """Take `g` into the running means of gradients and of their squares."""
    m[...] = beta_1 * m + (1 - beta_1) * g
    v[...] = beta_2 * v + (1 - beta_2) * g * g


def _root(v: Array, beta_2: float, iteration: int, epsilon: float) -> Array:
    """The root of v without the bias of its start at zero, plus epsilon."""
    root: Array = np.sqrt(v) / math.sqrt(1 - beta_2**iteration) + epsilon
    return root
