"""Training and evaluation step by step: of models with several outputs, and of losses written in Python.

Each step is calls of the engine (forward, backward, update) with the losses between them, where a model with one output and
a loss of the engine's own goes through whole epochs in one call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from nncore import engines
from nncore.arrays import Array
from nncore.engines.base import Engine, RunResult
from nncore.evaluation import see
from nncore.feeds import Order
from nncore.graph import GraphBuilder
from nncore.losses import Loss
from nncore.objectives import Columns, Objective, columns
from nncore.optable import OPS, RuleSpec

Given = Any  # for each output an array, or None

__all__ = ["Score", "StepResult", "Steps"]


class Score:
    """Value and gradient of one objective on batches of its output."""

    def __init__(self, objective: Objective, engine: Engine, kind: str) -> None:
        self.objective = objective
        builder = GraphBuilder()
        shape = engine.graph.output_shapes[objective.output]
        node = builder.node("identity", [builder.input(shape)])
        self._scorer = engines.create(kind, builder.build([node]), engine.dtype, engine.seed)
        self._kind = kind

    def value(self, y: Array, t: Array, w: Array | None, sums: Sequence[float]) -> RunResult:
        """Loss and metrics of the outputs y [n, ...] beside targets t and weights w [n], added to `sums`.

        Raises:
            FloatingPointError: the loss is NaN or infinite.
        """
        loss = self.objective.loss
        if loss.own:
            return self._own_value(loss, y, t, w, sums)
        return self._scorer.run(
            [y],
            t,
            order=None,
            start=0,
            batch_size=len(y),
            loss=loss.spec,
            metrics=self.objective.engine_metrics,
            rule=None,
            deadline=math.inf,
            sums=sums,
            sample_weight=w,
        )

    def _own_value(self, loss: Loss, y: Array, t: Array, w: Array | None, sums: Sequence[float]) -> RunResult:
        from nncore.reference.metrics import METRICS  # here: most models need none of it

        weights = np.ones(len(y)) if w is None else w
        value = float(loss.values(y, t) @ weights)
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value}")
        measured = [float(METRICS[name](y, t) @ weights) for name in self.objective.engine_metrics]
        added = np.array([value, *measured, weights.sum(), weights.sum()])
        total, *metric_sums, loss_weight, metric_weight = (added + sums if len(sums) else added).tolist()
        return RunResult(len(y), len(y), 1, total, tuple(metric_sums), loss_weight, metric_weight)

    def gradient(self, y: Array, t: Array, w: Array | None) -> Array:
        """The gradient of the mean loss, times the objective's weight, in y's dtype."""
        loss, weight = self.objective.loss, self.objective.weight
        if loss.own:
            return np.asarray(weight * loss.gradient(y, t, w), y.dtype)
        functions = import_module("nncore.ops" if self._kind == "native" else "nncore.reference")
        gradient = getattr(functions, f"{loss.name}_backward")(y, t, **loss.spec.options, sample_weight=w)
        return np.asarray(weight * gradient, y.dtype)


class StepResult:
    """Where a pass over data is, and what it has added up so far.

    Attributes:
        position: the first sample not reached.
        samples: how many the last step took.
        sums: of each objective, as `RunResult.sums`; then that of the penalties on weights, and of the samples.
    """

    def __init__(
        self,
        position: int,
        samples: int,
        scores: Sequence[Score],
        results: Sequence[RunResult],
        penalties: tuple[float, float],
    ) -> None:
        self.position, self.samples = position, samples
        self.sums: list[Sequence[float]] = [*(result.sums for result in results), penalties]
        self._scores, self._results = scores, results

    def means(self) -> dict[str, float]:
        """The total loss, the loss of each output where there are several, and metrics, per sample so far."""
        penalties, samples = self.sums[-1]
        total, parts, measured = penalties / samples, {}, {}
        for score, result in zip(self._scores, self._results, strict=True):
            objective = score.objective
            loss = result.loss / result.loss_weight if result.loss_weight > 0 else 0.0
            total += objective.weight * loss
            if objective.prefix:
                parts[f"{objective.prefix}loss"] = loss
            for name, value in zip(objective.names, result.metrics, strict=True):
                measured[objective.prefix + name] = value / result.metric_weight if result.metric_weight > 0 else 0.0
        return {"loss": total, **parts, **measured}


class Steps:
    """Passes over data, a step for each call of `run`."""

    def __init__(self, engine: Engine, kind: str, objectives: Sequence[Objective]) -> None:
        """Of the engine called `kind`."""
        self._engine = engine
        self._scores = [Score(objective, engine, kind) for objective in objectives]
        # What ops learn themselves, such as the averages of a batch normalisation: a step that fails gives it back.
        graph = engine.graph
        learning = [node for node in graph.nodes if node.op in OPS and OPS[node.op].learns]
        self._learnt = sorted({p for node in learning for p in node.parameters if not graph.parameters[p].trainable})

    def run(
        self,
        update: tuple[RuleSpec, Sequence[float]] | None,
        x: Array | Columns,
        target: Array | Columns,
        sample_weight: Array | Columns | None,
        order: Order | None,
        start: int,
        batch_size: int,
        sums: Sequence[Sequence[float]] = (),
    ) -> StepResult:
        """The step from sample `start` on; with an `update`, a rule and its learning rates, it trains.

        Raises:
            FloatingPointError: a loss is NaN or infinite; nothing has changed, as with whatever the user's code raises.
        """
        with self._engine.held():
            stop = min(start + batch_size, len(x) if order is None else len(order))
            rows: Any = slice(start, stop) if order is None else order[start:stop]
            inputs, targets = [a for a in columns(x[rows]) if a is not None], columns(target[rows])
            weights = [None] * len(targets) if sample_weight is None else columns(sample_weight[rows])
            engine, draws = self._engine, self._engine.draws
            *sums, (penalties, samples) = sums or [(0.0, 0.0)]
            penalty = engine.penalty()
            kept = {p: engine.get_parameter(p) for p in self._learnt} if update else {}
            try:
                with np.errstate(over="ignore", invalid="ignore"):  # what overflows shows in the loss, and is refused there
                    outputs = engine.forward(inputs, update is not None)
                    results = self._results(outputs, targets, weights, sums, f"samples {start} to {stop - 1}")
                    before = [part[-2] for part in sums] if sums else [0.0] * len(results)
                    teaches = any(result.loss_weight > weight for result, weight in zip(results, before, strict=True))
                    if update is not None:
                        engine.backward(self._gradients(outputs, targets, weights))
                        if teaches:  # a batch that weighs nothing changes nothing
                            engine.update(*update)
            except BaseException:
                engine.draws = draws
                engine.assign(kept)
                raise
            if update is None:
                self._measure(outputs, targets, weights)
            count = stop - start
            return StepResult(stop, count, self._scores, results, (penalties + penalty * count, samples + count))

    def _results(
        self, outputs: Sequence[Array], targets: Given, weights: Given, sums: Sequence[Sequence[float]], where: str
    ) -> list[RunResult]:
        results = []
        for k, score in enumerate(self._scores):
            i = score.objective.output
            try:
                results.append(score.value(outputs[i], targets[i], weights[i], sums[k] if sums else ()))
            except FloatingPointError:
                name = f" {score.objective.prefix}loss".rstrip("_") if score.objective.prefix else " loss"
                raise FloatingPointError(f"the{name} of {where} is not finite") from None
        return results

    def _gradients(self, outputs: Sequence[Array], targets: Given, weights: Given) -> list[Array]:
        gradients = [np.zeros_like(y) for y in outputs]
        for score in self._scores:
            i = score.objective.output
            gradients[i] = score.gradient(outputs[i], targets[i], weights[i])
        return gradients

    def _measure(self, outputs: Sequence[Array], targets: Given, weights: Given) -> None:
        for score in self._scores:
            i, loss = score.objective.output, score.objective.loss
            see(score.objective.others, outputs[i], targets[i], weights[i], loss.name, loss.attrs.get("ignore_index"))

    def results(self) -> dict[str, float]:
        """The metrics that have seen the outputs, by name."""
        return {s.objective.prefix + metric.name: metric.result() for s in self._scores for metric in s.objective.others}
