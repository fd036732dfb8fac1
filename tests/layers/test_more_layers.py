"""Normalization, noise, indices and shapes as layers of models, in both engines."""

import statistics

import numpy as np
import pytest

import nncore as nn
from nncore.reference.noise import normals

RNG = np.random.default_rng(8)


@pytest.mark.parametrize("pieces", [1, 3])
def test_normalization_learns_the_data(engine_name, pieces, tmp_path):
    data = RNG.standard_normal((1000, 5)) * [1, 2, 3, 4, 0] + 1e3
    layer = nn.Normalization()
    layer.adapt(data if pieces == 1 else iter(np.array_split(data, pieces)))
    model = nn.Sequential([nn.Input((5,)), layer])
    model.compile(engine=engine_name, dtype="float64")
    y = model.predict(data)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(y.var(0), [1, 1, 1, 1, 0], atol=1e-9)
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(nn.load(tmp_path / "m.safetensors").predict(data), nn_native(model, data))


def nn_native(model, data):
    model.compile(dtype="float64")
    return model.predict(data)


def test_normalization_is_not_trained(engine_name):
    layer = nn.Normalization(name="n")
    layer.adapt(RNG.standard_normal((50, 3)))
    model = nn.Sequential([nn.Input((3,)), layer, nn.Dense(1)])
    model.compile("adam", "mse", engine=engine_name)
    before = model.parameters()
    model.fit(RNG.standard_normal((30, 3)) + 5, np.ones((30, 1)), verbose=0)
    changed = {name for name, value in model.parameters().items() if not np.array_equal(value, before[name])}
    assert changed == {"dense.kernel", "dense.bias"}


@pytest.mark.parametrize("value", [0.1, 3.3, 1e6 + 0.3, -7.7e-9, 0.0])
@pytest.mark.parametrize("samples", [10, 142, 33333])
def test_a_constant_has_no_variance_whatever_the_rounding(value, samples):
    layer = nn.Normalization()
    layer.adapt(np.stack([np.full(samples, value), value + np.arange(samples) * 1e-9 * abs(value)], axis=1))
    assert layer.variance[0] == 0
    assert (layer.variance[1] > 0) == (value != 0)


def test_normalization_reads_a_memory_map_in_pieces(tmp_path):
    data = RNG.integers(0, 255, (5000, 300)).astype(np.uint8)
    np.save(tmp_path / "d.npy", data)
    layer = nn.Normalization()
    layer.adapt(np.load(tmp_path / "d.npy", mmap_mode="r"))
    np.testing.assert_allclose(layer.mean, data.mean(0), rtol=1e-12)
    np.testing.assert_allclose(layer.variance, data.var(0), rtol=1e-12)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (np.zeros((0, 3)), ValueError, "at least one sample"),
        (np.zeros(3), ValueError, "axes of samples and features"),
        ([["a"]], TypeError, "real numbers"),
        ([[np.nan]], ValueError, "finite"),
        (iter([np.zeros((2, 3)), np.zeros((2, 4))]), ValueError, "expected 3 features.*got 4"),
    ],
)
def test_normalization_refuses(data, error, words):
    layer = nn.Normalization()
    layer.adapt([[1.0], [3.0]])
    with pytest.raises(error, match=words):
        layer.adapt(data)
    assert layer.mean.tolist() == [2.0]


@pytest.mark.parametrize("make", [lambda: nn.AlphaDropout(0.3), lambda: nn.GaussianNoise(0.5)])
def test_noise_only_while_training(engine_name, make):
    model = nn.Sequential([nn.Input((4,)), make()])
    model.compile(engine=engine_name, dtype="float64")
    x = RNG.standard_normal((5, 4))
    np.testing.assert_array_equal(model.predict(x), x)
    assert not np.isclose(model.forward(x, training=True), x).all()


def test_alpha_dropout_keeps_mean_and_variance(backend):
    x = RNG.standard_normal((400, 500))
    y = backend.alpha_dropout(x, 0.4, seed=1, node=2, step=3)
    assert y.mean() == pytest.approx(0, abs=0.01)
    assert y.var() == pytest.approx(1, abs=0.01)


