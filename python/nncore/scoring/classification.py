"""Metrics of classes: accuracies, precision, recall, F1, confusion matrix.

Where nothing else is said, targets are classes [n] or [n, 1], or rows [n, classes] of which the largest counts (one-hot,
probabilities); predictions are scores [n, classes], of which the largest counts (the first of equals), scores of class 1 as
floats [n] or [n, 1], which stand for class 1 above the threshold, or classes as integers [n]. Beside these two, targets may
also be -1 and 1, as hinge losses have them.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.optable import Shape
from nncore.scoring.base import CheckedMetric
from nncore.scoring.inputs import Float64, class_pair, scores, value_pair, weights

__all__ = ["F1", "Accuracy", "BinaryAccuracy", "ConfusionMatrix", "Precision", "Recall", "TopKAccuracy"]

_MOST_IN_MATRIX = 2**13  # classes: half a gigabyte


def check_threshold(owner: CheckedMetric, threshold: float) -> float:
    """`threshold` as a float, or a ValueError unless it is a finite number."""
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not abs(threshold) < 2**1023:
        raise ValueError(f"threshold of {type(owner).__name__}: expected a finite number, got {threshold!r}")
    return float(threshold)


def check_classes(metric: CheckedMetric, output: Shape) -> None:
    """Raise ValueError unless a model's output of per-sample shape `output` is one vector of scores."""
    if len(output) > 1:
        raise ValueError(f"metric {metric.name!r}: expected an output of one vector per sample, got shape {output}")


