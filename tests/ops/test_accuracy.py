"""The largest error of every transcendental function, in units in the last place, over the whole range of its type.

The oracle computes in a longer type (float64 for float32, 80-bit for float64 where the machine has it). An error is counted
in units of the spacing of numbers at the right result. Results below the smallest normal number count as that small: the
training loop flushes them to zero anyway.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from nncore import _core, ops

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _sigmoid(x):
    return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))


def _elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _gelu(x):
    return x * 0.5 * _erfc(-x / math.sqrt(2))


def _gelu_tanh(x):
    return x * _sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def _softmax_pair(x):
    """Softmax of the rows (x, 0): exp and a division."""
    return _sigmoid(x)


def _native_softmax_pair(x):
    return ops.softmax(np.stack([x, np.zeros_like(x)], axis=-1))[..., 0]


def _native_log_softmax_pair(x):
    return ops.log_softmax(np.stack([x, np.zeros_like(x)], axis=-1))[..., 0]


def _log_sigmoid(x):
    return np.where(x < 0, x - np.log1p(np.exp(np.minimum(x, 0))), -np.log1p(np.exp(-np.maximum(x, 0))))


def _native_softplus(x):
    """log(1 + exp(x)), as the loss of logit x for target 0."""
    return ops.bce_with_logits(x, np.zeros_like(x), "none")


def _softplus(x):
    return -_log_sigmoid(-x)


def _selu(x):
    return 1.0507009873554804934 * np.where(x > 0, x, 1.6732632423543772848 * np.expm1(np.minimum(x, 0)))


def _silu(x):
    return np.where(x < 0, x * np.exp(x) / (1 + np.exp(x)), x / (1 + np.exp(-x)))


def _mish(x):
    return x * np.tanh(_softplus(x))


# Below -87 the sigmoid in silu and mish is subnormal in float32 and counts as zero.
# In the tanh form of gelu, exp magnifies the rounding of its argument, which reaches -140 where the result is below 1e-30.
# name: native, oracle, most ULP in float32, in float64 (None: the oracle is no better than float64), largest |x| tried
FUNCTIONS = {
    "sigmoid": (ops.sigmoid, _sigmoid, 3.0, 3.0, None),
    "tanh": (ops.tanh, np.tanh, 3.0, 3.0, None),
    "elu (expm1)": (ops.elu, _elu, 2.0, 2.0, None),
    "gelu": (ops.gelu, _gelu, 5.0, None, 12.0),
    "gelu (tanh)": (lambda x: ops.gelu(x, "tanh"), _gelu_tanh, 200.0, None, 12.0),
    "selu": (ops.selu, _selu, 2.5, 2.5, None),
    "celu": (ops.celu, _elu, 2.0, 2.0, None),
    "silu": (ops.silu, _silu, 3.5, 3.5, 87.0),
    "mish": (ops.mish, _mish, 4.5, 4.5, 87.0),
    "softplus": (lambda x: ops.softplus(x, 1.0, np.inf), _softplus, 2.5, 2.5, None),
    "log_sigmoid": (ops.log_sigmoid, _log_sigmoid, 2.5, 2.5, None),
    "softsign": (ops.softsign, lambda x: x / (1 + np.abs(x)), 2.0, 2.0, None),
    "softmax": (_native_softmax_pair, _softmax_pair, 2.5, 2.5, None),
    "softplus (log1p)": (_native_softplus, _softplus, 2.5, 2.5, None),
}


def every_magnitude(dtype: str, count: int, largest: float | None) -> np.ndarray:
    """Numbers at equal steps through all bit patterns of both signs, and closely spaced ones where functions bend."""
    bits = np.uint32 if dtype == "float32" else np.uint64
    top = np.array(np.finfo(dtype).max if largest is None else largest, dtype).view(bits)
    low = np.array(np.finfo(dtype).tiny, dtype).view(bits)
    positive = np.linspace(float(low), float(top), count).astype(bits).view(dtype)
    positive = positive[np.isfinite(positive) & (positive <= np.array(top).view(dtype))]
    return np.concatenate([positive, -positive, np.linspace(-12, 12, count).astype(dtype)])


def worst_ulp(native, oracle, dtype: str, wide: type, largest: float | None) -> float:
    x = every_magnitude(dtype, 200_000, largest)
    with np.errstate(all="ignore"):
        right = oracle(x.astype(wide))
        rounded = right.astype(dtype)
    keep = np.isfinite(rounded)
    tiny = np.finfo(dtype).tiny
    near = np.minimum(np.maximum(np.abs(rounded[keep]), tiny), np.finfo(dtype).max / 2)
    spacing = np.spacing(near).astype(wide)
    error = np.abs(native(x)[keep].astype(wide) - right[keep]) / spacing
    return float(error.max())


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32(name, isa):
    native, oracle, most, _, largest = FUNCTIONS[name]
    before = _core.isa()
    _core.select_isa(isa)
    try:
        assert worst_ulp(native, oracle, "float32", np.float64, largest) <= most
    finally:
        _core.select_isa(before)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="no type longer than float64 on this machine")
@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("name", [name for name, row in FUNCTIONS.items() if row[3] is not None])
def test_float64(name, isa):
    native, oracle, _, most, largest = FUNCTIONS[name]
    before = _core.isa()
    _core.select_isa(isa)
    try:
        assert worst_ulp(native, oracle, "float64", np.longdouble, largest) <= most
    finally:
        _core.select_isa(before)
