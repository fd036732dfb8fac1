"""What an engine does: run one Graph forward, backward and through whole epochs.

Two engines stand behind this interface, `nncore.engines.native` (C++) and `nncore.engines.reference` (NumPy). A model built
once gives the same numbers through both, up to rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.graph import Graph
from nncore.optable import LossSpec, RuleSpec

__all__ = ["NO_STATES", "Array", "Engine", "RunResult", "Step"]

Array = npt.NDArray[Any]
NO_STATES: Mapping[tuple[str, str, int], Array] = MappingProxyType({})

# step(x, target, rates): one training step, which gives the means of loss and metrics; or None, and nothing has happened.
Step = Callable[[object, object, Sequence[float]], tuple[float, ...] | None]


@dataclass(frozen=True)
class RunResult:
    """What `Engine.run` did.

    Attributes:
        position: the first sample it did not reach; equal to the number of samples when the pass is complete.
        samples: how many samples it processed.
        steps: how many batches it processed.
        loss: sum over those samples of the loss (the mean over a sample's elements) times the sample's weight, and the
            call's `sums`.
        metrics: sums over those samples times their weight, one for each metric, and the call's `sums`.
        loss_weight, metric_weight: what to divide these by for means: sums of the samples' weights, for the loss times that
            of the sample's class where the loss has class weights, and the call's `sums`.
    """

    position: int
    samples: int
    steps: int
    loss: float
    metrics: tuple[float, ...]
    loss_weight: float
    metric_weight: float

    @property
    def sums(self) -> tuple[float, ...]:
        """What a call that goes on from here is given."""
        return (self.loss, *self.metrics, self.loss_weight, self.metric_weight)


class Engine(ABC):
    """Runs one graph in one floating-point type.

    Parameters start as zeros; the model sets them. All arrays that go in or out are row-major NumPy arrays with the batch
    along axis 0; those that come out belong to the caller.

    Attributes:
        graph: the network.
        dtype: ``float32`` or ``float64``; parameters, activations and gradients have it.
        seed: key of the random numbers drawn by dropout and other stochastic ops (0 .. 2**64 - 1).
        draws: how many training passes have drawn random numbers so far; each pass uses its own number as the Philox
            counter's step and then adds one, so setting it back repeats the same masks.
        iterations: how many optimizer updates have been made (Adam's t is this plus one).
        accumulated: how many gradients wait in the sum ``accumulation/gradient`` for the update of their mean.
        divide_penalty: whether `run`, when it trains, divides the penalty by the sum of the weights of the batch's samples
            (as scikit-learn's perceptrons do); false at first.
    """

    graph: Graph
    dtype: np.dtype[Any]
    seed: int
    draws: int
    iterations: int
    accumulated: int
    divide_penalty: bool

    @abstractmethod
    def held(self) -> AbstractContextManager[object]:
        """For a ``with``: inside, calls of this thread follow each other without one of another thread between them.

        Each single call is whole without it.

        Raises:
            RuntimeError: a thread that held it does not exist in this forked process.
        """

    @abstractmethod
    def get_parameter(self, index: int) -> Array:
        """A copy of parameter `index`, in its shape."""

    @abstractmethod
    def assign(self, parameters: Mapping[int, Array], states: Mapping[tuple[str, str, int], Array] = NO_STATES) -> None:
        """Overwrite parameters by index, and optimizer states by rule, state and index: all of them, or none.

        Each value has the shape of its parameter and is converted to `dtype`. Setting ``ema/average`` makes the next update
        go on from there.

        Raises:
            TypeError, ValueError: a value does not fit; nothing has changed.
            MemoryError: there is no memory for the conversion; nothing has changed.
        """

    def set_parameter(self, index: int, value: Array) -> None:
        """`assign` of one parameter."""
        self.assign({index: value})

    @abstractmethod
    def get_gradient(self, index: int) -> Array:
        """A copy of the gradient that the last `backward` left for parameter `index`."""

    @abstractmethod
    def get_state(self, rule: str, state: str, index: int) -> Array:
        """A copy of the optimizer state `state` of parameter `index`; zeros before the first update by `rule`.

        `rule` may also be an owner in `nncore.optable.EXTRA_STATES`.
        """

    def set_state(self, rule: str, state: str, index: int, value: Array) -> None:
        """`assign` of one state."""
        self.assign({}, {(rule, state, index): value})

    @abstractmethod
    def penalty(self) -> float:
        """What the regularised parameters cost: sum of l1 * sum(|p|) + l2 * sum(p^2) over those that are trainable."""

    @abstractmethod
    def forward(self, inputs: Sequence[Array], training: bool) -> list[Array]:
        """Outputs for a batch. With `training`, dropout is active and what `backward` needs is kept."""

    @abstractmethod
    def backward(self, gradients: Sequence[Array]) -> list[Array]:
        """Gradients of the inputs, from gradients of the outputs of the last training `forward`.

        Overwrites every parameter's gradient: that of the loss whose gradient `gradients` are, plus that of `penalty`.

        Raises:
            RuntimeError: there was no training forward since the last backward.
        """

    @abstractmethod
    def update(self, rule: RuleSpec, rates: Sequence[float] = ()) -> None:
        """One optimizer update of all trainable parameters from the gradients that `backward` left.

        With gradient accumulation the gradients are added up, and only the last call of its steps makes the update. The
        learning rate is the first of `rates`, where there is any.
        """

    @abstractmethod
    def predict(self, inputs: Sequence[Array], batch_size: int) -> list[Array]:
        """Outputs in inference mode for any number of samples; equal bits for any `batch_size`."""

    @abstractmethod
    def run(
        self,
        inputs: Sequence[Array],
        target: Array,
        *,
        order: npt.NDArray[np.int64] | None,
        start: int,
        batch_size: int,
        loss: LossSpec,
        metrics: Sequence[str],
        rule: RuleSpec | None,
        rates: Sequence[float] = (),
        deadline: float,
        sums: Sequence[float] = (),
        sample_weight: Array | None = None,
    ) -> RunResult:
        """Train (`rule` given) or evaluate (`rule` None) over batches of in-memory data, from sample `start` on.

        Batch k holds the samples ``order[k * batch_size : (k + 1) * batch_size]`` (without `order`, in storage order); the
        last may be smaller. Input arrays of any real dtype are converted batch by batch, never as a whole. Stops after the
        last batch, after the first whole step that ends `deadline` seconds after the call began, or after the last update
        for which there is a learning rate in `rates`; without rates all have the rule's own. A call that goes on
        where another stopped is given that one's `RunResult.sums`, so that totals are added up in one order, and
        have the same bits, wherever a pass was interrupted.

        `sample_weight` has a number for each sample, in storage order. The mean loss of a batch is a weighted one, the sum
        of weight times loss by the sum of weights, and so are all means that are reported. A batch in which nothing weighs
        anything counts as a step, but updates nothing.

        Raises:
            FloatingPointError: the loss of a batch is NaN or infinite; the update of that batch has not been made.
        """

    def step(
        self, loss: LossSpec, metrics: Sequence[str], rule: RuleSpec, indices: bool, low: float, high: float
    ) -> Step | None:
        """A short way for `run` over one batch in storage order, where this engine has one for its graph.

        It takes arrays that need no conversion, with targets that are class indices (where `indices`) or values in
        [low, high], and gives None for all others, good or bad.
        """
        return None

    def predict_plain(self, x: object, batch_size: int) -> Array | None:
        """A short way for `predict` on one array, where this engine has one; None if `x` needs conversion."""
        return None
