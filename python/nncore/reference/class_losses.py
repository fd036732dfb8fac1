"""Losses of classes and probabilities, beside the cross-entropies of `nncore.reference.losses`.

Arguments, reductions, weights and errors are those of `nncore.reference.losses`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_array
from nncore.reference.losses import check_rows, class_scores, class_weights, spread_indices
from nncore.reference.reductions import check_indices, columns, reduce, scale
from nncore.reference.smooth import sigmoid

__all__ = [
    "bce",
    "bce_backward",
    "focal",
    "focal_backward",
    "hinge",
    "hinge_backward",
    "kl_div",
    "kl_div_backward",
    "multi_margin",
    "multi_margin_backward",
    "nll",
    "nll_backward",
    "squared_hinge",
    "squared_hinge_backward",
]


def bce(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``-weight * (target * log(input) + (1 - target) * log(1 - input))`` of each element.

    Logarithms below -100 count as -100, as in PyTorch ``binary_cross_entropy``; `bce_with_logits` needs no such bound.

    Args:
        input: any shape.
        target: the same shape.
        weight: of each column (the last axis of at least two), or one for all; the mean does not divide by it.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> bce([0.0, 1.0], [1.0, 1.0], "none")
    array([100.,   0.])
    """
    x, t = alike(input=input, target=target)
    w = _weights(weight, x)
    with np.errstate(divide="ignore"):
        yes, no = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    return reduce(w * (0 - (t * yes + (1 - t) * no)), reduction, sample_weight)


def bce_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``weight * (input - target) / max(input * (1 - input), 1e-12)``, divided by the number of elements for the mean.

    >>> bce_backward([0.5, 0.5], [0.0, 1.0], "sum")
    array([ 2., -2.])
    """
    x, t = alike(input=input, target=target)
    slope = (x - t) / np.maximum(x * (1 - x), np.asarray(1e-12, x.dtype))
    return scale(_weights(weight, x) * slope, x, reduction, sample_weight)


def kl_div(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    log_target: bool = False,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``target * (log(target) - input)`` of each element: the input holds log-probabilities.

    The sum over a row is the divergence KL(target || exp(input)). The mean is over elements, as PyTorch's ``"mean"``.

    Args:
        input: any shape.
        target: the same shape.
        log_target: the target holds log-probabilities too: ``exp(target) * (target - input)``.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> round(kl_div(np.log([[0.5, 0.5]]), [[1.0, 0.0]], "sum"), 6)
    0.693147
    """
    x, t = alike(input=input, target=target)
    w = np.exp(t) if log_target else t
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(w == 0, 0, w * ((t if log_target else np.log(t)) - x))
    return reduce(values, reduction, sample_weight)


def kl_div_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    log_target: bool = False,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``-target``, or ``-exp(target)``, divided by the number of elements for the mean.

    >>> kl_div_backward([[-1.0, -1.0]], [[1.0, 0.0]], "sum").tolist()
    [[-1.0, 0.0]]
    """
    x, t = alike(input=input, target=target)
    return scale(0 - (np.exp(t) if log_target else t), x, reduction, sample_weight)


def hinge(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``max(0, 1 - sign * input)`` of each element, with sign = 1 where the target is above 0, else -1.

    So labels may be -1 and 1, or 0 and 1. Keras ``Hinge``.

    Args:
        input: any shape.
        target: the same shape.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> hinge([0.5, 0.5], [1.0, 0.0], "none")
    array([0.5, 1.5])
    """
    x, t = alike(input=input, target=target)
    return reduce(np.maximum(0, 1 - _signs(t) * x), reduction, sample_weight)


def hinge_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``-sign`` where the value is above 0, divided by the number of elements for the mean.

    >>> hinge_backward([0.5, 2.0], [1.0, 1.0], "sum").tolist()
    [-1.0, 0.0]
    """
    x, t = alike(input=input, target=target)
    s = _signs(t)
    return scale(np.where(s * x < 1, -s, 0).astype(x.dtype), x, reduction, sample_weight)


def squared_hinge(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``max(0, 1 - sign * input)^2`` of each element; labels as for `hinge`. Keras ``SquaredHinge``.

    Args:
        input: any shape.
        target: the same shape.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> squared_hinge([0.5, 0.5], [1.0, -1.0], "none")
    array([0.25, 2.25])
    """
    x, t = alike(input=input, target=target)
    return reduce(np.maximum(0, 1 - _signs(t) * x) ** 2, reduction, sample_weight)


def squared_hinge_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``-2 * sign * max(0, 1 - sign * input)``, divided by the number of elements for the mean.

    >>> squared_hinge_backward([0.5, 0.5], [1.0, -1.0], "sum")
    array([-1.,  3.])
    """
    x, t = alike(input=input, target=target)
    s = _signs(t)
    return scale(-2 * s * np.maximum(0, 1 - s * x), x, reduction, sample_weight)


def focal(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``alpha_t * (1 - p_t)^gamma * bce_with_logits(input, target)`` of each element, of logits.

    With p = sigmoid(input): p_t = p * target + (1 - p) * (1 - target), alpha_t the same of alpha, or 1 if that is negative.
    Source: Lin et al., Focal Loss for Dense Object Detection, arXiv 1708.02002; torchvision ``sigmoid_focal_loss``.

    Args:
        input: any shape.
        target: the same shape.
        alpha: weight of positives, from 0 to 1 (negatives: 1 - alpha); -1 for none.
        gamma: how much less easy elements count, not negative.
        reduction, sample_weight: see `nncore.reference.losses`.

    >>> round(focal([0.0], [1.0], alpha=-1.0), 6)
    0.173287
    """
    x, t = alike(input=input, target=target)
    power, entropy, _ = _focal_parts(x, t, alpha, gamma)
    return reduce(power * entropy, reduction, sample_weight)


