"""The native engine: the compiled core behind the `Engine` interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt

from nncore import _core
from nncore.engines import checks
from nncore.engines.base import NO_STATES, Array, Engine, RunResult, Step
from nncore.engines.functions import FunctionCall
from nncore.graph import Graph
from nncore.optable import LOSSES, OPS, EncodedRule, LossSpec, RuleSpec, state_index

__all__ = ["NativeEngine"]


class NativeEngine(Engine):
    """Runs a graph in C++ with the kernels that were chosen at import, on up to `nncore.get_num_threads` threads."""

    def __init__(self, graph: Graph, dtype: npt.DTypeLike = "float32", seed: int = 0) -> None:
        """An engine for `graph` with all parameters zero."""
        self.graph = graph
        self.dtype = np.dtype(dtype)
        self._index_counts = checks.index_counts(graph)
        self._core = _core.Engine(
            nodes=[
                (
                    node.op,
                    list(node.inputs),
                    OPS[node.op].encode(node.attrs) if node.op in OPS else [],
                    list(node.parameters),
                    list(node.shape),
                )
                for node in graph.nodes
            ],
            parameters=[(list(p.shape), p.trainable, p.l1, p.l2, p.max_norm or 0.0) for p in graph.parameters],
            inputs=list(graph.inputs),
            outputs=list(graph.outputs),
            dtype=self.dtype.name,
            seed=seed,
            functions={i: FunctionCall(graph, n, self.dtype) for i, n in enumerate(graph.nodes) if n.function is not None},
        )

    @property
    def seed(self) -> int:  # type: ignore[override]
        """Key of the random numbers."""
        return self._core.seed

    @property
    def draws(self) -> int:
        """How many training passes have drawn random numbers."""
        return self._core.draws

    @draws.setter
    def draws(self, value: int) -> None:
        self._core.draws = value

    @property
    def iterations(self) -> int:
        """How many optimizer updates have been made."""
        return self._core.iterations

    @iterations.setter
    def iterations(self, value: int) -> None:
        self._core.iterations = value

    @property
    def accumulated(self) -> int:
        """How many gradients wait for the update of their mean."""
        return self._core.accumulated

    @accumulated.setter
    def accumulated(self, value: int) -> None:
        self._core.accumulated = value

    @property
    def divide_penalty(self) -> bool:
        """Whether a batch's penalty is divided by the sum of its samples' weights."""
        return self._core.divide_penalty

    @divide_penalty.setter
    def divide_penalty(self, value: bool) -> None:
        self._core.divide_penalty = value

    def held(self) -> AbstractContextManager[object]:
        """See `Engine.held`."""
        return self._core

    def get_parameter(self, index: int) -> Array:
        """See `Engine.get_parameter`."""
        return self._core.get_parameter(index)

    def assign(self, parameters: Mapping[int, Array], states: Mapping[tuple[str, str, int], Array] = NO_STATES) -> None:
        """See `Engine.assign`."""
        specs = self.graph.parameters
        self._core.assign(
            [(i, self._shaped(f"parameter {specs[i].name!r}", i, value)) for i, value in parameters.items()],
            [
                (rule, state_index(rule, state), i, self._shaped(f"state {state!r} of {specs[i].name!r}", i, value))
                for (rule, state, i), value in states.items()
            ],
        )

    def get_gradient(self, index: int) -> Array:
        """See `Engine.get_gradient`."""
        return self._core.get_gradient(index)

    def get_state(self, rule: str, state: str, index: int) -> Array:
        """See `Engine.get_state`."""
        return self._core.get_state(rule, state_index(rule, state), index)

    def penalty(self) -> float:
        """See `Engine.penalty`."""
        return self._core.penalty()

    def forward(self, inputs: Sequence[Array], training: bool) -> list[Array]:
        """See `Engine.forward`."""
        return self._core.forward(self._inputs(inputs), training)

    def backward(self, gradients: Sequence[Array]) -> list[Array]:
        """See `Engine.backward`."""
        arrays, rows = checks.check_batch("gradients", gradients, self.graph.output_shapes)
        pending = self._core.pending_rows
        if pending is not None and rows != pending:
            raise ValueError(f"gradients: expected {pending} rows as in the forward, got {rows}")
        return self._core.backward([np.ascontiguousarray(array, self.dtype) for array in arrays])

    def update(self, rule: RuleSpec, rates: Sequence[float] = ()) -> None:
        """See `Engine.update`."""
        self._core.update(self._encoded(rule), rates)

    def predict(self, inputs: Sequence[Array], batch_size: int) -> list[Array]:
        """See `Engine.predict`."""
        checks.check_batch_size(batch_size)
        return self._core.predict(self._inputs(inputs), batch_size)

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
        """See `Engine.run`."""
        arrays = self._inputs(inputs)
        target, ignored = checks.check_target(self.graph, loss, target, len(arrays[0]))
        checks.check_order(order, len(arrays[0]), start)
        checks.check_batch_size(batch_size)
        checks.check_sums(sums, len(metrics))
        position, samples, steps, (total, *metric_sums, loss_weight, metric_weight) = self._core.run(
            inputs=arrays,
            target=as_source(target),
            indices=target.ndim == 1 and "indices" in LOSSES[loss.name].targets,
            sample_weight=checks.check_sample_weight(sample_weight, len(arrays[0])),
            order=None if order is None else np.ascontiguousarray(order),
            start=start,
            batch_size=batch_size,
            loss=loss.encoded(self.graph.output_shapes[0]),
            ignored=ignored,
            metrics=list(metrics),
            rule=None if rule is None else self._encoded(rule),
            rates=rates,
            deadline=deadline,
            sums=list(sums),
        )
        return RunResult(position, samples, steps, total, tuple(metric_sums), loss_weight, metric_weight)

    def step(
        self, loss: LossSpec, metrics: Sequence[str], rule: RuleSpec, indices: bool, low: float, high: float
    ) -> Step | None:
        """See `Engine.step`."""
        if self._index_counts or len(self.graph.inputs) != 1 or len(self.graph.outputs) != 1:
            return None
        (output,) = self.graph.output_shapes
        encoded, shape = loss.encoded(output), loss.row.target_shape(output)
        return _core.Step(self._core, encoded, metrics, self._encoded(rule), indices, low, high, shape)

    def predict_plain(self, x: object, batch_size: int) -> Array | None:
        """See `Engine.predict_plain`."""
        return None if self._index_counts else self._core.predict_plain(x, batch_size)

    def _encoded(self, rule: RuleSpec) -> EncodedRule:
        return rule.encode_for([p.name for p in self.graph.parameters]) if rule.groups else rule.encoded

    def _inputs(self, inputs: Sequence[Array]) -> list[Array]:
        arrays, _ = checks.check_batch("inputs", inputs, self.graph.input_shapes)
        checks.check_indices(self._index_counts, arrays)
        return [as_source(array) for array in arrays]

    def _shaped(self, name: str, index: int, value: Array) -> Array:
        """`value` in this engine's dtype, or an error unless it fits parameter `index`."""
        (array,), _ = checks.check_batch(name, [np.asarray(value)[None]], [self.graph.parameters[index].shape])
        return np.ascontiguousarray(array[0], self.dtype)


def as_source(array: Array) -> Array:
    """`array` as the core reads samples: row-major, in native byte order, of a dtype that it converts itself.

    An array that is all that already is passed on as it is; bool is read as uint8.
    """
    kind, size = array.dtype.kind, array.dtype.itemsize
    if array.flags.c_contiguous and array.dtype.isnative and kind != "b" and (kind != "f" or size in (4, 8)):
        return array  # the usual case, on the way of every step and prediction
    if kind == "b":
        array = array.view(np.uint8)
    elif array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
