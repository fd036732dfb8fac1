"""Identities that hold for activations at any input."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

VECTORS = arrays(np.float64, array_shapes(max_dims=3, max_side=6), elements=st.floats(-1e6, 1e6))


@given(x=VECTORS)
def test_softmax_is_a_distribution_and_log_softmax_its_logarithm(backend, x):
    y = backend.softmax(x)
    assert np.all(y >= 0)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(backend.log_softmax(x)), y, rtol=1e-13, atol=1e-300)


@given(x=VECTORS)
def test_symmetries(backend, x):
    np.testing.assert_array_equal(backend.tanh(-x), -backend.tanh(x))
    np.testing.assert_allclose(backend.sigmoid(-x), 1 - backend.sigmoid(x), rtol=0, atol=3e-16)
    np.testing.assert_allclose(backend.gelu(x) - backend.gelu(-x), x, rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(backend.relu(x) - backend.relu(-x), x)


def test_not_a_number_comes_through(backend):
    x = np.array([np.nan, 1.0])
    for name in ("identity", "relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh"):
        y = getattr(backend, name)(x)
        np.testing.assert_array_equal(np.isnan(y), [True, False], err_msg=name)
    for name in ("softmax", "log_softmax"):
        assert np.isnan(getattr(backend, name)(x)).all(), name


def test_infinities_have_their_limits(backend):
    x = np.array([-np.inf, np.inf])
    for name, limits in (
        ("relu", [0, np.inf]),
        ("leaky_relu", [-np.inf, np.inf]),
        ("elu", [-1, np.inf]),
        ("sigmoid", [0, 1]),
        ("tanh", [-1, 1]),
    ):
        np.testing.assert_array_equal(getattr(backend, name)(x), limits, err_msg=name)
