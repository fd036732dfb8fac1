"""train_test_split: sizes, proportions, pairing and repeatability."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore.data import train_test_split


@given(st.lists(st.integers(0, 4), min_size=4, max_size=80), st.floats(0.2, 0.8), st.integers(0, 2**64 - 1))
def test_parts_are_stratified_and_complete(labels: list[int], test_size: float, seed: int) -> None:
    y = np.array(labels)
    x = np.arange(len(y)) * 10
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=test_size, seed=seed)
    assert sorted([*x_train, *x_test]) == x.tolist()
    assert (y[x_train // 10] == y_train).all()
    assert (y[x_test // 10] == y_test).all()
    assert len(y_test) == round(test_size * len(y))
    for label in set(labels):
        share = len(y_test) * labels.count(label) / len(labels)
        assert abs(int((y_test == label).sum()) - share) < 1


def test_known_counts() -> None:
    y = np.repeat(["a", "b", "c"], [50, 30, 20])
    _, _, y_train, y_test = train_test_split(np.zeros((100, 2)), y, test_size=0.1)
    assert np.unique(y_test, return_counts=True)[1].tolist() == [5, 3, 2]
    assert np.unique(y_train, return_counts=True)[1].tolist() == [45, 27, 18]


def test_seed_decides() -> None:
    x, y = np.arange(100), np.arange(100) % 2
    first, again, other = (train_test_split(x, y, seed=seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != sorted(first)


@pytest.mark.parametrize(("x", "y", "options", "message"), [
    (np.zeros(3), np.zeros(4), {}, r"got x \[3\], y \[4\]"),
    (np.zeros(3), np.zeros((3, 1)), {}, r"y \[3, 1\]"),
    (np.zeros(9), np.zeros(9), {"test_size": 1.0}, "test_size"),
    (np.zeros(9), np.zeros(9), {"test_size": float("nan")}, "test_size"),
    (np.zeros(2), np.zeros(2), {"test_size": 0.1}, "leaves one part empty"),
    (np.zeros(0), np.zeros(0), {}, "leaves one part empty"),
    (np.zeros(9), np.zeros(9), {"seed": -1}, "seed"),
])  # fmt: skip
def test_refuses(x: Any, y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_test_split(x, y, **options)
