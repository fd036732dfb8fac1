"""The native ops of layers that are neither elementwise nor products: normalisation, noise, indices.

`nncore.ops` has them beside the others; the docstrings are those of the reference functions.
"""

# ruff: noqa: D103 - the docstrings are set below

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore import _core, reference
from nncore.optable import OPS
from nncore.reference.arrays import Array, alike, as_float, deliver
from nncore.reference.normalization import check_channels
from nncore.reference.random import check_stream

__all__ = [
    "alpha_dropout",
    "alpha_dropout_backward",
    "batch_norm",
    "batch_norm_backward",
    "embedding",
    "embedding_backward",
    "gaussian_noise",
    "gaussian_noise_backward",
    "layer_norm",
    "layer_norm_backward",
    "one_hot",
    "one_hot_backward",
    "reshape",
    "reshape_backward",
    "rms_norm",
    "rms_norm_backward",
]


def _channels(
    op: str, epsilon: float, x: npt.ArrayLike, **named: npt.ArrayLike | None
) -> tuple[Array, list[Array | None], float]:
    """X and the arrays by channel, contiguous and in one dtype, None for those not given; and the checked epsilon."""
    array, found = check_channels(x, **named)
    if array.shape[-1] == 0:
        raise ValueError(f"x: expected at least one channel, got shape {array.shape}")
    checked = OPS[op].attrs["epsilon"].check(repr(op), "epsilon", epsilon)
    others = [np.ascontiguousarray(found[name]) if name in found else None for name in named]
    return np.ascontiguousarray(array), others, float(checked)


def _gradients(x: Array, dy: npt.ArrayLike) -> tuple[Array, Array, Array, Array]:
    """Dy as x is, and room for the gradients of x, gamma and beta."""
    dy = np.ascontiguousarray(as_float("dy", dy), x.dtype)
    if dy.shape != x.shape:
        raise ValueError(f"dy: expected the shape of y, {x.shape}, got {dy.shape}")
    return dy, np.empty_like(x), np.empty(x.shape[-1:], x.dtype), np.empty(x.shape[-1:], x.dtype)


def batch_norm(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None = None,
    beta: npt.ArrayLike | None = None,
    mean: npt.ArrayLike | None = None,
    variance: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
) -> Array:
    array, (scale, shift, m, v), checked = _channels(
        "batch_norm", epsilon, x, gamma=gamma, beta=beta, mean=mean, variance=_variance(mean, variance)
    )
    y = np.empty_like(array)
    _core.batch_norm_forward(array, y, scale, shift, m, v, checked)
    return y


def batch_norm_backward(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    mean: npt.ArrayLike | None = None,
    variance: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
) -> tuple[Array, Array | None, Array | None]:
    array, (scale, _, m, v), checked = _channels(
        "batch_norm", epsilon, x, gamma=gamma, beta=beta, mean=mean, variance=_variance(mean, variance)
    )
    dy, dx, dgamma, dbeta = _gradients(array, dy)
    _core.batch_norm_backward(array, dy, dx, dgamma, dbeta, scale, m, v, checked)
    return dx, None if gamma is None else dgamma, None if beta is None else dbeta


def _variance(mean: npt.ArrayLike | None, variance: npt.ArrayLike | None) -> npt.ArrayLike | None:
    if (mean is None) != (variance is None):
        raise ValueError("variance: expected mean and variance both or neither, got one of them")
    return variance


def layer_norm(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None = None,
    beta: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
) -> Array:
    array, (scale, shift), checked = _channels("layer_norm", epsilon, x, gamma=gamma, beta=beta)
    y = np.empty_like(array)
    _core.vector_norm_forward("layer_norm", array, y, scale, shift, checked)
    return y


def layer_norm_backward(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    *,
    epsilon: float = 1e-3,
) -> tuple[Array, Array | None, Array | None]:
    array, (scale, _), checked = _channels("layer_norm", epsilon, x, gamma=gamma, beta=beta)
    dy, dx, dgamma, dbeta = _gradients(array, dy)
    _core.vector_norm_backward("layer_norm", array, dy, dx, dgamma, dbeta, scale, checked)
    return dx, None if gamma is None else dgamma, None if beta is None else dbeta


def rms_norm(x: npt.ArrayLike, gamma: npt.ArrayLike | None = None, *, epsilon: float = 1e-6) -> Array:
    array, (scale,), checked = _channels("rms_norm", epsilon, x, gamma=gamma)
    y = np.empty_like(array)
    _core.vector_norm_forward("rms_norm", array, y, scale, None, checked)
    return y


def rms_norm_backward(
    x: npt.ArrayLike, gamma: npt.ArrayLike | None, y: npt.ArrayLike, dy: npt.ArrayLike, *, epsilon: float = 1e-6
) -> tuple[Array, Array | None]:
    array, (scale,), checked = _channels("rms_norm", epsilon, x, gamma=gamma)
    dy, dx, dgamma, dbeta = _gradients(array, dy)
    _core.vector_norm_backward("rms_norm", array, dy, dx, dgamma, dbeta, scale, checked)
    return dx, None if gamma is None else dgamma


def _random(name: str, x: Array, level: float, seed: int, node: int, step: int, out: Array | None, *more: bool) -> Array:
    """The kernel `name` on rows of x, with a random stream."""
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    (attr,) = OPS[name].attrs
    (checked,) = OPS[name].encode(OPS[name].fill({attr: level}))
    seed, node, step = check_stream(seed, node, step)
    x = np.ascontiguousarray(x)
    y = np.empty_like(x)
    if x.size:  # rows without elements may be more than anyone can count
        getattr(_core, name)(x, y, len(x), checked, seed, node, step % 2**32, *more)
    return deliver(y, out)


def gaussian_noise(x: npt.ArrayLike, stddev: float, *, seed: int, node: int, step: int, out: Array | None = None) -> Array:
    return _random("gaussian_noise", as_float("x", x), stddev, seed, node, step, out)


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
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy.copy(), out)


def alpha_dropout(x: npt.ArrayLike, rate: float, *, seed: int, node: int, step: int, out: Array | None = None) -> Array:
    return _random("alpha_dropout", as_float("x", x), rate, seed, node, step, out, False)


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
    x, y, dy = alike(x=x, y=y, dy=dy)
    return _random("alpha_dropout", dy, rate, seed, node, step, out, True)


# Nothing but copies, which NumPy makes as fast as memory is.
embedding, embedding_backward = reference.embedding, reference.embedding_backward
one_hot, one_hot_backward = reference.one_hot, reference.one_hot_backward
reshape, reshape_backward = reference.reshape, reference.reshape_backward

for _name in __all__:
    globals()[_name].__doc__ = getattr(reference, _name).__doc__
