"""Functions along an axis, each forward beside its backward; see `nncore.reference.activations`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, deliver

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]


def softmax(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y[i] = exp(x[i]) / sum_j exp(x[j])``, over the last axis.

    The row's maximum is subtracted first: it cancels, and keeps exp from overflowing.

    Args:
        x: ``[..., classes]``.
        out: receives the result.

    Raises:
        ValueError: x has no axis.

    >>> softmax([[1000.0, 1000.0], [0.0, -1000.0]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    e = np.exp(_below_maximum(as_float("x", x)))
    return deliver(e / e.sum(axis=-1, keepdims=True), out)


def softmax_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = y * (dy - sum_j dy[j] * y[j])``, over the last axis.

    Derivation: dy[j]/dx[i] = y[j] * ((i == j) - y[i]); multiply by the gradient of y[j] and sum over j.

    >>> softmax_backward([[0.0, 0.0]], [[0.5, 0.5]], [[4.0, 0.0]])
    array([[ 1., -1.]])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    _check_axis(x)
    return deliver(y * (dy - (dy * y).sum(axis=-1, keepdims=True)), out)


def log_softmax(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y[i] = x[i] - log(sum_j exp(x[j]))``, over the last axis: the logarithm of `softmax`, without its underflow.

    >>> log_softmax([[0.0, -1000.0]])
    array([[    0., -1000.]])
    """
    shifted = _below_maximum(as_float("x", x))
    return deliver(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), out)


def log_softmax_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy - exp(y) * sum_j dy[j]``, over the last axis.

    >>> log_softmax_backward([[0.0, 0.0]], np.log([[0.5, 0.5]]), [[2.0, 0.0]])
    array([[ 1., -1.]])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    _check_axis(x)
    return deliver(dy - np.exp(y) * dy.sum(axis=-1, keepdims=True), out)


def _check_axis(x: Array) -> None:
    if x.ndim == 0:
        raise ValueError("x: expected at least one axis, got a scalar")


def _below_maximum(x: Array) -> Array:
    """`x` minus its maximum over the last axis, which may be empty."""
    _check_axis(x)
    return np.asarray(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
