"""The network behind an estimator: a Sequential whose weights are the estimator's coefs_ and intercepts_."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array
from nncore.caching import cached_property
from nncore.layers import Activation, BatchNorm, Dense, Dropout, Input, Layer
from nncore.losses import Loss
from nncore.optimizers import Optimizer
from nncore.regularizers import L2
from nncore.sequential import Sequential

__all__ = ["Design", "Network", "Objective", "initial_weights"]

_NAMES = {"logistic": "sigmoid"}  # what scikit-learn calls otherwise


@dataclass(frozen=True)
class Objective:
    """What a network is trained for.

    Attributes:
        loss: nncore's loss.
        factor: the gradient that scikit-learn follows, over that of `loss`; other than 1 where the one is of a sum over
            outputs and the other of a mean. Losses with a factor are trained with other steps, see `Network.compile`.
    """

    loss: Loss
    factor: float = 1.0


@dataclass(frozen=True)
class Design:
    """What a network is made of: all that a new one needs but the weights.

    Attributes:
        inputs, outputs: how many there are.
        hidden: units of each hidden layer.
        activations: of each hidden layer.
        dropout: share of units of each hidden layer that are dropped while training.
        batch_norm: whether each hidden layer is normalised before its activation.
        alpha: scikit-learn's penalty.
        head: an activation of the output, or None.
        dtype: ``"float32"`` or ``"float64"``.
        seed: of dropout.
    """

    inputs: int
    outputs: int
    hidden: tuple[int, ...]
    activations: tuple[str, ...]
    dropout: tuple[float, ...]
    batch_norm: bool
    alpha: float
    head: str | None
    dtype: str
    seed: int

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Of each kernel."""
        sizes = (self.inputs, *self.hidden, self.outputs)
        return list(itertools.pairwise(sizes))

    @property
    def weights(self) -> int:
        """How many there are in all kernels: the multiply-adds of a sample."""
        return sum(rows * columns for rows, columns in self.shapes)

    def model(self, factor: float) -> Sequential:
        """A model without training; the penalty is what `factor` makes of it."""
        penalty = L2(0.5 * self.alpha / factor) if self.alpha else None
        layers: list[Layer] = [Input((self.inputs,))]
        for i, units in enumerate(self.hidden):
            activation = _NAMES.get(self.activations[i], self.activations[i])
            fused = None if self.batch_norm or activation == "identity" else activation
            layers.append(_dense(units, fused, penalty, f"hidden_{i}"))
            if self.batch_norm:
                layers.append(BatchNorm(name=f"norm_{i}"))
                if activation != "identity":
                    layers.append(Activation(activation, name=f"activation_{i}"))
            if self.dropout[i]:
                layers.append(Dropout(self.dropout[i], name=f"dropout_{i}"))
        layers.append(_dense(self.outputs, self.head, penalty, "output"))
        return Sequential(layers)


def _dense(units: int, activation: str | None, penalty: L2 | None, name: str) -> Dense:
    return Dense(units, activation, kernel_initializer="zeros", kernel_regularizer=penalty, name=name)


def initial_weights(design: Design, random: np.random.RandomState) -> tuple[list[Array], list[Array]]:
    """Kernels and biases as scikit-learn draws them: uniform in +-sqrt(6 / (inputs + outputs)), with 2 for sigmoids."""
    coefs: list[Array] = []
    intercepts: list[Array] = []
    last = design.activations[-1] if design.activations else "identity"
    for (rows, columns), activation in zip(design.shapes, (*design.activations, last), strict=True):
        bound = np.sqrt((2 if activation in ("logistic", "sigmoid") else 6) / (rows + columns))
        coefs.append(random.uniform(-bound, bound, (rows, columns)).astype(design.dtype))
        intercepts.append(random.uniform(-bound, bound, columns).astype(design.dtype))
    return coefs, intercepts


class Network:
    """A compiled model, and what of it an estimator keeps. It is pickled with the optimizer's state."""

    def __init__(self, design: Design, objective: Objective, optimizer: Optimizer | None) -> None:
        self.design, self.objective, self.optimizer = design, objective, optimizer
        self._saved: dict[str, Any] = {}

    @cached_property
    def model(self) -> Sequential:
        """The model, made when it is first needed, and after unpickling."""
        model = self.design.model(self.objective.factor)
        metrics = ["mse"] if self.objective.factor != 1 else []
        optimizer = self.optimizer if self.optimizer is not None else "sgd"
        model.compile(optimizer, self.objective.loss, metrics=metrics, dtype=self.design.dtype, seed=self.design.seed)
        engine = model.engine
        engine.divide_penalty = True
        if self._saved:
            model.set_weights(self._saved["weights"])
            engine.iterations, engine.draws = self._saved["iterations"], self._saved["draws"]
            engine.assign({}, self._saved["states"])
            self._saved = {}
        return model

    def __getstate__(self) -> dict[str, Any]:
        engine = self.model.engine
        owners = [] if self.optimizer is None else self.optimizer.states
        count = len(engine.graph.parameters)
        saved = {
            "weights": self.model.get_weights(),
            "iterations": engine.iterations,
            "draws": engine.draws,
            "states": {(o, s, i): engine.get_state(o, s, i) for o, s in owners for i in range(count)},
        }
        kept = {"design": self.design, "objective": self.objective, "optimizer": copy.copy(self.optimizer)}
        return {**kept, "_saved": saved}

    @cached_property
    def _places(self) -> tuple[list[int], list[int]]:
        """Which parameters are kernels, and which biases."""
        names = [spec.name for spec in self.model.graph.parameters]
        kernels = [i for i, name in enumerate(names) if name.endswith(".kernel")]
        return kernels, [names.index(names[i].replace(".kernel", ".bias")) for i in kernels]

    def get(self) -> tuple[list[Array], list[Array]]:
        """Copies of kernels and biases."""
        engine = self.model.engine
        kernels, biases = self._places
        return [engine.get_parameter(i) for i in kernels], [engine.get_parameter(i) for i in biases]

    def set(self, coefs: Sequence[npt.ArrayLike], intercepts: Sequence[npt.ArrayLike]) -> None:
        """Overwrite kernels and biases.

        Raises:
            ValueError: other shapes.
        """
        kernels, biases = self._places
        given = [("coefs_", kernels, coefs), ("intercepts_", biases, intercepts)]
        for what, places, arrays in given:
            if len(arrays) != len(places):
                raise ValueError(f"{what}: expected {len(places)} arrays, got {len(arrays)}")
        pairs = [pair for _, places, arrays in given for pair in zip(places, arrays, strict=True)]
        self.model.engine.assign({i: np.asarray(array) for i, array in pairs})

    def scale_velocity(self, factor: float) -> None:
        """Multiply SGD's velocity: scikit-learn's has the learning rate in it, that of nncore has not."""
        engine = self.model.engine
        keys = [("momentum", "velocity", i) for i in range(len(engine.graph.parameters))]
        engine.assign({}, {key: engine.get_state(*key) * factor for key in keys})