def test_normals_are_the_quantiles_of_their_words():
    words = np.array([0, 1, 2**20, 2**30, 2**31 - 1, 2**31, 2**31 + 7, 2**32 - 1], np.uint32)
    quantile = statistics.NormalDist().inv_cdf
    rest = ((words & 0x7FFFFFFF) + 0.5) / 2**32
    expected = [-quantile(r) * (-1 if word >> 31 else 1) for word, r in zip(words.tolist(), rest.tolist(), strict=True)]
    np.testing.assert_allclose(normals(words, np.dtype(np.float64)), expected, rtol=1e-12, atol=1e-15)


def test_gaussian_noise_has_its_moments(backend):
    z = backend.gaussian_noise(np.zeros((300, 400)), 2.0, seed=1, node=2, step=3) / 2
    assert z.mean() == pytest.approx(0, abs=0.01)
    assert z.var() == pytest.approx(1, abs=0.01)
    assert (z**3).mean() == pytest.approx(0, abs=0.03)
    assert (z**4).mean() == pytest.approx(3, abs=0.06)


def embedder(engine, dtype="float64"):
    layers = [nn.Input((3,)), nn.Embedding(50, 5, name="e"), nn.Flatten(), nn.Dense(2)]
    model = nn.Sequential(layers)
    model.compile("adam", "mse", engine=engine, dtype=dtype)
    return model


def test_embedding_trains_alike_in_both_engines():
    x, y = RNG.integers(0, 50, (64, 3)), RNG.standard_normal((64, 2))
    pair = [embedder(name) for name in ("reference", "native")]
    for model in pair:
        model.fit(x, y, batch_size=16, epochs=5, verbose=0)
    for expected, actual in zip(*(model.get_weights() for model in pair), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("bad", [50, -1, 1.5, np.nan])
def test_a_bad_index_is_refused_and_changes_nothing(engine_name, bad):
    model = embedder(engine_name)
    before = model.get_weights()
    x = RNG.integers(0, 50, (64, 3)).astype(float)
    x[60, 1] = bad
    for call in (
        lambda: model.fit(x, np.zeros((64, 2)), batch_size=8, shuffle=False, verbose=0),
        lambda: model.predict(x),
        lambda: model.forward(x, training=True),
    ):
        with pytest.raises(ValueError, match=r"input of 'embedding': expected whole numbers in \[0, 49\], got"):
            call()
    for actual, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_bad_index_inside_the_network_is_refused(engine_name):
    model = nn.Sequential([nn.Input((2,)), nn.Rescaling(2.0), nn.OneHot(5), nn.Flatten(), nn.Dense(1)])
    model.compile("sgd", "mse", engine=engine_name)
    before = model.get_weights()
    assert model.predict([[1.0, 2.0]]).shape == (1, 1)
    with pytest.raises(ValueError, match=r"input of 'one_hot': expected whole numbers in \[0, 4\], got 6"):
        model.train_on_batch([[1.0, 3.0]], [[0.0]])
    with pytest.raises(ValueError, match=r"got 0\.5"):
        model.predict([[0.25, 1.0]])
    for actual, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(("shape", "expected"), [((2, 3), (2, 3)), ((-1,), (6,)), ((3, -1, 1), (3, 2, 1))])
def test_reshape(shape, expected, engine_name):
    model = nn.Sequential([nn.Input((6,)), nn.Reshape(shape)])
    model.compile(engine=engine_name)
    x = RNG.standard_normal((4, 6)).astype(np.float32)
    np.testing.assert_array_equal(model.predict(x), x.reshape(4, *expected))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Reshape((0,)), "target_shape of Reshape"),
        (lambda: nn.Reshape((-1, -1)), "at most one -1"),
        (lambda: nn.Sequential([nn.Input((6,)), nn.Reshape((4,))]), r"fits \(4,\), got shape \(6,\)"),
        (lambda: nn.Embedding(0, 3), "input_dim"),
        (lambda: nn.Embedding(2**25, 3), "input_dim"),
        (lambda: nn.OneHot(0), "depth"),
        (lambda: nn.GaussianNoise(-1.0), "stddev"),
        (lambda: nn.AlphaDropout(1.0), "rate"),
        (lambda: nn.LayerNorm(epsilon=-1.0), "epsilon of 'layer_norm'"),
    ],
)
def test_bad_options(make, words):
    with pytest.raises(ValueError, match=words):
        make()
