"""Ops that scale, mask and reshape arrays, each forward beside its backward."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, as_shape, deliver
from nncore.reference.random import stream

__all__ = [
    "dropout",
    "dropout_backward",
    "flatten",
    "flatten_backward",
    "rescaling",
    "rescaling_backward",
]


def rescaling(x: npt.ArrayLike, scale: float, offset: float = 0.0, *, out: Array | None = None) -> Array:
    """``y = x * scale + offset``. Source: ``keras.layers.Rescaling``.

    Args:
        x: any shape.
        scale: the factor.
        offset: what is added after it.
        out: receives the result.

    >>> rescaling([0.0, 255.0], 2 / 255, offset=-1.0)
    array([-1.,  1.])
    """
    return deliver(as_float("x", x) * float(scale) + float(offset), out)


def rescaling_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    scale: float,
    offset: float = 0.0,
    *,
    out: Array | None = None,
) -> Array:
    """``dx = dy * scale``.

    >>> rescaling_backward([1.0], [2.0], [3.0], 2.0)
    array([6.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy * float(scale), out)


def dropout(x: npt.ArrayLike, rate: float, *, seed: int, node: int, step: int, out: Array | None = None) -> Array:
    """``y = x / (1 - rate) where kept, else 0``; each element is dropped with probability `rate`.

    The factor keeps the mean: E[y] = x. In inference there is no dropout at all.

    Args:
        x: ``[rows, features...]``.
        rate: in [0, 1).
        seed: key of the random numbers, 0 .. 2**64 - 1.
        node: which op of the network draws, 0 .. 2**32 - 1.
        step: which training pass draws, not negative.
        out: receives the result.

    Raises:
        ValueError: a number out of its range, or x has no axis.

    Source: Srivastava et al. 2014; ``torch.nn.functional.dropout``. The mask: `nncore.reference.random.stream`; an element
    is kept if its 32-bit word is at least floor(rate * 2**32).

    >>> dropout(np.ones((2, 6)), 0.5, seed=0, node=1, step=0)
    array([[0., 0., 2., 2., 2., 0.],
           [0., 2., 0., 2., 0., 2.]])
    """
    x = as_float("x", x)
    return deliver(_mask(x, rate, seed, node, step), out)


def dropout_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    rate: float,
    *,
    seed: int,
    node: int,
    step: int,
    out: Array | None = None,
) -> Array:
    """``dx = dy / (1 - rate) where kept, else 0``: the same mask, drawn again.

    >>> dropout_backward(np.ones((1, 6)), np.ones((1, 6)), np.full((1, 6), 3.0), 0.5, seed=0, node=1, step=0)
    array([[0., 0., 6., 6., 6., 0.]])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(_mask(dy, rate, seed, node, step), out)


def _mask(x: Array, rate: float, seed: int, node: int, step: int) -> Array:
    """`x` scaled where kept, 0 where dropped."""
    rate = float(rate)
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected a number in [0, 1), got {rate}")
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    words = stream(x.shape[0], math.prod(x.shape[1:]), seed=seed, node=node, step=step)
    kept = (words >= math.floor(rate * 2**32)).reshape(x.shape)
    return np.where(kept, x * x.dtype.type(1 / (1 - rate)), 0)


def flatten(x: npt.ArrayLike) -> Array:
    """``y = x`` as one vector per row, in row-major order, as a view where NumPy can.

    Args:
        x: ``[rows, features...]``.

    Returns:
        ``[rows, product of features]``.

    Raises:
        ValueError: x has no axis.

    >>> flatten(np.zeros((5, 2, 3))).shape
    (5, 6)
    """
    x = as_float("x", x)
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def flatten_backward(dy: npt.ArrayLike, shape: Sequence[int]) -> Array:
    """``dx = dy`` in the shape that x had, rows included, as a view where NumPy can.

    Raises:
        ValueError: dy does not have the shape that `flatten` gives an x of this shape.

    >>> flatten_backward(np.zeros((5, 6)), (5, 2, 3)).shape
    (5, 2, 3)
    """
    dy, shape = as_float("dy", dy), check_flat(shape)
    expected = (shape[0], math.prod(shape[1:]))
    if dy.shape != expected:
        raise ValueError(f"dy: expected shape {expected}, got {dy.shape}")
    return dy.reshape(shape)


def check_flat(shape: Sequence[int]) -> tuple[int, ...]:
    """`shape` as a tuple; a TypeError or ValueError unless it has at least the axis of rows."""
    shape = as_shape("shape", shape)
    if not shape:
        raise ValueError("shape: expected at least the axis of rows, got ()")
    return shape
