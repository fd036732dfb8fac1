"""Matrix product and dense layer against sums written out in Python."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

SIZE = st.integers(0, 5)


@given(data=st.data(), m=SIZE, k=SIZE, n=SIZE)
def test_matmul(backend, data, m, k, n):
    """Small numbers with few digits: every sum is exact, so equal bits are due."""
    a = data.draw(arrays(np.float64, (m, k), elements=st.integers(-99, 99)))
    b = data.draw(arrays(np.float64, (k, n), elements=st.integers(-99, 99)))
    expected = np.array([[math.fsum(a[i, :] * b[:, j]) for j in range(n)] for i in range(m)]).reshape(m, n)
    np.testing.assert_array_equal(backend.matmul(a, b), expected)
    np.testing.assert_array_equal(backend.matmul(a.astype("float32"), b.astype("float32")), expected)
    np.testing.assert_array_equal(backend.matmul(b.T, a.T), expected.T)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_by_hand(backend, dtype):
    x, w, b = (np.array(a, dtype) for a in ([[1, 2], [3, -4]], [[1, 0, 2], [-1, 1, 0]], [0.5, -1, 0]))
    y = backend.dense(x, w, b, "relu")
    np.testing.assert_array_equal(y, [[0, 1, 2], [7.5, 0, 6]])
    dx, dw, db = backend.dense_backward(x, w, b, y, np.ones_like(y), "relu")
    np.testing.assert_array_equal(dx, [[2, 1], [3, -1]])
    np.testing.assert_array_equal(dw, [[3, 1, 4], [-4, 2, -2]])
    np.testing.assert_array_equal(db, [1, 1, 2])
    for array in (y, dx, dw, db):
        assert array.dtype == dtype


def test_no_bias_has_no_gradient(backend):
    x, w = np.ones((2, 3)), np.ones((3, 4))
    y = backend.dense(x, w)
    np.testing.assert_array_equal(y, np.full((2, 4), 3.0))
    assert backend.dense_backward(x, w, None, y, y)[2] is None
