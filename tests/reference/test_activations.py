"""Identities that hold for activations at any input."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from op_cases import OP_CASES

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
    for name in [case.name for case in OP_CASES if case.exact]:
        y = getattr(backend, name)(x, **({"scale": 2.0} if name == "rescaling" else {}))
        np.testing.assert_array_equal(np.isnan(y), [True, False], err_msg=name)
    for name in ("softmax", "log_softmax"):
        assert np.isnan(getattr(backend, name)(x)).all(), name


def test_infinities_have_their_limits(backend):
    x = np.array([-np.inf, np.inf])
    slopes = {"step": [0, 0], "relu": [0, 1], "relu6": [0, 0], "sigmoid": [0, 0], "log_sigmoid": [1, 0]}
    for name, limits in (
        ("relu", [0, np.inf]),
        ("leaky_relu", [-np.inf, np.inf]),
        ("step", [0, 1]),
        ("relu6", [0, 6]),
        ("hard_tanh", [-1, 1]),
        ("hard_sigmoid", [0, 1]),
        ("hard_swish", [0, np.inf]),
        ("softsign", [-1, 1]),
        ("elu", [-1, np.inf]),
        ("celu", [-1, np.inf]),
        ("gelu", [0, np.inf]),
        ("silu", [0, np.inf]),
        ("mish", [0, np.inf]),
        ("softplus", [0, np.inf]),
        ("log_sigmoid", [-np.inf, 0]),
        ("sigmoid", [0, 1]),
        ("tanh", [-1, 1]),
    ):
        y = getattr(backend, name)(x)
        np.testing.assert_array_equal(y, limits, err_msg=name)
        if name not in ("leaky_relu",):
            expected = slopes.get(name, np.isinf(limits).astype(float))
            dx = getattr(backend, f"{name}_backward")(x, y, np.ones(2))
            np.testing.assert_array_equal(dx, expected, err_msg=name)
