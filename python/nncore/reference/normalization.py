"""Normalisation over the batch and over the features, each forward beside its backward."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, as_floats

__all__ = ["batch_norm", "batch_norm_backward", "batch_statistics", "check_channels"]


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
    dgamma, dbeta = (dy * xhat).sum(axes), dy.sum(axes)
    n = max(x.size // x.shape[-1], 1)
    centred = dy if given else dy - dbeta / x.dtype.type(n) - xhat * (dgamma / x.dtype.type(n))
    dx = _scale(g, v, epsilon) * centred
    return dx, None if gamma is None else dgamma, None if beta is None else dbeta


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance (divisor n) of each channel of x ``[rows, ..., channels]``."""
    axes = tuple(range(x.ndim - 1))
    if x.size == 0:
        return np.zeros(x.shape[-1], x.dtype), np.zeros(x.shape[-1], x.dtype)
    mean = x.mean(axes)
    return mean, np.square(x - mean).mean(axes)


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
    array, *others = as_floats(x=x, **given)
    if array.ndim < 2:
        raise ValueError(f"x: expected at least the axes of rows and channels, got shape {array.shape}")
    found = dict(zip(given, others, strict=True))
    for name, other in found.items():
        if other.shape != array.shape[-1:]:
            raise ValueError(f"{name}: expected shape {array.shape[-1:]}, got {other.shape}")
    return array, found
