"""Losses of numbers to be predicted: regression, rates, distributions, directions."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, batch_shape
from nncore.loss_base import ElementLoss, Loss, check_values, rows_of
from nncore.optable import Shape

__all__ = [
    "CosineLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "LogCoshLoss",
    "MAELoss",
    "MSELoss",
    "PoissonLoss",
    "QuantileLoss",
    "SmoothL1Loss",
]


class MSELoss(ElementLoss):
    """Mean squared error: the mean over all elements of (y - t)^2.

    Targets: finite values of y's shape; [n] is accepted for y [n, 1].

    Source: PyTorch ``MSELoss``.
    """

    name = "mse"

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)


class MAELoss(ElementLoss):
    """Mean absolute error: the mean over all elements of |y - t|.

    Targets: finite values of y's shape; [n] is accepted for y [n, 1].

    Source: PyTorch ``L1Loss``.

    >>> MAELoss()(np.array([[1.0], [3.0]]), [[0.0], [3.0]])[0]
    0.5
    """

    name = "mae"

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)


class HuberLoss(ElementLoss):
    """The mean of d^2 / 2 where |d| <= delta and delta (|d| - delta / 2) elsewhere, d = y - t.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        delta: where the parabola becomes a line, above 0.

    Targets: finite values of y's shape; [n] is accepted for y [n, 1].

    Source: PyTorch ``HuberLoss``.

    >>> HuberLoss(delta=2.0)(np.array([[1.0], [3.0]]), [[0.0], [0.0]])[0]
    2.25
    """

    name = "huber"

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction, delta=delta)


class SmoothL1Loss(ElementLoss):
    """The mean of d^2 / (2 beta) where |d| < beta and |d| - beta / 2 elsewhere, d = y - t; `HuberLoss` / beta.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        beta: where the parabola becomes a line; with 0 the loss is `MAELoss`.

    Targets: finite values of y's shape; [n] is accepted for y [n, 1].

    Source: PyTorch ``SmoothL1Loss``.

    >>> SmoothL1Loss(beta=2.0)(np.array([[1.0], [3.0]]), [[0.0], [0.0]])[0]
    1.125
    """

    name = "smooth_l1"

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction, beta=beta)


class LogCoshLoss(ElementLoss):
    """The mean over all elements of log cosh(y - t): a parabola near 0, a line far from it, smooth everywhere.

    Targets: finite values of y's shape; [n] is accepted for y [n, 1].

    Source: Keras ``LogCosh``.

    >>> round(LogCoshLoss()(np.array([[1e4]]), [[0.0]])[0], 3)
    9999.307
    """

    name = "log_cosh"

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)


class QuantileLoss(ElementLoss):
    """Pinball loss: the mean of max(q e, (q - 1) e) with e = t - y; its minimum is the q-quantile of t.

    Args:
        quantile: q, one in (0, 1), or several: then y's last axis has one column for each.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Targets: finite values of y's shape; with several quantiles also [n] or [n, ..., 1], one value for all columns.

    Source: Koenker and Bassett, Regression Quantiles, Econometrica 46, 1978.

    >>> QuantileLoss([0.1, 0.9])(np.zeros((1, 2)), [1.0])[0]
    0.5
    """

    name = "quantile"

    def __init__(self, quantile: npt.ArrayLike = 0.5, reduction: str = "mean") -> None:
        if quantile is None:
            raise TypeError("quantile: expected a number or a vector of them, got None")
        super().__init__(reduction, quantile=quantile)
        for q in self.spec.arrays["quantile"]:
            if not 0 < q < 1:
                raise ValueError(f"quantile: expected numbers in (0, 1), got {q}")

    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """Values [n, *output]; one for all columns is repeated."""
        array = rows_of(target, rows, what)
        if len(self.spec.arrays["quantile"]) > 1 and array.shape[1:] in (output[:-1], (*output[:-1], 1)):
            array = np.repeat(array.reshape(rows, *output[:-1], 1), output[-1], axis=-1)
        return check_values(array, output, dtype, self.low, self.high, what)


class PoissonLoss(ElementLoss):
    """Negative log-likelihood of Poisson counts: the mean of exp(y) - t y, or of y - t log(y + eps).

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        log_input: y is the logarithm of the rate (which overflows at 88 in float32); otherwise the rate itself.
        full: add Stirling's approximation of log t!, t log t - t + log(2 pi t) / 2 where t > 1.
        eps: keeps the logarithm of a rate of 0 finite.

    Targets: finite values of y's shape, not negative; [n] is accepted for y [n, 1].

    Source: PyTorch ``PoissonNLLLoss``.

    >>> PoissonLoss()(np.zeros((1, 1)), [3])[0]
    1.0
    """

    name = "poisson"
    low: ClassVar[float] = 0.0

    def __init__(self, reduction: str = "mean", log_input: bool = True, full: bool = False, eps: float = 1e-8) -> None:
        super().__init__(reduction, log_input=log_input, full=full, eps=eps)


class GaussianNLLLoss(Loss):
    """Negative log-likelihood of normal numbers: the mean of (log v + (m - t)^2 / v) / 2, of means m and variances v.

    y [n, 2 k] holds k means and then k variances. Variances below `eps` count as `eps` and have its gradient; so a linear
    output may begin anywhere (PyTorch takes the variances as an argument of their own, and refuses negative ones). Metrics
    beside this loss compare the means with the targets.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        full: add the constant log(2 pi) / 2.
        eps: the smallest variance, above 0.

    Targets: finite values [n, k]; [n] is accepted for k = 1.

    Source: PyTorch ``GaussianNLLLoss``.

    >>> value, dy = GaussianNLLLoss()(np.array([[1.0, 4.0]]), [[3.0]])
    >>> round(value, 6), dy.tolist()
    (1.193147, [[-0.5, 0.0]])
    """

    name = "gaussian_nll"

    def __init__(self, reduction: str = "mean", full: bool = False, eps: float = 1e-6) -> None:
        super().__init__(reduction, full=full, eps=eps)

    def check_output(self, shape: Shape) -> None:
        """Raise ValueError unless the output is a vector of an even number of columns."""
        if len(shape) != 1 or shape[0] % 2:
            raise ValueError(
                f"loss 'gaussian_nll': expected an output of shape (n, 2 k), means and variances, got {batch_shape(shape)}"
            )

    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """Values [n, k]."""
        return check_values(rows_of(target, rows, what), self.spec.row.target_shape(output), dtype, -np.inf, np.inf, what)


class CosineLoss(ElementLoss):
    """The mean over rows of 1 - cos(y, t), with cos(y, t) = y t / (max(|y|, eps) max(|t|, eps)).

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        eps: the smallest length that a row is divided by, above 0.

    y is [n, k]; targets: finite values [n, k].

    Source: PyTorch ``1 - cosine_similarity``, as ``CosineEmbeddingLoss`` for alike pairs.

    >>> CosineLoss()(np.array([[1.0, 0.0], [1.0, 0.0]]), [[2.0, 0.0], [0.0, 3.0]])[0]
    0.5
    """

    name = "cosine"

    def __init__(self, reduction: str = "mean", eps: float = 1e-8) -> None:
        super().__init__(reduction, eps=eps)

    def check_output(self, shape: Shape) -> None:
        """Raise ValueError unless the output is one vector per sample."""
        if len(shape) != 1:
            raise ValueError(f"loss 'cosine': expected an output of one vector per sample, got {batch_shape(shape)}")
