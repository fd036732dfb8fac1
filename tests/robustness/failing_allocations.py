"""Calls of models and ops with their first, second, third ... allocation failing, until the call succeeds.

Each time there must be a MemoryError, and a model that is as before: weights, optimizer states and counters. At the end the
call succeeds, with the bits of a model that met no failure.

    cc -shared -fPIC -o failing.so tests/robustness/failing_allocations.c
    LD_PRELOAD=./failing.so python tests/robustness/failing_allocations.py

These are the allocations of the core, the C++ library and NumPy's arrays, not those of Python's objects.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import pickle
import sys
import tempfile

import numpy as np

import nncore as nn

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from test_checkpoints import digest

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((48, 6)).astype("float32"), RNG.integers(0, 3, 48)
LIBRARY = ctypes.CDLL(None)  # with what is preloaded
LARGE = RNG.standard_normal((300, 200)).astype("float32")  # worth several threads


class Own(nn.Layer):
    """A layer in Python, which the engine calls back."""

    def forward(self, x):
        return x * 2

    def backward(self, x, y, dy):
        return dy * 2


def network(*extra):
    x = nn.Input((6,))
    h = nn.Dropout(0.2)(nn.BatchNorm()(nn.Dense(20, activation="gelu")(x)))
    for layer in extra:
        h = layer(h)
    h = nn.Dense(9, activation="tanh", kernel_regularizer="l2")(nn.Concatenate()([h, x]))
    return x, h


def compiled(model, loss="cross_entropy"):
    adam = nn.Adam(1e-2, global_clipnorm=1.0, use_ema=True, gradient_accumulation_steps=2)
    model.compile(adam, loss, ["accuracy"] if loss == "cross_entropy" else [], seed=1)
    return model


def plain():
    """One output, trained by the engine's own loop; every kind of buffer is there."""
    x, h = network()
    return compiled(nn.Model(x, nn.Dense(3)(h)))


def stepped():
    """Two outputs and a layer of one's own, stepped from Python."""
    x, h = network(Own())
    return compiled(nn.Model(x, [nn.Dense(3, name="a")(h), nn.Dense(1, name="b")(h)]), {"a": "cross_entropy", "b": "mse"})


def looking_up():
    x = nn.Input((2,))
    return compiled(nn.Model(x, nn.Dense(3)(nn.Flatten()(nn.Embedding(5, 4)(x)))))


def trained(make, *data):
    model = make()
    for _ in range(2):
        model.train_on_batch(*data)
    return model


def saved(name, model):
    model.save(name)
    return name


def forwarded():
    model = trained(plain, X, Y)
    model.forward(X, training=True)
    return model


def averaged(model):
    with model.averaged_weights():
        return model.predict(X)


TWO = [Y, X[:, :1]]
WORDS = RNG.integers(0, 5, (48, 2))


# What the engine is asked for: a model, and the call. The call may change the model.
CASES = {
    "compile": (lambda: trained(plain, X, Y), lambda m: compiled(m).engine.seed),
    "first step": (plain, lambda m: m.train_on_batch(X, Y)),
    "a step": (lambda: trained(plain, X, Y), lambda m: m.train_on_batch(X, Y)),
    "a step with weights": (lambda: trained(plain, X, Y), lambda m: m.train_on_batch(X, Y, np.ones(48))),
    "a step of lists": (lambda: trained(plain, X, Y), lambda m: m.train_on_batch(X.tolist(), Y.tolist())),
    "a step from Python": (lambda: trained(stepped, X, TWO), lambda m: m.train_on_batch(X, TWO)),
    "a first step from Python": (stepped, lambda m: m.train_on_batch(X, TWO)),
    "a larger step": (lambda: trained(plain, X[:8], Y[:8]), lambda m: m.train_on_batch(X, Y)),
    "embedding": (lambda: trained(looking_up, WORDS, Y), lambda m: m.train_on_batch(WORDS, Y)),
    "fit": (lambda: trained(plain, X, Y), lambda m: m.fit(X, Y, batch_size=20, epochs=2, verbose=0).history["loss"]),
    "evaluate": (lambda: trained(plain, X, Y), lambda m: m.evaluate(X, Y)),
    "predict": (lambda: trained(plain, X, Y), lambda m: m.predict(X)),
    "predict lists": (lambda: trained(plain, X, Y), lambda m: m.predict(X.tolist())),
    "predict from Python": (lambda: trained(stepped, X, TWO), lambda m: m.predict(X)),
    "get_weights": (lambda: trained(plain, X, Y), lambda m: m.get_weights()),
    "set_weights": (
        lambda: trained(plain, X, Y),
        lambda m: m.set_weights([np.ones(spec.shape, "float64") for spec in m.graph.parameters]),
    ),
    "forward": (lambda: trained(plain, X, Y), lambda m: m.forward(X, training=True)),
    "backward": (forwarded, lambda m: m.backward(np.ones((48, 3)))),
    "save": (lambda: trained(plain, X, Y), lambda m: saved("saved.safetensors", m)),
    "load": (lambda: trained(plain, X, Y), lambda m: nn.load(saved("loaded.safetensors", m)).predict(X)),
    "checkpoint": (lambda: trained(plain, X, Y), lambda m: m.save_checkpoint("one.safetensors")),
    "load a checkpoint": (lambda: trained(plain, X, Y), lambda m: m.load_checkpoint("checkpoint.safetensors")),
    "freeze": (lambda: trained(plain, X, Y), lambda m: m.freeze("dense*")),
    "averaged weights": (lambda: trained(plain, X, Y), averaged),
    "pickle": (lambda: trained(plain, X, Y), lambda m: pickle.loads(pickle.dumps(m)).predict(X)),
    "copy": (lambda: trained(plain, X, Y), lambda m: m.clone().predict(X)),
}

