"""Metrics of values: squared, absolute and relative errors, R2, cosine similarity.

All take targets and predictions [n] or [n, outputs, ...] of one shape. Of several outputs the value is the mean over them,
scikit-learn's ``multioutput="uniform_average"``.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from nncore.scoring.base import CheckedMetric
from nncore.scoring.inputs import Float64, value_pair, weights

__all__ = ["MAE", "MAPE", "MSE", "R2", "RMSE", "CosineSimilarity"]


class _Mean(CheckedMetric):
    """The weighted mean over samples of errors [n, outputs], then over outputs; `nan` before the first sample."""

    def reset(self) -> None:
        """Forget all samples."""
        self._sum, self._weight = np.zeros(()), 0.0
        self._width: int | None = None  # of the samples so far

    def update(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> None:
        """Take in targets and predictions of one shape."""
        true, predicted = value_pair(y_true, y_pred)
        weight = weights(sample_weight, len(true))
        if self._width not in (None, true.shape[1]):
            raise ValueError(f"y_true: expected {self._width} outputs as before, got {true.shape[1]}")
        self._width = true.shape[1]
        self._sum = self._sum + weight @ self._errors(true, predicted)
        self._weight += float(weight.sum())

    def result(self) -> float:
        """The value over all samples."""
        return float(np.mean(self._of_means(self._sum / self._weight))) if self._weight else float("nan")

    @abstractmethod
    def _errors(self, true: Float64, predicted: Float64) -> Float64: ...

    def _of_means(self, means: Float64) -> Float64:
        return means


class MSE(_Mean):
    """Mean squared error: mean of (y_pred - y_true)^2.

    Source: scikit-learn ``mean_squared_error``.

    >>> metric = MSE()
    >>> metric.update([0.0, 1.0], [0.0, 3.0])
    >>> metric.update([[5.0]], [[6.0]])
    >>> round(metric.result(), 6)  # of all three samples
    1.666667
    """

    greater_is_better = False

    def _errors(self, true: Float64, predicted: Float64) -> Float64:
        return (predicted - true) ** 2


class RMSE(MSE):
    """Root mean squared error: sqrt(mean of (y_pred - y_true)^2), taken for each output.

    Source: scikit-learn ``root_mean_squared_error``.

    >>> metric = RMSE()
    >>> metric.update([0.0, 0.0], [1.0, 7.0])
    >>> metric.result()
    5.0
    """

    def _of_means(self, means: Float64) -> Float64:
        return np.asarray(np.sqrt(means))


class MAE(_Mean):
    """Mean absolute error: mean of |y_pred - y_true|.

    Source: scikit-learn ``mean_absolute_error``.

    >>> metric = MAE()
    >>> metric.update([0.0, 0.0], [1.0, -7.0], sample_weight=[3.0, 1.0])
    >>> metric.result()
    2.5
    """

    greater_is_better = False

    def _errors(self, true: Float64, predicted: Float64) -> Float64:
        return np.abs(predicted - true)


class MAPE(_Mean):
    """Mean absolute percentage error, as a fraction: mean of |y_pred - y_true| / max(|y_true|, 2.2e-16).

    Source: scikit-learn ``mean_absolute_percentage_error``; Keras has 100 times as much.

    >>> metric = MAPE()
    >>> metric.update([4.0, -2.0], [5.0, -2.0])
    >>> metric.result()
    0.125
    """

    greater_is_better = False

    def _errors(self, true: Float64, predicted: Float64) -> Float64:
        return np.asarray(np.abs(predicted - true) / np.maximum(np.abs(true), np.finfo(np.float64).eps))


class CosineSimilarity(_Mean):
    """Mean over samples of the cosine of the angle between target and prediction: a . b / (|a| |b|), 0 where one is zero.

    All of a sample's outputs make one vector.

    Source: scikit-learn ``cosine_similarity`` of the rows, Keras ``CosineSimilarity``.

    >>> metric = CosineSimilarity()
    >>> metric.update([[3.0, 4.0], [1.0, 0.0]], [[6.0, 8.0], [0.0, 1.0]])
    >>> metric.result()
    0.5
    """

    def _errors(self, true: Float64, predicted: Float64) -> Float64:
        return np.asarray(np.sum(_normalized(true) * _normalized(predicted), axis=1, keepdims=True))


def _normalized(rows: Float64) -> Float64:
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    scaled = rows / np.where(largest == 0.0, 1.0, largest)  # squares that neither overflow nor vanish
    norm = np.sqrt((scaled**2).sum(axis=1, keepdims=True))
    return np.asarray(scaled / np.where(norm == 0.0, 1.0, norm))


class R2(CheckedMetric):
    """Coefficient of determination: 1 - sum (y_true - y_pred)^2 / sum (y_true - mean of y_true)^2.

    Where the targets are all equal it is 1 if the predictions are right and 0 if not; of fewer than two samples `nan`.

    Source: scikit-learn ``r2_score``. Means and squares of the pieces are merged as by Chan et al. 1979, "Updating formulae
    and a pairwise algorithm for computing sample variances".

    >>> metric = R2()
    >>> metric.update([1.0, 2.0], [1.0, 2.0])
    >>> metric.update([3.0, 4.0], [3.0, 5.0])
    >>> metric.result()
    0.8
    """

    def reset(self) -> None:
        """Forget all samples."""
        self._samples, self._weight = 0, 0.0
        self._origin: Float64 | None = None  # the first target: means are of differences from it, exact if all are equal
        self._mean = self._spread = self._residual = np.zeros(())

    def update(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> None:
        """Take in targets and predictions of one shape."""
        true, predicted = value_pair(y_true, y_pred)
        weight = weights(sample_weight, len(true))
        if self._origin is not None and self._origin.shape != true.shape[1:]:
            raise ValueError(f"y_true: expected {len(self._origin)} outputs as before, got {true.shape[1]}")
        if not len(true):
            return
        if self._origin is None:
            self._origin = true[0].copy()
        self._samples += len(true)
        self._residual = self._residual + weight @ (true - predicted) ** 2
        total = float(weight.sum())
        if total == 0.0:
            return
        shifted = true - self._origin
        mean = weight @ shifted / total
        both = self._weight + total
        step = mean - self._mean
        self._spread = self._spread + weight @ (shifted - mean) ** 2 + step**2 * (self._weight * total / both)
        self._mean = self._mean + step * (total / both)
        self._weight = both

    def result(self) -> float:
        """The value over all samples."""
        if self._samples < 2 or not self._weight:
            return float("nan")
        constant = self._spread == 0.0
        ratio = self._residual / np.where(constant, 1.0, self._spread)
        return float(np.mean(np.where(constant, np.where(self._residual == 0.0, 1.0, 0.0), 1.0 - ratio)))
