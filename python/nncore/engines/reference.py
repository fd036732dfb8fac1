"""The reference engine: interprets a Graph in plain NumPy, one op after the other, slowly and obviously.

Backpropagation is the method `ReferenceEngine.backward`: walk the nodes from last to first, hand each one the gradient of
its result, and add what its op's backward gives to the gradients of its inputs and parameters.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from nncore.engines import checks
from nncore.engines.base import NO_STATES, Array, Engine, RunResult
from nncore.engines.operations import LOSSES, METRICS, OPERATIONS, RULES, Call, Operation, function_operation
from nncore.graph import Graph
from nncore.optable import RULES as RULE_ROWS
from nncore.optable import LossSpec, RuleSpec, state_index
from nncore.turns import ForkAwareLock

__all__ = ["ReferenceEngine", "clip_gradients"]

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def _alone(
    method: Callable[Concatenate[ReferenceEngine, _Given], _Result],
) -> Callable[Concatenate[ReferenceEngine, _Given], _Result]:
    """A method that runs while no other thread is in one of this engine's."""

    @wraps(method)
    def run(engine: ReferenceEngine, /, *given: _Given.args, **named: _Given.kwargs) -> _Result:
        with engine.held():
            return method(engine, *given, **named)

    return run


class ReferenceEngine(Engine):
    """See `nncore.engines.base.Engine`."""

    def __init__(self, graph: Graph, dtype: npt.DTypeLike = "float32", seed: int = 0) -> None:
        """An engine for `graph` with all parameters zero."""
        self.graph = graph
        self.dtype = np.dtype(dtype)
        self.seed = seed
        self.draws = 0
        self.iterations = 0
        self.accumulated = 0
        self.divide_penalty = False
        self._lock = ForkAwareLock()
        self._index_counts = checks.index_counts(graph)
        self._parameters = [np.zeros(spec.shape, self.dtype) for spec in graph.parameters]
        self._gradients = [np.zeros(spec.shape, self.dtype) for spec in graph.parameters]
        self._states: dict[tuple[str, str, int], Array] = {}
        self._averaging = False  # the moving average has begun
        self._pass: tuple[list[Array], dict[int, Call]] | None = None
        self._functions = {
            i: function_operation(graph, node, self.dtype)
            for i, node in enumerate(graph.nodes)
            if node.function is not None
        }

    # Parameters, gradients, states ----------------------------------------------------------------------------------------

    def held(self) -> AbstractContextManager[object]:
        """See `Engine.held`."""
        return self._lock.held()

    @_alone
    def get_parameter(self, index: int) -> Array:
        """See `Engine.get_parameter`."""
        return self._parameters[index].copy()

    @_alone
    def assign(self, parameters: Mapping[int, Array], states: Mapping[tuple[str, str, int], Array] = NO_STATES) -> None:
        """See `Engine.assign`."""
        specs = self.graph.parameters
        pairs = [
            (self._parameters[i], _checked(f"parameter {specs[i].name!r}", value, specs[i].shape, self.dtype))
            for i, value in parameters.items()
        ]
        for (rule, state, i), value in states.items():
            name = f"state {state!r} of {specs[i].name!r}"
            pairs.append((self._state(rule, state, i), _checked(name, value, specs[i].shape, self.dtype)))
        for destination, array in pairs:
            destination[...] = array
        self._averaging = self._averaging or any(rule == "ema" for rule, _, _ in states)

    @_alone
    def get_gradient(self, index: int) -> Array:
        """See `Engine.get_gradient`."""
        return self._gradients[index].copy()

    @_alone
    def get_state(self, rule: str, state: str, index: int) -> Array:
        """See `Engine.get_state`."""
        return self._state(rule, state, index).copy()

    # Forward, backward, update --------------------------------------------------------------------------------------------

    @_alone
    def forward(self, inputs: Sequence[Array], training: bool) -> list[Array]:
        """See `Engine.forward`."""
        outputs = self._forward(inputs, training)
        if training:
            self._learn(self._calls())
        return outputs

    def _forward(self, inputs: Sequence[Array], training: bool) -> list[Array]:
        """Every node in order."""
        arrays, _ = checks.check_batch("inputs", inputs, self.graph.input_shapes)
        checks.check_indices(self._index_counts, arrays)
        values: dict[int, Array] = {
            node: np.array(array, self.dtype, order="C") for node, array in zip(self.graph.inputs, arrays, strict=True)
        }
        calls: dict[int, Call] = {}
        for i, node in enumerate(self.graph.nodes):
            if i in values:
                continue
            calls[i] = Call(
                inputs=tuple(values[j] for j in node.inputs),
                parameters=tuple(self._parameters[p] for p in node.parameters),
                attrs=node.attrs,
                draw={"seed": self.seed, "node": i, "step": self.draws} if training else None,
            )
            values[i] = self._operation(i).forward(calls[i])
        if training:
            self._pass = [values[i] for i in range(len(values))], calls
            self.draws += 1
        return [values[i].copy() for i in self.graph.outputs]

    @_alone
    def first_not_finite(self, inputs: Sequence[Array]) -> int | None:
        """The first node whose output for the training batch `inputs` has NaN or infinity; None if there is none."""
        with self._whole_step():
            self._forward(inputs, training=True)
        values, self._pass = [] if self._pass is None else self._pass[0], None
        return next((i for i, value in enumerate(values) if not np.isfinite(value).all()), None)

    def _calls(self) -> dict[int, Call]:
        """Of the training pass that `_forward` made."""
        return {} if self._pass is None else self._pass[1]

    @contextmanager
    def _whole_step(self) -> Iterator[None]:
        """A step that fails within it, be it by a user's layer, leaves no trace."""
        draws = self.draws
        try:
            yield
        except BaseException:
            self.draws, self._pass = draws, None
            raise

    def _learn(self, calls: Mapping[int, Call]) -> None:
        """What ops learn themselves from the training pass that made `calls`."""
        for i, call in calls.items():
            learn = self._operation(i).learn
            for slot, value in (learn(call) if learn else {}).items():
                self._parameters[self.graph.nodes[i].parameters[slot]][...] = value

    @_alone
    def backward(self, gradients: Sequence[Array]) -> list[Array]:
        """Every node in reverse order; see `Engine.backward`."""
        return self._backward(gradients, 1.0)

    def _backward(self, gradients: Sequence[Array], penalty_factor: float) -> list[Array]:
        if self._pass is None:
            raise RuntimeError("backward: expected a forward pass with training=True since the last backward, found none")
        values, calls = self._pass
        arrays, rows = checks.check_batch("gradients", gradients, self.graph.output_shapes)
        if rows != len(values[self.graph.outputs[0]]):
            raise ValueError(f"gradients: expected {len(values[self.graph.outputs[0]])} rows as in the forward, got {rows}")
        self._pass = None

        # d[i] is the gradient of node i's value: the sum of what each of its consumers sends back. By the time the walk
        # reaches a node, all its consumers, which come later in the graph, have been there.
        d = [np.zeros_like(value) for value in values]
        d_parameters = [np.zeros_like(parameter) for parameter in self._parameters]
        for i, gradient in zip(self.graph.outputs, arrays, strict=True):
            d[i] += gradient.astype(self.dtype)
        for i, node in reversed(list(enumerate(self.graph.nodes))):
            if i not in calls:
                continue
            d_inputs, d_slots = self._operation(i).backward(calls[i], values[i], d[i])
            for j, gradient in zip(node.inputs, d_inputs, strict=True):
                d[j] += gradient
            for p, gradient in zip(node.parameters, d_slots, strict=True):
                d_parameters[p] += gradient
        for parameter, gradient, spec in zip(self._parameters, d_parameters, self.graph.parameters, strict=True):
            if spec.trainable:  # the gradient of the penalty
                l1, l2 = penalty_factor * spec.l1, penalty_factor * spec.l2
                gradient += self.dtype.type(l1) * np.sign(parameter) + self.dtype.type(2 * l2) * parameter
        self._gradients = d_parameters
        return [d[i] for i in self.graph.inputs]

    def _operation(self, node: int) -> Operation:
        return self._functions[node] if node in self._functions else OPERATIONS[self.graph.nodes[node].op]

    @_alone
    def penalty(self) -> float:
        """See `Engine.penalty`."""
        total = 0.0
        for parameter, spec in zip(self._parameters, self.graph.parameters, strict=True):
            if spec.trainable and (spec.l1 or spec.l2):
                values = parameter.astype(np.float64)
                total += spec.l1 * float(np.abs(values).sum()) + spec.l2 * float(np.square(values).sum())
        return total

    @_alone
    def update(self, rule: RuleSpec, rates: Sequence[float] = ()) -> None:
        """See `Engine.update`."""
        row, groups = RULE_ROWS[rule.name], rule.groups_of([spec.name for spec in self.graph.parameters])
        trainable = [i for i, spec in enumerate(self.graph.parameters) if spec.trainable]
        gradients = {i: self._gradients[i] for i in trainable}
        if rule.gradient_accumulation_steps > 1:
            waiting = self._accumulate(gradients, rule.gradient_accumulation_steps)
            if waiting is None:
                return
            gradients = waiting
        gradients = clip_gradients(gradients, rule)

        attrs = [rule.of_group(group) for group in range(1 + len(rule.groups))]
        rate = float(rates[0] if len(rates) else attrs[0]["learning_rate"])
        for group, own in enumerate(attrs):
            own["learning_rate"] = rate * (rule.groups[group - 1].learning_rate_factor if group else 1.0)
        for i, gradient in gradients.items():
            states = [self._state(rule.name, state, i) for state in row.states]
            RULES[rule.name](self._parameters[i], gradient, states, self.iterations + 1, attrs[groups[i]])
            _limit(self._parameters[i], self.graph.parameters[i].max_norm)
        self.iterations += 1
        if rule.ema_momentum is not None:
            self._average(trainable, rule.ema_momentum)
            if rule.ema_overwrite_frequency and self.iterations % rule.ema_overwrite_frequency == 0:
                for i in trainable:
                    self._parameters[i][...] = self._state("ema", "average", i)

    def _accumulate(self, gradients: Mapping[int, Array], steps: int) -> dict[int, Array] | None:
        """Add up gradients; their mean when there are enough."""
        for i, gradient in gradients.items():
            total = self._state("accumulation", "gradient", i)
            total[...] = total + gradient if self.accumulated else gradient
        self.accumulated += 1
        if self.accumulated < steps:
            return None
        count, self.accumulated = self.accumulated, 0
        return {i: self._state("accumulation", "gradient", i) / count for i in gradients}

    def _average(self, trainable: Sequence[int], momentum: float) -> None:
        """Move the average towards the parameters; at first it is the parameters."""
        keep = momentum if self._averaging else 0.0
        for i in trainable:
            average = self._state("ema", "average", i)
            average[...] = keep * average + (1 - keep) * self._parameters[i]
        self._averaging = True

    # Whole passes over data -----------------------------------------------------------------------------------------------

    @_alone
    def predict(self, inputs: Sequence[Array], batch_size: int) -> list[Array]:
        """See `Engine.predict`.

        Samples go through one at a time whatever `batch_size` is, because the rounding of NumPy's matrix product may depend
        on the number of rows.
        """
        arrays, rows = checks.check_batch("inputs", inputs, self.graph.input_shapes)
        checks.check_indices(self._index_counts, arrays)
        checks.check_batch_size(batch_size)
        outputs = [np.empty((rows, *shape), self.dtype) for shape in self.graph.output_shapes]
        for r in range(rows):
            for output, result in zip(outputs, self.forward([a[r : r + 1] for a in arrays], training=False), strict=True):
                output[r] = result[0]
        return outputs

    @_alone
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
        began = time.monotonic()
        arrays, rows = checks.check_batch("inputs", inputs, self.graph.input_shapes)
        checks.check_indices(self._index_counts, arrays)
        target, _ = checks.check_target(self.graph, loss, target, rows)
        is_index = target.ndim == 1 and "indices" in loss.row.targets
        weights = checks.check_sample_weight(sample_weight, rows)
        total = checks.check_order(order, rows, start)
        checks.check_batch_size(batch_size)
        score = _Score(loss)
        for name in metrics:
            if name not in METRICS:
                raise ValueError(f"metrics: expected some of {', '.join(map(repr, METRICS))}, got {name!r}")
        if rule is not None:
            _ = rule.filled  # checks it

        checks.check_sums(sums, len(metrics))
        position, steps = start, 0
        totals = np.array(sums or [0.0] * (3 + len(metrics)))
        first = self.iterations
        while position < total and (steps == 0 or time.monotonic() - began < deadline):
            if steps and len(rates) and self.iterations - first >= len(rates):
                break
            stop = min(position + batch_size, total)
            batch: Any = slice(position, stop) if order is None else order[position:stop]
            t = target[batch] if is_index else target[batch].astype(self.dtype)
            w = np.ones(stop - position) if weights is None else weights[batch]
            # What overflows shows in the loss, and is refused there.
            with np.errstate(over="ignore", invalid="ignore"), self._whole_step():
                (y,) = self._forward([array[batch] for array in arrays], training=rule is not None)
                value, (shares, counted) = score.value(y, t, w), score.shares(t, w)
                if not math.isfinite(value):
                    raise FloatingPointError(
                        f"the loss of batch {position // batch_size} (samples {position} to {stop - 1}) is {value}"
                        + ("; its update has not been made" if rule is not None else "")
                    )
                penalty = self.penalty()
                batch_metrics = [METRICS[name](score.compared(y), t) @ counted for name in metrics]
                if rule is not None and shares.sum() > 0:
                    calls = self._calls()
                    factor = 1 / float(shares.sum()) if self.divide_penalty else 1.0
                    penalty *= factor
                    self._backward([score.gradient(y, t, w)], factor)
                    self._learn(calls)
                    self.update(rule, rates[self.iterations - first :])
                elif rule is not None:
                    self._pass = None
            totals += [value + penalty * shares.sum(), *batch_metrics, shares.sum(), counted.sum()]
            position, steps = stop, steps + 1
        loss_sum, *metric_sums, loss_weight, metric_weight = totals.tolist()
        return RunResult(position, position - start, steps, loss_sum, tuple(metric_sums), loss_weight, metric_weight)

    def _state(self, rule: str, state: str, index: int) -> Array:
        """The state itself, zeros when first asked for."""
        state_index(rule, state)  # checks the names
        key = (rule, state, index)
        if key not in self._states:
            self._states[key] = np.zeros_like(self._parameters[index])
        return self._states[key]


