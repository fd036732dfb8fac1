"""Initialisers: moments, bounds, exact reproducibility."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncore as nn
from nncore import initializers
from nncore.initializers import INITIALIZERS, fans

SHAPE = (300, 500)
GLOROT = math.sqrt(2 / 800)
HE = math.sqrt(2 / 300)
# Standard deviation of a standard normal cut at two: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1))
CUT = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, 1]))


@pytest.mark.parametrize(
    ("initializer", "mean", "stddev", "low", "high"),
    [
        (nn.GlorotUniform(), 0, GLOROT, -GLOROT * math.sqrt(3), GLOROT * math.sqrt(3)),
        (nn.HeUniform(), 0, HE, -HE * math.sqrt(3), HE * math.sqrt(3)),
        (nn.GlorotNormal(), 0, GLOROT, -2 * GLOROT / CUT, 2 * GLOROT / CUT),
        (nn.HeNormal(), 0, HE, -2 * HE / CUT, 2 * HE / CUT),
        (nn.TruncatedNormal(), 0, 0.05 * CUT, -0.1, 0.1),
        (nn.TruncatedNormal(mean=1.0, stddev=0.5), 1, 0.5 * CUT, 0, 2),
        (nn.RandomNormal(mean=-1.0, stddev=2.0), -1, 2, -math.inf, math.inf),
        (nn.RandomUniform(minval=1.0, maxval=3.0), 2, 2 / math.sqrt(12), 1, 3),
        (nn.Constant(0.25), 0.25, 0, 0.25, 0.25),
        (nn.Zeros(), 0, 0, 0, 0),
    ],
    ids=repr,
)
def test_moments_and_bounds(initializer, mean, stddev, low, high):
    values = initializer(SHAPE, rng())
    assert values.shape == SHAPE
    assert values.dtype == np.float64
    n = values.size
    assert abs(values.mean() - mean) <= 5 * stddev / math.sqrt(n) + 1e-15
    assert values.std() == pytest.approx(stddev, rel=5 / math.sqrt(n))
    assert low <= values.min() <= values.max() <= high
    if np.isfinite(low) and stddev:  # the bounds are reached, not only kept
        assert values.min() < low + 0.01 * (high - low)
        assert values.max() > high - 0.01 * (high - low)


def test_the_truncation_constant():
    assert pytest.approx(CUT, abs=1e-9) == initializers._TRUNCATED_STDDEV


@pytest.mark.parametrize("name", INITIALIZERS)
def test_by_name_reproducible_and_described(name):
    initializer = initializers.get(name)
    first = initializer((7, 3), rng(5))
    assert (initializer((7, 3), rng(5)) == first).all()
    again = initializers.create(initializer.row.name, initializer.get_config())
    assert type(again) is type(initializer)
    assert (again((7, 3), rng(5)) == first).all()
    if name not in ("zeros", "constant"):
        assert (initializer((7, 3), rng(6)) != first).any()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((5,), (5, 5)), ((3, 4), (3, 4)), ((3, 3, 8, 16), (72, 144))],
)
def test_fans(shape, expected):
    assert fans(shape) == expected


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(1, 6), min_size=0, max_size=3))
def test_any_seed_and_shape(seed, shape):
    key = np.array([seed, 0], dtype=np.uint64)
    for initializer in map(initializers.get, INITIALIZERS):
        values = initializer(tuple(shape), np.random.Generator(np.random.Philox(key=key)))
        assert np.shape(values) == tuple(shape)
        assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.TruncatedNormal(stddev=-1.0), ValueError, "stddev"),
        (lambda: nn.RandomNormal(mean=math.nan), ValueError, "mean"),
        (lambda: nn.Constant(math.inf), ValueError, "value"),
        (lambda: nn.RandomUniform(minval=1.0, maxval=0.0), ValueError, "maxval"),
        (lambda: initializers.create("zeros", {"value": 1.0}), ValueError, "value"),
        (lambda: initializers.get("xavier"), ValueError, "glorot_uniform"),
    ],
)
def test_bad_options(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_models_draw_each_parameter_from_its_own_key():
    model = nn.Sequential([nn.Input((3,)), nn.Dense(4, bias_initializer="random_normal"), nn.Dense(2)])
    model.compile(engine="reference", dtype="float64", seed=11)
    weights = model.get_weights()
    for index, name in ((0, "glorot_uniform"), (1, "random_normal"), (2, "glorot_uniform")):
        generator = np.random.Generator(np.random.Philox(key=np.array([11, index], dtype=np.uint64)))
        assert (weights[index] == initializers.get(name)(weights[index].shape, generator)).all()
