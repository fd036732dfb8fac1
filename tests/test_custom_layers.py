"""Layers written in Python by a user: both engines, files, gradients, errors and interrupts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import nncore as nn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 5))
Y = RNG.integers(0, 3, 12)


class Tanh(nn.Layer):
    """What nn.Activation("tanh") does."""

    def forward(self, x):
        return np.tanh(x)

    def backward(self, x, y, dy):
        return dy * (1 - y * y)


class Linear(nn.Layer):
    """What nn.Dense does."""

    def __init__(self, units, kernel_initializer="glorot_uniform", name=None):
        super().__init__(name)
        self.units, self.kernel_initializer = units, kernel_initializer

    def compute_output_shape(self, shape):
        return (self.units,)

    def declare_parameters(self, shape):
        return {"kernel": ((shape[0], self.units), self.kernel_initializer), "bias": ((self.units,), "zeros")}

    def forward(self, x, kernel, bias):
        return x @ kernel + bias

    def backward(self, x, kernel, bias, y, dy):
        return dy @ kernel.T, x.T @ dy, dy.sum(axis=0)

    def get_config(self):
        return {"units": self.units, "kernel_initializer": self.kernel_initializer, **super().get_config()}


class Gate(nn.Layer):
    """y = a * sigmoid(b) + shift, of two inputs; the parameter has two axes beside those of a kernel's."""

    def declare_parameters(self, a, b):
        return {"shift": ((2, 1, *a), nn.Constant(0.25))}

    def forward(self, a, b, shift):
        return a / (1 + np.exp(-b)) + shift.sum(axis=(0, 1))

    def backward(self, a, b, shift, y, dy):
        s = 1 / (1 + np.exp(-b))
        return dy * s, dy * a * s * (1 - s), np.broadcast_to(dy.sum(axis=0), shift.shape)


class Centre(nn.Layer):
    """y = x less the mean of the batch: a function that mixes rows."""

    def forward(self, x):
        return x - x.mean(axis=0)

    def backward(self, x, y, dy):
        return dy - dy.mean(axis=0)


def pair(engine, dtype="float64"):
    """One network of built-in layers, and the same with imitations of two."""
    models = []
    for middle in ([nn.Dense(7, name="a"), nn.Activation("tanh")], [Linear(7, name="a"), Tanh()]):
        model = nn.Sequential([nn.Input((5,)), nn.Dense(6, activation="relu", name="first"), *middle, nn.Dense(3)])
        model.compile(nn.SGD(0.1), "cross_entropy", metrics=["accuracy"], engine=engine, dtype=dtype, seed=3)
        models.append(model)
    return models


def gated() -> nn.Model:
    """Residual, with a layer used twice, one whose inputs come twice, and one that mixes rows."""
    x, z = nn.Input((5,)), nn.Input((5,))
    linear = Linear(5, name="linear")
    h = Tanh()(linear(x))
    g = Gate(name="gate")([h, x])
    g = Gate()([g, g])
    h = nn.Add()([nn.Dropout(0.3)(linear(g)), z, h])
    return nn.Model([x, z], [nn.Dense(2)(Centre()(h)), g])


