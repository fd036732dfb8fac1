"""Ops that make one array of several, each forward beside its backward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, as_floats, deliver

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
    if len(xs) < 2:
        raise ValueError(f"xs: expected at least two arrays, got {len(xs)}")
    return alike(**{f"xs[{i}]": x for i, x in enumerate(xs)}, **more)


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
    return (as_float("dy", dy),) * count


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
    return (dy / count,) * count


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
    if len(xs) < 2:
        raise ValueError(f"xs: expected at least two arrays, got {len(xs)}")
    arrays = as_floats(**{f"xs[{i}]": x for i, x in enumerate(xs)})
    check_axis(axis, arrays[0].ndim)
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
    ends = np.cumsum([shape[axis] for shape in shapes])
    parts = np.split(dy, ends[:-1], axis)
    if ends[-1] != dy.shape[axis] or any(part.shape != tuple(shape) for part, shape in zip(parts, shapes, strict=True)):
        raise ValueError(f"dy: expected the shape of {', '.join(map(str, shapes))} joined along {axis}, got {dy.shape}")
    return tuple(parts)


def check_axis(axis: int, rank: int) -> None:
    """Raise ValueError unless `axis` is one of a sample, in arrays of `rank` axes with the batch axis."""
    if not (1 <= axis < rank or -rank < axis <= -1):
        raise ValueError(f"axis: expected 1 to {rank - 1} or {1 - rank} to -1, got {axis}")
