"""Losses of numbers to be predicted: regression, rates, distributions, directions.

Arguments, reductions, weights and errors are those of `nncore.reference.losses`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_floats
from nncore.reference.reductions import columns, reduce, scale

__all__ = [
    "cosine",
    "cosine_backward",
    "gaussian_nll",
    "gaussian_nll_backward",
    "huber",
    "huber_backward",
    "log_cosh",
    "log_cosh_backward",
    "mae",
    "mae_backward",
    "poisson",
    "poisson_backward",
    "quantile",
    "quantile_backward",
    "smooth_l1",
    "smooth_l1_backward",
]


def mae(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """Absolute error, ``|input - target|``, of each element; PyTorch ``l1_loss``.

    Args:
        input: any shape.
        target: the same shape.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    x, t = alike(input=input, target=target)
    return reduce(np.abs(x - t), reduction, sample_weight)


def mae_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """The sign of ``input - target``, 0 where they are equal; divided by the number of elements for the mean.

    >>> mae_backward([1.0, 2.0], [1.0, 4.0])
    array([ 0. , -0.5])
    """
    x, t = alike(input=input, target=target)
    return scale(np.sign(x - t), x, reduction, sample_weight)


def huber(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    delta: float = 1.0,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``d^2 / 2`` for ``|d| <= delta``, else ``delta * (|d| - delta / 2)``, with d = input - target, of each element.

    Args:
        input: any shape.
        target: the same shape.
        delta: where the parabola becomes a line, above 0.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> huber([0.5, 3.0], [0.0, 0.0], "none")
    array([0.125, 2.5  ])
    """
    x, t = alike(input=input, target=target)
    d = np.abs(x - t)
    return reduce(np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction, sample_weight)


def huber_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    delta: float = 1.0,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``d`` held between -delta and delta, divided by the number of elements for the mean.

    >>> huber_backward([0.5, 3.0], [0.0, 0.0], "sum")
    array([0.5, 1. ])
    """
    x, t = alike(input=input, target=target)
    return scale(np.clip(x - t, -delta, delta), x, reduction, sample_weight)


def smooth_l1(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    beta: float = 1.0,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``d^2 / (2 beta)`` for ``|d| < beta``, else ``|d| - beta / 2``, with d = input - target, of each element.

    Args:
        input: any shape.
        target: the same shape.
        beta: where the parabola becomes a line; with 0 this is `mae`.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> smooth_l1([0.5, 3.0], [0.0, 0.0], "none", beta=2.0)
    array([0.0625, 2.    ])
    """
    x, t = alike(input=input, target=target)
    d = np.abs(x - t)
    return reduce(np.where(d < beta, 0.5 * d * d / (beta or 1.0), d - 0.5 * beta), reduction, sample_weight)


def smooth_l1_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    beta: float = 1.0,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``d / beta`` or the sign of d, divided by the number of elements for the mean.

    >>> smooth_l1_backward([0.5, 3.0], [0.0, 0.0], "sum", beta=2.0)
    array([0.25, 1.  ])
    """
    x, t = alike(input=input, target=target)
    d = x - t
    return scale(np.where(np.abs(d) < beta, d / (beta or 1.0), np.sign(d)), x, reduction, sample_weight)


def log_cosh(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``log(cosh(input - target))`` of each element; Keras ``LogCosh``.

    Written log(1 + expm1(-|d|)^2 / (2 exp(-|d|))) near 0 and |d| + log1p(exp(-2|d|)) - log 2 far from it.

    Args:
        input: any shape.
        target: the same shape.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> log_cosh([0.0, 1e4], [0.0, 0.0], "none").round(3)
    array([   0.   , 9999.307])
    """
    x, t = alike(input=input, target=target)
    d = np.abs(x - t)
    near = np.minimum(d, 1.25)
    small = np.log1p(np.expm1(-near) ** 2 / (2 * np.exp(-near)))
    large = d - np.asarray(np.log(2.0), d.dtype) + np.log1p(np.exp(-2 * d))
    return reduce(np.where(d < 1.25, small, large), reduction, sample_weight)


def log_cosh_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``tanh(input - target)``, divided by the number of elements for the mean.

    >>> log_cosh_backward([0.0, 1e4], [0.0, 0.0], "sum")
    array([0., 1.])
    """
    x, t = alike(input=input, target=target)
    return scale(np.tanh(x - t), x, reduction, sample_weight)


def quantile(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    quantile: npt.ArrayLike = 0.5,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """Pinball loss, ``max(q * e, (q - 1) * e)`` with e = target - input and a quantile q, of each element.

    Source: Koenker and Bassett, Regression Quantiles, 1978.

    Args:
        input: any shape; with several quantiles, whose last axis has one column for each.
        target: the same shape; a value for all quantiles is repeated.
        reduction, sample_weight: see `nncore.reference.losses`.
        quantile: one in (0, 1), or one for each column.

    >>> quantile([1.0, 1.0], [0.0, 2.0], "none", quantile=0.9)
    array([0.1, 0.9])
    """
    x, t = alike(input=input, target=target)
    q, e = quantiles(quantile, x), t - x
    return reduce(np.maximum(q * e, (q - 1) * e), reduction, sample_weight)


def quantile_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    quantile: npt.ArrayLike = 0.5,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``-q`` where the target is above, ``1 - q`` where it is below, divided by the number of elements for the mean.

    >>> quantile_backward([1.0, 1.0], [0.0, 2.0], "sum", quantile=0.9)
    array([ 0.1, -0.9])
    """
    x, t = alike(input=input, target=target)
    q, e = quantiles(quantile, x), t - x
    return scale(np.where(e == 0, 0, np.where(e > 0, -q, 1 - q)).astype(x.dtype), x, reduction, sample_weight)


def poisson(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-08,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``exp(input) - target * input`` of each element; without `log_input` ``input - target * log(input + eps)``.

    PyTorch ``poisson_nll_loss``.

    Args:
        input: any shape.
        target: the same shape.
        log_input: the input is the logarithm of the rate, which overflows at 88 in float32.
        full: add Stirling's ``target * log(target) - target + log(2 pi target) / 2`` where the target is above 1.
        eps: keeps the logarithm of a rate of 0 finite.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> poisson([0.0], [3.0])
    1.0
    """
    x, t = alike(input=input, target=target)
    values = np.exp(x) - t * x if log_input else x - t * np.log(x + np.asarray(eps, x.dtype))
    if full:
        most = np.maximum(t, 1)
        values = values + np.where(t > 1, most * np.log(most) - most + 0.5 * np.log(2 * np.pi * most), 0)
    return reduce(values, reduction, sample_weight)


def poisson_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-08,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``exp(input) - target``, or ``1 - target / (input + eps)``, divided by the number of elements for the mean.

    >>> poisson_backward([0.0], [3.0])
    array([-2.])
    """
    x, t = alike(input=input, target=target)
    return scale(np.exp(x) - t if log_input else 1 - t / (x + np.asarray(eps, x.dtype)), x, reduction, sample_weight)


def gaussian_nll(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    full: bool = False,
    eps: float = 1e-06,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``(log(var) + (mean - target)^2 / var) / 2`` of each element of the target; PyTorch ``gaussian_nll_loss``.

    PyTorch takes the variances as an argument of their own and refuses negative ones.

    Args:
        input: ``[..., 2 m]``: along the last axis m means, then m variances; variances below `eps` count as `eps`.
        target: ``[..., m]``.
        reduction, sample_weight: see `nncore.reference.losses`.
        full: add the constant ``log(2 pi) / 2``.
        eps: the smallest variance, above 0.

    >>> round(gaussian_nll([[1.0, 4.0]], [[3.0]]), 6)
    1.193147
    """
    mean, var, t = _mean_and_variance(input, target, eps)
    values = 0.5 * (np.log(var) + (mean - t) ** 2 / var) + (np.asarray(0.5 * np.log(2 * np.pi), t.dtype) if full else 0)
    return reduce(values, reduction, sample_weight)


def gaussian_nll_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    full: bool = False,
    eps: float = 1e-06,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``(mean - target) / var`` for means, ``(1 - (mean - target)^2 / var) / (2 var)`` for variances.

    Divided by the number of elements of the target for the mean. As in PyTorch, a variance below `eps` has the gradient of
    `eps`.

    >>> gaussian_nll_backward([[1.0, 4.0]], [[3.0]])
    array([[-0.5,  0. ]])
    """
    mean, var, t = _mean_and_variance(input, target, eps)
    d = mean - t
    gradient = np.concatenate([d / var, 0.5 * (1 / var - (d / var) ** 2)], axis=-1)
    return scale(gradient, t, reduction, sample_weight)


def cosine(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    eps: float = 1e-08,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``1 - cos(input, target)`` of each row, with ``cos(x, t) = x t / (max(|x|, eps) max(|t|, eps))``.

    PyTorch ``1 - cosine_similarity``.

    Args:
        input: ``[rows, n]``.
        target: the same shape.
        reduction, sample_weight: see `nncore.reference.losses`.
        eps: the smallest length that a row is divided by.

    >>> cosine([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 3.0]], "none")
    array([0., 1.])
    """
    x, t = _row_pairs(input, target)
    _, _, _, similarity = _lengths(x, t, eps)
    return reduce(1 - similarity[:, 0], reduction, sample_weight)


def cosine_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    eps: float = 1e-08,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``cos * input / |input|^2 - target / (|input| |target|)``, divided by the number of rows for the mean.

    >>> cosine_backward([[1.0, 0.0]], [[0.0, 3.0]]).tolist()
    [[0.0, -1.0]]
    """
    x, t = _row_pairs(input, target)
    size, x_size, t_size, similarity = _lengths(x, t, eps)
    across = np.where(size < eps, 0, similarity / x_size**2)
    return scale(across * x - t / (x_size * t_size), x[:, 0], reduction, sample_weight)


def quantiles(quantile: npt.ArrayLike, x: Array) -> Array:
    """`quantile` in x's dtype, for the columns of `x` or one for all; a ValueError unless each is in (0, 1)."""
    found = columns("quantile", quantile, x.shape[1:])
    if found is None:
        raise TypeError("quantile: expected a number or a vector of them, got None")
    if not ((found > 0) & (found < 1)).all():
        raise ValueError(f"quantile: expected numbers in (0, 1), got {np.unique(found).tolist()}")
    return np.asarray(found, x.dtype)


def split_target_shape(x: Array, t: Array) -> None:
    """Raise ValueError unless the last axis of `x` is twice that of `t`."""
    if x.ndim == 0 or x.shape[-1] % 2 or t.shape != (*x.shape[:-1], x.shape[-1] // 2):
        raise ValueError(f"target: expected half of the input's last axis, {x.shape}, got {t.shape}")


def _mean_and_variance(input: npt.ArrayLike, target: npt.ArrayLike, eps: float) -> tuple[Array, Array, Array]:
    x, t = as_floats(input=input, target=target)
    split_target_shape(x, t)
    mean, variance = np.split(x, 2, axis=-1)
    return mean, np.maximum(variance, np.asarray(eps, x.dtype)), t


def _row_pairs(input: npt.ArrayLike, target: npt.ArrayLike) -> tuple[Array, Array]:
    x, t = alike(input=input, target=target)
    if x.ndim != 2:
        raise ValueError(f"input: expected shape [rows, n], got {x.shape}")
    return x, t


def _lengths(x: Array, t: Array, eps: float) -> tuple[Array, Array, Array, Array]:
    """The length of each row of x, those of x and t of at least eps, and the cosines; ``[rows, 1]`` each."""
    size, t_size = (np.linalg.norm(a, axis=1, keepdims=True) for a in (x, t))
    x_size, t_size = np.maximum(size, x.dtype.type(eps)), np.maximum(t_size, x.dtype.type(eps))
    return size, x_size, t_size, (x * t).sum(axis=1, keepdims=True) / x_size / t_size
