"""The matrix product and the dense layer, each forward beside its backward."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nncore.reference.activations import ACTIVATIONS
from nncore.reference.arrays import Array, as_floats, deliver, sum_over

__all__ = ["dense", "dense_backward", "matmul", "matmul_backward"]

_LONG, _PART = 2**16, 2**14  # rows of a sum that is cut into parts, and of a part


def matmul(a: npt.ArrayLike, b: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = a b``, that is ``y[m, n] = sum_k a[m, k] * b[k, n]``.

    Args:
        a: ``[M, K]``.
        b: ``[K, N]``.
        out: ``[M, N]``, of any strides; receives the result.

    Returns:
        ``[M, N]``.

    Raises:
        TypeError: an array of another dtype than real numbers.
        ValueError: shapes that do not fit.

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]])
    array([[11.]])
    """
    a, b = as_floats(a=a, b=b)
    check_shape("a", a, (None, None))
    check_shape("b", b, (a.shape[1], None))
    return deliver(a @ b, out, any_strides=True)


def matmul_backward(a: npt.ArrayLike, b: npt.ArrayLike, dy: npt.ArrayLike) -> tuple[Array, Array]:
    """``da = dy b^T`` and ``db = a^T dy``.

    Derivation: a[m, k] enters y[m, n] with factor b[k, n] for every n, so da[m, k] = sum_n dy[m, n] * b[k, n]; and
    b[k, n] enters y[m, n] with factor a[m, k] for every m, so db[k, n] = sum_m a[m, k] * dy[m, n].

    Args:
        a: ``[M, K]``.
        b: ``[K, N]``.
        dy: ``[M, N]``.

    Returns:
        da ``[M, K]`` and db ``[K, N]``.

    >>> matmul_backward([[1.0, 2.0]], [[3.0], [4.0]], [[1.0]])
    (array([[3., 4.]]), array([[1.],
           [2.]]))
    """
    a, b, dy = as_floats(a=a, b=b, dy=dy)
    check_shape("a", a, (None, None))
    check_shape("b", b, (a.shape[1], None))
    check_shape("dy", dy, (a.shape[0], b.shape[1]))
    return dy @ b.T, sum_of_products(a, dy)


def sum_of_products(a: Array, dy: Array, product: Callable[[Array, Array], Array] = np.matmul) -> Array:
    """``a^T dy``. Over very many rows parts of it are added up in float64: one chain in float32 would lose digits."""
    if a.dtype == np.float64 or len(a) <= _LONG:
        return product(a.T, dy)
    total = np.zeros((a.shape[1], dy.shape[1]))
    for i in range(0, len(a), _PART):
        total += product(a[i : i + _PART].T, dy[i : i + _PART])
    return total.astype(a.dtype)


def dense(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    b: npt.ArrayLike | None = None,
    activation: str = "identity",
    *,
    out: Array | None = None,
) -> Array:
    """``y = activation(x w + b)`` for each vector along the last axis of x.

    Args:
        x: ``[rows, ..., K]``.
        w: ``[K, N]``.
        b: ``[N]``, or None.
        activation: the name of an activation, which then has its default attributes.
        out: receives the result.

    Returns:
        ``[rows, ..., N]``, or what the activation makes of that shape.

    Raises:
        TypeError: an array of another dtype than real numbers.
        ValueError: shapes that do not fit, or an unknown activation.

    >>> dense([[1.0, 2.0]], [[1.0, -1.0], [1.0, -1.0]], [0.5, 0.5], "relu")
    array([[3.5, 0. ]])
    """
    forward, _ = _activation(activation)
    x, w, bias = _dense_arrays(x, w, b)
    return deliver(forward(x @ w + bias), out)


def dense_backward(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    b: npt.ArrayLike | None,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    activation: str = "identity",
) -> tuple[Array, Array, Array | None]:
    """The gradients of `dense`, by the chain rule from the outside in.

    With z = x w + b and y = activation(z)::

        dz = activation_backward(z, y, dy)
        dx = dz w^T,  dw = x^T dz       (the matrix product's backward)
        db = sum over rows of dz        (b enters every row with factor 1)

    where each vector along the last axis of x is a row.

    Args:
        x: ``[rows, ..., K]``, as given to `dense`.
        w: ``[K, N]``, as given to `dense`.
        b: ``[N]`` or None, as given to `dense`.
        y: the result of `dense`.
        dy: the gradient of y.
        activation: as given to `dense`.

    Returns:
        dx ``[rows, ..., K]``, dw ``[K, N]``, and db ``[N]`` or None.

    >>> dense_backward([[1.0, 2.0]], [[3.0], [4.0]], [0.5], [[11.5]], [[1.0]])
    (array([[3., 4.]]), array([[1.],
           [2.]]), array([1.]))
    """
    _, backward = _activation(activation)
    x, w, bias = _dense_arrays(x, w, b)
    dz = backward(x @ w + bias, y, dy)
    rows = dz.reshape(-1, w.shape[1])
    dx, dw = matmul_backward(x.reshape(-1, w.shape[0]), w, rows)
    return dx.reshape(x.shape), dw, None if b is None else sum_over(rows, 0)


def _activation(name: str) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """Forward and backward of the activation called `name`."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(map(repr, ACTIVATIONS))}, got {name!r}")
    return ACTIVATIONS[name]


def _dense_arrays(x: npt.ArrayLike, w: npt.ArrayLike, b: npt.ArrayLike | None) -> tuple[Array, Array, Array]:
    """x, w and b checked, in one dtype; no bias is a bias of zeros."""
    x, w = as_floats(x=x, w=w)
    check_shape("x", x, (None,) * max(2, x.ndim))
    check_shape("w", w, (x.shape[-1], None))
    if b is None:
        return x, w, np.zeros(w.shape[1], x.dtype)
    x, w, b = as_floats(x=x, w=w, b=b)
    check_shape("b", b, (w.shape[1],))
    return x, w, b


def check_shape(name: str, array: Array, expected: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `array` has the shape `expected`, where None allows any length."""
    fits = len(expected) == array.ndim and all(e in (None, n) for e, n in zip(expected, array.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if e is None else str(e) for e in expected)
        raise ValueError(f"{name}: expected shape [{wanted}], got {array.shape}")
