"""Functions along an axis, each forward beside its backward; see `nncore.reference.activations`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, as_floats, as_integer, deliver
from nncore.reference.smooth import sigmoid

__all__ = [
    "glu",
    "glu_backward",
    "log_softmax",
    "log_softmax_backward",
    "maxout",
    "maxout_backward",
    "softmax",
    "softmax_backward",
]


def softmax(x: npt.ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    """``y[i] = exp(x[i]) / sum_j exp(x[j])``, along an axis. Source: ``torch.nn.functional.softmax``.

    The maximum is subtracted first: it cancels, and keeps exp from overflowing.

    Args:
        x: any shape with at least one axis.
        axis: as in NumPy; an op of a graph takes the axes of a sample only, 1 .. rank or negative.
        out: receives the result.

    Raises:
        ValueError: x has no such axis.

    >>> softmax([[1000.0, 1000.0], [0.0, -1000.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    e = np.exp(_below_maximum(as_float("x", x), axis))
    return deliver(e / e.sum(axis=axis, keepdims=True), out)


def softmax_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, axis: int = -1, *, out: Array | None = None
) -> Array:
    """``dx = y * (dy - sum_j dy[j] * y[j])``, along the axis of `softmax`.

    Derivation: dy[j]/dx[i] = y[j] * ((i == j) - y[i]); multiply by the gradient of y[j] and sum over j.

    >>> softmax_backward([[0.0, 0.0]], [[0.5, 0.5]], [[4.0, 0.0]])
    array([[ 1., -1.]])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    check_any_axis(x, axis)
    return deliver(y * (dy - (dy * y).sum(axis=axis, keepdims=True)), out)


def log_softmax(x: npt.ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    """``y[i] = x[i] - log(sum_j exp(x[j]))``, along an axis: the logarithm of `softmax`, without its underflow.

    Arguments and errors are those of `softmax`. Source: ``torch.nn.functional.log_softmax``.

    >>> log_softmax([[0.0, -1000.0]])
    array([[    0., -1000.]])
    """
    shifted = _below_maximum(as_float("x", x), axis)
    with np.errstate(divide="ignore"):  # in the sum of no elements
        return deliver(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)), out)


def log_softmax_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, axis: int = -1, *, out: Array | None = None
) -> Array:
    """``dx = dy - exp(y) * sum_j dy[j]``, along the axis of `log_softmax`.

    >>> log_softmax_backward([[0.0, 0.0]], np.log([[0.5, 0.5]]), [[2.0, 0.0]])
    array([[ 1., -1.]])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    check_any_axis(x, axis)
    return deliver(dy - np.exp(y) * dy.sum(axis=axis, keepdims=True), out)


def glu(x: npt.ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    """``y = a * sigmoid(b)``, where a and b are the first and the second half of x along an axis.

    Args:
        x: any shape whose `axis` has an even length.
        axis: as of `softmax`.
        out: receives the result.

    Returns:
        Half of x's shape along `axis`.

    Raises:
        ValueError: x has no such axis, or an odd length there.

    Source: Dauphin et al. 2016, arXiv:1612.08083; ``torch.nn.functional.glu``.

    >>> glu([[3.0, 4.0, -1000.0, 0.0]])
    array([[0., 2.]])
    """
    x = as_float("x", x)
    a, b = parts_of(x, 2, axis)
    return deliver(a * sigmoid(b), out)


def glu_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, axis: int = -1, *, out: Array | None = None
) -> Array:
    """``da = dy * sigmoid(b)``, ``db = dy * a * sigmoid(b) * sigmoid(-b)``, and dx is the two joined.

    >>> glu_backward([[4.0, 0.0]], [[2.0]], [[2.0]])
    array([[1., 2.]])
    """
    x, y, dy = part_arrays(x, y, dy, 2, axis)
    a, b = parts_of(x, 2, axis)
    s = sigmoid(b)
    return deliver(np.concatenate([dy * s, dy * a * s * sigmoid(-b)], axis), out)


def maxout(x: npt.ArrayLike, groups: int = 2, axis: int = -1, *, out: Array | None = None) -> Array:
    """``y[j] = max_g x_g[j]``, where x_1, x_2, ... are the equal groups into which an axis of x is cut.

    After a dense layer of groups * n units: the largest of several affine functions, which can become any convex one.

    Args:
        x: any shape whose `axis` has a multiple of `groups` as length; the elements of a group are neighbours.
        groups: how many, at least 1.
        axis: as of `softmax`.
        out: receives the result.

    Returns:
        x's shape, but divided by `groups` along `axis`.

    Raises:
        ValueError: x has no such axis, or a length there that is no multiple of `groups`.

    Source: Goodfellow et al. 2013, arXiv:1302.4389.

    >>> maxout([[1.0, 5.0, 3.0, 2.0]])
    array([[3., 5.]])
    """
    return deliver(np.max(parts_of(as_float("x", x), groups, axis), axis=0), out)


def maxout_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, groups: int = 2, axis: int = -1, *, out: Array | None = None
) -> Array:
    """``dx_g[j] = dy[j] where x_g[j] is the first to equal y[j], else 0``.

    >>> maxout_backward([[1.0, 5.0, 3.0, 5.0]], [[3.0, 5.0]], [[2.0, 4.0]])
    array([[0., 4., 2., 0.]])
    """
    x, y, dy = part_arrays(x, y, dy, groups, axis)
    parts = np.stack(parts_of(x, groups, axis))
    largest = parts >= y
    first = largest & (np.cumsum(largest, axis=0) == 1)
    return deliver(np.concatenate(list(np.where(first, dy, 0)), axis), out)


def parts_of(x: Array, parts: int, axis: int) -> list[Array]:
    """`x` cut into equal parts along `axis`; a ValueError where that cannot be."""
    check_any_axis(x, axis)
    as_integer("groups", parts, 1)
    if x.shape[axis] % parts:
        raise ValueError(f"x: expected a multiple of {parts} along axis {axis}, got {x.shape[axis]}")
    return np.split(x, parts, axis)


def part_arrays(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, parts: int, axis: int) -> list[Array]:
    """The three in one dtype; a ValueError unless y and dy have the shape of one of the parts of x."""
    arrays = as_floats(x=x, y=y, dy=dy)
    shape = parts_of(arrays[0], parts, axis)[0].shape
    for name, array in zip(("y", "dy"), arrays[1:], strict=True):
        if array.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    return arrays


def check_any_axis(x: Array, axis: int) -> None:
    """Raise TypeError or ValueError unless x has such an axis."""
    as_integer("axis", axis)
    if x.ndim == 0:
        raise ValueError("x: expected at least one axis, got a scalar")
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis: expected {-x.ndim} to {x.ndim - 1}, got {axis}")


def _below_maximum(x: Array, axis: int) -> Array:
    """`x` minus its maximum along the axis, which may be empty."""
    check_any_axis(x, axis)
    x = np.ascontiguousarray(x)
    return np.asarray(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
