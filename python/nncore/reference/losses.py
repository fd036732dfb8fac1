"""Losses, each forward beside its backward: squared error and the cross-entropies here, the others in their own files.

A loss compares a prediction (`input`) with a `target` and gives a float, or with ``reduction="none"`` an array:

- ``"none"``: one value for each element (of the losses of whole rows, such as `cross_entropy`: for each row);
- ``"sum"``: their sum;
- ``"mean"``: their mean.

`sample_weight`, one number for each row of `input`, multiplies the values, and the mean becomes a weighted one:
``sum(w * values) / sum(w)``. Where a loss has a `weight` for each class its mean is PyTorch's, the same with the weight of
each row's class; both kinds multiply. The mean of values that all weigh nothing is 0 (PyTorch: NaN).

``NAME_backward`` is the gradient of that float with respect to `input` (for ``"none"``, of the sum). Values are computed in
the arrays' dtype and summed in float64. Source of definitions and defaults: ``torch.nn.functional``.

Common errors: a dtype that is not real is a TypeError; shapes that do not fit, an unknown reduction, a weight that is
negative or not finite and the mean of no values are ValueErrors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_array, as_float, as_floats
from nncore.reference.axes import log_softmax, softmax
from nncore.reference.reductions import check_columns, check_indices, columns, reduce, scale
from nncore.reference.smooth import sigmoid

__all__ = [
    "bce_with_logits",
    "bce_with_logits_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "mse",
    "mse_backward",
]


def mse(
    input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean", *, sample_weight: npt.ArrayLike | None = None
) -> float | Array:
    """Squared error, ``(input - target)^2``, of each element.

    Args:
        input: any shape.
        target: the same shape.
        reduction: see the module.
        sample_weight: ``[len(input)]``, see the module.

    >>> mse([1.0, 2.0], [1.0, 4.0])
    2.0
    >>> mse([1.0, 2.0], [1.0, 4.0], sample_weight=[3.0, 1.0])
    1.0
    """
    x, t = alike(input=input, target=target)
    return reduce((x - t) ** 2, reduction, sample_weight)


def mse_backward(
    input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean", *, sample_weight: npt.ArrayLike | None = None
) -> Array:
    """``2 * (input - target)``, divided by the number of elements for the mean.

    >>> mse_backward([1.0, 2.0], [1.0, 4.0])
    array([ 0., -2.])
    """
    x, t = alike(input=input, target=target)
    return scale(2 * (x - t), x, reduction, sample_weight)


def cross_entropy(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``-sum_c q[c] * log(softmax(input)[c])`` of each row, with q = target; for a class index, q is one-hot.

    With `label_smoothing` s, q = (1 - s) * target + s / classes; with `weight`, each q[c] is multiplied by weight[c]. The
    mean over class indices is ``sum(values) / sum(weight[target])``, that over probabilities the sum by the number of rows.

    Args:
        input: ``[rows, classes]``, logits.
        target: class indices ``[rows]``, integers from 0; or probabilities ``[rows, classes]``.
        reduction: see the module.
        ignore_index: rows of this class index cost nothing and do not count in the mean.
        label_smoothing: how much of the target is spread evenly over all classes, 0 to 1.
        weight: ``[classes]``, not negative.
        sample_weight: ``[rows]``, see the module.

    Raises:
        TypeError: class indices that are not integers.
        ValueError: a class index out of range.

    >>> round(cross_entropy([[0.0, 0.0], [0.0, 0.0]], [0, 1]), 6)
    0.693147
    """
    x, q, shares = _logits_and_probabilities(input, target, ignore_index, label_smoothing, weight)
    y = np.where(q == 0, 0, log_softmax(x))  # a class of no weight costs nothing, not even 0 * inf
    return reduce(-(q * y).sum(axis=1), reduction, sample_weight, shares)


