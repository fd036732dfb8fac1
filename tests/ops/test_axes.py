"""Activations along an axis, and those with a slope for each element: what the generic tests do not reach."""

import numpy as np
import pytest

import nncore as nn
from nncore.optable import OPS

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _threads():
    before = nn.get_num_threads()
    yield
    nn.set_num_threads(before)


@pytest.mark.parametrize("axis", range(-4, 4))
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "glu", "maxout"])
def test_an_axis_is_the_last_of_the_array_turned(backend, name, axis):
    """Whatever the axis, forward and backward give what they give along the last axis of the transposed array."""
    x = RNG.standard_normal((4, 6, 8, 2))
    forward, backward = getattr(backend, name), getattr(backend, f"{name}_backward")
    turned = np.moveaxis(x, axis, -1)
    y, expected = forward(x, axis=axis), np.moveaxis(forward(turned), -1, axis)
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    dy = RNG.standard_normal(y.shape)
    dx = backward(x, y, dy, axis=axis)
    turned_dx = backward(turned, np.moveaxis(y, axis, -1), np.moveaxis(dy, axis, -1))
    np.testing.assert_allclose(dx, np.moveaxis(turned_dx, -1, axis), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", [(3, 1000, 70), (1000, 3), (2, 50_000)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_columns_of_large_arrays_in_any_number_of_threads(name, shape):
    x = RNG.standard_normal(shape).astype("float32")
    dy = RNG.standard_normal(shape).astype("float32")
    results = []
    for count in (1, 2):
        nn.set_num_threads(count)
        y = getattr(nn.ops, name)(x, axis=-2)
        results.append((y, getattr(nn.ops, f"{name}_backward")(x, y, dy, axis=-2)))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
    expected = getattr(nn.reference, name)(x.astype("float64"), axis=-2)
    np.testing.assert_allclose(results[0][0], expected, rtol=2e-6, atol=2e-6)


def test_gradients_of_prelu_in_any_number_of_threads():
    x, dy = RNG.standard_normal((2, 3000, 33)).astype("float32")
    for alpha in (np.full(1, 0.25, "float32"), RNG.random(33).astype("float32")):
        results = []
        for count in (1, 2):
            nn.set_num_threads(count)
            results.append(nn.ops.prelu_backward(x, alpha, x, dy))
        for one, two in zip(*results, strict=True):
            np.testing.assert_array_equal(one, two)
        right = nn.reference.prelu_backward(*(a.astype("float64") for a in (x, alpha, x, dy)))
        np.testing.assert_allclose(results[0][1], right[1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["glu", "maxout"])
def test_dense_with_an_activation_that_shortens_rows(backend, name):
    x, w, b, dy = (RNG.standard_normal(shape) for shape in ((5, 3), (3, 8), (8,), (5, 4)))
    z = backend.dense(x, w, b)
    y = backend.dense(x, w, b, name)
    np.testing.assert_array_equal(y, getattr(backend, name)(z))
    out = np.zeros((5, 4))
    assert backend.dense(x, w, b, name, out=out) is out
    np.testing.assert_array_equal(out, y)
    dz = getattr(backend, f"{name}_backward")(z, y, dy)
    expected = backend.dense_backward(x, w, b, z, dz)
    for actual, right in zip(backend.dense_backward(x, w, b, y, dy, name), expected, strict=True):
        np.testing.assert_array_equal(actual, right)


@pytest.mark.parametrize("name", ["glu", "maxout"])
def test_out_of_another_shape_may_overlap(backend, name):
    memory = RNG.standard_normal((4, 6))
    expected = getattr(backend, name)(memory)
    out = memory.reshape(-1)[:12].reshape(4, 3)
    assert getattr(backend, name)(memory, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_maxout_gives_the_gradient_to_the_first_of_equals_and_keeps_nan(backend):
    x = np.array([[1.0, np.nan, 2.0, 1.0, 3.0, 2.0, 0.0, 1.0, np.nan]])
    y = backend.maxout(x, 3)
    np.testing.assert_array_equal(y, [[1.0, np.nan, np.nan]])
    dx = backend.maxout_backward(
        np.array([[1.0, 2.0, 1.0, 3.0, 1.0, 3.0]]), np.array([[1.0, 3.0]]), np.array([[5.0, 7.0]]), 3
    )
    np.testing.assert_array_equal(dx, [[5.0, 0.0, 0.0, 7.0, 0.0, 0.0]])


def test_slopes_of_rrelu_are_uniform_and_their_mean_is_used_outside_training(backend):
    x = np.full((200, 500), -1.0)
    slopes = -backend.rrelu(x, 0.2, 0.6, training=True, seed=7, node=2, step=3)
    assert slopes.min() >= 0.2
    assert slopes.max() < 0.6
    counts = np.histogram(slopes, bins=20, range=(0.2, 0.6))[0]
    assert np.abs(counts - 5000).max() < 5 * np.sqrt(5000)
    np.testing.assert_allclose(-backend.rrelu(x, 0.2, 0.6), 0.4, rtol=1e-15)
    other = -backend.rrelu(x, 0.2, 0.6, training=True, seed=7, node=2, step=4)
    assert abs(np.corrcoef(slopes.ravel(), other.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_model_learns_slopes_and_is_saved(tmp_path, engine):
    """y = |x| needs a slope of -1."""
    x = RNG.standard_normal((200, 3))
    model = nn.Sequential([nn.Input((3,)), nn.PReLU(shared=False, name="p"), nn.Activation("rrelu", lower=0.5, upper=0.5)])
    model.compile(nn.SGD(0.5), nn.MSELoss(), engine=engine, dtype="float64")
    model.fit(x, np.abs(x), epochs=60, batch_size=50, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], -np.ones(3), atol=0.02)
    model.save(tmp_path / "m.safetensors")
    again = nn.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_every_activation_in_a_saved_model(tmp_path):
    """By name in Dense and as a layer, through a file."""
    for name in (name for name, op in OPS.items() if op.activation):
        model = nn.Sequential([nn.Input((3,)), nn.Dense(12, activation=name), nn.Activation(name)])
        model.compile(nn.SGD(0.1), nn.MSELoss())
        x = RNG.standard_normal((5, 3)).astype("float32")
        y = model.predict(x)
        model.save(tmp_path / f"{name}.safetensors")
        np.testing.assert_array_equal(nn.load(tmp_path / f"{name}.safetensors").predict(x), y, err_msg=name)