def test_an_imitation_trains_like_the_layer_that_it_imitates(engine_name):
    built_in, own = pair(engine_name)
    histories = [model.fit(X, Y, batch_size=5, epochs=8, verbose=0).history for model in (built_in, own)]
    np.testing.assert_allclose(histories[1]["loss"], histories[0]["loss"], rtol=1e-12)
    assert histories[1]["accuracy"] == histories[0]["accuracy"]
    for a, b in zip(built_in.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(own.predict(X), built_in.predict(X), rtol=1e-11)
    assert own.evaluate(X, Y)["loss"] == pytest.approx(built_in.evaluate(X, Y)["loss"], rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_engines_agree(dtype):
    results = []
    for engine in ("reference", "native"):
        model = gated()
        model.compile(engine=engine, dtype=dtype, seed=4)
        outputs = model.forward([X, 2 * X], training=True)
        dx = model.backward([np.cos(y) for y in outputs])
        results.append([*outputs, *dx, *model.gradients().values(), *model.predict([X, X], batch_size=12)[1:]])
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(
            b, a, rtol=1e-12 if dtype == "float64" else 2e-5, atol=1e-12 if dtype == "float64" else 2e-6
        )


def test_gradients_by_finite_differences(engine_name):
    model = gated()
    model.compile(engine=engine_name, dtype="float64", seed=5)
    weights = model.get_weights()
    seed = model.forward([X, X], training=True)
    directions = [np.cos(3 * y) for y in seed]
    draws = model.engine.draws - 1

    def value(arrays):
        model.set_weights(arrays)
        model.engine.draws = draws
        return sum(float((y * d).sum()) for y, d in zip(model.forward([X, X], training=True), directions, strict=True))

    value(weights)
    model.backward(directions)
    gradients = list(model.gradients().values())
    for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        for index in list(np.ndindex(weight.shape))[::3]:
            sides = []
            for step in (1e-6, -1e-6):
                moved = [w.copy() for w in weights]
                moved[i][index] += step
                sides.append(value(moved))
            assert gradient[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6, abs=1e-7)


def test_one_call_for_each_batch_and_layer(engine_name):
    calls = []

    class Counted(Tanh):
        def forward(self, x):
            calls.append(("forward", x.shape))
            return super().forward(x)

        def backward(self, x, y, dy):
            calls.append(("backward", dy.shape))
            return super().backward(x, y, dy)

    model = nn.Sequential([nn.Input((5,)), nn.Dense(4), Counted(), nn.Dense(3)])
    model.compile(nn.SGD(0.1), "cross_entropy", engine=engine_name)
    model.fit(X, Y, batch_size=5, verbose=0)
    assert calls == [(what, (n, 4)) for n in (5, 5, 2) for what in ("forward", "backward")]
    calls.clear()
    a = nn.Input((5,))
    h = nn.Dense(5)(a)
    both = nn.Model(a, nn.Add()([Counted()(h), h, nn.Dense(5)(h)]))
    both.compile(engine=engine_name)
    both.forward(X, training=True)
    both.backward(X)
    assert calls == [("forward", (12, 5)), ("backward", (12, 5))]


def test_the_bits_for_any_number_of_threads():
    before = nn.get_num_threads()
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((600, 64)), rng.integers(0, 3, 600)
    results = []
    try:
        for threads in (1, 2, 3, 4):
            nn.set_num_threads(threads)
            layers = [nn.Dense(300, activation="relu"), Linear(200), Centre(), Tanh(), nn.Dense(3)]
            model = nn.Sequential([nn.Input((64,)), *layers])
            model.compile(nn.Adam(), "cross_entropy", seed=1)
            history = model.fit(x, y, batch_size=128, epochs=2, verbose=0).history
            results.append((history, [w.tobytes() for w in model.get_weights()], model.predict(x).tobytes()))
    finally:
        nn.set_num_threads(before)
    assert all(result == results[0] for result in results)


def test_files(tmp_path, engine_name):
    _, model = pair(engine_name, "float32")
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match="custom_objects, got 'Linear'"):
        nn.load(tmp_path / "m", custom_objects={"Tanh": Tanh})
    loaded = nn.load(tmp_path / "m", custom_objects={"Linear": Linear, "Tanh": Tanh})
    loaded.compile(engine=engine_name)
    assert loaded.predict(X).tobytes() == model.predict(X).tobytes()
    assert loaded.layers[2].get_config() == model.layers[2].get_config()


def test_arrays_are_read_only_and_results_may_be_of_any_real_dtype(engine_name):
    class Odd(nn.Layer):
        def forward(self, x):
            with pytest.raises(ValueError, match="read-only"):
                x += 1
            return x.astype(np.float16)

        def backward(self, x, y, dy):
            return np.asfortranarray(dy.astype(np.float64))

    model = nn.Sequential([nn.Input((5,)), Odd()])
    model.compile(engine=engine_name)
    y = model.forward(X, training=True)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, X.astype(np.float32).astype(np.float16))
    np.testing.assert_array_equal(model.backward(y), y)


class Broken(nn.Layer):
    """Does what `results` says, from the second batch on."""

    def __init__(self, forward=None, backward=None, after=1):
        super().__init__()
        self.results, self.after, self.calls = {"forward": forward, "backward": backward}, after, 0

    def _result(self, which, right):
        self.calls += which == "forward"
        result = self.results[which]
        if result is None or self.calls <= self.after:
            return right
        return result(right)

    def declare_parameters(self, shape):
        return {"w": (shape, "ones")}

    def forward(self, x, w):
        return self._result("forward", x * w)

    def backward(self, x, w, y, dy):
        return self._result("backward", (dy * w, (dy * x).sum(axis=0)))


def _raise(error):
    def call(right):
        raise error

    return call