def cross_entropy_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``softmax(input) * sum_c q[c] - q``, divided by the number of rows for the mean.

    Where the target's row sums to one, as probabilities and one-hot rows do, this is the famous softmax(input) - target.
    Derivation: apply `log_softmax_backward` to dy = -q.

    >>> cross_entropy_backward([[0.0, 0.0]], [0])
    array([[-0.5,  0.5]])
    """
    x, q, shares = _logits_and_probabilities(input, target, ignore_index, label_smoothing, weight)
    gradient = softmax(x) * q.sum(axis=1, keepdims=True) - q
    return scale(gradient, x[:, 0], reduction, sample_weight, shares)


def bce_with_logits(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    """``weight * (-pos_weight * target * log(p) - (1 - target) * log(1 - p))`` of each element, with p = sigmoid(input).

    Written with softplus(z) = max(z, 0) + log(1 + exp(-|z|)) = -log(sigmoid(-z)), which neither overflows nor takes log(0).

    Args:
        input: any shape, logits.
        target: the same shape, probabilities.
        reduction: see the module.
        weight: of each column (the last axis of at least two), or one for all; the mean does not divide by it.
        pos_weight: as `weight`; how much more a positive counts than a negative.
        sample_weight: ``[len(input)]``, see the module.

    >>> bce_with_logits([1000.0, -1000.0], [1.0, 1.0], "none")
    array([   0., 1000.])
    """
    x, t = alike(input=input, target=target)
    w, positive = _bce_weights(x, weight, pos_weight)
    values = w * (positive * t * _softplus(-x) + (1 - t) * _softplus(x))
    if weight is None and pos_weight is None:
        values = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))  # the same number, for any target
    return reduce(values, reduction, sample_weight)


def bce_with_logits_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    """``weight * ((1 - target) * p - pos_weight * target * (1 - p))``, divided by the number of elements for the mean.

    Without weights that is sigmoid(input) - target.

    >>> bce_with_logits_backward([0.0, 0.0], [0.0, 1.0], "sum")
    array([ 0.5, -0.5])
    """
    x, t = alike(input=input, target=target)
    w, positive = _bce_weights(x, weight, pos_weight)
    gradient = w * ((1 - t) * sigmoid(x) - positive * t * sigmoid(-x))
    if weight is None and pos_weight is None:
        gradient = sigmoid(x) - t
    return scale(gradient, x, reduction, sample_weight)


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _bce_weights(x: Array, weight: npt.ArrayLike | None, pos_weight: npt.ArrayLike | None) -> tuple[Array, Array]:
    """Both weights, in the shape of a row or one for all."""
    found = columns("weight", weight, x.shape[1:]), columns("pos_weight", pos_weight, x.shape[1:])
    w, positive = (np.ones((), x.dtype) if array is None else array.astype(x.dtype) for array in found)
    return w, positive


def _logits_and_probabilities(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    ignore_index: int,
    label_smoothing: float,
    weight: npt.ArrayLike | None,
) -> tuple[Array, Array, Array | None]:
    """Input and q, both ``[rows, classes]`` and of one dtype, and what each row counts in the mean."""
    x, t = class_scores(input), as_array("target", target)
    w = class_weights(weight, x.shape[1])
    shares = None
    if t.ndim == 1:
        check_rows(x, t, True)
        t, shares = spread_indices(t, x, ignore_index, w)
    x, t = as_floats(input=x, target=t)
    if t.shape != x.shape:
        raise ValueError(f"target: expected shape {x.shape[:1]} or {x.shape}, got {np.shape(target)}")
    kept = t.sum(axis=1, keepdims=True) > 0 if shares is not None else 1  # not the ignored rows
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing: expected a number in [0, 1], got {label_smoothing!r}")
    q = (1 - label_smoothing) * t + kept * (label_smoothing / x.shape[1]) if label_smoothing else t
    return x, q if w is None else q * w.astype(x.dtype), shares


def class_scores(input: npt.ArrayLike) -> Array:
    """`input` as floats ``[rows, classes]``."""
    x = as_float("input", input)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"input: expected shape [rows, classes], got {x.shape}")
    return x


def check_rows(x: Array, t: Array, values: bool = False) -> None:
    """Raise unless `t` has a class index for each row of `x`; `values` says that rows are welcome too."""
    if t.dtype.kind not in "biuf":
        raise TypeError(f"target: expected integer class indices, got dtype {t.dtype}")
    if t.shape != x.shape[:1]:
        raise ValueError(f"target: expected shape {x.shape[:1]}{f' or {x.shape}' if values else ''}, got {t.shape}")


def class_weights(weight: npt.ArrayLike | None, classes: int) -> Array | None:
    """`weight` as float64 ``[classes]``, or None."""
    if weight is None:
        return None
    w = check_columns("weight", weight)
    if len(w) != classes:
        raise ValueError(f"weight: expected one number for each of {classes} classes, got {len(w)}")
    return w


def spread_indices(t: Array, x: Array, ignore_index: int, w: Array | None) -> tuple[Array, Array | None]:
    """One-hot rows of x's shape and dtype, zeros where a row is ignored; and what each row counts in the mean."""
    check_indices(t, x.shape[1], ignore_index)
    ignored = t == ignore_index
    rows = np.zeros(x.shape, x.dtype)
    rows[np.arange(len(t)), np.where(ignored, 0, t)] = ~ignored
    if w is None:
        return rows, (~ignored).astype(np.float64) if ignored.any() else None
    return rows, np.where(ignored, 0.0, w[np.where(ignored, 0, t)])
