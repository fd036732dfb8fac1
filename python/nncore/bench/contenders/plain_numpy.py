"""NumPy and its BLAS, written by hand, with arrays that are made once and used again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np

from nncore.bench import case
from nncore.bench.case import Array, Case, Contender
from nncore.bench.contenders import formulas
from nncore.bench.workloads import RULE_BYTES, Elementwise, Network, Product, Update

__all__ = ["NumPy"]


class NumPy(Contender):
    """Its BLAS takes its threads from the environment."""

    modules = ("numpy",)
    kinds: tuple[str, ...] = ("product", "elementwise", "update", "step", "predict", "epoch", "start")

    def product(self, spec: Product) -> Case:
        """`numpy.matmul` of views."""
        a, b, c = case.product_arrays(spec)
        a, b = (a.T if spec.form == "weight" else a), (b.T if spec.form == "data" else b)
        run = partial(np.matmul, a, b, out=c)
        return Case(run, run)

    def elementwise(self, spec: Elementwise) -> Case | None:
        """A formula; where that is one function, into an array that is there."""
        if spec.op in ("gelu", "dropout"):
            return None  # NumPy has no erf; dropout would measure its random numbers
        x, dy, out = case.elementwise_arrays(spec)
        single: dict[str, Callable[..., Array]] = {
            "relu": partial(np.maximum, 0),
            "tanh": np.tanh,
            "add": partial(np.add, dy),
            "multiply": partial(np.multiply, dy),
        }
        run = partial(formulas.forward, np, spec.op, x, dy)
        if spec.backward:
            run = partial(formulas.backward, np, spec.op, x, run(), dy)
        elif spec.op in single:
            run = partial(single[spec.op], x, out=out)
        return Case(run, run)

    def update(self, spec: Update) -> Case | None:
        """The rule, in place."""
        if spec.rule not in _IN_PLACE:
            return None  # PyTorch has these
        p, g = case.update_arrays(spec)
        start = p.copy()
        states = [np.zeros_like(p) for _ in range((RULE_BYTES[spec.rule] - 12) // 8)]
        count = itertools.count(1)
        scratch = np.empty_like(p), np.empty_like(p)

        def run() -> None:
            _update(spec.rule, p, g, states, scratch, next(count), 1e-3)

        def check() -> Array:
            run()
            run()
            return p - start

        return Case(run, check)

    def step(self, spec: Network) -> Case:
        """Forward, backward and Adam."""
        x, y = case.batch(spec)
        model = _Perceptron(spec, case.STEP_RATE)
        run = partial(model.train, x, y)
        return Case(run, partial(case.change, spec, partial(case.repeat, run), lambda: model.outputs(x).copy()))

    def predict(self, spec: Network) -> Case:
        """Forward."""
        x, _ = case.batch(spec)
        run = partial(_Perceptron(spec, case.STEP_RATE).outputs, x)
        return Case(run, lambda: case.log_probabilities(spec, run()))

    def epoch(self, spec: Network) -> Case:
        """A loop over batches taken from arrays in memory."""
        x, y, _ = case.mnist()
        model = _Perceptron(spec, case.EPOCH_RATE)
        rng = np.random.default_rng(0)

        def run() -> None:
            order = rng.permutation(len(x))
            for begin in range(0, len(x), spec.batch):
                rows = order[begin : begin + spec.batch]
                model.train(x[rows], y[rows])

        def check() -> Array:
            run()
            return case.mean_loss(spec, y[:1000], model.outputs(x[:1000]))

        return Case(run, check)


_IN_PLACE = ("sgd", "momentum", "adam", "adamw", "rmsprop")


def _update(rule: str, p: Array, g: Array, states: list[Array], scratch: tuple[Array, Array], t: int, rate: float) -> None:
    """One step of a rule in place; `states` as `nncore.ops` has them, two arrays to scribble in."""
    a, b = scratch
    if rule == "sgd":
        p -= np.multiply(g, rate, out=a)
        return
    if rule == "momentum":
        states[0] *= 0.9
        states[0] += g
        p -= np.multiply(states[0], rate, out=a)
        return
    decay = 0.99 if rule == "rmsprop" else 0.999
    v = states[-1]
    v *= decay
    np.multiply(g, g, out=a)
    a *= 1 - decay
    v += a
    np.sqrt(v, out=a)
    if rule == "rmsprop":
        np.multiply(g, rate, out=b)
    else:
        m = states[0]
        m *= 0.9
        m += np.multiply(g, 0.1, out=b)
        a *= (1 - 0.999**t) ** -0.5
        np.multiply(m, rate / (1 - 0.9**t), out=b)
        if rule == "adamw":
            p *= 1 - rate * 0.01
    a += case.EPSILON
    b /= a
    p -= b


class _Perceptron:
    """The network, its gradients and moments, and an activation [batch, n] for each layer."""

    def __init__(self, net: Network, rate: float) -> None:
        self.net, self.rate, self.t = net, rate, 0
        self.arrays = case.weights(net)
        self.gradients = [np.empty_like(array) for array in self.arrays]
        self.states = [[np.zeros_like(array), np.zeros_like(array)] for array in self.arrays]
        self.scratch = [(np.empty_like(array), np.empty_like(array)) for array in self.arrays]
        self.activations: list[Array] = []

    def outputs(self, x: Array) -> Array:
        """Outputs [rows, outputs] for x [rows, inputs]."""
        if len(self.activations) == 0 or len(self.activations[0]) != len(x):
            self.activations = [np.empty((len(x), size), np.float32) for size in self.net.sizes[1:]]
        for i, z in enumerate(self.activations):
            np.matmul(x, self.arrays[2 * i], out=z)
            z += self.arrays[2 * i + 1]
            if i + 1 < len(self.activations):
                np.maximum(z, 0, out=z)
            x = z
        return x

    def train(self, x: Array, y: Array) -> None:
        """One step on x [rows, inputs] and its targets."""
        outputs = self.outputs(x)
        if self.net.loss == "mse":
            dy = outputs - y
            dy *= np.float32(2 / dy.size)
        else:
            dy = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            dy /= dy.sum(axis=1, keepdims=True)
            dy[np.arange(len(y)), y] -= 1
            dy /= len(y)
        for i in range(len(self.activations) - 1, -1, -1):
            below = self.activations[i - 1] if i else x
            np.matmul(below.T, dy, out=self.gradients[2 * i])
            dy.sum(axis=0, out=self.gradients[2 * i + 1])
            if i:
                dy = dy @ self.arrays[2 * i].T
                dy *= below > 0
        self.t += 1
        for p, g, states, scratch in zip(self.arrays, self.gradients, self.states, self.scratch, strict=True):
            _update("adam", p, g, states, scratch, self.t, self.rate)
