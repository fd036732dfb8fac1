"""Losses of classes and probabilities."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array
from nncore.loss_base import ClassLoss, ElementLoss
from nncore.optable import Shape

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "HingeLoss",
    "KLDivLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "SquaredHingeLoss",
]


class CrossEntropyLoss(ClassLoss):
    """Cross-entropy on logits: the mean over rows of -sum_c weight_c q_c log softmax(y)_c.

    The last layer needs no softmax: y [n, classes >= 2] are logits. Targets t: integer class indices [n] or [n, 1], or
    probabilities (one-hot or not) [n, classes]. With label smoothing s, q = (1 - s) t + s / classes.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``. The mean over class indices is sum(loss) / sum(weight[t]).
        weight: of each class.
        ignore_index: rows of this class index cost nothing and count in no mean, nor in those of metrics.
        label_smoothing: s, from 0 to 1.

    Source: PyTorch ``CrossEntropyLoss``.

    >>> value, dy = CrossEntropyLoss()(np.zeros((1, 2)), [1])
    >>> round(value, 6), dy.tolist()
    (0.693147, [[0.5, -0.5]])
    """

    name = "cross_entropy"
    hint = "; for one logit use bce_with_logits"

    def __init__(
        self,
        reduction: str = "mean",
        weight: npt.ArrayLike | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing)


class NLLLoss(ClassLoss):
    """Negative log-likelihood: the mean over rows of -weight_t y_t, of log-probabilities y [n, classes >= 2].

    After a `log_softmax` this is `CrossEntropyLoss` on what came before. Targets: integer class indices [n] or [n, 1].

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``. The mean is sum(loss) / sum(weight[t]).
        weight: of each class.
        ignore_index: rows of this class index cost nothing and count in no mean, nor in those of metrics.

    Source: PyTorch ``NLLLoss``.

    >>> value, dy = NLLLoss()(np.log([[0.5, 0.5]]), [1])
    >>> round(value, 6), dy.tolist()
    (0.693147, [[0.0, -1.0]])
    """

    name = "nll"

    def __init__(self, reduction: str = "mean", weight: npt.ArrayLike | None = None, ignore_index: int = -100) -> None:
        super().__init__(reduction, weight=weight, ignore_index=ignore_index)


class MultiMarginLoss(ClassLoss):
    """Multi-class hinge: the mean over rows of weight_t / classes sum_j max(0, margin - y_t + y_j)^p over j other than t.

    y [n, classes >= 2] are scores. Targets: integer class indices [n] or [n, 1].

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        p: 1 or 2.
        margin: by how much the right score should lead.
        weight: of each class; as in PyTorch the mean does not divide by it.

    Source: PyTorch ``MultiMarginLoss``.

    >>> MultiMarginLoss()(np.array([[0.0, 0.0]]), [0])[0]
    0.5
    """

    name = "multi_margin"

    def __init__(
        self, reduction: str = "mean", p: int = 1, margin: float = 1.0, weight: npt.ArrayLike | None = None
    ) -> None:
        super().__init__(reduction, p=p, margin=margin, weight=weight)


class BCEWithLogitsLoss(ElementLoss):
    """Binary cross-entropy on logits: the mean of weight (pos_weight t log(1 + exp(-y)) + (1 - t) log(1 + exp(y))).

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        weight: of each column of y (its last axis), or one number for all; the mean does not divide by it.
        pos_weight: as `weight`: how much more a positive counts than a negative.

    Targets: values in [0, 1] of y's shape; [n] is accepted for y [n, 1].

    Source: PyTorch ``BCEWithLogitsLoss``.

    >>> value, dy = BCEWithLogitsLoss(pos_weight=3.0)(np.zeros((1, 1)), [1])
    >>> round(value, 6), dy.tolist()
    (2.079442, [[-1.5]])
    """

    name = "bce_with_logits"
    low, high = 0.0, 1.0

    def __init__(
        self, reduction: str = "mean", weight: npt.ArrayLike | None = None, pos_weight: npt.ArrayLike | None = None
    ) -> None:
        super().__init__(reduction, weight=weight, pos_weight=pos_weight)


class BCELoss(ElementLoss):
    """Binary cross-entropy on probabilities: the mean of weight (-t log y - (1 - t) log(1 - y)).

    Logarithms below -100 count as -100. `BCEWithLogitsLoss` on what comes before the last sigmoid needs no such bound.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        weight: of each column of y (its last axis), or one number for all; the mean does not divide by it.

    Targets: values in [0, 1] of y's shape; [n] is accepted for y [n, 1].

    Source: PyTorch ``BCELoss``.

    >>> value, dy = BCELoss()(np.array([[0.5]]), [1])
    >>> round(value, 6), dy.tolist()
    (0.693147, [[-2.0]])
    """

    name = "bce"
    low, high = 0.0, 1.0

    def __init__(self, reduction: str = "mean", weight: npt.ArrayLike | None = None) -> None:
        super().__init__(reduction, weight=weight)


class FocalLoss(ElementLoss):
    """Binary cross-entropy on logits that counts easy elements less: the mean of alpha_t (1 - p_t)^gamma BCE(y, t).

    With p = sigmoid(y): p_t = p t + (1 - p) (1 - t), alpha_t = alpha t + (1 - alpha) (1 - t). For classes, one column each,
    targets are one-hot rows.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        alpha: weight of positives, from 0 to 1 (negatives: 1 - alpha); -1 for none.
        gamma: how much less easy elements count; with 0 and alpha -1 the loss is `BCEWithLogitsLoss`.

    Targets: values in [0, 1] of y's shape; [n] is accepted for y [n, 1].

    Source: Lin et al., Focal Loss for Dense Object Detection, arXiv 1708.02002; torchvision ``sigmoid_focal_loss``.

    >>> round(FocalLoss(alpha=-1.0)(np.zeros((1, 1)), [1])[0], 6)
    0.173287
    """

    name = "focal"
    low, high = 0.0, 1.0

    def __init__(self, reduction: str = "mean", alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__(reduction, alpha=alpha, gamma=gamma)


class KLDivLoss(ElementLoss):
    """Kullback-Leibler divergence from log-probabilities y to probabilities t: the mean over all elements of t (log t - y).

    The mean over elements is PyTorch's ``"mean"``; the divergence of a row is its sum.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        log_target: targets are log-probabilities too: exp(t) (t - y).

    Targets: values in [0, 1], or logarithms (finite numbers), of y's shape; [n] is accepted for y [n, 1].

    Source: PyTorch ``KLDivLoss``.

    >>> round(KLDivLoss(reduction="sum")(np.log([[0.5, 0.5]]), [[1.0, 0.0]])[0], 6)
    0.693147
    """

    name = "kl_div"

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction, log_target=log_target)

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of the targets."""
        return (-np.inf, np.inf) if self.attrs["log_target"] else (0.0, 1.0)


