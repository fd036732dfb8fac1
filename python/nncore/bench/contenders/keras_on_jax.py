"""Keras with JAX below it."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np

from nncore.bench import case
from nncore.bench.case import Array, Case, Contender
from nncore.bench.workloads import Network

__all__ = ["Keras"]

_Model = Any  # this file is read where Keras is not installed


class Keras(Contender):
    """Training by `fit`, which compiles the step."""

    modules = ("keras", "jax", "jaxlib")
    kinds: tuple[str, ...] = ("step", "predict", "epoch", "first_step", "start")

    def __init__(self, threads: int) -> None:
        os.environ["KERAS_BACKEND"] = "jax"
        import keras

        self.keras = keras

    def _model(self, net: Network, rate: float) -> _Model:
        keras = self.keras
        hidden = [keras.layers.Dense(size, activation="relu") for size in net.sizes[1:-1]]
        model = keras.Sequential([keras.Input(net.sizes[:1]), *hidden, keras.layers.Dense(net.sizes[-1])])
        loss = "mse" if net.loss == "mse" else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate, epsilon=case.EPSILON), loss)
        model.set_weights(case.weights(net))
        return model

    def step(self, spec: Network) -> Case:
        """`fit` over the batch many times over."""
        x, y, count = case.batches(spec)
        model = self._model(spec, case.STEP_RATE)
        fit = partial(model.fit, batch_size=spec.batch, shuffle=False, verbose=0)
        train = partial(fit, x[: spec.batch], y[: spec.batch], epochs=case.CHECK_STEPS)
        check = partial(case.change, spec, train, partial(model.predict_on_batch, x[: spec.batch]))
        return Case(partial(fit, x, y), check, units=count)

    def predict(self, spec: Network) -> Case:
        """`predict_on_batch`, which is compiled."""
        x, _ = case.batch(spec)
        run = partial(self._model(spec, case.STEP_RATE).predict_on_batch, x)
        return Case(run, lambda: case.log_probabilities(spec, np.asarray(run())))

    def epoch(self, spec: Network) -> Case:
        """`fit`."""
        x, y, _ = case.mnist()
        model = self._model(spec, case.EPOCH_RATE)
        run = partial(model.fit, x, y, batch_size=spec.batch, verbose=0)

        def check() -> Array:
            run()
            return case.mean_loss(spec, y[:1000], np.asarray(model.predict_on_batch(x[:1000])))

        return Case(run, check)

    def first_step(self, spec: Network) -> Case:
        """Building, compiling and one step."""
        x, y = case.batch(spec)
        return Case(lambda: self._model(spec, case.STEP_RATE).train_on_batch(x, y), case.nothing)