def clip_gradients(gradients: Mapping[int, Array], rule: RuleSpec) -> dict[int, Array]:
    """Gradients within the rule's bounds, as Keras clips them: by element, by each one's norm, or by the norm of all.

    A norm above its bound is brought down to it, ``g * bound / norm``.
    """
    squares = {i: float(np.sum(np.square(g, dtype=np.float64))) for i, g in gradients.items()}
    norm = math.sqrt(sum(squares.values()))
    clipped = dict(gradients)
    for i, g in gradients.items():
        if rule.clipvalue is not None:
            clipped[i] = np.clip(g, -rule.clipvalue, rule.clipvalue)
        if rule.clipnorm is not None and math.sqrt(squares[i]) > rule.clipnorm:
            clipped[i] = g * (rule.clipnorm / math.sqrt(squares[i]))
        if rule.global_clipnorm is not None and norm > rule.global_clipnorm:
            clipped[i] = g * (rule.global_clipnorm / norm)
    return clipped


def _limit(parameter: Array, max_norm: float | None) -> None:
    """Scale columns, or a vector, whose norm is above `max_norm` down to it, in place."""
    if max_norm is not None:
        norms = np.sqrt(np.square(parameter).sum(0))
        parameter *= np.where(norms > max_norm, max_norm / np.maximum(norms, max_norm), 1).astype(parameter.dtype)