# Those that make a native object. pybind11 notes it in a map, outside of what handles exceptions: that its node, of 24
# bytes, cannot be allocated ends the process. The core makes sure just before that there is memory.
MAKING = {
    *("compile", "first step", "a step with weights", "a step of lists", "a first step from Python", "a larger step"),
    *("load", "freeze", "pickle", "copy"),
}
NODE = 24

OPS = {
    "matmul": lambda: nn.ops.matmul(LARGE, LARGE.T),
    "matmul of strides": lambda: nn.ops.matmul(LARGE[::3, ::2], LARGE[:100, :70]),
    "add": lambda: nn.ops.add(LARGE, LARGE),
    "multiply": lambda: nn.ops.multiply(LARGE, LARGE, LARGE),
    "average": lambda: nn.ops.average(LARGE, LARGE),
    "gelu": lambda: nn.ops.gelu(LARGE),
    "softmax": lambda: nn.ops.softmax(LARGE, axis=0),
    "dropout": lambda: nn.ops.dropout(LARGE, rate=0.5, seed=1, node=1, step=0),
    "cross_entropy": lambda: nn.ops.cross_entropy(LARGE, np.arange(300) % 200),
}


def flat(result):
    """A result as bytes, to compare."""
    if isinstance(result, (list, tuple)):
        return b"|".join(map(flat, result))
    if isinstance(result, dict):
        return flat(list(result.values()))
    return result.tobytes() if isinstance(result, np.ndarray) else repr(result).encode()


def attempts(call, check, least=0):
    """Call with the n-th allocation failing, for all n until no allocation failed; how many did, and the last result."""
    for n in itertools.count(1):
        error = result = None
        LIBRARY.fail_allocation(ctypes.c_long(n), ctypes.c_size_t(least))
        try:
            result = call()
        except BaseException as caught:
            error = caught
        failed = LIBRARY.allocation_failed()
        if error is None and not failed:
            return n - 1, result
        if error is not None and not isinstance(error, MemoryError):
            raise AssertionError(f"allocation {n}: expected a MemoryError, got {error!r}") from error
        check(n, None if error else result)  # what can do without that memory succeeds


def whole_steps(make):
    """Digests of a model between the steps of the case `fit`."""
    model, seen = make(), set()
    look = nn.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.add(digest(model)),
        on_epoch_end=lambda epoch, logs: seen.add(digest(model)),
    )
    model.fit(X, Y, batch_size=20, epochs=2, verbose=0, callbacks=[look])
    return seen


def run_case(name):
    """How many allocations of the case have failed, one at a time."""
    make, call = CASES[name]
    undisturbed = make()
    before = digest(undisturbed)
    allowed = {before} | (whole_steps(make) if name == "fit" else set())
    wanted, after = flat(call(undisturbed)), digest(undisturbed)
    model = make()

    def check(n, result):
        nonlocal model
        now = digest(model)
        if result is not None:
            assert flat(result) == wanted, f"{name}, allocation {n}: another result"
            assert now == after, f"{name}, allocation {n}: another model"
        else:
            assert now in allowed, f"{name}, allocation {n}: the model has changed"
        if now != before:
            model = make()

    least = NODE + 1 if name in MAKING else 0
    count, result = attempts(lambda: call(model), check, least)
    assert flat(result) == wanted, f"{name}: another result"
    assert digest(model) == after, f"{name}: another model"
    return count


def run_op(name):
    """The same for an op, which has no state."""
    wanted = flat(OPS[name]())
    count, result = attempts(OPS[name], lambda n, result: None)
    assert flat(result) == wanted, f"{name}: another result"
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="cases and ops; all of them by default")
    options = parser.parse_args()
    if not hasattr(LIBRARY, "fail_allocation"):
        parser.error("LD_PRELOAD: expected the library of tests/robustness/failing_allocations.c")
    nn.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # for the files of the cases
        trained(plain, X, Y).save_checkpoint("checkpoint.safetensors")
        for name in options.names or [*CASES, *OPS]:
            count = (run_case if name in CASES else run_op)(name)
            print(json.dumps({name: count}), flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
