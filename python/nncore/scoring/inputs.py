"""How metrics read targets, predictions and weights: checked, and brought to one form."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, check_finite, real

__all__ = ["Float64", "Int64", "class_pair", "labels", "scores", "value_pair", "weights"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_MOST_CLASSES = 2**20  # more are most likely no classes


def _rows(value: npt.ArrayLike, what: str) -> Array:
    array = real(value, what)
    if array.ndim == 0:
        raise ValueError(f"{what}: expected an array with one sample per row, got a scalar")
    check_finite(array, what)
    return array


def _same_rows(array: Array, rows: int, what: str) -> None:
    if len(array) != rows:
        raise ValueError(f"{what}: expected as many rows as y_pred ({rows}), got {len(array)}")


def weights(sample_weight: npt.ArrayLike | None, rows: int) -> Float64:
    """Weights [rows], ones for ``None``."""
    if sample_weight is None:
        return np.ones(rows)
    array = real(sample_weight, "sample_weight")
    if array.shape != (rows,):
        raise ValueError(f"sample_weight: expected shape ({rows},), got {array.shape}")
    check_finite(array, "sample_weight", low=0.0)
    return array.astype(np.float64)


def labels(value: npt.ArrayLike, what: str, signs: bool = False) -> Int64:
    """Classes [n]: whole numbers from 0, [n] or [n, 1], or for rows [n, classes] the place of the largest.

    With `signs`, as where a prediction has two classes, -1 and 1 may stand for 0 and 1.
    """
    array = _rows(value, what)
    if array.ndim == 2 and array.shape[1] > 1:
        return np.asarray(array.argmax(axis=1), np.int64)
    if array.ndim > 2:
        raise ValueError(f"{what}: expected classes (n,) or one row per sample (n, classes), got shape {array.shape}")
    if array.size != len(array):
        raise ValueError(f"{what}: expected classes (n,) or one row per sample (n, classes), got shape {array.shape}")
    array = array.reshape(len(array))
    if signs and (array == -1).any() and np.isin(array, (-1, 1)).all():
        return np.asarray(array > 0, np.int64)
    if array.dtype.kind == "f" and (array != np.floor(array)).any():
        row = int((array != np.floor(array)).argmax())
        raise ValueError(f"{what}: expected classes 0, 1, ..., got {array[row]} in row {row}")
    if array.size and not 0 <= array.min() <= array.max() < _MOST_CLASSES:
        row = int(((array < 0) | (array >= _MOST_CLASSES)).argmax())
        raise ValueError(f"{what}: expected classes from 0 to {_MOST_CLASSES - 1}, got {array[row]} in row {row}")
    return array.astype(np.int64)


def class_pair(y_true: npt.ArrayLike, y_pred: npt.ArrayLike, threshold: float) -> tuple[Int64, Int64, int]:
    """True and predicted classes [n], and how many classes the prediction is a choice of (0: it does not say).

    Args:
        y_true: as in `labels`; beside a single score or classes -1 and 1 these may be -1 and 1 too.
        y_pred: scores [n, classes], of which the largest (the first of equals) is the prediction; scores of class 1 as
            floats [n] or [n, 1], which is the prediction above `threshold`; or classes as integers [n] or [n, 1].
        threshold: see y_pred.
    """
    predicted = _rows(y_pred, "y_pred")
    several = predicted.ndim == 2 and predicted.shape[1] > 1
    true = labels(y_true, "y_true", signs=not several)
    _same_rows(true, len(predicted), "y_true")
    if several:
        classes = predicted.shape[1]
    elif predicted.dtype.kind == "f" and predicted.size == len(predicted):
        predicted, classes = (predicted > threshold).astype(np.int64), 2
    else:
        classes = 0
    if classes and true.size and true.max() >= classes:
        row = int((true >= classes).argmax())
        raise ValueError(f"y_true: expected classes from 0 to {classes - 1}, got {true[row]} in row {row}")
    return true, labels(predicted, "y_pred", signs=not several), classes


def scores(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[Int64, Float64]:
    """True classes [n], and scores [n, classes]; scores of class 1 alone, [n] or [n, 1], come as [n, 1].

    Beside the latter the true classes may be -1 and 1.

    Raises:
        ValueError: other shapes, or a class that has no score.
    """
    predicted = _rows(y_pred, "y_pred")
    if predicted.ndim > 2 or predicted.shape[1:] == (0,):
        raise ValueError(f"y_pred: expected scores (n,) or (n, classes), got shape {predicted.shape}")
    predicted = predicted.reshape(len(predicted), math.prod(predicted.shape[1:])).astype(np.float64)
    true = labels(y_true, "y_true", signs=predicted.shape[1] == 1)
    _same_rows(true, len(predicted), "y_true")
    classes = max(predicted.shape[1], 2)
    if true.size and true.max() >= classes:
        row = int((true >= classes).argmax())
        raise ValueError(f"y_true: expected classes from 0 to {classes - 1}, got {true[row]} in row {row}")
    return true, predicted


def value_pair(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> tuple[Float64, Float64]:
    """Targets and predictions [n, outputs] in float64, of arrays [n, ...] of one shape; [n] and [n, 1] count as equal."""
    true, predicted = _rows(y_true, "y_true"), _rows(y_pred, "y_pred")
    _same_rows(true, len(predicted), "y_true")
    flat = (len(predicted),)
    if true.shape != predicted.shape and {true.shape, predicted.shape} != {flat, (*flat, 1)}:
        raise ValueError(f"y_true: expected the shape of y_pred {predicted.shape}, got {true.shape}")
    outputs = int(np.prod(predicted.shape[1:]))
    return true.reshape(*flat, outputs).astype(np.float64), predicted.reshape(*flat, outputs).astype(np.float64)
