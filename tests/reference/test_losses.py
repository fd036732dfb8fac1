"""Losses where the plain formula would overflow, and identities that hold for all logits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays


def test_logits_may_be_huge(backend):
    x = np.array([[1e4, -1e4], [-1e4, 1e4]])
    np.testing.assert_array_equal(backend.cross_entropy(x, [0, 0], "none"), [0, 2e4])
    np.testing.assert_array_equal(backend.bce_with_logits(x[0], [1.0, 1.0], "none"), [0, 1e4])
    np.testing.assert_array_equal(backend.cross_entropy_backward(x, [0, 0], "sum"), [[0, 0], [-1, 1]])
    np.testing.assert_array_equal(backend.bce_with_logits_backward(x[0], [1.0, 1.0], "sum"), [0, -1])


def test_a_class_that_is_impossible_and_not_asked_for_costs_nothing(backend):
    x = np.array([[0.0, -np.inf]])
    assert backend.cross_entropy(x, [0]) == 0.0
    np.testing.assert_array_equal(backend.cross_entropy_backward(x, [0]), [[0.0, 0.0]])


def test_targets_that_are_not_numbers_show_in_the_loss(backend):
    x = np.ones((1, 2), "float32")
    for loss in (backend.mse, backend.bce_with_logits, backend.cross_entropy):
        assert np.isnan(loss(x, [[np.nan, 0.0]]))


def test_float32_losses_are_summed_in_float64(backend):
    x = np.ones(64, "float32")
    x[0] = 2.0**14
    assert backend.mse(x, np.zeros_like(x), "sum") == 2.0**28 + 63


@given(
    x=arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-30, 30)),
    shift=st.floats(-30, 30),
    data=st.data(),
)
def test_cross_entropy_ignores_a_shift_of_the_logits(backend, x, shift, data):
    t = data.draw(arrays(np.int64, len(x), elements=st.integers(0, x.shape[1] - 1)))
    np.testing.assert_allclose(backend.cross_entropy(x + shift, t), backend.cross_entropy(x, t), rtol=1e-12, atol=1e-12)
    gradient = backend.cross_entropy_backward(x, t)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-14)
