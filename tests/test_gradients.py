"""Every backward against float64 central differences of its forward."""

import numpy as np
import pytest

from op_cases import LOSS_CASES, OP_CASES, generator, variants

STEP = 1e-5
SMALL = 40  # elements; larger arrays are left to the parity tests


def small(params):
    return [p for p in params if all(np.prod(shape) <= SMALL for shape in p.values[1])]


def central_differences(function, x):
    """The gradient of a scalar `function` of the array x, one element at a time."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += STEP
        down[index] -= STEP
        gradient[index] = (function(up) - function(down)) / (2 * STEP)
    return gradient


@pytest.mark.parametrize(("case", "shapes", "attrs"), small(variants(OP_CASES)))
def test_op(backend, case, shapes, attrs):
    arrays = case.arrays(shapes, "float64")
    y = case.forward(backend, arrays, attrs)
    dy = generator(case.name, salt=1).standard_normal(y.shape)
    gradients = case.backward(backend, arrays, y, dy, attrs)
    assert len(gradients) == len(arrays)
    for i, gradient in enumerate(gradients):
        if i < case.indices:
            assert not gradient.any()
            continue

        def weighted_sum(value, i=i):
            return np.sum(dy * case.forward(backend, (*arrays[:i], value, *arrays[i + 1 :]), attrs))

        expected = central_differences(weighted_sum, arrays[i])
        np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-8, err_msg=f"array {i}")


@pytest.mark.parametrize(("case", "shapes", "attrs"), small(variants(LOSS_CASES)))
def test_loss(backend, case, shapes, attrs):
    x, t = case.arrays(shapes, "float64")
    expected = central_differences(lambda value: np.sum(case.forward(backend, (value, t), attrs)), x)
    np.testing.assert_allclose(case.backward(backend, (x, t), attrs), expected, rtol=1e-7, atol=1e-8)
