"""How much each sample counts: the weights that the user gives, and those that follow from class weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, real
from nncore.optable import AttrValue

__all__ = ["ClassWeight", "check_class_weight", "check_sample_weight", "combine", "labels_of"]

ClassWeight = Mapping[int, float] | Literal["balanced"]


def check_sample_weight(value: npt.ArrayLike | None, rows: int, what: str = "sample_weight") -> Array | None:
    """`value` as float64 [rows], or None; [rows, 1] is accepted.

    Raises:
        TypeError: not real numbers.
        ValueError: another shape, or a weight that is negative or not finite.
    """
    if value is None:
        return None
    array = real(value, what)
    if array.shape not in ((rows,), (rows, 1)):
        raise ValueError(f"{what}: expected one weight for each of {rows} samples, got shape {array.shape}")
    array = np.ascontiguousarray(array.reshape(rows), np.float64)
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{what}: expected finite weights that are not negative, got {array[row]} in row {row}")
    return array


def check_class_weight(class_weight: ClassWeight | None, in_memory: bool = True) -> None:
    """Raise TypeError or ValueError unless `class_weight` is a mapping from classes to weights or ``"balanced"``."""
    if class_weight is None:
        return
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight: expected a dict or 'balanced', got {class_weight!r}")
        if not in_memory:
            raise ValueError("class_weight: expected a dict beside an iterable of batches, got 'balanced'")
        return
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight: expected a dict or 'balanced', got {class_weight!r}")
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, (int, np.integer)):
            raise TypeError(f"class_weight: expected integer classes, got {label!r}")
        if isinstance(weight, bool) or not isinstance(weight, (int, float, np.integer, np.floating)):
            raise TypeError(f"class_weight: expected numbers, got {weight!r} for class {label}")
        if not 0 <= weight < np.inf:
            raise ValueError(f"class_weight: expected finite weights that are not negative, got {weight} for class {label}")


def combine(
    target: Array,
    sample_weight: Array | None,
    class_weight: ClassWeight | None,
    ignored: AttrValue | None = None,
    classes: int | None = None,
    what: str = "y",
) -> Array | None:
    """The weights of samples: `sample_weight` times the weight of each sample's class.

    The class of a sample is its index, the largest column of its row, or for one column its number. A class that a dict
    does not name weighs 1. ``"balanced"`` gives class c of k that occur n / (k * count(c)), as scikit-learn.

    Args:
        target: checked targets: class indices [n], or values [n, columns].
        sample_weight: checked weights [n], or None.
        class_weight: checked by `check_class_weight`.
        ignored: a class index that counts in no balance.
        classes: how many there are, where that is known.
        what: the targets' name in messages.

    Raises:
        ValueError: targets that are no classes, or a dict that names a class that cannot be.

    >>> combine(np.array([0, 0, 0, 1]), None, "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    if class_weight is None:
        return sample_weight
    labels = labels_of(target, what)
    weights = np.ones(len(labels))
    if isinstance(class_weight, str):
        known = labels != ignored if ignored is not None else np.ones(len(labels), bool)
        found, place, counts = np.unique(labels[known], return_inverse=True, return_counts=True)
        weights[known] = (known.sum() / (len(found) * counts))[place]
    else:
        for label, weight in class_weight.items():
            if classes is not None and not 0 <= label < classes:
                raise ValueError(f"class_weight: expected classes from 0 to {classes - 1}, got {label}")
            weights[labels == label] = weight
    return weights if sample_weight is None else weights * sample_weight


def labels_of(target: Array, what: str = "y", why: str = "class_weight") -> Array:
    """The class of each sample, [n]: its index, the largest column of its row, or for one column its number.

    Raises:
        ValueError: targets that are no classes; the message begins with `why` they should be.
    """
    if target.ndim == 1:
        return target
    if target.ndim != 2:
        raise ValueError(f"{why}: expected {what} with one class for each sample, got shape {target.shape}")
    if target.shape[1] > 1:
        return np.asarray(target.argmax(axis=1))
    labels = target[:, 0]
    if (labels != np.round(labels)).any():
        row = int((labels != np.round(labels)).argmax())
        raise ValueError(f"{why}: expected {what} of whole numbers, got {labels[row]} in row {row}")
    return labels.astype(np.int64)
