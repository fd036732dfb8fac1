"""nncore itself: whole epochs by `fit`, and one call a batch."""

from __future__ import annotations

import inspect
import itertools
from functools import partial

import numpy as np

import nncore as nn
from nncore import ops
from nncore.bench import case
from nncore.bench.case import Array, Case, Contender
from nncore.bench.workloads import ELEMENTWISE, RULE_BYTES, Elementwise, Network, Product, Update

__all__ = ["Native", "PerBatch"]


def _model(net: Network, rate: float = case.STEP_RATE) -> nn.Sequential:
    sizes = net.sizes[1:]
    hidden = [nn.Dense(size, activation="relu") for size in sizes[:-1]]
    model = nn.Sequential([nn.Input((net.sizes[0],)), *hidden, nn.Dense(sizes[-1])])
    model.compile(nn.Adam(rate, epsilon=case.EPSILON), net.loss)
    return model


def _with_weights(net: Network, rate: float = case.STEP_RATE) -> nn.Sequential:
    model = _model(net, rate)
    model.set_weights(case.weights(net))
    return model


class Native(Contender):
    """Everything, with `fit` over arrays in memory for training."""

    modules = ("nncore",)
    kinds: tuple[str, ...] = ("product", "elementwise", "update", "step", "predict", "epoch", "first_step", "start")

    def __init__(self, threads: int) -> None:
        nn.set_num_threads(threads)

    def product(self, spec: Product) -> Case:
        """`ops.matmul` of views into an array that is there."""
        a, b, c = case.product_arrays(spec)
        a, b = (a.T if spec.form == "weight" else a), (b.T if spec.form == "data" else b)
        run = partial(ops.matmul, a, b, out=c)
        return Case(run, run)

    def elementwise(self, spec: Elementwise) -> Case:
        """The op of `nncore.ops`, into an array that is there."""
        x, dy, out = case.elementwise_arrays(spec)
        name = "gelu" if spec.op == "gelu_tanh" else spec.op
        attrs = dict(ELEMENTWISE[spec.op][0])
        if name == "dropout":
            attrs |= {"seed": 1, "node": 0, "step": 0}
        forward = getattr(ops, name)
        arrays = (x, dy) if name in ("add", "multiply", "average") else (x,)
        run = partial(forward, *arrays, **attrs, out=out)
        if spec.backward:
            run = partial(getattr(ops, f"{name}_backward"), x, forward(x, **attrs), dy, **attrs, out=out)
        return Case(run, (lambda: case.kept(run())) if name == "dropout" else run)

    def update(self, spec: Update) -> Case:
        """The rule of `nncore.ops`, in place."""
        p, g = case.update_arrays(spec)
        start = p.copy()
        rule = getattr(ops, f"{spec.rule}_step")
        counted = "iteration" in inspect.signature(rule).parameters
        arrays = [p, g, *(np.zeros_like(p) for _ in range((RULE_BYTES[spec.rule] - 12) // 8))]
        count = itertools.count(1)

        def run() -> None:
            rule(*arrays, learning_rate=1e-3, **({"iteration": next(count)} if counted else {}))

        def check() -> Array:
            run()
            run()
            return p - start

        return Case(run, check)

    def step(self, spec: Network) -> Case:
        """`fit` over the batch many times over."""
        x, y, count = case.batches(spec)
        model = _with_weights(spec)
        fit = partial(model.fit, batch_size=spec.batch, shuffle=False, verbose=0)

        def train() -> None:
            for _ in range(case.CHECK_STEPS):
                fit(x[: spec.batch], y[: spec.batch])

        check = partial(case.change, spec, train, partial(model.predict, x[: spec.batch]))
        return Case(partial(fit, x, y), check, units=count)

    def epoch(self, spec: Network) -> Case:
        """`fit`."""
        x, y, _ = case.mnist()
        model = _with_weights(spec, case.EPOCH_RATE)
        run = partial(model.fit, x, y, batch_size=spec.batch, verbose=0)

        def check() -> Array:
            run()
            return case.mean_loss(spec, y[:1000], model.predict(x[:1000]))

        return Case(run, check)

    def predict(self, spec: Network) -> Case:
        """`Model.predict`."""
        x, _ = case.batch(spec)
        run = partial(_with_weights(spec).predict, x, batch_size=spec.batch)
        return Case(run, lambda: case.log_probabilities(spec, run()))

    def first_step(self, spec: Network) -> Case:
        """Building, compiling and one step."""
        x, y = case.batch(spec)

        def run() -> None:
            _model(spec).train_on_batch(x, y)

        return Case(run, case.nothing)


class PerBatch(Native):
    """Training by one `train_on_batch` for each step."""

    kinds: tuple[str, ...] = ("step",)

    def step(self, spec: Network) -> Case:
        """`train_on_batch`."""
        x, y = case.batch(spec)
        model = _with_weights(spec)
        run = partial(model.train_on_batch, x, y)
        return Case(run, partial(case.change, spec, partial(case.repeat, run), partial(model.predict, x)))
