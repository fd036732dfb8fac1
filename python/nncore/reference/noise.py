"""Noise while training, each forward beside its backward."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, deliver
from nncore.reference.random import Words, stream

__all__ = ["alpha_dropout", "alpha_dropout_backward", "gaussian_noise", "gaussian_noise_backward"]

_SELU_LOWEST = -1.7580993408473766  # -scale * alpha of selu


def gaussian_noise(x: npt.ArrayLike, stddev: float, *, seed: int, node: int, step: int, out: Array | None = None) -> Array:
    """``y = x + stddev * z`` with independent standard normal numbers z.

    Args:
        x: ``[rows, features...]``.
        stddev: not negative.
        seed, node, step: of the random numbers, as those of `dropout`; z is `normals` of the word there.
        out: receives the result.

    Raises:
        ValueError: a number out of its range, or x has no axis.

    Source: Keras ``GaussianNoise``.

    >>> gaussian_noise(np.zeros((1, 4)), 1.0, seed=0, node=1, step=0).round(3)
    array([[ 0.919,  1.437, -0.03 , -1.104]])
    """
    x = as_float("x", x)
    if not float(stddev) >= 0:
        raise ValueError(f"stddev: expected a number from 0, got {stddev}")
    noise = normals(_words(x, seed, node, step), x.dtype)
    return deliver(x + x.dtype.type(stddev) * noise, out)


def gaussian_noise_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    stddev: float,
    *,
    seed: int,
    node: int,
    step: int,
    out: Array | None = None,
) -> Array:
    """``dx = dy``.

    >>> gaussian_noise_backward([[1.0]], [[1.5]], [[2.0]], 1.0, seed=0, node=1, step=0)
    array([[2.]])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy.copy(), out)


def alpha_dropout(x: npt.ArrayLike, rate: float, *, seed: int, node: int, step: int, out: Array | None = None) -> Array:
    """``y = a x + b where kept, else a s + b``, with s = -1.758..., the lowest value of selu.

    ``a = 1 / sqrt((1 - rate) (1 + rate s^2))`` and ``b = -a rate s`` keep mean 0 and variance 1.

    Args:
        x: ``[rows, features...]``.
        rate: in [0, 1).
        seed, node, step: of the random numbers; the mask is that of `dropout`.
        out: receives the result.

    Raises:
        ValueError: a number out of its range, or x has no axis.

    Source: Klambauer et al. 2017, "Self-normalizing neural networks"; ``torch.nn.functional.alpha_dropout``.

    >>> alpha_dropout(np.ones((1, 4)), 0.5, seed=0, node=1, step=0).round(3)
    array([[-0.779, -0.779,  1.666,  1.666]])
    """
    x = as_float("x", x)
    a, b = _scale_and_shift(rate)
    kept = _kept(x, rate, seed, node, step)
    cast = x.dtype.type
    return deliver(np.where(kept, x * cast(a) + cast(b), cast(a * _SELU_LOWEST + b)), out)


def alpha_dropout_backward(
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
    """``dx = a dy where kept, else 0``.

    >>> alpha_dropout_backward(np.ones((1, 3)), np.ones((1, 3)), np.ones((1, 3)), 0.5, seed=0, node=1, step=0).round(3)
    array([[0.   , 0.   , 0.886]])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    a, _ = _scale_and_shift(rate)
    return deliver(np.where(_kept(dy, rate, seed, node, step), dy * dy.dtype.type(a), 0), out)


def normals(words: Words, dtype: np.dtype[np.generic]) -> Array:
    """A standard normal number for each 32-bit word.

    The highest bit is the sign; the others m place the number by the inverse of the normal distribution function: as many
    numbers lie farther out as (m + 1/2) / 2^32 says.

    Source: Wichura 1988, "Algorithm AS 241: the percentage points of the normal distribution" (PPND16).
    """
    cast = dtype.type
    rest = ((words & np.uint32(0x7FFFFFFF)).astype(dtype) + cast(0.5)) * cast(2.0**-32)
    h = np.where(words >> np.uint32(31), cast(-1), cast(1)) * (cast(0.5) - rest)
    centre = h * _ratio(cast(0.180625) - h * h, _CENTRE, _CENTRE_BELOW)
    tail = _ratio(np.sqrt(-np.log(rest)) - cast(1.6), _TAIL, _TAIL_BELOW)
    return np.asarray(np.where(np.abs(h) <= cast(0.425), centre, np.copysign(tail, h)), dtype)


def _ratio(x: Array, above: Sequence[float], below: Sequence[float]) -> Array:
    """The ratio of two polynomials, coefficients from the constant up."""
    cast = x.dtype.type
    a, b = cast(above[-1]), cast(below[-1])
    for p, q in zip(above[-2::-1], below[-2::-1], strict=True):
        a, b = a * x + cast(p), b * x + cast(q)
    return np.asarray(a / b)


_CENTRE = (
    3.3871328727963666080e0,
    1.3314166789178437745e2,
    1.9715909503065514427e3,
    1.3731693765509461125e4,
    4.5921953931549871457e4,
    6.7265770927008700853e4,
    3.3430575583588128105e4,
    2.5090809287301226727e3,
)
_CENTRE_BELOW = (
    1.0,
    4.2313330701600911252e1,
    6.8718700749205790830e2,
    5.3941960214247511077e3,
    2.1213794301586595867e4,
    3.9307895800092710610e4,
    2.8729085735721942674e4,
    5.2264952788528545610e3,
)
_TAIL = (
    1.42343711074968357734e0,
    4.63033784615654529590e0,
    5.76949722146069140550e0,
    3.64784832476320460504e0,
    1.27045825245236838258e0,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
)
_TAIL_BELOW = (
    1.0,
    2.05319162663775882187e0,
    1.67638483018380384940e0,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
)


def _scale_and_shift(rate: float) -> tuple[float, float]:
    if not 0 <= float(rate) < 1:
        raise ValueError(f"rate: expected a number in [0, 1), got {rate}")
    a = 1 / math.sqrt((1 - rate) * (1 + rate * _SELU_LOWEST**2))
    return a, -a * rate * _SELU_LOWEST


def _words(x: Array, seed: int, node: int, step: int) -> Words:
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    return stream(x.shape[0], math.prod(x.shape[1:]), seed=seed, node=node, step=step).reshape(x.shape)


def _kept(x: Array, rate: float, seed: int, node: int, step: int) -> npt.NDArray[np.bool_]:
    return np.asarray(_words(x, seed, node, step) >= math.floor(rate * 2**32))
