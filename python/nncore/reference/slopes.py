"""Rectifiers whose slope below zero is learned (prelu) or drawn (rrelu), each forward beside its backward."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, as_floats, deliver, sum_over
from nncore.reference.piecewise import leaky_relu, leaky_relu_backward
from nncore.reference.random import stream
from nncore.scalars import flag, number

__all__ = ["prelu", "prelu_backward", "rrelu", "rrelu_backward"]


def prelu(x: npt.ArrayLike, alpha: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = x where x > 0, else alpha * x``, with a slope that is learned.

    Args:
        x: any shape.
        alpha: ``[1]``, one slope for all, or ``[n]``, one for each place on the last axis of x.
        out: receives the result.

    Raises:
        ValueError: alpha of another shape.

    Source: He et al. 2015, arXiv:1502.01852; ``torch.nn.functional.prelu``, where the slopes go with axis 1.

    >>> prelu([[-1.0, -1.0], [2.0, -4.0]], [0.5, 0.25])
    array([[-0.5 , -0.25],
           [ 2.  , -1.  ]])
    """
    x, alpha = slope_arrays(x, alpha)
    return deliver(np.where(x > 0, x, alpha * x), out)


def prelu_backward(x: npt.ArrayLike, alpha: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike) -> tuple[Array, Array]:
    """``dx = dy where x > 0, else alpha * dy``; ``dalpha = sum of x * dy where x <= 0``, over all that use the slope.

    Returns:
        dx, and dalpha in the shape of alpha.

    >>> prelu_backward([-1.0, -3.0, 2.0], [0.5], [-0.5, -1.5, 2.0], [1.0, 1.0, 1.0])
    (array([0.5, 0.5, 1. ]), array([-4.]))
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    x, alpha = slope_arrays(x, alpha)
    terms = np.where(x > 0, 0, x * dy)
    dalpha = sum_over(terms, tuple(range(x.ndim if alpha.shape == (1,) else x.ndim - 1)))
    return np.where(x > 0, dy, alpha * dy), np.asarray(dalpha, alpha.dtype).reshape(alpha.shape)


def slope_arrays(x: npt.ArrayLike, alpha: npt.ArrayLike) -> list[Array]:
    """Both in one dtype; a ValueError unless the slopes fit x."""
    x, alpha = as_floats(x=x, alpha=alpha)
    if alpha.shape != (1,) and (x.ndim == 0 or alpha.shape != x.shape[-1:]):
        raise ValueError(f"alpha: expected shape (1,){f' or {x.shape[-1:]}' if x.ndim else ''}, got {alpha.shape}")
    return [x, alpha]


def rrelu(
    x: npt.ArrayLike,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    *,
    training: bool = False,
    seed: int = 0,
    node: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    """``y = x where x > 0, else a * x``; a is drawn from [lower, upper) in training, else (lower + upper) / 2.

    Args:
        x: ``[rows, features...]``; outside training any shape.
        lower, upper: bounds of the slope, not negative.
        training: whether each element draws a slope of its own.
        seed, node, step: which numbers it draws, as of `dropout`.
        out: receives the result.

    Raises:
        ValueError: a number out of its range, or in training x has no axis.

    Source: Xu et al. 2015, arXiv:1505.00853; ``torch.nn.functional.rrelu``. The slope is lower + (upper - lower) * u, where
    u is the high 24 bits of the element's word of `nncore.reference.random.stream` over 2**24.

    >>> rrelu([[-16.0, 2.0]], 0.125, 0.375)
    array([[-4.,  2.]])
    """
    x = as_float("x", x)
    if not flag(training, "training"):
        return leaky_relu(x, mean_slope(lower, upper), out=out)
    return deliver(x * _drawn(x, lower, upper, seed, node, step), out)


def rrelu_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    *,
    training: bool = False,
    seed: int = 0,
    node: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    """``dx = dy where x > 0, else a * dy``: the same slopes, drawn again.

    >>> rrelu_backward([[-16.0, 2.0]], [[-4.0, 2.0]], [[1.0, 1.0]], 0.125, 0.375)
    array([[0.25, 1.  ]])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    if not flag(training, "training"):
        return leaky_relu_backward(x, y, dy, mean_slope(lower, upper), out=out)
    return deliver(dy * _drawn(x, lower, upper, seed, node, step), out)


def mean_slope(lower: float, upper: float) -> float:
    """The mean of the bounds; a ValueError unless 0 <= lower <= upper."""
    lower, upper = (number(value, name) for name, value in (("lower", lower), ("upper", upper)))
    if not 0 <= lower <= upper < math.inf:
        raise ValueError(f"lower: expected a number in [0, upper], upper is {upper}, got {lower}")
    return (lower + upper) / 2


def _drawn(x: Array, lower: float, upper: float, seed: int, node: int, step: int) -> Array:
    """The factor of each element: 1, or a slope."""
    mean_slope(lower, upper)
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    words = stream(x.shape[0], math.prod(x.shape[1:]), seed=seed, node=node, step=step)
    slopes = lower + (upper - lower) * 2.0**-24 * (words >> np.uint32(8)).astype(np.float64)
    return np.where(x <= 0, slopes.reshape(x.shape).astype(x.dtype), 1)
