"""Dropout's statistics and mask, and the ops that only move numbers."""

import math

import numpy as np
import pytest

from nncore import reference as ref
from nncore.reference.random import stream


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_share_and_mean(rate):
    y = ref.dropout(np.ones((200, 500)), rate, seed=4, node=1, step=2)
    deviation = math.sqrt(rate * (1 - rate) / y.size)
    assert abs(np.mean(y == 0) - rate) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - rate)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mask_is_the_documented_one(dtype):
    x = np.arange(1, 31).reshape(3, 2, 5).astype(dtype)
    words = stream(3, 10, seed=2**40, node=6, step=9).reshape(3, 2, 5)
    y = ref.dropout(x, 0.3, seed=2**40, node=6, step=9)
    assert y.dtype == dtype
    kept = words >= math.floor(0.3 * 2**32)
    np.testing.assert_array_equal(y, np.where(kept, x * np.dtype(dtype).type(1 / 0.7), 0))
    np.testing.assert_array_equal(ref.dropout_backward(x, y, x, 0.3, seed=2**40, node=6, step=9), y)


def test_rate_zero_keeps_all():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(ref.dropout(x, 0.0, seed=0, node=0, step=0), x)


def test_a_dropped_element_is_zero_whatever_it_was():
    x = np.full((1, 100), np.inf)
    assert set(ref.dropout(x, 0.5, seed=0, node=0, step=0).ravel()) == {0.0, np.inf}


def test_what_computes_nothing_gives_views():
    x = np.ones((2, 3))
    assert not np.shares_memory(x, ref.identity(x))
    for y in (ref.flatten(x), ref.flatten_backward(x, (2, 3)), *ref.add_backward(x, 3), ref.reshape(x, (3, 1))):
        assert np.shares_memory(x, y)
    across = np.ones((2, 3, 4)).transpose(0, 2, 1)
    assert not np.shares_memory(across, ref.flatten(across))