def focal_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """The derivative of ``(1 - p_t)^gamma`` by the product rule beside that of `bce_with_logits`, times alpha_t.

    >>> focal_backward([0.0], [1.0], alpha=-1.0).round(6)
    array([-0.298287])
    """
    x, t = alike(input=input, target=target)
    power, entropy, slope = _focal_parts(x, t, alpha, gamma)
    return scale(power * ((sigmoid(x) - t) + gamma * entropy * slope), x, reduction, sample_weight)


def nll(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    ignore_index: int = -100,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``-weight[target] * input[target]`` of each row; PyTorch ``nll_loss``. `cross_entropy` is this after `log_softmax`.

    Args:
        input: ``[rows, classes]``, log-probabilities.
        target: class indices ``[rows]``.
        reduction, sample_weight: see `nncore.reference.losses`.
        ignore_index: rows of this class index cost nothing and do not count in the mean.
        weight: ``[classes]``; the mean is ``sum(values) / sum(weight[target])``.

    >>> nll([[-1.0, -2.0], [-3.0, -4.0]], [0, 1], weight=[1.0, 3.0])
    3.25
    """
    x, q, shares = _weighted_one_hot(input, target, ignore_index, weight)
    values = -np.where(q == 0, 0, q * x).sum(axis=1)
    return reduce(values, reduction, sample_weight, shares)


def nll_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    ignore_index: int = -100,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``-weight[target]`` at the target and 0 elsewhere, divided by the weights' sum for the mean.

    >>> nll_backward([[-1.0, -2.0]], [1]).tolist()
    [[0.0, -1.0]]
    """
    x, q, shares = _weighted_one_hot(input, target, ignore_index, weight)
    return scale(0 - q, x[:, 0], reduction, sample_weight, shares)


def multi_margin(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``weight[y] / classes * sum_j max(0, margin - input[y] + input[j])^p`` over j other than y = target, of each row.

    PyTorch ``multi_margin_loss``.

    Args:
        input: ``[rows, classes]``, scores.
        target: class indices ``[rows]``.
        reduction, sample_weight: see `nncore.reference.losses`.
        p: 1 or 2.
        margin: by how much the right score should lead.
        weight: ``[classes]``; the mean does not divide by it.

    >>> multi_margin([[0.5, 0.0, 3.0]], [0])
    1.3333333333333333
    """
    x, w, gap = _margins(input, target, p, margin, weight)
    values = w * (gap**p).sum(axis=1) / x.shape[1]
    return reduce(values, reduction, sample_weight)


def multi_margin_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``weight[y] / classes * p * gap^(p - 1)`` at each gap above 0, and minus their sum at the target.

    >>> multi_margin_backward([[0.0, 0.0]], [0])
    array([[-0.5,  0.5]])
    """
    x, w, gap = _margins(input, target, p, margin, weight)
    slope = (w / x.shape[1])[:, None] * (2 * gap if p == 2 else (gap > 0).astype(x.dtype))
    slope[np.arange(len(x)), np.asarray(target)] = -slope.sum(axis=1)
    return scale(slope, x[:, 0], reduction, sample_weight)


def _signs(t: Array) -> Array:
    return np.where(t > 0, 1, -1).astype(t.dtype)


def _weights(weight: npt.ArrayLike | None, x: Array) -> Array:
    found = columns("weight", weight, x.shape[1:])
    return np.ones((), x.dtype) if found is None else found.astype(x.dtype)


def _focal_parts(x: Array, t: Array, alpha: float, gamma: float) -> tuple[Array, Array, Array]:
    """alpha_t (1 - p_t)^gamma, the cross-entropy, and the derivative of log(1 - p_t)."""
    p, q = sigmoid(x), sigmoid(-x)
    entropy = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))
    u = np.maximum(p * (1 - t) + q * t, np.finfo(x.dtype).tiny)
    weight = alpha * t + (1 - alpha) * (1 - t) if alpha >= 0 else np.ones_like(x)
    return weight * u**gamma, entropy, (p * q / u) * (1 - 2 * t)


def _weighted_one_hot(
    input: npt.ArrayLike, target: npt.ArrayLike, ignore_index: int, weight: npt.ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    x, t = class_scores(input), as_array("target", target)
    check_rows(x, t)
    w = class_weights(weight, x.shape[1])
    rows, shares = spread_indices(t, x, ignore_index, w)
    return x, rows if w is None else rows * w.astype(x.dtype), shares


def _margins(
    input: npt.ArrayLike, target: npt.ArrayLike, p: int, margin: float, weight: npt.ArrayLike | None
) -> tuple[Array, Array, Array]:
    """Scores, the weight of each row, and by how much each other class comes too near, 0 at the target."""
    x, y = class_scores(input), as_array("target", target)
    check_rows(x, y)
    check_indices(y, x.shape[1])
    if p not in (1, 2):
        raise ValueError(f"p: expected 1 or 2, got {p!r}")
    w = class_weights(weight, x.shape[1])
    rows = np.arange(len(x))
    gap = np.maximum(0, x.dtype.type(margin) + (x - x[rows, y][:, None]))
    gap[rows, y] = 0
    return x, np.ones(len(x), x.dtype) if w is None else w[y].astype(x.dtype), gap
