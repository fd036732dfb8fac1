"""Normalisation over the batch and over the features, each forward beside its backward."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, as_floats, sum_over

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "rms_norm",
    "rms_norm_backward",
]


def batch_norm(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None = None,
    beta: npt.ArrayLike | None = None,
    mean: npt.ArrayLike | None = None,
    variance: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
) -> Array:
    """``y = (x - mean) / sqrt(variance + epsilon) * gamma + beta`` for each channel, the last axis.

    Args:
        x: ``[rows, ..., channels]``.
        gamma, beta: ``[channels]``; ones and zeros where not given.
        mean, variance: ``[channels]``, as in inference; where not given, those of x over all other axes, the variance with
            divisor n, as in training.
        epsilon: not negative.

    Raises:
        ValueError: x has fewer than two axes, an array is not ``[channels]``, or only one of mean and variance is given.

    Source: Ioffe and Szegedy 2015, "Batch normalization"; ``keras.ops.batch_normalization``.

    >>> batch_norm([[1.0, 0.0], [3.0, 4.0]], epsilon=0.0)
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    x, g, b, m, v = _checked(x, gamma, beta, mean, variance)
    return np.asarray((x - m) * _scale(g, v, epsilon) + b)


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
    """Gradients of x, gamma and beta; ``None`` for those that are.

    With ``xhat = (x - mean) / sqrt(variance + epsilon)`` and means over the batch::

        dgamma = sum(dy * xhat)    dbeta = sum(dy)
        dx = gamma / sqrt(variance + epsilon) * (dy - mean(dy) - xhat * mean(dy * xhat))

    With mean and variance given, they are constants: ``dx = gamma / sqrt(variance + epsilon) * dy``.

    >>> batch_norm_backward([[1.0], [3.0]], None, [0.5], [[-0.5], [1.5]], [[1.0], [0.0]], epsilon=0.0)
    (array([[0.],
           [0.]]), None, array([1.]))
    """
    given = mean is not None
    (dy,) = as_floats(dy=dy)
    x, g, _, m, v = _checked(x, gamma, beta, mean, variance)
    if dy.shape != x.shape:
        raise ValueError(f"dy: expected the shape of x, {x.shape}, got {dy.shape}")
    axes = tuple(range(x.ndim - 1))
    xhat = (x - m) * _scale(np.ones_like(g), v, epsilon)
    dgamma, dbeta = sum_over(dy * xhat, axes), sum_over(dy, axes)
    n = max(x.size // x.shape[-1], 1)
    centred = dy if given else dy - dbeta / x.dtype.type(n) - xhat * (dgamma / x.dtype.type(n))
    dx = _scale(g, v, epsilon) * centred
    return dx, None if gamma is None else dgamma, None if beta is None else dbeta


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance (divisor n) of each channel of x ``[rows, ..., channels]``."""
    axes = tuple(range(x.ndim - 1))
    if x.size == 0:
        return np.zeros(x.shape[-1], x.dtype), np.zeros(x.shape[-1], x.dtype)
    n = x.dtype.type(x.size // x.shape[-1])
    mean = sum_over(x, axes) / n
    return mean, sum_over(np.square(x - mean), axes) / n


def _scale(gamma: Array, variance: Array, epsilon: float) -> Array:
    one = variance.dtype.type(1)
    return np.asarray(gamma * (one / np.sqrt(variance + variance.dtype.type(epsilon))))


def _checked(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    mean: npt.ArrayLike | None,
    variance: npt.ArrayLike | None,
) -> tuple[Array, Array, Array, Array, Array]:
    """X and the four channel arrays in one dtype, those that are not given filled in."""
    array, found = check_channels(x, gamma=gamma, beta=beta, mean=mean, variance=variance)
    if (mean is None) != (variance is None):
        raise ValueError("variance: expected mean and variance both or neither, got one of them")
    if mean is None:
        found["mean"], found["variance"] = batch_statistics(array)
    ones, zeros = np.ones(array.shape[-1], array.dtype), np.zeros(array.shape[-1], array.dtype)
    return array, found.get("gamma", ones), found.get("beta", zeros), found["mean"], found["variance"]


def check_channels(x: npt.ArrayLike, **named: npt.ArrayLike | None) -> tuple[Array, dict[str, Array]]:
    """X ``[rows, ..., channels]`` and those of the arrays ``[channels]`` that are given, all in one dtype."""
    given = {name: value for name, value in named.items() if value is not None}
    array, *others = map(np.ascontiguousarray, as_floats(x=x, **given))
    if array.ndim < 2:
        raise ValueError(f"x: expected at least the axes of rows and channels, got shape {array.shape}")
    found = dict(zip(given, others, strict=True))
    for name, other in found.items():
        if other.shape != array.shape[-1:]:
            raise ValueError(f"{name}: expected shape {array.shape[-1:]}, got {other.shape}")
    return array, found


def layer_norm(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None = None,
    beta: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
) -> Array:
    """``y = (x - mean) / sqrt(variance + epsilon) * gamma + beta`` with the moments of each vector on the last axis.

    Args:
        x: ``[rows, ..., features]``.
        gamma, beta: ``[features]``; ones and zeros where not given.
        epsilon: not negative.

    Raises:
        ValueError: x has fewer than two axes, or an array is not ``[features]``.

    Source: Ba, Kiros and Hinton 2016, "Layer normalization"; ``torch.nn.functional.layer_norm``.

    >>> layer_norm([[1.0, 3.0]], epsilon=0.0)
    array([[-1.,  1.]])
    """
    array, found = check_channels(x, gamma=gamma, beta=beta)
    xhat, _ = _standardized(array, epsilon, centred=True)
    return np.asarray(xhat * found.get("gamma", array.dtype.type(1)) + found.get("beta", array.dtype.type(0)))


def layer_norm_backward(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    *,
    epsilon: float = 1e-3,
) -> tuple[Array, Array | None, Array | None]:
    """Gradients of x, gamma and beta; ``None`` for those that are.

    With ``g = dy * gamma`` and means over the features::

        dgamma = sum(dy * xhat)    dbeta = sum(dy)
        dx = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(variance + epsilon)

    >>> dx, _, _ = layer_norm_backward([[1.0, 3.0]], None, None, [[-1.0, 1.0]], [[1.0, 0.0]], epsilon=0.0)
    >>> dx
    array([[0., 0.]])
    """
    return _vector_norm_backward(x, gamma, beta, dy, epsilon, centred=True)


def rms_norm(x: npt.ArrayLike, gamma: npt.ArrayLike | None = None, *, epsilon: float = 1e-6) -> Array:
    """``y = x / sqrt(mean(x^2) + epsilon) * gamma`` for each vector on the last axis.

    Args:
        x: ``[rows, ..., features]``.
        gamma: ``[features]``; ones where not given.
        epsilon: not negative.

    Raises:
        ValueError: x has fewer than two axes, or gamma is not ``[features]``.

    Source: Zhang and Sennrich 2019, "Root mean square layer normalization"; ``torch.nn.functional.rms_norm``.

    >>> rms_norm([[1.0, 7.0]], epsilon=0.0)
    array([[0.2, 1.4]])
    """
    array, found = check_channels(x, gamma=gamma)
    xhat, _ = _standardized(array, epsilon, centred=False)
    return np.asarray(xhat * found.get("gamma", array.dtype.type(1)))


def rms_norm_backward(
    x: npt.ArrayLike, gamma: npt.ArrayLike | None, y: npt.ArrayLike, dy: npt.ArrayLike, *, epsilon: float = 1e-6
) -> tuple[Array, Array | None]:
    """Gradients of x and gamma; ``None`` where that is: as those of `layer_norm`, without the mean.

    >>> rms_norm_backward([[1.0, 7.0]], None, [[0.2, 1.4]], [[1.0, 7.0]], epsilon=0.0)[0].round(6) + 0.0
    array([[0., 0.]])
    """
    dx, dgamma, _ = _vector_norm_backward(x, gamma, None, dy, epsilon, centred=False)
    return dx, dgamma


def _standardized(x: Array, epsilon: float, centred: bool) -> tuple[Array, Array]:
    """Each vector less its mean, if `centred`, over its deviation; and 1 over the deviation."""
    mean = x.mean(-1, keepdims=True) if centred else x.dtype.type(0)
    inverse = x.dtype.type(1) / np.sqrt(np.square(x - mean).mean(-1, keepdims=True) + x.dtype.type(epsilon))
    return (x - mean) * inverse, inverse


def _vector_norm_backward(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    dy: npt.ArrayLike,
    epsilon: float,
    centred: bool,
) -> tuple[Array, Array | None, Array | None]:
    array, found = check_channels(x, gamma=gamma, beta=beta)
    (dy,) = as_floats(dy=dy)
    if dy.shape != array.shape:
        raise ValueError(f"dy: expected the shape of x, {array.shape}, got {dy.shape}")
    axes = tuple(range(array.ndim - 1))
    xhat, inverse = _standardized(array, epsilon, centred)
    g = dy * found.get("gamma", array.dtype.type(1))
    mean = g.mean(-1, keepdims=True) if centred else array.dtype.type(0)
    dx = inverse * (g - mean - xhat * (g * xhat).mean(-1, keepdims=True))
    return dx, None if gamma is None else sum_over(dy * xhat, axes), None if beta is None else sum_over(dy, axes)
