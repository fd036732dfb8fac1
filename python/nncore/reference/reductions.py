"""What all losses share: the weights of rows, the reduction of values, and the scale of gradients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, as_array

__all__ = ["check_columns", "check_indices", "check_reduction", "check_weights", "columns", "reduce", "scale"]


def reduce(
    values: Array, reduction: str, sample_weight: npt.ArrayLike | None = None, shares: Array | None = None
) -> float | Array:
    """The loss, from its values ``[rows, ...]``.

    Every value is multiplied by the weight of its row. The mean is a weighted one, ``sum(w * values) / sum(w * shares)``
    with a share of one for each value unless `shares` ``[rows]`` says otherwise; it is 0 where no value has a share.
    """
    check_reduction(values.size, reduction)
    if sample_weight is None and shares is None:
        if reduction == "none":
            return np.asarray(values)
        total = float(np.sum(values, dtype=np.float64))
        return total / values.size if reduction == "mean" else total
    w = check_weights(sample_weight, values.shape)
    if reduction == "none":
        return np.asarray(values * _by_row(w, values).astype(values.dtype))
    total = float(np.sum(values * _by_row(w, values), dtype=np.float64))
    if reduction == "sum":
        return total
    count = _count(values, w, shares)
    return total / count if count > 0 else 0.0


def scale(
    gradient: Array,
    values: Array,
    reduction: str,
    sample_weight: npt.ArrayLike | None = None,
    shares: Array | None = None,
) -> Array:
    """The gradient of the loss, from that of the sum of its unweighted `values`; arguments as of `reduce`.

    Where a row weighs nothing its gradient is 0, even if that of its value is infinite.
    """
    check_reduction(values.size, reduction)
    if sample_weight is None and shares is None:
        return np.asarray(gradient / values.size if reduction == "mean" else gradient)
    w = check_weights(sample_weight, values.shape)
    count = _count(values, w, shares) if reduction == "mean" else 1.0
    factor = _by_row(w / count if count > 0 else np.zeros_like(w), gradient).astype(gradient.dtype)
    with np.errstate(invalid="ignore"):
        return np.where(factor == 0, 0, gradient * factor).astype(gradient.dtype)


def check_weights(sample_weight: npt.ArrayLike | None, shape: tuple[int, ...]) -> Array:
    """`sample_weight` as float64 ``[rows]`` for arrays of `shape` ``[rows, ...]``; all ones where there is none.

    Raises:
        TypeError: not real numbers.
        ValueError: another shape, or a weight that is negative or not finite.
    """
    if sample_weight is None:
        return np.ones(shape[:1])
    w = as_array("sample_weight", sample_weight)
    if w.dtype.kind not in "biuf":
        raise TypeError(f"sample_weight: expected real numbers, got dtype {w.dtype}")
    if len(shape) == 0 or w.shape != shape[:1]:
        raise ValueError(f"sample_weight: expected one number for each row, shape {shape[:1]}, got {w.shape}")
    _check_weight_values("sample_weight", w)
    return np.ascontiguousarray(w, np.float64)


def check_columns(name: str, value: npt.ArrayLike) -> Array:
    """The array option `name` as a float64 vector; one number stands for a vector of length 1.

    Raises:
        TypeError: not real numbers.
        ValueError: no number or vector, or a number that is negative or not finite.
    """
    array = as_array(name, value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name}: expected a number or a vector of them, got shape {array.shape}")
    array = array.astype(np.float64).reshape(-1)
    _check_weight_values(name, array)
    return array


def columns(name: str, value: npt.ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """The array option `name` for rows of `shape`: a vector for their last axis, float64 of that shape; None for None."""
    if value is None:
        return None
    array = check_columns(name, value)
    if len(array) not in (1, *shape[-1:]):
        last = shape[-1] if shape else 1
        raise ValueError(f"{name}: expected one number for each of {last} columns, got {len(array)}")
    return np.broadcast_to(array if shape else array[0], shape)


def check_reduction(count: int, reduction: str) -> None:
    """Raise ValueError unless `reduction` is known, and can be taken of `count` values."""
    if not isinstance(reduction, str) or reduction not in ("none", "sum", "mean"):
        raise ValueError(f"reduction: expected 'none', 'sum' or 'mean', got {reduction!r}")
    if reduction == "mean" and count == 0:
        raise ValueError("input: expected at least one value for reduction 'mean', got none")


def check_indices(indices: Array, classes: int, ignored: int | None = None) -> None:
    """Raise TypeError unless `indices` are integers, ValueError unless all are `ignored` or in [0, classes)."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"target: expected integer class indices, got dtype {indices.dtype}")
    if indices.size == 0 or (indices.min() >= 0 and indices.max() < classes):
        return
    bad = np.flatnonzero((indices < 0) | (indices >= classes))
    if bad.size and ignored is not None:
        bad = bad[indices[bad] != ignored]
    if bad.size:
        raise ValueError(f"target: expected class indices in [0, {classes - 1}], got {indices[bad[0]]} in row {bad[0]}")


def _by_row(w: Array, values: Array) -> Array:
    return w.reshape(w.shape + (1,) * (values.ndim - w.ndim))


def _count(values: Array, w: Array, shares: Array | None) -> float:
    """The weighted number of values."""
    per_row = values.size / len(values) if len(values) else 0.0
    return float(np.sum(w * (1.0 if shares is None else shares))) * per_row


def _check_weight_values(name: str, w: Array) -> None:
    bad = np.flatnonzero(~(np.isfinite(w) & (w >= 0)))
    if bad.size:
        raise ValueError(f"{name}: expected finite numbers that are not negative, got {w[bad[0]]} at position {bad[0]}")
