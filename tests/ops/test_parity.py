"""The parity table: every op, loss and rule, in every dtype, on every instruction set, native against reference."""

from __future__ import annotations

import numpy as np
import pytest

from nncore import _core, ops, reference
from op_cases import DTYPES, LOSS_CASES, OP_CASES, RULE_CASES, generator, variants


@pytest.fixture(params=_core.supported_isas(), autouse=True)
def isa(request):
    """Each instruction set that this CPU has."""
    before = _core.isa()
    _core.select_isa(request.param)
    yield request.param
    _core.select_isa(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("case", "shapes", "attrs"), variants(OP_CASES))
def test_op(case, shapes, attrs, dtype):
    arrays = case.arrays(shapes, dtype)
    expected = case.forward(reference, arrays, attrs)
    y = case.forward(ops, arrays, attrs)
    assert y.dtype == expected.dtype
    assert y.shape == expected.shape
    case.tolerance[dtype].check(y, expected)
    dy = generator(case.name, 1).standard_normal(expected.shape).astype(dtype)
    gradients = case.backward(ops, arrays, expected, dy, attrs)
    for actual, right in zip(gradients, case.backward(reference, arrays, expected, dy, attrs), strict=True):
        assert actual.dtype == right.dtype
        case.gradient[dtype].check(actual, right)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("case", "shapes", "attrs"), variants(LOSS_CASES))
def test_loss(case, shapes, attrs, dtype):
    arrays = case.arrays(shapes, dtype)
    case.tolerance[dtype].check(case.forward(ops, arrays, attrs), case.forward(reference, arrays, attrs))
    case.gradient[dtype].check(case.backward(ops, arrays, attrs), case.backward(reference, arrays, attrs))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("case", "shapes", "attrs"), variants(RULE_CASES))
def test_rule(case, shapes, attrs, dtype):
    native, plain = case.arrays(shapes, dtype), case.arrays(shapes, dtype)
    case.step(ops, native, attrs)
    case.step(reference, plain, attrs)
    for actual, right in zip(native, plain, strict=True):
        case.tolerance[dtype].check(actual, right)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [case for case in OP_CASES if case.special], ids=lambda case: case.name)
def test_special_values(case, dtype):
    """Kinks, flat ends, signed zeros, infinities and NaN give what the reference gives."""
    with np.errstate(over="ignore"):
        x = np.array([*case.special, np.inf, -np.inf, np.nan], dtype)
    for attrs in case.attrs:
        with np.errstate(all="ignore"):
            expected = case.forward(reference, (x,), attrs)
        case.tolerance[dtype].check(case.forward(ops, (x,), attrs), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [case for case in OP_CASES if case.exact], ids=lambda case: case.name)
def test_in_place(case, dtype):
    for attrs in case.attrs:
        (x,) = case.arrays(((37,),), dtype)
        expected = case.forward(ops, (x,), attrs)
        assert case.forward(ops, (x,), attrs, out=x) is x
        np.testing.assert_array_equal(x, expected)