class _Share(CheckedMetric):
    """The weighted mean over samples of a number for each."""

    def reset(self) -> None:
        """Forget all samples."""
        self._sum = self._weight = 0.0

    def update(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> None:
        """Take in the samples of one piece."""
        right = self._right(y_true, y_pred)
        weight = weights(sample_weight, len(right))
        self._sum += float(weight @ right)
        self._weight += float(weight.sum())

    def result(self) -> float:
        """The share over all samples; `nan` before the first."""
        return self._sum / self._weight if self._weight else float("nan")

    @abstractmethod
    def _right(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Float64: ...


class Accuracy(_Share):
    """Share of samples whose predicted class is the true one; the threshold of a single score is 0.5.

    Source: scikit-learn ``accuracy_score``.

    >>> metric = Accuracy()
    >>> metric.update([1, 0], [[0.2, 0.8], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    probabilities = True

    def _right(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Float64:
        true, predicted, _ = class_pair(y_true, y_pred, 0.5)
        return np.asarray(true == predicted, np.float64)

    def check(self, output: Shape) -> None:
        """See `Metric.check`."""
        check_classes(self, output)


class BinaryAccuracy(_Share):
    """Share of elements on the right side: y_pred > threshold where y_true > 0.5; both [n, ...], each element a label.

    Source: Keras ``BinaryAccuracy``.

    >>> metric = BinaryAccuracy(threshold=0.7)
    >>> metric.update([[1, 0], [1, 1]], [[0.9, 0.6], [0.6, 0.8]])
    >>> metric.result()
    0.75
    """

    probabilities = True

    def __init__(self, threshold: float = 0.5, name: str | None = None) -> None:
        self.threshold = check_threshold(self, threshold)
        super().__init__(name)

    def _right(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Float64:
        true, predicted = value_pair(y_true, y_pred)
        return np.asarray(((predicted > self.threshold) == (true > 0.5)).mean(axis=1))


class TopKAccuracy(_Share):
    """Share of samples whose true class is among the `k` largest scores; y_pred [n, classes > k].

    Of equal scores the later class comes first. Called ``top_5_accuracy`` and so on.

    Source: scikit-learn ``top_k_accuracy_score``.

    >>> metric = TopKAccuracy(k=2)
    >>> metric.update([0, 1], [[0.3, 0.2, 0.5], [0.3, 0.2, 0.5]])
    >>> metric.result()
    0.5
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"k of TopKAccuracy: expected an integer >= 1, got {k!r}")
        self.k = k
        super().__init__(f"top_{k}_accuracy" if name is None else name)

    def _right(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Float64:
        true, predicted = scores(y_true, y_pred)
        if predicted.shape[1] <= self.k:
            raise ValueError(f"y_pred: expected scores of more than k = {self.k} classes, got {predicted.shape[1]}")
        largest = np.argsort(predicted, axis=1, kind="stable")[:, -self.k :]
        return np.asarray((largest == true[:, None]).any(axis=1), np.float64)

    def check(self, output: Shape) -> None:
        """See `Metric.check`."""
        if len(output) != 1 or output[0] <= self.k:
            raise ValueError(f"metric {self.name!r}: expected an output of more than {self.k} classes, got shape {output}")


class ConfusionMatrix(CheckedMetric):
    """How often class i was predicted as j: an array [classes, classes], rows the true classes.

    As many classes as the predictions are a choice of, for predictions that are integers as the largest needs. Counts are
    int64, or float64 where there are sample weights. It is no number, so `Model.compile` does not take it: use it on the
    outputs of `Model.predict`.

    Source: scikit-learn ``confusion_matrix``.

    >>> metric = ConfusionMatrix()
    >>> metric.update([0, 1, 2, 2], [0, 1, 1, 2])
    >>> metric.result().tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    """

    probabilities = True

    def __init__(self, threshold: float = 0.5, name: str | None = None) -> None:
        self.threshold = check_threshold(self, threshold)
        super().__init__(name)

    def reset(self) -> None:
        """Forget all samples."""
        self._counts, self._weighted = np.zeros((0, 0)), False

    def update(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> None:
        """Take in the samples of one piece."""
        true, predicted, classes = class_pair(y_true, y_pred, self.threshold)
        weight = weights(sample_weight, len(true))
        size = max(classes, len(self._counts), int(true.max(initial=-1)) + 1, int(predicted.max(initial=-1)) + 1)
        if size > _MOST_IN_MATRIX:
            raise ValueError(f"y_true, y_pred: expected at most {_MOST_IN_MATRIX} classes, got class {size - 1}")
        counts: Float64 = np.bincount(true * size + predicted, weight, size * size).reshape(size, size).astype(np.float64)
        counts[: len(self._counts), : len(self._counts)] += self._counts
        self._counts, self._weighted = counts, self._weighted or sample_weight is not None

    def result(self) -> npt.NDArray[Any]:
        """The matrix over all samples."""
        return self._counts.copy() if self._weighted else self._counts.astype(np.int64)

    def check(self, output: Shape) -> None:
        """Raise ValueError: it is no number."""
        raise ValueError(
            f"metric {self.name!r}: expected one whose result is a number; use nn.metrics.ConfusionMatrix on predictions"
        )


_AVERAGES = ("binary", "micro", "macro", "weighted")


class _PerClass(CheckedMetric):
    """A ratio for each class of right predictions, predictions and samples of the class, averaged."""

    probabilities = True

    def __init__(self, average: str = "binary", threshold: float = 0.5, name: str | None = None) -> None:
        if not isinstance(average, str) or average not in _AVERAGES:
            raise ValueError(
                f"average of {type(self).__name__}: expected one of {', '.join(map(repr, _AVERAGES))}, got {average!r}"
            )
        self.average, self.threshold = average, check_threshold(self, threshold)
        stem = type(self).__name__.lower()
        super().__init__(name if name is not None else stem if average == "binary" else f"{stem}_{average}")

    def reset(self) -> None:
        """Forget all samples."""
        self._counts = np.zeros((3, 0))  # by class: right predictions, predictions, samples
        self._occurs = np.zeros(0, np.bool_)  # in targets or predictions, whatever the weights

    def update(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> None:
        """Take in the samples of one piece."""
        true, predicted, classes = class_pair(y_true, y_pred, self.threshold)
        weight = weights(sample_weight, len(true))
        size = max(self._counts.shape[1], int(true.max(initial=1)) + 1, int(predicted.max(initial=1)) + 1)
        if self.average == "binary" and max(size, classes) > 2:
            raise ValueError(
                f"y_pred: expected classes 0 and 1 for {self.name!r} with average 'binary', got {max(size, classes)} "
                "classes; choose another average"
            )
        right = true == predicted
        pieces = (true[right], weight[right]), (predicted, weight), (true, weight)
        counts: Float64 = np.stack([np.bincount(label, w, size) for label, w in pieces]).astype(np.float64)
        counts[:, : self._counts.shape[1]] += self._counts
        occurs: npt.NDArray[np.bool_] = (np.bincount(true, minlength=size) + np.bincount(predicted, minlength=size)) > 0
        occurs[: len(self._occurs)] |= self._occurs
        self._counts, self._occurs = counts, occurs

    def result(self) -> float:
        """The value over all samples, 0 where the denominator is 0; `nan` before the first."""
        if not self._occurs.any():
            return float("nan")
        right, predicted, true = self._counts[:, self._occurs]
        if self.average == "binary":
            right, predicted, true = self._counts[:, 1:2]
        elif self.average == "micro":
            right, predicted, true = (count.sum(keepdims=True) for count in (right, predicted, true))
        above, below = self._ratio(right, predicted, true)
        values = np.where(below == 0.0, 0.0, above / np.where(below == 0.0, 1.0, below))
        if self.average == "weighted":
            return float(values @ true / true.sum()) if true.sum() else 0.0
        return float(values.mean())

    def check(self, output: Shape) -> None:
        """See `Metric.check`."""
        check_classes(self, output)
        if self.average == "binary" and output and output[0] > 2:
            raise ValueError(
                f"metric {self.name!r} with average 'binary': expected an output of one or two scores, got {output[0]} "
                f"classes; choose another average, such as {self.name}_macro"
            )

    @abstractmethod
    def _ratio(self, right: Float64, predicted: Float64, true: Float64) -> tuple[Float64, Float64]: ...


class Precision(_PerClass):
    """Of what was predicted as a class, the share that is of it: right / predicted.

    Args:
        average: ``"binary"``: that of class 1; of all classes that occur ``"macro"``: their mean, ``"weighted"``: their
            mean weighted by samples of the class, ``"micro"``: that of all predictions together.
        threshold: above which a single score stands for class 1.
        name: by default ``precision``, ``precision_macro`` and so on, the names that `Model.compile` takes too.

    A ratio with nothing below counts as 0.

    Source: scikit-learn ``precision_score``.

    >>> metric = Precision()
    >>> metric.update([1, 0, 1], [0.9, 0.8, 0.1])
    >>> metric.result()
    0.5
    """

    def _ratio(self, right: Float64, predicted: Float64, true: Float64) -> tuple[Float64, Float64]:
        return right, predicted


class Recall(_PerClass):
    """Of what is of a class, the share that was predicted as it: right / true. Options as in `Precision`.

    Source: scikit-learn ``recall_score``.

    >>> metric = Recall("macro")
    >>> metric.update([0, 1, 2, 2], [0, 1, 2, 1])
    >>> round(metric.result(), 6)
    0.833333
    """

    def _ratio(self, right: Float64, predicted: Float64, true: Float64) -> tuple[Float64, Float64]:
        return right, true


class F1(_PerClass):
    """Harmonic mean of precision and recall: 2 right / (predicted + true). Options as in `Precision`.

    Source: scikit-learn ``f1_score``.

    >>> metric = F1("weighted")
    >>> metric.update([0, 1, 1, 1], [0, 1, 1, 0])
    >>> round(metric.result(), 6)
    0.766667
    """

    def _ratio(self, right: Float64, predicted: Float64, true: Float64) -> tuple[Float64, Float64]:
        return 2.0 * right, predicted + true
