"""Ops whose input is indices, and reshaping; each forward beside its backward."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, as_float, as_floats, as_integer, as_shape

__all__ = ["embedding", "embedding_backward", "one_hot", "one_hot_backward", "reshape", "reshape_backward"]


def check_indices(op: str, x: Array, count: int) -> npt.NDArray[np.int64]:
    """The numbers x as indices; a ValueError for the first that is none in [0, count - 1]."""
    flat = x.reshape(-1)
    bad = np.flatnonzero(~((flat >= 0) & (flat < count) & (flat == np.floor(flat))))
    if bad.size:
        raise ValueError(f"input of {op!r}: expected whole numbers in [0, {count - 1}], got {flat[bad[0]]:g}")
    return x.astype(np.int64)


def embedding(x: npt.ArrayLike, table: npt.ArrayLike) -> Array:
    """``y[i] = table[x[i]]``.

    Args:
        x: ``[rows, ...]`` of whole numbers in [0, count - 1].
        table: ``[count, length]``.

    Returns:
        ``[rows, ..., length]``.

    Raises:
        ValueError: x has no axis or a number that is no index, or the table is no matrix.

    Source: ``torch.nn.functional.embedding``.

    >>> embedding([2, 0], [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    array([[4., 5.],
           [0., 1.]])
    """
    x, table = _index_arrays(x, table)
    return table[check_indices("embedding", x, len(table))]


def embedding_backward(x: npt.ArrayLike, table: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike) -> Array:
    """The gradient of the table: each row's is the sum of dy over its uses.

    >>> embedding_backward([1, 1], np.zeros((3, 1)), np.zeros((2, 1)), [[1.0], [2.0]])
    array([[0.],
           [3.],
           [0.]])
    """
    x, table = _index_arrays(x, table)
    dy = as_float("dy", dy)
    expected = (*x.shape, table.shape[1])
    if dy.shape != expected:
        raise ValueError(f"dy: expected shape {expected}, got {dy.shape}")
    gradient = np.zeros_like(table)
    np.add.at(gradient, check_indices("embedding", x, len(table)), dy)
    return gradient


def _index_arrays(x: npt.ArrayLike, table: npt.ArrayLike) -> tuple[Array, Array]:
    x, table = as_floats(x=x, table=table)
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"table: expected a matrix [count, length], got shape {table.shape}")
    return x, table


def one_hot(x: npt.ArrayLike, depth: int) -> Array:
    """``y[i, j] = 1 where j = x[i], else 0``.

    Args:
        x: ``[rows, ...]`` of whole numbers in [0, depth - 1].
        depth: length of the new last axis.

    Raises:
        ValueError: x has no axis or a number that is no index.

    Source: ``torch.nn.functional.one_hot``.

    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    x = as_float("x", x)
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    indices = check_indices("one_hot", x, as_integer("depth", depth, 1, 2**31 - 1))
    y = np.zeros((*x.shape, depth), x.dtype)
    np.put_along_axis(y, indices[..., None], 1, -1)
    return y


def one_hot_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, depth: int) -> Array:
    """``dx = 0``: indices have no gradient.

    >>> one_hot_backward([2.0], [[0.0, 0.0, 1.0]], [[1.0, 2.0, 3.0]], 3)
    array([0.])
    """
    return np.zeros_like(as_float("x", x))


def reshape(x: npt.ArrayLike, target_shape: Sequence[int]) -> Array:
    """``y = x`` with another shape of each row's features, in row-major order, as a view where NumPy can.

    Args:
        x: ``[rows, features...]``.
        target_shape: of the features; one extent may be -1, which stands for what is left.

    Raises:
        ValueError: x has no axis, or the features do not fill the shape.

    >>> reshape(np.zeros((5, 6)), (2, -1)).shape
    (5, 2, 3)
    """
    x = as_float("x", x)
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    return x.reshape(len(x), *filled_shape(x.shape[1:], target_shape))


def reshape_backward(dy: npt.ArrayLike, shape: Sequence[int]) -> Array:
    """``dx = dy`` in the shape that x had, rows included, as a view where NumPy can.

    >>> reshape_backward(np.zeros((5, 2, 3)), (5, 6)).shape
    (5, 6)
    """
    dy, shape = as_float("dy", dy), as_shape("shape", shape)
    if math.prod(shape) != dy.size or not dy.ndim or shape[:1] != dy.shape[:1]:
        raise ValueError(f"shape: expected one of {dy.size} elements as dy has, {dy.shape}, got {shape}")
    return dy.reshape(shape)


def filled_shape(shape: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """The shape `target` of a sample of `shape`, its -1 filled in."""
    filled = wanted = as_shape("target_shape", target, -1)
    size = math.prod(shape)
    if -1 in filled:
        at, known = filled.index(-1), math.prod(n for n in filled if n != -1)
        filled = (*filled[:at], size // known if known else -1, *filled[at + 1 :])
    if math.prod(filled) != size or -1 in filled:
        raise ValueError(f"target_shape: expected one of {size} elements as {tuple(shape)} has, got {wanted}")
    return filled
