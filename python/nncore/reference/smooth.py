"""Activations made of exponentials, each forward beside its backward; see `nncore.reference.activations`.

Each holds for every x: none overflows, and an infinity gives the limit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, deliver

__all__ = [
    "celu",
    "celu_backward",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "log_sigmoid",
    "log_sigmoid_backward",
    "mish",
    "mish_backward",
    "selu",
    "selu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softplus",
    "softplus_backward",
    "tanh",
    "tanh_backward",
]

_erfc = np.vectorize(math.erfc, otypes=[np.float64])

_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717


def _lift(x: Array) -> Array:
    """`x` with -infinity raised to the lowest number, whose product with 0 is 0."""
    return np.asarray(np.maximum(x, np.finfo(x.dtype).min))


def _finite(x: Array) -> Array:
    """`x` with both infinities replaced by numbers."""
    return np.asarray(np.clip(x, np.finfo(x.dtype).min, np.finfo(x.dtype).max))


def _log1p_exp(x: Array) -> Array:
    """log(1 + exp(x)), where exp does not overflow."""
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a positive number, got {value}")


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


def selu(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = scale * (x where x > 0, else alpha * (exp(x) - 1))``, scale = 1.05070098735548, alpha = 1.67326324235438.

    With these two numbers a layer whose inputs have mean 0 and variance 1 passes on about the same mean and variance.

    Source: Klambauer et al. 2017, arXiv:1706.02515; ``torch.nn.functional.selu``.

    >>> selu([-np.inf, 0.0, 1.0])
    array([-1.75809934,  0.        ,  1.05070099])
    """
    x = as_float("x", x)
    return deliver(_SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0))), out)


def selu_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy * scale where x > 0, else dy * scale * alpha * exp(x)``.

    >>> selu_backward([-np.inf, 1.0], [-1.7580993408473768, 1.051], [2.0, 2.0])
    array([0.        , 2.10140197])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy * _SELU_SCALE * np.where(x > 0, 1, _SELU_ALPHA * np.exp(np.minimum(x, 0))), out)


def celu(x: npt.ArrayLike, alpha: float = 1.0, *, out: Array | None = None) -> Array:
    """``y = x where x > 0, else alpha * (exp(x / alpha) - 1)``; its slope has no jump at 0, whatever alpha > 0 is.

    Raises:
        ValueError: alpha is not positive, or infinite.

    Source: Barron 2017, arXiv:1704.07483; ``torch.nn.functional.celu``.

    >>> celu([-np.inf, 0.0, 2.0], 0.5)
    array([-0.5,  0. ,  2. ])
    """
    _check_positive("alpha", alpha)
    x = as_float("x", x)
    return deliver(np.where(x < 0, float(alpha) * np.expm1(np.minimum(x, 0) / float(alpha)), x), out)


def celu_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, alpha: float = 1.0, *, out: Array | None = None
) -> Array:
    """``dx = dy where x > 0, else dy * exp(x / alpha)``; exp(x / alpha) is also y / alpha + 1.

    >>> celu_backward([-np.inf, 2.0], [-1.0, 2.0], [5.0, 5.0])
    array([0., 5.])
    """
    _check_positive("alpha", alpha)
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where(x < 0, dy * np.exp(np.minimum(x, 0) / float(alpha)), dy), out)


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

    >>> gelu([-np.inf, 0.0, 100.0])
    array([ -0.,   0., 100.])
    """
    x = as_float("x", x)
    return deliver(_lift(x) * _phi(x, approximate)[0], out)


def gelu_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, approximate: str = "none", *, out: Array | None = None
) -> Array:
    """``dx = dy * (Phi(x) + x * Phi'(x))``, with Phi as in `gelu`.

    >>> gelu_backward([0.0, 100.0], [0.0, 100.0], [2.0, 2.0])
    array([1., 2.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    value, slope = _phi(x, approximate)
    return deliver(dy * (value + _finite(x) * slope), out)


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


def silu(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = x * sigmoid(x)``, also called swish.

    Source: Elfwing et al. 2017, arXiv:1702.03118; ``torch.nn.functional.silu``.

    >>> silu([-np.inf, 0.0, 100.0])
    array([ -0.,   0., 100.])
    """
    x = as_float("x", x)
    return deliver(_lift(x) * sigmoid(x), out)


def silu_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy * s * (1 + x * (1 - s))`` with s = sigmoid(x), and 1 - s = sigmoid(-x).

    >>> silu_backward([-np.inf, 0.0, 100.0], [-0.0, 0.0, 100.0], [2.0, 2.0, 2.0])
    array([-0.,  1.,  2.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy * (sigmoid(x) * (1 + _finite(x) * sigmoid(-x))), out)


def mish(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = x * tanh(log(1 + exp(x)))``. Source: Misra 2020, arXiv:1908.08681; ``torch.nn.functional.mish``.

    >>> mish([-np.inf, 0.0, 100.0])
    array([ -0.,   0., 100.])
    """
    x = as_float("x", x)
    return deliver(_lift(x) * np.tanh(_log1p_exp(x)), out)


def mish_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy * (t + x * (1 - t^2) * sigmoid(x))`` with t = tanh(log(1 + exp(x))).

    >>> mish_backward([-np.inf, 0.0, 100.0], [-0.0, 0.0, 100.0], [5.0, 5.0, 5.0])
    array([0., 3., 5.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    t = np.tanh(_log1p_exp(x))
    return deliver(dy * (t + _finite(x) * ((1 - t * t) * sigmoid(x))), out)


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


def log_sigmoid(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = log(1 / (1 + exp(-x)))``, the logarithm of `sigmoid`, without its underflow.

    Source: ``torch.nn.functional.logsigmoid``.

    >>> log_sigmoid([-np.inf, 0.0])
    array([       -inf, -0.69314718])
    """
    return deliver(-_log1p_exp(-as_float("x", x)), out)


def log_sigmoid_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy * sigmoid(-x)``, which is also dy * (1 - exp(y)).

    >>> log_sigmoid_backward([0.0], np.log([0.5]), [4.0])
    array([2.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy * sigmoid(-x), out)


def softplus(x: npt.ArrayLike, beta: float = 1.0, threshold: float = 20.0, *, out: Array | None = None) -> Array:
    """``y = log(1 + exp(beta * x)) / beta``, or x where beta * x > threshold.

    Raises:
        ValueError: beta is not positive, or infinite.

    Source: Dugas et al. 2001; ``torch.nn.functional.softplus``.

    >>> softplus([-np.inf, 0.0, 100.0])
    array([  0.        ,   0.69314718, 100.        ])
    """
    _check_positive("beta", beta)
    x = as_float("x", x)
    u = x * float(beta)
    return deliver(np.where(u > float(threshold), x, _log1p_exp(u) / float(beta)), out)


def softplus_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    beta: float = 1.0,
    threshold: float = 20.0,
    *,
    out: Array | None = None,
) -> Array:
    """``dx = dy * sigmoid(beta * x)``, or dy where beta * x > threshold.

    >>> softplus_backward([0.0, 100.0], [0.693, 100.0], [4.0, 4.0])
    array([2., 4.])
    """
    _check_positive("beta", beta)
    x, y, dy = alike(x=x, y=y, dy=dy)
    u = x * float(beta)
    return deliver(np.where(u > float(threshold), dy, dy * sigmoid(u)), out)


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
