"""Metrics: how good each row of a prediction is, as one float64 value per row.

`input` is the prediction ``[rows, ...]`` and `target` has its shape; means are over all axes but the first. In `accuracy`
the target may also be class indices ``[rows]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nncore.reference.arrays import Array

__all__ = ["METRICS"]


def accuracy(input: Array, target: Array) -> Array:
    """1 where the largest of a row's scores is at the target's class, else 0; the first of equal scores counts.

    >>> accuracy(np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([1, 1]))
    array([1., 0.])
    """
    if input.ndim != 2 or input.shape[1] < 2:
        raise ValueError(f"metric 'accuracy': expected predictions [rows, classes > 1], got {input.shape}")
    classes = target if target.ndim == 1 else _like(input, target).argmax(axis=1)
    return np.asarray(input.argmax(axis=1) == classes, np.float64)


def binary_accuracy(input: Array, target: Array) -> Array:
    """The share of a row's elements that lie on the target's side of 0.5.

    >>> binary_accuracy(np.array([[0.9, 0.9]]), np.array([[1.0, 0.0]]))
    array([0.5])
    """
    return _row_mean((input > 0.5) == (_like(input, target) > 0.5))


def binary_accuracy_logits(input: Array, target: Array) -> Array:
    """As `binary_accuracy`, for logits: their threshold is 0.

    >>> binary_accuracy_logits(np.array([[-3.0, 3.0]]), np.array([[0.0, 0.0]]))
    array([0.5])
    """
    return _row_mean((input > 0) == (_like(input, target) > 0.5))


def mse(input: Array, target: Array) -> Array:
    """The mean squared error of a row.

    >>> mse(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]))
    array([2.])
    """
    return _row_mean((input.astype(np.float64) - _like(input, target)) ** 2)


def mae(input: Array, target: Array) -> Array:
    """The mean absolute error of a row.

    >>> mae(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]))
    array([1.])
    """
    return _row_mean(np.abs(input.astype(np.float64) - _like(input, target)))


def _like(input: Array, target: Array) -> Array:
    if target.shape != input.shape:
        raise ValueError(f"target: expected the prediction's shape {input.shape} for this metric, got {target.shape}")
    return target


def _row_mean(values: Array) -> Array:
    return np.asarray(values.reshape(len(values), -1).mean(axis=1, dtype=np.float64))


METRICS: Mapping[str, Callable[[Array, Array], Array]] = {
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    "binary_accuracy_logits": binary_accuracy_logits,
    "mse": mse,
    "mae": mae,
}
"""Each metric by name."""
