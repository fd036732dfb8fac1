"""scikit-learn's perceptrons, trained by `partial_fit`."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from nncore.bench import case
from nncore.bench.case import Array, Case, Contender
from nncore.bench.workloads import Network

__all__ = ["Scikit"]

_Model = Any  # this file is read where scikit-learn is not installed


class Scikit(Contender):
    """`MLPRegressor` and `MLPClassifier`; its BLAS takes its threads from the environment."""

    modules = ("sklearn",)
    kinds: tuple[str, ...] = ("step", "predict", "epoch", "start")

    def _model(self, net: Network, x: Array, y: Array, rate: float, shuffle: bool) -> _Model:
        """A model with the weights of `case.weights` and no training behind it."""
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        kind = MLPRegressor if net.loss == "mse" else MLPClassifier
        model = kind(
            hidden_layer_sizes=net.sizes[1:-1],
            batch_size=net.batch,
            learning_rate_init=rate,
            epsilon=case.EPSILON,
            alpha=0,
            shuffle=shuffle,
        )
        self._train(net, model, x[: net.batch], y[: net.batch])  # sets up what the next calls go on with
        arrays = case.weights(net)
        for own, array in zip((*model.coefs_, *model.intercepts_), (*arrays[::2], *arrays[1::2]), strict=True):
            own[...] = array
        optimizer = model._optimizer
        optimizer.t = 0
        for moment in (*optimizer.ms, *optimizer.vs):
            moment[...] = 0
        return model

    def _train(self, net: Network, model: _Model, x: Array, y: Array) -> None:
        """One pass over x [n, inputs] and y."""
        if net.loss == "mse":
            model.partial_fit(x, y.ravel() if y.shape[1] == 1 else y)
        else:
            model.partial_fit(x, y, classes=range(net.sizes[-1]))

    def _outputs(self, net: Network, model: _Model, x: Array) -> Array:
        if net.loss == "mse":
            return np.asarray(model.predict(x)).reshape(len(x), -1)
        return np.asarray(np.log(model.predict_proba(x)))

    def step(self, spec: Network) -> Case | None:
        """`partial_fit` on one batch."""
        x, y = case.batch(spec)
        model = self._model(spec, x, y, case.STEP_RATE, shuffle=False)
        run = partial(self._train, spec, model, x, y)
        return Case(run, partial(case.change, spec, partial(case.repeat, run), partial(self._outputs, spec, model, x)))

    def predict(self, spec: Network) -> Case:
        """`predict` or `predict_proba`."""
        x, y = case.batch(spec)
        model = self._model(spec, x, y, case.STEP_RATE, shuffle=False)
        run = model.predict if spec.loss == "mse" else model.predict_proba
        return Case(partial(run, x), lambda: case.log_probabilities(spec, self._outputs(spec, model, x)))

    def epoch(self, spec: Network) -> Case:
        """`partial_fit` on all samples."""
        x, y, _ = case.mnist()
        model = self._model(spec, x, y, case.EPOCH_RATE, shuffle=True)
        run = partial(self._train, spec, model, x, y)

        def check() -> Array:
            run()
            return case.mean_loss(spec, y[:1000], self._outputs(spec, model, x[:1000]))

        return Case(run, check)