def _checked(name: str, value: npt.ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    return array.astype(dtype, copy=False)


class _Score:
    """A loss on batches of outputs y ``[rows, ...]``, targets t and sample weights w ``[rows]``."""

    def __init__(self, loss: LossSpec) -> None:
        self._row, self._options = loss.row, loss.options
        self._value_of, self._gradient_of = LOSSES[loss.name]

    def value(self, y: Array, t: Array, w: Array) -> float:
        """The weighted sum over the rows of each one's mean loss, whatever the loss's own reduction."""
        total = float(self._value_of(y, t, **{**self._options, "reduction": "sum"}, sample_weight=w))
        if "ignore_index" in self._options and t.ndim == 1:
            # What is not finite in a row to ignore would reach the weights by way of its activations.
            total += float((0.0 * y[t == self._options["ignore_index"]]).sum())
        return total / (1 if self._row.per_row else math.prod(t.shape[1:]))

    def gradient(self, y: Array, t: Array, w: Array) -> Array:
        """The gradient of the loss in its own reduction."""
        return self._gradient_of(y, t, **self._options, sample_weight=w)

    def shares(self, t: Array, w: Array) -> tuple[Array, Array]:
        """What each row counts in the mean of losses, and in that of metrics."""
        if "indices" not in self._row.targets or t.ndim != 1:
            return w, w
        ignored = t == self._options.get("ignore_index")
        counted = np.where(ignored, 0.0, w)
        if self._row.class_mean and "weight" in self._options:
            return counted * np.take(self._options["weight"], np.where(ignored, 0, t)), counted
        return counted, counted

    def compared(self, y: Array) -> Array:
        """What metrics compare with the targets."""
        return y[..., : y.shape[-1] // 2] if self._row.halves else y
