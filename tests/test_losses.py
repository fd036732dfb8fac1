"""Loss objects: values and gradients when called, and the targets they take."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import nncore as nn
from nncore import losses
from nncore.optable import LOSSES as ROWS

CE, MSE, BCE = nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCEWithLogitsLoss()


def test_a_class_for_every_row():
    assert set(losses.LOSSES) == set(ROWS)


def test_hand_computed_values():
    value, dy = MSE(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 4.0]]))
    assert value == pytest.approx((4 + 9) / 4)
    assert dy == pytest.approx(np.array([[0, 1.0], [1.5, 0]]))

    y = np.log([[1.0, 3.0], [1.0, 1.0]])  # softmax: 1/4, 3/4 and 1/2, 1/2
    value, dy = CE(y, [1, 0])
    assert value == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    assert dy == pytest.approx(np.array([[0.25, -0.25], [-0.5, 0.5]]) / 2)

    value, dy = BCE(np.log([[3.0], [1.0]]), [1, 0.5])  # sigmoid: 3/4, 1/2
    assert value == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    assert dy == pytest.approx(np.array([[-0.25], [0.0]]) / 2)


def test_reductions():
    y, t = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([0, 1])
    each, gradient_of_sum = nn.CrossEntropyLoss(reduction="none")(y, t)
    total, dy = nn.CrossEntropyLoss(reduction="sum")(y, t)
    mean, dy_mean = CE(y, t)
    assert each.shape == (2,)
    assert total == pytest.approx(each.sum())
    assert mean == pytest.approx(each.mean())
    assert dy == pytest.approx(gradient_of_sum)
    assert dy_mean == pytest.approx(dy / 2)
    assert nn.MSELoss(reduction="none")(y, y)[0].shape == y.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [MSE, CE, BCE], ids=repr)
def test_the_gradient_has_the_output_s_type(loss, dtype):
    y = np.zeros((2, 3), dtype)
    value, dy = loss(y, np.eye(3)[:2])
    assert isinstance(value, float)
    assert dy.dtype == dtype
    assert dy.shape == y.shape


@given(arrays(np.float64, (3, 4), elements=st.floats(-5, 5)), st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_indices_and_one_hot_agree(y, t):
    for_index = CE(y, t)
    for_rows = CE(y, np.eye(4)[t])
    assert for_index[0] == pytest.approx(for_rows[0], rel=1e-12, abs=1e-12)
    assert for_index[1] == pytest.approx(for_rows[1], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (np.array([0, 2], np.uint8), np.int32),
        (np.array([0, 2], np.int32), np.int32),
        (np.array([0, 2], np.int64), np.int64),
        (np.array([0, 2], np.uint64), np.int32),
        (np.array([0, 2], ">i4"), np.int32),
        (np.array([[0], [2]], np.int16), np.int32),
        (np.array([0, 9, 2, 9])[::2], np.int64),
        ([0, 2], np.int64),
    ],
)
def test_class_indices(target, expected):
    array = CE.check_target(target, 2, (3,), "float32")
    assert array.dtype == expected
    assert array.dtype.isnative
    assert array.flags.c_contiguous
    assert array.tolist() == [0, 2]


def test_booleans_are_two_classes():
    assert CE.check_target([True, False], 2, (2,), "float32").tolist() == [1, 0]


@pytest.mark.parametrize("loss", [MSE, BCE], ids=repr)
def test_a_vector_stands_for_one_column(loss):
    array = loss.check_target([0, 1, 1], 3, (1,), "float32")
    assert array.shape == (3, 1)
    assert array.dtype == np.float32


def test_values_are_not_copied_where_they_fit():
    target = np.zeros((2, 3), np.float32)
    assert MSE.check_target(target, 2, (3,), "float32") is target


@pytest.mark.parametrize(
    ("loss", "target", "error", "words"),
    [
        (CE, [0, 3], ValueError, "0 to 2, got 3 in row 1"),
        (CE, [-1, 0], ValueError, "got -1 in row 0"),
        (CE, np.array([2**63, 0], np.uint64), ValueError, "got 9223372036854775808 in row 0"),
        (CE, [0.0, 1.0], TypeError, "astype"),
        (CE, [[0.0], [1.0]], TypeError, "astype"),
        (CE, [0.0, math.nan], ValueError, "nan in row 1"),
        (CE, [[0, 1, 0]], ValueError, r"\(2\), got 1"),
        (CE, np.zeros((2, 4)), ValueError, r"\(n, 3\), got \(2, 4\)"),
        (CE, np.zeros((2, 3, 1)), ValueError, r"\(n, 3\)"),
        (CE, [[0, 1, 0], [0, math.nan, 0]], ValueError, "nan in row 1"),
        (CE, [[0, 1, 0], [0, -1.0, 2.0]], ValueError, ">= 0, got -1.0 in row 1"),
        (CE, 1, ValueError, "scalar"),
        (CE, [], ValueError, "empty"),
        (CE, ["a", "b"], TypeError, "real numbers"),
        (CE, [None, None], TypeError, "real numbers"),
        (CE, [[0], [1, 2]], ValueError, "sequence"),
        (MSE, np.zeros(2), ValueError, r"\(n, 3\), got \(2,\)"),
        (MSE, np.zeros((2, 1)), ValueError, r"\(n, 3\), got \(2, 1\)"),
        (MSE, np.full((2, 3), np.inf), ValueError, "inf in row 0"),
        (MSE, np.full((2, 3), 1e300), ValueError, "inf in row 0"),
        (MSE, np.zeros((2, 3), complex), TypeError, "complex"),
        (BCE, [[0, 1, 0], [0, 1, 1.5]], ValueError, r"\[0, 1\], got 1.5 in row 1"),
        (BCE, np.full((2, 3), np.nan), ValueError, "nan in row 0"),
    ],
)
def test_bad_targets(loss, target, error, words):
    with pytest.raises(error, match=words):
        loss.check_target(target, 2, (3,), "float32")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: losses.get("hinges"), ValueError, "mse, cross_entropy, bce_with_logits"),
        (lambda: losses.get(nn.MSELoss), TypeError, "loss"),
        (lambda: nn.MSELoss(reduction="max"), ValueError, "reduction"),
        (lambda: CE(np.zeros((2, 1)), [0, 0]), ValueError, "bce_with_logits"),
        (lambda: CE(np.zeros((2, 3)), [0, 7]), ValueError, "^t: .*got 7 in row 1"),
        (lambda: MSE("abc", [0]), TypeError, "^y"),
    ],
)
def test_bad_calls(make, error, words):
    with pytest.raises(error, match=words):
        make()