@pytest.mark.parametrize(
    ("results", "error", "words"),
    [
        ({"forward": _raise(KeyError("mine"))}, KeyError, "mine"),
        ({"backward": _raise(ZeroDivisionError("mine"))}, ZeroDivisionError, "mine"),
        ({"forward": _raise(KeyboardInterrupt("mine"))}, KeyboardInterrupt, "mine"),
        ({"forward": lambda y: None}, TypeError, "Broken 'broken', forward: result: expected an array of real.*None"),
        ({"forward": lambda y: y + 1j}, TypeError, "got dtype complex128"),
        ({"forward": lambda y: y[:, 1:]}, ValueError, r"forward: result: expected shape \(\d, 3\), got \(\d, 2\)"),
        ({"backward": lambda g: g[0]}, ValueError, "expected 2 gradients .1 of inputs, 1 of parameters.*got 1"),
        ({"backward": lambda g: (g[0], g[1].sum())}, ValueError, r"gradient 1: expected shape \(3,\), got \(\)"),
        ({"backward": lambda g: ("a", g[1])}, TypeError, "gradient 0: expected an array of real"),
    ],
)
def test_errors_leave_the_model_as_it_was_before_the_batch(engine_name, results, error, words):
    broken = Broken(**results)
    model = nn.Sequential([nn.Input((5,)), nn.Dense(3), broken, nn.Dropout(0.5), nn.Dense(3)])
    model.compile(nn.Adam(), "cross_entropy", engine=engine_name, dtype="float64")
    model.train_on_batch(X[:4], Y[:4])
    before, counters = model.get_weights(), (model.engine.draws, model.engine.iterations)
    with pytest.raises(error, match=words):
        model.fit(X[:4], Y[:4], batch_size=4, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (model.engine.draws, model.engine.iterations) == counters
    if "forward" in results:
        with pytest.raises(error, match=words):
            model.predict(X[:4])
    broken.results = {"forward": None, "backward": None}
    model.train_on_batch(X[:4], Y[:4])  # and it works on


@pytest.mark.parametrize(
    ("layer", "error", "words"),
    [
        (type("Nothing", (nn.Layer,), {})(), TypeError, "Nothing: expected a method 'forward'"),
        (type("Half", (nn.Layer,), {"forward": Tanh.forward})(), TypeError, "Half: expected a method 'backward'"),
        (Linear(0), ValueError, "positive integers"),
        (Linear(3, kernel_initializer="goofy"), ValueError, "goofy"),
    ],
)
def test_bad_classes(layer, error, words):
    with pytest.raises(error, match=words):
        nn.Sequential([nn.Input((5,)), layer])


def test_a_layer_that_uses_its_own_model_is_an_error_not_a_standstill():
    class Selfish(Tanh):
        def forward(self, x):
            return self.model.predict(x)

    layer = Selfish()
    layer.model = nn.Sequential([nn.Input((5,)), layer])
    with pytest.raises(RuntimeError, match="cannot use it"):
        layer.model.predict(X)


SCRIPT = """
import json, os, signal, threading, time
import numpy as np, nncore as nn

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started this in the background

class Slow(nn.Layer):
    def forward(self, x):
        time.sleep(0.01)
        return x
    def backward(self, x, y, dy):
        return dy

model = nn.Sequential([nn.Input((5,)), nn.Dense(3), Slow(), nn.Dense(3)])
model.compile(loss="cross_entropy")
x, y = np.zeros((10000, 5)), np.zeros(10000, int)
other = []
asking = threading.Timer(0.3, lambda: other.append(len(model.get_weights())))  # waits for the engine without Python's lock
asking.start()
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
began = time.monotonic()
try:
    model.fit(x, y, batch_size=10, epochs=1, verbose=0)
    done = "finished"
except KeyboardInterrupt:
    done = "interrupted"
seconds = time.monotonic() - began
asking.join(60)
print(json.dumps([done, seconds, other, int(np.isfinite(model.predict(x[:3])).all())]))
"""


def test_an_interrupt_comes_through():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, env=os.environ)
    done, seconds, other, finite = json.loads(result.stdout)
    assert done == "interrupted", result.stderr
    assert seconds < 8
    assert other == [4]
    assert finite == 1


class Halve(nn.Layer):
    """y = x * gain in training, half of it in inference."""

    def declare_parameters(self, shape):
        return {"gain": (shape, "ones")}

    def forward(self, x, gain, training=False):
        assert type(training) is bool
        return x * gain * (1.0 if training else 0.5)

    def backward(self, x, gain, y, dy, training):
        share = 1.0 if training else 0.5
        return dy * gain * share, (dy * x).sum(axis=0) * share


def test_a_layer_is_told_whether_it_trains(engine_name):
    model = nn.Sequential([nn.Input((5,)), Halve()])
    model.compile(nn.SGD(0.1), "mse", engine=engine_name, dtype="float64")
    np.testing.assert_array_equal(model.predict(X), X / 2)
    np.testing.assert_array_equal(model.forward(X), X / 2)
    np.testing.assert_array_equal(model.forward(X, training=True), X)
    assert model.evaluate(X, X)["loss"] == pytest.approx((X**2).mean() / 4)
    assert model.train_on_batch(X, 0 * X)["loss"] == pytest.approx((X**2).mean())
    np.testing.assert_allclose(model.get_weights()[0], 1 - 0.1 * 2 * (X**2).sum(axis=0) / X.size)
    assert max(nn.gradcheck(model, X, 0 * X).values()) < 1e-7


def test_explanations_are_of_inference(engine_name):
    model = nn.Sequential([nn.Input((5,)), Halve()])
    model.compile(engine=engine_name, dtype="float64")
    np.testing.assert_array_equal(nn.explain.input_gradients(model, X, 2), np.tile([0, 0, 0.5, 0, 0], (12, 1)))
