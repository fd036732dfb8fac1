"""Arrays of other packages go in everywhere as NumPy's do, without a copy where none is needed; results are NumPy's."""

from __future__ import annotations

import array
import ctypes

import numpy as np
import pytest

import nncore as nn
from nncore import arrays, foreign, ops, reference
from op_cases import LOSS_CASES, OP_CASES


class ByDLPack:
    """An array that others can read by DLPack only."""

    def __init__(self, array, device=1):
        self._array, self._device = np.asarray(array), device
        self.shape, self.ndim = self._array.shape, self._array.ndim

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return (self._device, 0)


class ByArray:
    """An array that others can read by ``__array__`` only."""

    def __init__(self, array):
        self._array = np.asarray(array)
        self.shape, self.ndim = self._array.shape, self._array.ndim

    def __array__(self, dtype=None, copy=None):
        return self._array if dtype is None else self._array.astype(dtype)


WRAPPERS = [ByDLPack, ByArray, memoryview]
X = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")
Y = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_memory_is_shared(wrap):
    assert np.shares_memory(arrays.real(wrap(X), "x"), X)
    assert np.shares_memory(foreign.as_array(wrap(X), "x"), X)
    assert np.shares_memory(reference.arrays.as_array("x", wrap(X)), X)
    assert np.shares_memory(arrays.real(X, "x"), X)


def test_buffers():
    for buffer, expected in [
        (array.array("d", [1.0, 2.0]), [1.0, 2.0]),
        (bytearray(b"\x01\x02"), [1, 2]),
        ((ctypes.c_float * 2)(1.5, 2.5), [1.5, 2.5]),
    ]:
        found = arrays.real(buffer, "x")
        assert found.tolist() == expected
        assert np.shares_memory(found, np.frombuffer(buffer, found.dtype))


def test_what_needs_a_conversion_is_copied():
    for value in (X.astype(">f4"), X.astype("float16"), X[:, ::2]):
        found = arrays.real(ByArray(value), "x")
        assert found.flags.c_contiguous
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("wrap", [ByDLPack, ByArray])
@pytest.mark.parametrize("case", OP_CASES, ids=lambda case: case.name)
def test_ops(case, wrap, backend):
    attrs, given = case.attrs[0], case.arrays(case.shapes[-1], "float32")
    y = case.forward(backend, given, attrs)
    np.testing.assert_array_equal(case.forward(backend, tuple(map(wrap, given)), attrs), y)
    dy = np.ones_like(y)
    expected = case.backward(backend, given, y, dy, attrs)
    found = case.backward(backend, tuple(map(wrap, given)), wrap(y), wrap(dy), attrs)
    for right, dx in zip(expected, found, strict=True):
        assert dx is None or type(dx) is np.ndarray
        np.testing.assert_array_equal(dx, right)


@pytest.mark.parametrize("name", ["mse", "cross_entropy", "bce_with_logits", "huber", "multi_margin", "kl_div", "quantile"])
def test_losses(name, backend):
    classes = name in ("cross_entropy", "multi_margin")
    target = Y if classes else abs(X)
    function = getattr(backend, name)
    assert name in {case.name for case in LOSS_CASES}
    weights = np.arange(1.0, 7.0)
    expected = function(X, target, sample_weight=weights)
    assert function(ByDLPack(X), ByDLPack(target), sample_weight=ByDLPack(weights)) == expected


def model():
    made = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    made.compile("sgd", "cross_entropy", ["accuracy", "f1_macro"])
    return made


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_models(wrap):
    x, y, w, kernel = wrap(X), wrap(Y), wrap(np.arange(1.0, 7.0)), wrap(np.ones((4, 3), np.float32))
    plain, other = model(), model()
    for net, data in ((plain, (X, Y, np.arange(1.0, 7.0), np.ones((4, 3), np.float32))), (other, (x, y, w, kernel))):
        a, t, weight, k = data
        net.set_weights([k, wrap(np.zeros(3, np.float32))])
        net.fit(a, t, sample_weight=weight, validation_data=(a, t), epochs=2, verbose=0)
        net.train_on_batch(a, t)
        net.fit(nn.data.DataLoader(a, t, batch_size=4, sample_weight=weight), verbose=0)
    np.testing.assert_array_equal(other.predict(x), plain.predict(X))
    assert type(other.predict(x)) is np.ndarray
    assert other.evaluate(x, y) == plain.evaluate(X, Y)
    dy = np.ones((6, 3), np.float32)
    plain.forward(X, training=True)
    other.forward(x, training=True)
    np.testing.assert_array_equal(other.backward(wrap(dy)), plain.backward(dy))
    with pytest.raises(ValueError, match="y: expected targets for the samples x"):
        other.fit(x)


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_the_rest_of_the_package(wrap):
    net = model()
    np.testing.assert_array_equal(nn.explain.input_gradients(net, wrap(X), wrap(Y)), nn.explain.input_gradients(net, X, Y))
    same = nn.explain.integrated_gradients(net, wrap(X), baseline=wrap(X[0]))
    np.testing.assert_array_equal(same, nn.explain.integrated_gradients(net, X, baseline=X[0]))
    assert nn.gradcheck(net, wrap(X), wrap(Y)) == nn.gradcheck(net, X, Y)
    loss = nn.CrossEntropyLoss()
    for found, right in zip(loss(wrap(X[:, :3].copy()), wrap(Y)), loss(X[:, :3], Y), strict=True):
        np.testing.assert_array_equal(found, right)
    ours, theirs = nn.classic.Perceptron().fit(wrap(X), wrap(Y)), nn.classic.Perceptron().fit(X, Y)
    np.testing.assert_array_equal(ours.predict(wrap(X)), theirs.predict(X))
    for found, right in zip(nn.data.train_test_split(wrap(X), wrap(Y)), nn.data.train_test_split(X, Y), strict=True):
        np.testing.assert_array_equal(found, right)
    scaling, plain = nn.Normalization(), nn.Normalization()
    scaling.adapt(wrap(X))
    plain.adapt(X)
    np.testing.assert_array_equal(scaling.mean, plain.mean)
    for metric in (nn.metrics.TopKAccuracy(k=1), nn.metrics.F1()):
        results = []
        for y, p in ((wrap(Y % 2), wrap(X[:, :2].copy())), (Y % 2, X[:, :2])):
            metric.reset()
            metric.update(y, p)
            results.append(metric.result())
        assert results[0] == results[1]


class Tracked(ByArray):
    """What a tensor that requires a gradient does."""

    requires_grad = True

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


class Elsewhere(ByArray):
    """What a tensor on a GPU does."""

    device = "cuda:0"

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy.")


class Odd(ByArray):
    def __array__(self, dtype=None, copy=None):
        raise TypeError("no such type in NumPy")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Tracked(X), r"x: expected data without a gradient, got a Tracked that requires one \(pass its detach\(\)\)"),
        (
            Elsewhere(X),
            r"x: expected an array in the CPU's memory, got a Elsewhere on device cuda:0 \(copy it",
        ),
        (ByDLPack(X, device=2), "x: expected an array in the CPU's memory, got a ByDLPack on device number 2 of DLPack"),
        (Odd(X), r"x: expected an array that NumPy can read, got a Odd \(no such type in NumPy\)"),
        (b"bytes", "x: expected real numbers.* got dtype"),
        (object(), "x: expected real numbers.* got dtype object"),
    ],
)
def test_errors(value, message):
    net = model()
    before = net.get_weights()
    for call in (net.predict, lambda x: net.fit(x, Y, verbose=0), ops.relu, reference.relu):
        with pytest.raises(TypeError, match=message):
            call(value)
    for was, now in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
