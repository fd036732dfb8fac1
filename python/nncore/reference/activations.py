"""Activations, each forward beside its backward.

An activation maps an array x to an array y of the same shape. Every backward has one signature,
``NAME_backward(x, y, dy, <attributes>) -> dx``: from the input x, the output y and the gradient dy = dL/dy it gives
dx = dL/dx. For an elementwise y = f(x) the chain rule is just ``dx = dy * f'(x)``. For softmax and log-softmax, where each
y depends on its whole row, it is a sum: ``dx[i] = sum_j dL/dy[j] * dy[j]/dx[i]``.

All functions take and give float32 or float64 (see `nncore.reference.arrays`); `out` receives the result if given.
Other dtypes are a TypeError, unequal shapes of x, y and dy a ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, deliver

__all__ = [
    "ACTIVATIONS",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "identity",
    "identity_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "log_softmax",
    "log_softmax_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
]

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def identity(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = x``, as a new array.

    >>> identity([1.0, -2.0])
    array([ 1., -2.])
    """
    return deliver(as_float("x", x).copy(), out)


def identity_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy``.

    >>> identity_backward([1.0], [1.0], [3.0])
    array([3.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy.copy(), out)


def relu(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = max(x, 0)``. Source: Nair and Hinton 2010; ``torch.nn.functional.relu``.

    >>> relu([-1.0, 0.0, 2.0])
    array([0., 0., 2.])
    """
    return deliver(np.maximum(as_float("x", x), 0), out)


def relu_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy where x > 0, else 0``. At the kink, x = 0, the slope is taken as 0, as in PyTorch.

    >>> relu_backward([-1.0, 0.0, 2.0], [0.0, 0.0, 2.0], [5.0, 5.0, 5.0])
    array([0., 0., 5.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where(x <= 0, 0, dy), out)


def leaky_relu(x: npt.ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """``y = x where x > 0, else negative_slope * x``. Source: Maas et al. 2013; ``torch.nn.functional.leaky_relu``.

    >>> leaky_relu([-1.0, 2.0], 0.1)
    array([-0.1,  2. ])
    """
    x = as_float("x", x)
    return deliver(np.where(x > 0, x, float(negative_slope) * x), out)


def leaky_relu_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None
) -> Array:
    """``dx = dy where x > 0, else negative_slope * dy``.

    >>> leaky_relu_backward([-1.0, 2.0], [-0.1, 2.0], [1.0, 1.0], 0.1)
    array([0.1, 1. ])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where(x > 0, dy, float(negative_slope) * dy), out)


def elu(x: npt.ArrayLike, alpha: float = 1.0, *, out: Array | None = None) -> Array:
    """``y = x where x > 0, else alpha * (exp(x) - 1)``. Source: Clevert et al. 2016, arXiv:1511.07289.

    >>> elu([-np.inf, 0.0, 2.0])
    array([-1.,  0.,  2.])
    """
    x = as_float("x", x)
    return deliver(np.where(x > 0, x, float(alpha) * np.expm1(np.minimum(x, 0))), out)


def elu_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, alpha: float = 1.0, *, out: Array | None = None
) -> Array:
    """``dx = dy where x > 0, else dy * alpha * exp(x)``; alpha * exp(x) is also y + alpha.

    >>> elu_backward([-np.inf, 0.0, 2.0], [-1.0, 0.0, 2.0], [5.0, 5.0, 5.0])
    array([0., 5., 5.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where(x > 0, dy, dy * (float(alpha) * np.exp(np.minimum(x, 0)))), out)


def sigmoid(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = 1 / (1 + exp(-x))``.

    For x < 0 it is written exp(x) / (1 + exp(x)), which is the same number but cannot overflow.

    >>> sigmoid([-1000.0, 0.0, 1000.0])
    array([0. , 0.5, 1. ])
    """
    x = as_float("x", x)
    e = np.exp(-np.abs(x))
    return deliver(np.where(x >= 0, 1 / (1 + e), e / (1 + e)), out)


def sigmoid_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy * y * (1 - y)``.

    >>> sigmoid_backward([0.0], [0.5], [4.0])
    array([1.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy * y * (1 - y), out)


def tanh(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """The hyperbolic tangent, ``y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))``.

    >>> tanh([-1000.0, 0.0])
    array([-1.,  0.])
    """
    return deliver(np.tanh(as_float("x", x)), out)


def tanh_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy * (1 - y^2)``.

    >>> tanh_backward([0.0], [0.0], [3.0])
    array([3.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy * (1 - y * y), out)


def gelu(x: npt.ArrayLike, approximate: str = "none", *, out: Array | None = None) -> Array:
    """``y = x * Phi(x)``, with Phi the normal distribution function. Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.

    Args:
        x: any shape.
        approximate: ``"none"``: Phi(x) = (1 + erf(x / sqrt(2))) / 2, written erfc(-x / sqrt(2)) / 2, which keeps its
            accuracy for x far below 0; ``"tanh"``: (1 + tanh(u)) / 2 with u = sqrt(2 / pi) * (x + 0.044715 x^3), written
            sigmoid(2 u) for the same reason.
        out: receives the result.

    Raises:
        ValueError: another word for `approximate`.

    >>> gelu([-100.0, 0.0, 100.0])
    array([ -0.,   0., 100.])
    """
    x = as_float("x", x)
    return deliver(x * _phi(x, approximate)[0], out)


def gelu_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, approximate: str = "none", *, out: Array | None = None
) -> Array:
    """``dx = dy * (Phi(x) + x * Phi'(x))``, with Phi as in `gelu`.

    >>> gelu_backward([0.0, 100.0], [0.0, 100.0], [2.0, 2.0])
    array([1., 2.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    value, slope = _phi(x, approximate)
    return deliver(dy * (value + x * slope), out)


def _phi(x: Array, approximate: str) -> tuple[Array, Array]:
    """Phi(x) and Phi'(x), in the shape and dtype of x."""
    x = np.clip(x, -100, 100)  # Phi is 0 or 1 long before; so no power of x overflows
    if approximate == "none":
        return np.asarray(_erfc(x / -math.sqrt(2)) / 2, x.dtype), np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    if approximate == "tanh":
        c = math.sqrt(2 / math.pi)
        s = sigmoid(2 * c * (x + 0.044715 * x**3))
        return s, s * (1 - s) * (2 * c * (1 + 3 * 0.044715 * x**2))
    raise ValueError(f"approximate: expected 'none' or 'tanh', got {approximate!r}")


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


ACTIVATIONS: Mapping[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "identity": (identity, identity_backward),
    "relu": (relu, relu_backward),
    "leaky_relu": (leaky_relu, leaky_relu_backward),
    "elu": (elu, elu_backward),
    "gelu": (gelu, gelu_backward),
    "sigmoid": (sigmoid, sigmoid_backward),
    "tanh": (tanh, tanh_backward),
    "softmax": (softmax, softmax_backward),
    "log_softmax": (log_softmax, log_softmax_backward),
}
"""Forward and backward of each activation, by name."""
