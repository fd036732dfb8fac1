"""Evaluation with metrics of the outputs: the network runs once, loss and metrics are computed from what it gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nncore import engines
from nncore.arrays import Array
from nncore.engines.base import Engine, RunResult
from nncore.feeds import Order
from nncore.graph import GraphBuilder
from nncore.metrics import Metric
from nncore.objectives import Columns
from nncore.optable import AttrValue, LossSpec

__all__ = ["Evaluation", "probabilities"]

_BLOCK = 2048  # samples that go through the network at a time, or one batch where that is larger


def _softmax(y: Array) -> Array:
    powers = np.exp(y - y.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _sigmoid(y: Array) -> Array:
    small = np.exp(-np.abs(y))  # never overflows
    return np.where(y >= 0, 1.0, small) / (1.0 + small)


# What makes probabilities of a model's outputs, by the loss that it is trained with; otherwise they are taken as they are.
_LINKS: Mapping[str, Callable[[Array], Array]] = {
    "cross_entropy": _softmax,
    "nll": np.exp,
    "bce_with_logits": _sigmoid,
    "focal": _sigmoid,
    "hinge": _sigmoid,  # no probability, but on the same side of a half as the score of zero
    "squared_hinge": _sigmoid,
}


def probabilities(outputs: Array, loss: str) -> Array:
    """The probabilities [n, ...] in float64 that `outputs` [n, ...] stand for beside the loss of that name.

    >>> probabilities(np.array([[0.0], [800.0]]), "bce_with_logits").tolist()
    [[0.5], [1.0]]
    """
    outputs = outputs.astype(np.float64)
    return _LINKS[loss](outputs) if loss in _LINKS else outputs


def see(
    metrics: Sequence[Metric],
    outputs: Array,
    targets: Array,
    weights: Array | None,
    loss: str,
    ignore_index: AttrValue | None,
) -> None:
    """Show metrics a batch of outputs [n, ...] beside a loss of that name, but for the rows to ignore."""
    if ignore_index is not None and targets.ndim == 1 and (targets == ignore_index).any():
        known = targets != ignore_index
        outputs, targets, weights = outputs[known], targets[known], None if weights is None else weights[known]
    if len(targets) == 0:
        return
    for metric in metrics:
        y = probabilities(outputs, loss) if metric.probabilities else outputs
        if weights is None:
            metric.update(targets, y)
        else:
            metric.update(targets, y, sample_weight=weights)


class Evaluation:
    """One pass over data with metrics that see the outputs.

    The outputs go to the metrics, and through a graph without layers, of which a second engine of the same kind computes
    the loss and its own metrics: the same kernels on the same numbers as if the first had done both.

    Args:
        engine: runs the network.
        kind: the engine's name.
        loss: as the engine takes it.
        rows: the metrics that the engine computes.
        metrics: the others; they forget what they have seen.
    """

    def __init__(self, engine: Engine, kind: str, loss: LossSpec, rows: Sequence[str], metrics: Sequence[Metric]) -> None:
        self._engine, self._loss, self._rows, self._metrics = engine, loss, rows, metrics
        builder = GraphBuilder()
        outputs = [builder.node("identity", [builder.input(shape)]) for shape in engine.graph.output_shapes]
        self._scorer = engines.create(kind, builder.build(outputs), engine.dtype, engine.seed)
        for metric in metrics:
            metric.reset()

    def run(
        self,
        x: Array | Columns,
        target: Array,
        sample_weight: Array | None,
        order: Order | None,
        start: int,
        batch_size: int,
        sums: Sequence[float] = (),
    ) -> RunResult:
        """Evaluate whole batches from sample `start` on; as `Engine.run`, and the metrics have seen the samples."""
        total = len(x) if order is None else len(order)
        stop = min(start + batch_size * max(1, _BLOCK // batch_size), total)
        block: slice | Order = slice(start, stop) if order is None else order[start:stop]
        targets, weights = target[block], None if sample_weight is None else sample_weight[block]
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in the loss, and is refused there
                rows = x[block]
                inputs = rows.present if isinstance(rows, Columns) else [rows]
                outputs = self._engine.predict(inputs, batch_size)
                result = self._scorer.run(
                    outputs,
                    targets,
                    order=None,
                    start=0,
                    batch_size=batch_size,
                    loss=self._loss,
                    metrics=self._rows,
                    rule=None,
                    deadline=math.inf,
                    sums=sums,
                    sample_weight=weights,
                )
        except FloatingPointError:
            raise FloatingPointError(f"the loss of the samples {start} to {stop - 1} is not finite") from None
        see(self._metrics, outputs[0], targets, weights, self._loss.name, self._loss.filled.get("ignore_index"))
        weight = result.loss_weight - (sums[-2] if sums else 0.0)
        return replace(result, position=stop, loss=result.loss + self._engine.penalty() * weight)

    def check(self, target: Array, sample_weight: Array | None) -> None:
        """Raise TypeError or ValueError unless every metric takes such targets and weights."""
        known = self._known(target)
        weights = None if sample_weight is None else sample_weight[known]
        for metric in self._metrics:
            metric.check_target(target[known], self._engine.graph.output_shapes[0], weights)

    def _known(self, targets: Array) -> Array | slice:
        """The samples that count: not those of a class that the loss ignores."""
        ignored = self._loss.filled.get("ignore_index")
        return targets != ignored if ignored is not None and targets.ndim == 1 else slice(None)

    def results(self) -> dict[str, float]:
        """The metrics over all samples, by name."""
        return {metric.name: metric.result() for metric in self._metrics}
