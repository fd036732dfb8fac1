"""Ops that make one array of several, each forward beside its backward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, as_floats, as_integer, as_shape, deliver

__all__ = [
    "add",
    "add_backward",
    "average",
    "average_backward",
    "concatenate",
    "concatenate_backward",
    "multiply",
    "multiply_backward",
]


def several(xs: Sequence[npt.ArrayLike], **more: npt.ArrayLike) -> list[Array]:
    """`xs`, then `more`, in one dtype; a ValueError unless `xs` are two or more and all have one shape."""
    check_several(xs)
    return alike(**{f"xs[{i}]": x for i, x in enumerate(xs)}, **more)


def check_several(xs: Sequence[npt.ArrayLike]) -> None:
    """Raise TypeError or ValueError unless `xs` is a sequence of two or more."""
    if not isinstance(xs, (list, tuple)):
        raise TypeError(f"xs: expected a list or tuple of arrays, got {type(xs).__name__}")
    if len(xs) < 2:
        raise ValueError(f"xs: expected at least two arrays, got {len(xs)}")


def add(*xs: npt.ArrayLike, out: Array | None = None) -> Array:
    """``y = xs[0] + xs[1] + ...``, from left to right, of two arrays or more.

    Raises:
        ValueError: fewer than two arrays, or unequal shapes.

    >>> add([1.0, 2.0], [10.0, 20.0], [100.0, 200.0])
    array([111., 222.])
    """
    first, *others = several(xs)
    total = first
    for x in others:
        total = total + x
    return deliver(total, out)


def add_backward(dy: npt.ArrayLike, count: int) -> tuple[Array, ...]:
    """The gradient of each of the `count` terms: dy itself.

    >>> add_backward([1.0], 2)
    (array([1.]), array([1.]))
    """
    return (as_float("dy", dy),) * term_count(count)


def term_count(count: int) -> int:
    """`count` checked: a TypeError or ValueError unless it is an integer from 1 to 2**20, as no network has more terms."""
    return as_integer("count", count, 1, 2**20)


def multiply(*xs: npt.ArrayLike, out: Array | None = None) -> Array:
    """``y = xs[0] * xs[1] * ...``, elementwise, from left to right, of two arrays or more.

    Source: ``keras.layers.Multiply``.

    Raises:
        ValueError: fewer than two arrays, or unequal shapes.

    >>> multiply([1.0, 2.0], [10.0, 20.0])
    array([10., 40.])
    """
    first, *others = several(xs)
    total = first
    for x in others:
        total = total * x
    return deliver(total, out)


def multiply_backward(xs: Sequence[npt.ArrayLike], dy: npt.ArrayLike) -> tuple[Array, ...]:
    """The gradient of each factor: ``dy`` times the other factors, from left to right.

    >>> multiply_backward([[2.0], [3.0]], [10.0])
    (array([30.]), array([20.]))
    """
    *factors, dy = several(xs, dy=dy)
    gradients = []
    for i in range(len(factors)):
        gradient = dy
        for x in factors[:i] + factors[i + 1 :]:
            gradient = gradient * x
        gradients.append(gradient)
    return tuple(gradients)


def average(*xs: npt.ArrayLike, out: Array | None = None) -> Array:
    """``y = (xs[0] + xs[1] + ...) / count``, of two arrays or more. Source: ``keras.layers.Average``.

    Raises:
        ValueError: fewer than two arrays, or unequal shapes.

    >>> average([1.0, 2.0], [3.0, 6.0])
    array([2., 4.])
    """
    return deliver(add(*xs) / len(xs), out)


def average_backward(dy: npt.ArrayLike, count: int) -> tuple[Array, ...]:
    """The gradient of each of the `count` terms: ``dy / count``, one array for all of them.

    >>> average_backward([1.0], 2)
    (array([0.5]), array([0.5]))
    """
    dy = as_float("dy", dy)
    return (dy / term_count(count),) * count


def concatenate(*xs: npt.ArrayLike, axis: int = -1, out: Array | None = None) -> Array:
    """The arrays one after the other along `axis`. Source: ``keras.layers.Concatenate``.

    Args:
        xs: two or more, ``[rows, features...]``, of shapes that are equal in the other axes.
        axis: the batch axis 0 counts, but rows are not joined: 1 .. rank, or from the last, -1.
        out: receives the result.

    Raises:
        ValueError: fewer than two arrays, shapes that do not fit, or an axis that is not one of a sample.

    >>> concatenate([[1.0], [2.0]], [[3.0, 4.0], [5.0, 6.0]])
    array([[1., 3., 4.],
           [2., 5., 6.]])
    """
    check_several(xs)
    arrays = as_floats(**{f"xs[{i}]": x for i, x in enumerate(xs)})
    first = arrays[0]
    check_axis(axis, first.ndim)
    for i, x in enumerate(arrays):
        if x.ndim != first.ndim or any(x.shape[j] != n for j, n in enumerate(first.shape) if j != axis % first.ndim):
            raise ValueError(f"xs[{i}]: expected the shape of xs[0], {first.shape}, but along axis {axis}, got {x.shape}")
    return deliver(np.concatenate(arrays, axis), out)


def concatenate_backward(dy: npt.ArrayLike, shapes: Sequence[Sequence[int]], axis: int = -1) -> tuple[Array, ...]:
    """The parts of ``dy`` that belong to the arrays of `shapes`, rows included, as views.

    Raises:
        ValueError: dy does not have the shape that `concatenate` gives arrays of these shapes.

    >>> concatenate_backward([[1.0, 2.0, 3.0]], [(1, 1), (1, 2)])
    (array([[1.]]), array([[2., 3.]]))
    """
    dy = as_float("dy", dy)
    check_axis(axis, dy.ndim)
    checked = [as_shape(f"shapes[{i}]", shape) for i, shape in enumerate(_listed(shapes))]
    rest = dy.shape[:axis] + dy.shape[axis % dy.ndim + 1 :]
    fits = all(len(s) == dy.ndim and s[:axis] + s[axis % dy.ndim + 1 :] == rest for s in checked)
    if not checked or not fits or sum(shape[axis] for shape in checked) != dy.shape[axis]:
        raise ValueError(f"dy: expected the shape of {', '.join(map(str, checked))} joined along {axis}, got {dy.shape}")
    ends = np.cumsum([shape[axis] for shape in checked])
    return tuple(np.split(dy, ends[:-1], axis))


def _listed(shapes: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    if not isinstance(shapes, (list, tuple)):
        raise TypeError(f"shapes: expected a list or tuple of shapes, got {type(shapes).__name__}")
    return shapes


def check_axis(axis: int, rank: int) -> None:
    """Raise TypeError or ValueError unless `axis` is one of a sample, in arrays of `rank` axes with the batch axis."""
    as_integer("axis", axis)
    if not (1 <= axis < rank or -rank < axis <= -1):
        raise ValueError(f"axis: expected 1 to {rank - 1} or {1 - rank} to -1, got {axis}")
