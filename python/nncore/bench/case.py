"""What a contender is, what it prepares for a workload, and the arrays that all contenders work on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore import datasets
from nncore.bench.workloads import Elementwise, Network, Nothing, Product, Update, Workload

__all__ = ["Array", "Case", "Contender"]

Array = npt.NDArray[Any]

CHECK_STEPS = 3
# Thousands of steps on one batch must not lead where no training goes: dead units, subnormal moments.
STEP_RATE = 1e-6
EPOCH_RATE = 1e-3
EPSILON = 1e-8
_TRIAL = 1e-3  # seconds


class Contender:
    """A library at its best: one method for each kind of workload that it takes part in, which returns a `Case`.

    A class is made in a process of its own, whose environment and CPUs allow `threads` threads, and imports its library
    there. A method returns None for what the library cannot do.
    """

    modules: tuple[str, ...] = ()  # without which it cannot take part; the first is what its users import
    kinds: tuple[str, ...] = ()

    def __init__(self, threads: int) -> None:
        """Import the library and tell it how many threads to use."""

    def prepare(self, workload: Workload) -> Case | None:
        """The workload, ready to be timed; None where this contender takes no part."""
        if workload.kind not in self.kinds:
            return None
        method: Callable[[object], Case | None] = getattr(self, workload.kind)
        return method(workload.spec)

    def start(self, spec: Nothing) -> Case:
        """A fresh interpreter that imports the library."""
        command = [sys.executable, "-c", f"import {self.modules[0]}"]
        return Case(partial(subprocess.run, command, check=True), nothing)


def nothing() -> Array:
    """The result of what has none: an empty array."""
    return np.empty(0)


@dataclass
class Case:
    """A workload, prepared by a contender.

    Attributes:
        run: does it once.
        check: does it from the start and returns the results that every contender must agree on. Called once, before `run`.
        units: how many times `run` does it in one call.
        sync: waits for what `run` may have left unfinished.
    """

    run: Callable[[], object]
    check: Callable[[], Array]
    units: int = 1
    sync: Callable[[], object] = nothing

    def seconds(self, runs: int) -> float:
        """Time of one unit, as a mean over `runs` runs."""
        run = self.run
        begin = time.perf_counter()
        for _ in range(runs):
            run()
        self.sync()
        return (time.perf_counter() - begin) / (runs * self.units)

    def runs(self, seconds: float) -> int:
        """How many runs take that long; found by trying, which also warms up."""
        runs = 1
        while True:
            spent = self.seconds(runs) * runs * self.units
            if spent > _TRIAL or runs >= seconds / _TRIAL * 1e4:
                return max(1, round(seconds / spent * runs))
            runs *= 4


def _normal(seed: int, *shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def product_arrays(spec: Product) -> tuple[Array, Array, Array]:
    """Both factors as they lie in memory, and an array for the result."""
    x, w, dy = (spec.m, spec.k), (spec.k, spec.n), (spec.m, spec.n)
    a, b, c = {"forward": (x, w, dy), "data": (dy, w, x), "weight": (x, dy, w)}[spec.form]
    return _normal(1, *a), _normal(2, *b), np.empty(c, np.float32)


def elementwise_arrays(spec: Elementwise) -> tuple[Array, Array, Array]:
    """Two arrays to read, and one for the result."""
    shape = spec.size // 100, 100
    return _normal(1, *shape), _normal(2, *shape), np.empty(shape, np.float32)


def update_arrays(spec: Update) -> tuple[Array, Array]:
    """Parameters and their gradients."""
    return _normal(1, spec.size), _normal(2, spec.size)


def weights(net: Network) -> list[Array]:
    """Kernel [inputs, outputs] and bias of each layer, in turn."""
    arrays = []
    for i, (a, b) in enumerate(zip(net.sizes, net.sizes[1:], strict=False)):
        arrays += [_normal(10 + i, a, b) * np.float32((2 / (a + b)) ** 0.5), np.zeros(b, np.float32)]
    return arrays


def batch(net: Network) -> tuple[Array, Array]:
    """Samples [batch, inputs] and targets: values [batch, outputs] or class indices [batch]."""
    y = np.random.default_rng(4).integers(net.sizes[-1], size=net.batch)
    return _normal(3, net.batch, net.sizes[0]), _normal(4, net.batch, net.sizes[-1]) if net.loss == "mse" else y


def batches(net: Network) -> tuple[Array, Array, int]:
    """The batch, many times over, for contenders that are given a whole epoch; and how many times."""
    x, y = batch(net)
    count = int(np.clip(2e9 // (6 * net.multiply_adds * net.batch), 1, 512))
    return np.tile(x, (count, 1)), np.tile(y, (count,) + (1,) * (y.ndim - 1)), count


def log_probabilities(net: Network, outputs: Array) -> Array:
    """Outputs on which contenders agree that end in logits, probabilities or their logarithms."""
    if net.loss == "mse":
        return outputs
    shifted = outputs - outputs.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def repeat(run: Callable[[], object]) -> None:
    """As many steps as results are compared after."""
    for _ in range(CHECK_STEPS):
        run()


def change(net: Network, train: Callable[[], object], outputs: Callable[[], Array]) -> Array:
    """How training changes the outputs for a batch."""
    before = log_probabilities(net, np.array(outputs()))
    train()
    return log_probabilities(net, np.asarray(outputs())) - before


def mnist() -> tuple[Array, Array, str]:
    """Samples float32 [60000, 784] in 0..1, classes [60000], and where they come from."""
    try:
        (images, labels), _ = datasets.load_mnist()
    except FileNotFoundError:
        y = np.random.default_rng(1).integers(10, size=60_000)
        x = np.clip(0.3 * _normal(2, 10, 784)[y] + 0.3 * _normal(3, len(y), 784), 0, 1)
        return x, y, "random numbers of the size of MNIST"
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255), labels.astype(np.int64), "MNIST"


def mean_loss(net: Network, y: Array, outputs: Array) -> Array:
    """Cross-entropy [1] of classes `y` [n] and outputs [n, classes]."""
    logs = log_probabilities(net, outputs)
    return np.asarray(-logs[np.arange(len(y)), y].mean(keepdims=True))


def kept(y: Array) -> Array:
    """The fraction [1] of elements that dropout has not set to zero."""
    return np.array([np.count_nonzero(y) / y.size])
