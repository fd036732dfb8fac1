"""JAX: one jitted call for each step, with donated buffers, and one for many steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nncore.bench import case
from nncore.bench.case import Array, Case, Contender
from nncore.bench.contenders import formulas
from nncore.bench.workloads import RULE_BYTES, Elementwise, Network, Product, Update

__all__ = ["Jax", "Scan"]

_Jax = Any  # this file is read where JAX is not installed
_Call = Callable[..., Any]


class Jax(Contender):
    """One jitted call for each step. The environment and the CPUs of the process set its threads."""

    modules = ("jax", "jaxlib")
    kinds: tuple[str, ...] = ("product", "elementwise", "update", "step", "predict", "epoch", "first_step", "start")

    def __init__(self, threads: int) -> None:
        import jax

        jax.config.update("jax_platforms", "cpu")
        self.jax = jax

    def _into(self, function: _Call, out: Array, *arrays: Array) -> Case:
        """A case that calls the function with its last result's buffer to write into."""
        jax = self.jax
        jitted = jax.jit(lambda out, *arrays: function(*arrays), donate_argnums=0, keep_unused=True)
        arguments = [jax.device_put(array) for array in arrays]
        last = [jax.device_put(out)]

        def run() -> _Jax:
            last[0] = jitted(last[0], *arguments)
            return last[0]

        return Case(run, lambda: np.asarray(run()), sync=lambda: last[0].block_until_ready())

    def product(self, spec: Product) -> Case:
        """A jitted product; transposing is up to the compiler."""
        a, b, c = case.product_arrays(spec)
        forms: dict[str, _Call] = {
            "forward": lambda x, w: x @ w,
            "data": lambda dy, w: dy @ w.T,
            "weight": lambda x, dy: x.T @ dy,
        }
        return self._into(forms[spec.form], c, a, b)

    def elementwise(self, spec: Elementwise) -> Case:
        """A jitted formula."""
        jax, op = self.jax, spec.op
        x, dy, out = case.elementwise_arrays(spec)
        if op == "dropout":
            key = jax.random.key(1)
            mask = jax.random.bernoulli(key, 0.7, x.shape)
            if spec.backward:
                made = self._into(lambda dy, mask: jax.numpy.where(mask, dy / 0.7, 0), out, dy, mask)
            else:
                drop = partial(jax.random.bernoulli, p=0.7, shape=x.shape)
                made = self._into(lambda x, key: jax.numpy.where(drop(key), x / 0.7, 0), out, x, key)
            return Case(made.run, lambda: case.kept(made.check()), sync=made.sync)
        if not spec.backward:
            return self._into(lambda x, dy: self._forward(op, x, dy), out, x, dy)
        return self._into(lambda x, y, dy: self._backward(op, x, y, dy), out, x, np.asarray(self._forward(op, x, dy)), dy)

    def _forward(self, op: str, x: _Jax, other: _Jax) -> _Jax:
        if op == "gelu":
            return self.jax.nn.gelu(x, approximate=False)
        return formulas.forward(self.jax.numpy, op, x, other)

    def _backward(self, op: str, x: _Jax, y: _Jax, dy: _Jax) -> _Jax:
        if op == "gelu":
            return self.jax.vjp(partial(self._forward, op, other=None), x)[1](dy)[0]
        return formulas.backward(self.jax.numpy, op, x, y, dy)

    def update(self, spec: Update) -> Case | None:
        """A jitted rule on donated buffers."""
        if spec.rule not in formulas.RULES:
            return None
        jax = self.jax
        p, g = case.update_arrays(spec)
        jitted = jax.jit(
            lambda state, g, t: formulas.update(jax.numpy, spec.rule, state[0], g, state[1:], t), donate_argnums=0
        )
        count = itertools.count(1)
        gradient = jax.device_put(g)
        state = [jax.device_put((p.copy(), *(np.zeros_like(p) for _ in range((RULE_BYTES[spec.rule] - 12) // 8))))]

        def run() -> None:
            state[0] = jitted(state[0], gradient, np.float32(next(count)))

        def check() -> Array:
            run()
            run()
            return np.asarray(state[0][0]) - p

        return Case(run, check, sync=lambda: jax.block_until_ready(state[0]))

    def _outputs(self, parameters: _Jax, x: _Jax) -> _Jax:
        """Outputs [rows, outputs] from kernels and biases in turn."""
        for i in range(0, len(parameters), 2):
            x = x @ parameters[i] + parameters[i + 1]
            if i + 2 < len(parameters):
                x = self.jax.numpy.maximum(x, 0)
        return x

    def _loss(self, net: Network, parameters: _Jax, x: _Jax, y: _Jax) -> _Jax:
        outputs = self._outputs(parameters, x)
        if net.loss == "mse":
            return self.jax.numpy.mean((outputs - y) ** 2)
        logs = self.jax.nn.log_softmax(outputs)
        return -self.jax.numpy.take_along_axis(logs, y[:, None], axis=1).mean()

    def _step(self, net: Network, rate: float, state: _Jax, x: _Jax, y: _Jax) -> _Jax:
        """New parameters, moments and step number."""
        parameters, m, v, t = state
        gradients = self.jax.grad(partial(self._loss, net))(parameters, x, y)
        rule = partial(formulas.update, self.jax.numpy, "adam", rate=rate)
        rows = zip(parameters, gradients, m, v, strict=True)
        new = [rule(p, g, (m, v), t) for p, g, m, v in rows]
        return [p for p, _, _ in new], [m for _, m, _ in new], [v for _, _, v in new], t + 1

    def _start(self, net: Network) -> _Jax:
        arrays = case.weights(net)
        zeros = [np.zeros_like(array) for array in arrays]
        return self.jax.device_put((arrays, zeros, [zero.copy() for zero in zeros], np.float32(1)))

    def _case(self, spec: Network, jitted: _Call, *data: Array, units: int = 1) -> Case:
        """A case that calls jitted(state, *data) for the new state."""
        state = [self._start(spec)]
        arguments = self.jax.device_put(data)
        x = case.batch(spec)[0]

        def run() -> None:
            state[0] = jitted(state[0], *arguments)

        def train() -> None:
            step = self._jitted_step(spec)
            for _ in range(case.CHECK_STEPS):
                state[0] = step(state[0], *case.batch(spec))

        check = partial(case.change, spec, train, lambda: np.asarray(self._outputs(state[0][0], x)))
        return Case(run, check, units, lambda: self.jax.block_until_ready(state[0]))

    def _jitted_step(self, spec: Network) -> _Call:
        step: _Call = self.jax.jit(partial(self._step, spec, case.STEP_RATE), donate_argnums=0)
        return step

    def step(self, spec: Network) -> Case:
        """A jitted step; nothing waits for its result until time is up."""
        return self._case(spec, self._jitted_step(spec), *case.batch(spec))

    def predict(self, spec: Network) -> Case:
        """A jitted forward, from and to NumPy arrays."""
        x = case.batch(spec)[0]
        outputs = partial(self.jax.jit(self._outputs), self.jax.device_put(case.weights(spec)))
        return Case(lambda: np.asarray(outputs(x)), lambda: case.log_probabilities(spec, np.asarray(outputs(x))))

    def epoch(self, spec: Network) -> Case:
        """One compiled call for the whole epoch, which draws the order and takes the batches."""
        jax = self.jax
        data, classes, _ = case.mnist()
        steps, rest = divmod(len(data), spec.batch)
        one = partial(self._step, spec, case.EPOCH_RATE)

        def pass_over(state: _Jax, key: _Jax, x: _Jax, y: _Jax) -> _Jax:
            order = jax.random.permutation(key, len(x))
            batches = order[: steps * spec.batch].reshape(steps, spec.batch)
            state, _ = jax.lax.scan(lambda state, rows: (one(state, x[rows], y[rows]), None), state, batches)
            return one(state, x[order[-rest:]], y[order[-rest:]]) if rest else state

        jitted = jax.jit(pass_over, donate_argnums=0)
        arguments = jax.device_put((data, classes))
        state = [self._start(spec)]
        keys = iter(jax.random.split(jax.random.key(0), 1000))

        def run() -> None:
            state[0] = jax.block_until_ready(jitted(state[0], next(keys), *arguments))

        def check() -> Array:
            run()
            return case.mean_loss(spec, classes[:1000], np.asarray(self._outputs(state[0][0], data[:1000])))

        return Case(run, check)

    def first_step(self, spec: Network) -> Case:
        """Compiling and running one step."""
        x, y = case.batch(spec)

        def run() -> None:
            self.jax.clear_caches()
            self.jax.block_until_ready(self._jitted_step(spec)(self._start(spec), x, y))

        return Case(run, case.nothing)


class Scan(Jax):
    """Many steps in one call, by `jax.lax.scan`."""

    kinds: tuple[str, ...] = ("step",)

    def step(self, spec: Network) -> Case:
        """A compiled loop over batches in memory."""
        x, y, count = case.batches(spec)
        jax, one = self.jax, partial(self._step, spec, case.STEP_RATE)

        def steps(state: _Jax, x: _Jax, y: _Jax) -> _Jax:
            return jax.lax.scan(lambda state, pair: (one(state, *pair), None), state, (x, y))[0]

        shape = (count, spec.batch)
        jitted = jax.jit(steps, donate_argnums=0)
        return self._case(spec, jitted, x.reshape(*shape, -1), y.reshape(*shape, *y.shape[1:]), units=count)
