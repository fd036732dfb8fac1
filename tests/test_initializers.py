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
LECUN = math.sqrt(1 / 300)
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
        (nn.LecunUniform(), 0, LECUN, -LECUN * math.sqrt(3), LECUN * math.sqrt(3)),
        (nn.LecunNormal(), 0, LECUN, -2 * LECUN / CUT, 2 * LECUN / CUT),
        (nn.VarianceScaling(), 0, LECUN, -2 * LECUN / CUT, 2 * LECUN / CUT),
        (nn.VarianceScaling(3.0, "fan_out", "uniform"), 0, math.sqrt(3 / 500), -3 / math.sqrt(500), 3 / math.sqrt(500)),
        (nn.VarianceScaling(0.5, "fan_avg", "untruncated_normal"), 0, math.sqrt(0.5 / 400), -math.inf, math.inf),
        (nn.TruncatedNormal(), 0, 0.05 * CUT, -0.1, 0.1),
        (nn.TruncatedNormal(mean=1.0, stddev=0.5), 1, 0.5 * CUT, 0, 2),
        (nn.RandomNormal(mean=-1.0, stddev=2.0), -1, 2, -math.inf, math.inf),
        (nn.RandomUniform(minval=1.0, maxval=3.0), 2, 2 / math.sqrt(12), 1, 3),
        (nn.Constant(0.25), 0.25, 0, 0.25, 0.25),
        (nn.Zeros(), 0, 0, 0, 0),
        (nn.Ones(), 1, 0, 1, 1),
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


def test_the_named_ones_are_special_cases_of_variance_scaling():
    """The table of Keras, which the names come from."""
    for factor, mode, stem in ((1.0, "fan_avg", "glorot"), (2.0, "fan_in", "he"), (1.0, "fan_in", "lecun")):
        for distribution, tail in (("uniform", "uniform"), ("truncated_normal", "normal")):
            named, general = initializers.get(f"{stem}_{tail}"), nn.VarianceScaling(factor, mode, distribution)
            assert (named((5, 9), rng()) == general((5, 9), rng())).all()


def test_an_untruncated_normal_has_tails():
    draws = nn.VarianceScaling(300.0, "fan_in", "untruncated_normal")(SHAPE, rng())
    beyond_two = (np.abs(draws) > 2).mean()
    assert beyond_two == pytest.approx(1 - math.erf(math.sqrt(2)), rel=0.05)


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (2, 3, 5), (2, 2, 7), (1, 1)])
@pytest.mark.parametrize("gain", [1.0, -2.5])
def test_orthogonal(shape, gain):
    values = initializers.Orthogonal(gain)(shape, rng())
    assert values.shape == shape
    matrix = values.reshape(-1, shape[-1])
    small = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(small, gain**2 * np.eye(len(small)), atol=1e-14)


def test_orthogonal_matrices_are_uniform():
    """Haar: every element has mean 0 and variance 1 / n; the diagonal too, which QR alone would bias."""
    generator = rng()
    draws = np.array([nn.Orthogonal()((3, 3), generator) for _ in range(4000)])
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=5 * math.sqrt(1 / 3 / 4000))
    np.testing.assert_allclose((draws**2).mean(axis=0), 1 / 3, atol=0.03)
    assert np.trace(draws, axis1=1, axis2=2).var() == pytest.approx(1, abs=0.1)  # of a Haar matrix exactly 1


@pytest.mark.parametrize(("shape", "gain"), [((3, 3), 1.0), ((2, 4), 0.5), ((4, 2), -1.0)])
def test_identity(shape, gain):
    expected = [[gain * (i == j) for j in range(shape[1])] for i in range(shape[0])]
    assert initializers.Identity(gain)(shape, rng()).tolist() == expected


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name != "function"])
def test_by_name_reproducible_and_described(name):
    initializer = initializers.get(name)
    first = initializer((7, 3), rng(5))
    assert (initializer((7, 3), rng(5)) == first).all()
    again = initializers.create(initializer.row.name, initializer.get_config())
    assert type(again) is type(initializer)
    assert (again((7, 3), rng(5)) == first).all()
    if name not in ("zeros", "ones", "constant", "identity"):
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
    for initializer in map(initializers.get, set(INITIALIZERS) - {"function", "orthogonal", "identity"}):
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
        (lambda: nn.RandomUniform(minval=np.int64(1), maxval=-(2**64)), ValueError, "maxval"),
        (lambda: initializers.create("zeros", {"value": 1.0}), ValueError, "value"),
        (lambda: initializers.get("xavier"), ValueError, "glorot_uniform"),
        (lambda: initializers.get(3), TypeError, "name, an Initializer or a function"),
        (lambda: initializers.get(nn.Zeros), TypeError, "the class"),
        (lambda: nn.VarianceScaling(scale=0.0), ValueError, "scale"),
        (lambda: nn.VarianceScaling(mode="fan"), ValueError, "fan_avg"),
        (lambda: nn.VarianceScaling(distribution="normal"), ValueError, "untruncated_normal"),
        (lambda: nn.Orthogonal(gain=math.nan), ValueError, "gain"),
        (lambda: nn.Orthogonal()((3,), rng()), ValueError, "two axes"),
        (lambda: initializers.Identity()((3, 3, 3), rng()), ValueError, "two axes"),
        (lambda: initializers.Function(3), TypeError, "function"),
        (lambda: initializers.Function()((3,), rng()), RuntimeError, "file does not hold"),
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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_function_as_initializer(engine_name, dtype):
    shapes = []

    def uniform(shape, rng):
        shapes.append(shape)
        return rng.random(shape)

    model = nn.Sequential([nn.Input((3,)), nn.Dense(4), nn.Dense(2, kernel_initializer=uniform, bias_initializer=uniform)])
    model.compile(engine=engine_name, dtype=dtype, seed=5)
    assert shapes == [(4, 2), (2,)]
    for i, shape in ((2, (4, 2)), (3, (2,))):
        generator = np.random.Generator(np.random.Philox(key=np.array([5, i], dtype=np.uint64)))
        assert (model.get_weights()[i] == generator.random(shape).astype(dtype)).all()


def test_a_file_holds_the_weights_but_not_the_function(tmp_path):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2, kernel_initializer=lambda shape, rng: rng.random(shape))])
    model.save(tmp_path / "model.safetensors")
    loaded = nn.load(tmp_path / "model.safetensors")
    x = np.ones((2, 3))
    assert (loaded.predict(x) == model.predict(x)).all()
    loaded.compile("sgd", "mse")
    loaded.fit(x, np.zeros((2, 2)), verbose=0)
    loaded.save(tmp_path / "again.safetensors")
    with pytest.raises(RuntimeError, match="file does not hold"):
        nn.Sequential([nn.Input((3,)), loaded.layers[1]]).get_weights()


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda shape, rng: np.zeros(3), ValueError, r"shape \(3, 2\), got \(3,\)"),
        (lambda shape, rng: np.full(shape, np.nan), ValueError, "finite"),
        (lambda shape, rng: np.full(shape, 1j), TypeError, "real numbers"),
    ],
)
def test_what_a_function_must_give(function, error, words):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2, kernel_initializer=function)])
    with pytest.raises(error, match=words) as caught:
        model.compile()
    assert caught.value.__notes__ == ["while drawing the first values of parameter 'dense.kernel'"]


def test_an_initializer_that_cannot_draw_the_shape():
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2, bias_initializer="orthogonal")])
    with pytest.raises(ValueError, match="two axes") as caught:
        model.get_weights()
    assert "'dense.bias'" in caught.value.__notes__[0]
