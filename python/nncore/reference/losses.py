"""Losses, each forward beside its backward.

A loss compares a prediction (`input`) with a `target` and gives a float, or with ``reduction="none"`` an array:

- ``"none"``: one value for each element (`cross_entropy`: for each row);
- ``"sum"``: their sum;
- ``"mean"``: their mean.

``NAME_backward`` is the gradient of that float with respect to `input` (for ``"none"``, of the sum). Values are computed in
the arrays' dtype and summed in float64. Source of definitions and defaults: ``torch.nn.functional``.

Common errors: a dtype that is not real is a TypeError; shapes that do not fit, an unknown reduction and the mean of no
values are ValueErrors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_array, as_float, as_floats
from nncore.reference.axes import log_softmax, softmax
from nncore.reference.smooth import sigmoid

__all__ = [
    "bce_with_logits",
    "bce_with_logits_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "mse",
    "mse_backward",
]


def mse(input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean") -> float | Array:
    """Squared error, ``(input - target)^2``, of each element.

    Args:
        input: any shape.
        target: the same shape.
        reduction: see the module.

    >>> mse([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    x, t = alike(input=input, target=target)
    return _reduce((x - t) ** 2, reduction)


def mse_backward(input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean") -> Array:
    """``2 * (input - target)``, divided by the number of elements for the mean.

    >>> mse_backward([1.0, 2.0], [1.0, 4.0])
    array([ 0., -2.])
    """
    x, t = alike(input=input, target=target)
    return _scale(2 * (x - t), x.size, reduction)


def cross_entropy(input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean") -> float | Array:
    """``-sum_c target[c] * log(softmax(input)[c])`` of each row; for a class index, ``-log(softmax(input)[target])``.

    Args:
        input: ``[rows, classes]``, logits.
        target: class indices ``[rows]``, integers from 0; or probabilities ``[rows, classes]``.
        reduction: see the module.

    Raises:
        TypeError: class indices that are not integers.
        ValueError: a class index out of range.

    >>> round(cross_entropy([[0.0, 0.0], [0.0, 0.0]], [0, 1]), 6)
    0.693147
    """
    x, t = _logits_and_probabilities(input, target)
    y = np.where(t == 0, 0, log_softmax(x))  # a class of no weight costs nothing, not even 0 * inf
    return _reduce(-(t * y).sum(axis=1), reduction)


def cross_entropy_backward(input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean") -> Array:
    """``softmax(input) * sum_c target[c] - target``, divided by the number of rows for the mean.

    Where the target's row sums to one, as probabilities and one-hot rows do, this is the famous softmax(input) - target.
    Derivation: apply `log_softmax_backward` to dy = -target.

    >>> cross_entropy_backward([[0.0, 0.0]], [0])
    array([[-0.5,  0.5]])
    """
    x, t = _logits_and_probabilities(input, target)
    return _scale(softmax(x) * t.sum(axis=1, keepdims=True) - t, len(x), reduction)


def bce_with_logits(input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean") -> float | Array:
    """``-target * log(p) - (1 - target) * log(1 - p)`` of each element, with p = sigmoid(input).

    Written max(x, 0) - x * target + log(1 + exp(-|x|)), which is the same number but neither overflows nor takes log(0).

    Args:
        input: any shape, logits.
        target: the same shape, probabilities.
        reduction: see the module.

    >>> bce_with_logits([1000.0, -1000.0], [1.0, 1.0], "none")
    array([   0., 1000.])
    """
    x, t = alike(input=input, target=target)
    return _reduce(np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))), reduction)


def bce_with_logits_backward(input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean") -> Array:
    """``sigmoid(input) - target``, divided by the number of elements for the mean.

    >>> bce_with_logits_backward([0.0, 0.0], [0.0, 1.0], "sum")
    array([ 0.5, -0.5])
    """
    x, t = alike(input=input, target=target)
    return _scale(sigmoid(x) - t, x.size, reduction)


def _logits_and_probabilities(input: npt.ArrayLike, target: npt.ArrayLike) -> tuple[Array, Array]:
    """Input and target, both ``[rows, classes]`` and of one dtype; class indices become one-hot rows."""
    x = as_float("input", input)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"input: expected shape [rows, classes], got {x.shape}")
    t = as_array("target", target)
    if t.ndim == 1:
        t = one_hot(t, x.shape[1], x.dtype)
    x, t = as_floats(input=x, target=t)
    if t.shape != x.shape:
        raise ValueError(f"target: expected shape {x.shape[:1]} or {x.shape}, got {np.shape(target)}")
    return x, t


def one_hot(indices: Array, classes: int, dtype: npt.DTypeLike) -> Array:
    """Rows ``[rows, classes]`` that are 1 at the class given and 0 elsewhere, of class `indices` ``[rows]``."""
    check_indices(indices, classes)
    rows = np.zeros((len(indices), classes), dtype)
    rows[np.arange(len(indices)), indices] = 1
    return rows


def check_indices(indices: Array, classes: int) -> None:
    """Raise TypeError unless `indices` are integers, ValueError unless all are in [0, classes)."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"target: expected integer class indices, got dtype {indices.dtype}")
    bad = np.flatnonzero((indices < 0) | (indices >= classes))
    if bad.size:
        raise ValueError(f"target: expected class indices in [0, {classes - 1}], got {indices[bad[0]]} in row {bad[0]}")


def _reduce(values: Array, reduction: str) -> float | Array:
    """The loss, from its values."""
    check_reduction(values.size, reduction)
    if reduction == "none":
        return np.asarray(values)
    total = float(np.sum(values, dtype=np.float64))
    return total / values.size if reduction == "mean" else total


def _scale(gradient: Array, count: int, reduction: str) -> Array:
    """The gradient of the loss, from that of the sum of its `count` values."""
    check_reduction(count, reduction)
    return np.asarray(gradient / count if reduction == "mean" else gradient)


def check_reduction(count: int, reduction: str) -> None:
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"reduction: expected 'none', 'sum' or 'mean', got {reduction!r}")
    if reduction == "mean" and count == 0:
        raise ValueError("input: expected at least one value for reduction 'mean', got none")