class _SignLoss(ElementLoss):
    """A loss whose targets are all -1 or 1, or all 0 or 1."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """Values [n, *output], labels -1 and 1, or 0 and 1."""
        array = super().check_target(target, rows, output, dtype, what)
        bad = (array != 1) & (array != (-1 if (array == -1).any() else 0))
        if bad.any():
            place = np.unravel_index(int(bad.argmax()), array.shape)
            raise ValueError(f"{what}: expected labels -1 and 1, or 0 and 1, got {array[place]} in row {place[0]}")
        return array


class HingeLoss(_SignLoss):
    """The mean over all elements of max(0, 1 - s y) with s = 1 for positives and -1 for negatives.

    Targets: labels of y's shape, -1 and 1 or 0 and 1; [n] is accepted for y [n, 1].

    Source: Keras ``Hinge``.

    >>> HingeLoss()(np.array([[0.5], [0.5]]), [1, 0])[0]
    1.0
    """

    name: ClassVar[str] = "hinge"


class SquaredHingeLoss(_SignLoss):
    """The mean over all elements of max(0, 1 - s y)^2 with s = 1 for positives and -1 for negatives.

    Targets: labels of y's shape, -1 and 1 or 0 and 1; [n] is accepted for y [n, 1].

    Source: Keras ``SquaredHinge``.

    >>> SquaredHingeLoss()(np.array([[0.5], [0.5]]), [1, -1])[0]
    1.25
    """

    name: ClassVar[str] = "squared_hinge"
