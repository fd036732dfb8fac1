"""Splitting labelled samples into a training and a test part."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.foreign import as_array
from nncore.scalars import number

__all__ = ["train_test_split"]

Array = npt.NDArray[Any]


def train_test_split(
    x: npt.ArrayLike, y: npt.ArrayLike, *, test_size: float = 0.2, seed: int = 0
) -> tuple[Array, Array, Array, Array]:
    """Split at random, every class in the same proportion (stratified).

    The test part has round(test_size * n) samples. Each class gives the whole number below its exact share; the few left
    over come one each from the classes with the largest remainders. Both parts are shuffled.

    Args:
        x: array [n, ...].
        y: class labels [n].
        test_size: share of the samples in the test part, between 0 and 1.
        seed: the same seed gives the same split; 0 .. 2**64 - 1.

    Returns:
        ``x_train, x_test, y_train, y_test``, in the order of scikit-learn's function of this name.

    Raises:
        ValueError: `y` is not of shape [n] or has NaN, `test_size` is not between 0 and 1 or leaves a part empty, or `seed`
            is out of range.

    >>> x_train, x_test, y_train, y_test = train_test_split(np.arange(10), [0] * 5 + [1] * 5, test_size=0.4)
    >>> np.bincount(y_test), sorted([*x_train.tolist(), *x_test.tolist()]) == list(range(10))
    (array([2, 2]), True)
    """
    x, y = as_array(x, "x"), as_array(y, "y")
    if y.ndim != 1 or x.ndim == 0 or len(x) != len(y):
        raise ValueError(f"expected x of shape [n, ...] and y of shape [n], got x {list(x.shape)}, y {list(y.shape)}")
    if not 0.0 < number(test_size, "test_size") < 1.0:
        raise ValueError(f"test_size: expected a number between 0 and 1, got {test_size!r}")
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise ValueError("y: expected class labels, got NaN")
    if isinstance(seed, (bool, np.timedelta64)) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise ValueError(f"seed: expected an integer in [0, 2**64 - 1], got {seed!r}")
    total = round(test_size * len(y))
    if not 0 < total < len(y):
        raise ValueError(f"test_size: {test_size!r} of {len(y)} samples leaves one part empty")

    train, test = stratified(y, total, seed)
    return x[train], x[test], y[train], y[test]


def stratified(y: Array, total: int, seed: int) -> tuple[Array, Array]:
    """The places of the samples of a training part, and of a test part of `total` samples; see `train_test_split`."""
    labels, counts = np.unique(y, return_counts=True)
    shares = total * counts / len(y)
    quotas = np.floor(shares).astype(np.int64)
    quotas[np.argsort(quotas - shares, kind="stable")[: total - quotas.sum()]] += 1

    # 2**62 keeps this stream apart from those of parameters (0, 1, ...) and epochs (2**63 + e).
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, 2**62], np.uint64)))
    shuffled = rng.permutation(len(y))
    of_class = [shuffled[y[shuffled] == label] for label in labels]
    train = rng.permutation(np.concatenate([rows[quota:] for rows, quota in zip(of_class, quotas, strict=True)]))
    test = rng.permutation(np.concatenate([rows[:quota] for rows, quota in zip(of_class, quotas, strict=True)]))
    return train, test
