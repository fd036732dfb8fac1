"""Metrics of probabilities and of the order of scores: log loss, area under the ROC curve, average precision."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from itertools import combinations

import numpy as np
import numpy.typing as npt

from nncore.arrays import real
from nncore.optable import Shape
from nncore.scoring.base import CheckedMetric
from nncore.scoring.classification import _Share, check_classes
from nncore.scoring.inputs import Float64, Int64, scores, value_pair, weights

__all__ = ["ROCAUC", "AveragePrecision", "LogLoss"]


class LogLoss(_Share):
    """Mean over samples of minus the log of the probability of what is true: -sum_c t_c log p_c.

    y_pred: probabilities [n, classes] with rows that sum to 1, or of class 1 alone [n] or [n, 1]; clipped to [e, 1 - e],
    e = 2.2e-16. y_true: classes, or probabilities [n, classes].

    Source: scikit-learn ``log_loss``.

    >>> metric = LogLoss()
    >>> metric.update([1, 0], [0.5, 0.5])
    >>> round(metric.result(), 6)
    0.693147
    """

    greater_is_better = False
    probabilities = True

    def _right(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> Float64:
        p = real(y_pred, "y_pred")
        t = real(y_true, "y_true")
        if p.ndim == 2 and p.shape[1] > 1 and t.shape == p.shape:
            t, p = value_pair(t, p)
            if t.size and t.min() < 0.0:
                raise ValueError(f"y_true: expected probabilities, got {t.min()}")
        else:
            true, p = scores(t, p)
            if p.shape[1] == 1:
                p = np.hstack([1.0 - p, p])
            t = np.eye(p.shape[1])[true]
        if p.size and not (p.min() >= 0.0 and p.max() <= 1.0 and np.abs(p.sum(axis=1) - 1.0).max() < 1e-3):
            raise ValueError(f"y_pred: expected probabilities, which sum to 1 in each row, got {p.min():g} to {p.max():g}")
        tiny = np.finfo(np.float64).eps
        return np.asarray(-(t * np.log(np.clip(p, tiny, 1.0 - tiny))).sum(axis=1))

    def check(self, output: Shape) -> None:
        """See `Metric.check`."""
        check_classes(self, output)


def _counts(positive: npt.NDArray[np.bool_], score: Float64, weight: Float64) -> tuple[Float64, Float64]:
    """True and false positives where the threshold is each different score, from the largest down."""
    order = np.argsort(-score, kind="stable")
    score, positive, weight = score[order], positive[order], weight[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # of each run of equal scores
    return np.cumsum(weight * positive)[last], np.cumsum(weight * ~positive)[last]


def _roc_auc(positive: npt.NDArray[np.bool_], score: Float64, weight: Float64) -> float:
    """Area under the curve of true over false positive rate; `nan` where one of the classes is missing."""
    if not (weight[positive].any() and weight[~positive].any()):
        return float("nan")
    true, false = (np.concatenate(([0.0], c)) for c in _counts(positive, score, weight))
    return float(np.sum(np.diff(false) * (true[1:] + true[:-1])) / (2.0 * true[-1] * false[-1]))


def _average_precision(positive: npt.NDArray[np.bool_], score: Float64, weight: Float64) -> float:
    """sum_k (R_k - R_{k-1}) P_k over the thresholds; 0 where there are no positives."""
    if not weight[positive].any():
        return 0.0
    true, false = _counts(positive, score, weight)
    predicted = true + false
    precision = true / np.where(predicted == 0.0, 1.0, predicted)
    return float(np.diff(true, prepend=0.0) @ precision / true[-1])


class _Ranked(CheckedMetric):
    """Keeps all targets and scores, 8 bytes for each number: the order of scores is known only at the end."""

    probabilities = True
    average: str

    def reset(self) -> None:
        """Forget all samples."""
        self._true: list[Int64] = []
        self._scores: list[Float64] = []
        self._weights: list[Float64] = []

    def update(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> None:
        """Take in the samples of one piece: targets as classes, scores [n, classes], or [n] or [n, 1] of class 1."""
        true, score = scores(y_true, y_pred)
        weight = weights(sample_weight, len(true))
        if score.shape[1] == 2:
            score = score[:, 1:]
        if self._scores and score.shape[1] != self._scores[0].shape[1]:
            raise ValueError(
                f"y_pred: expected {self._scores[0].shape[1]} scores per sample as before, got {score.shape[1]}"
            )
        self._true.append(true)
        self._scores.append(score)
        self._weights.append(weight)

    def result(self) -> float:
        """The value over all samples; `nan` before the first."""
        if not sum(map(len, self._true)):
            return float("nan")
        return self._of(np.concatenate(self._true), np.concatenate(self._scores), np.concatenate(self._weights))

    def check(self, output: Shape) -> None:
        """See `Metric.check`."""
        check_classes(self, output)

    @abstractmethod
    def _of(self, true: Int64, score: Float64, weight: Float64) -> float: ...

    def _one_vs_rest(
        self,
        metric: Callable[[npt.NDArray[np.bool_], Float64, Float64], float],
        true: Int64,
        score: Float64,
        weight: Float64,
    ) -> float:
        """`metric` of each class against the others, averaged; of two classes that of class 1."""
        classes = score.shape[1]
        if classes == 1:
            return metric(true == 1, score[:, 0], weight)
        positive = true[:, None] == np.arange(classes)
        if self.average == "micro":
            return metric(positive.ravel(), score.ravel(), np.repeat(weight, classes))
        values = np.array([metric(positive[:, c], score[:, c], weight) for c in range(classes)])
        if self.average == "macro":
            return float(values.mean())
        share = weight @ positive
        return float(np.where(share == 0.0, 0.0, values) @ share / share.sum()) if share.any() else 0.0


def _check_average(owner: str, average: str, choices: tuple[str, ...]) -> str:
    if not isinstance(average, str) or average not in choices:
        raise ValueError(f"average of {owner}: expected one of {', '.join(map(repr, choices))}, got {average!r}")
    return average


class ROCAUC(_Ranked):
    """Area under the ROC curve: how likely a sample of class 1 has a higher score than one of class 0, half for ties.

    Args:
        multi_class: for more than two classes, ``"ovr"``: each class against all others, or ``"ovo"``: against each other
            class (Hand and Till 2001), which takes no sample weights; ``None``: two classes only.
        average: over classes or pairs of classes: ``"macro"``: the mean, ``"weighted"``: weighted by how many samples they
            have, ``"micro"`` (ovr only): of all scores together.
        name: by default ``roc_auc``, ``roc_auc_ovr``, ``roc_auc_ovr_weighted`` and so on.

    `nan` where a class has no samples. All scores are kept until the result.

    Source: scikit-learn ``roc_auc_score``.

    >>> metric = ROCAUC()
    >>> metric.update([0, 0], [0.1, 0.4])
    >>> metric.update([1, 1], [0.35, 0.8])
    >>> metric.result()
    0.75
    """

    def __init__(self, multi_class: str | None = None, average: str = "macro", name: str | None = None) -> None:
        if multi_class is not None and not (isinstance(multi_class, str) and multi_class in ("ovr", "ovo")):
            raise ValueError(f"multi_class of ROCAUC: expected 'ovr', 'ovo' or None, got {multi_class!r}")
        self.multi_class = multi_class
        self.average = _check_average(
            "ROCAUC", average, ("macro", "weighted", *(["micro"] if multi_class == "ovr" else []))
        )
        parts = ["roc_auc", *([multi_class] if multi_class else []), *([average] if average != "macro" else [])]
        super().__init__("_".join(parts) if name is None else name)

    def update(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> None:
        """As `Metric.update`; several scores per sample only where `multi_class` says what to do with them."""
        true, score = scores(y_true, y_pred)
        if score.shape[1] > 2 and self.multi_class is None:
            raise ValueError(
                f"y_pred: expected scores of two classes, got {score.shape[1]}; choose multi_class 'ovr' or 'ovo'"
            )
        if sample_weight is not None and score.shape[1] > 2 and self.multi_class == "ovo":
            raise ValueError("sample_weight: expected None for multi_class 'ovo'")
        super().update(true, score, sample_weight)

    def check(self, output: Shape) -> None:
        """See `Metric.check`."""
        super().check(output)
        if self.multi_class is None and output and output[0] > 2:
            raise ValueError(
                f"metric {self.name!r}: expected an output of one or two scores, got {output[0]} classes; "
                "choose roc_auc_ovr or roc_auc_ovo"
            )

    def _of(self, true: Int64, score: Float64, weight: Float64) -> float:
        if score.shape[1] == 1 or self.multi_class != "ovo":
            return self._one_vs_rest(_roc_auc, true, score, weight)
        values, share = [], []
        for a, b in combinations(range(score.shape[1]), 2):
            both = (true == a) | (true == b)
            pair = [_roc_auc(true[both] == c, score[both, c], weight[both]) for c in (a, b)]
            values.append(sum(pair) / 2)
            share.append(int(both.sum()))
        return float(np.average(values, weights=share if self.average == "weighted" else None))


class AveragePrecision(_Ranked):
    """Area under the precision-recall curve as a step function: sum_k (R_k - R_{k-1}) P_k over all thresholds.

    Of more than two classes each stands against all others.

    Args:
        average: over more than two classes, ``"macro"``, ``"weighted"`` or ``"micro"``, as in `ROCAUC`.
        name: by default ``average_precision``, ``average_precision_weighted`` and so on.

    0 for a class without samples. All scores are kept until the result.

    Source: scikit-learn ``average_precision_score``.

    >>> metric = AveragePrecision()
    >>> metric.update([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> round(metric.result(), 6)
    0.833333
    """

    def __init__(self, average: str = "macro", name: str | None = None) -> None:
        self.average = _check_average("AveragePrecision", average, ("macro", "weighted", "micro"))
        parts = ["average_precision", *([average] if average != "macro" else [])]
        super().__init__("_".join(parts) if name is None else name)

    def _of(self, true: Int64, score: Float64, weight: Float64) -> float:
        return self._one_vs_rest(_average_precision, true, score, weight)
