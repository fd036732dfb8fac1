"""What a model with several outputs is trained for: a loss, its weight and metrics for each output; and data in columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nncore import losses, metrics
from nncore.arrays import Array
from nncore.functional import Slots, Structured
from nncore.losses import Loss
from nncore.metrics import Metric
from nncore.optable import Shape

__all__ = ["Columns", "Objective", "columns", "objectives", "total_loss"]


@dataclass(frozen=True, eq=False, repr=False)
class Objective:
    """What one output is trained for and measured by.

    Attributes:
        output: its place among the model's outputs.
        prefix: of its logs: ``"<output>_"``, or nothing where the model has one output.
        loss: the loss, averaged.
        weight: what the loss counts in the total.
        names: metrics by name, as given.
        engine_metrics: what the engines call them.
        others: metrics computed from the outputs, by evaluation only.
    """

    output: int
    prefix: str
    loss: Loss
    weight: float = 1.0
    names: tuple[str, ...] = ()
    engine_metrics: tuple[str, ...] = ()
    others: tuple[Metric, ...] = field(default=())

    def fitted(self, shape: Shape) -> Objective:
        """This objective for an output of per-sample `shape`; a ValueError where loss or metrics cannot follow it."""
        self.loss.check_output(shape)
        for metric in self.others:
            metric.check(shape)
        return replace(self, engine_metrics=tuple(metrics.resolve(name, self.loss.name, shape) for name in self.names))


def objectives(loss: Structured, loss_weights: Structured, given: Structured, slots: Slots) -> tuple[Objective, ...]:
    """The objectives of a model whose outputs are `slots`, from what `compile` is given.

    Raises:
        TypeError, ValueError: unknown names, or another structure than that of the outputs.
    """
    count = len(slots.names)
    if given is None or (isinstance(given, (list, tuple, dict, str)) and not given):
        given = ()
    elif not isinstance(given, (list, tuple, dict, str, Metric)):
        raise TypeError(f"metrics: expected a list of names and metrics, got {given!r}")
    if loss is None:
        if given != ():
            raise ValueError(f"metrics: expected none without a loss, got {given!r}")
        if loss_weights is not None:
            raise ValueError(f"loss_weights: expected none without a loss, got {loss_weights!r}")
        return ()
    chosen = [loss] * count if isinstance(loss, (str, Loss)) or slots.kind == "one" else _each(loss, slots, "loss")
    weights = [1.0] * count if loss_weights is None else _each(loss_weights, slots, "loss_weights", 1.0)
    several = slots.kind != "one"
    wanted = (_each(given, slots, "metrics") if given != () else [None] * count) if several else [given]
    made = []
    for i, (one, weight, measures) in enumerate(zip(chosen, weights, wanted, strict=True)):
        if one is None:
            if measures:
                raise ValueError(f"metrics: expected none for output {slots.names[i]!r}, which has no loss")
            continue
        checked = losses.get(one)
        if checked.attrs["reduction"] != "mean":
            raise ValueError(f"loss: expected one with reduction 'mean', got {checked!r}")
        alone = several and isinstance(measures, (str, Metric))
        names, others = metrics.check([measures] if alone else measures or ())
        prefix = "" if slots.kind == "one" else f"{slots.names[i]}_"
        made.append(Objective(i, prefix, checked, _weight(weight), names, (), others))
    if not made:
        raise ValueError("loss: expected one for at least one output, got none")
    return tuple(made)


def _each(value: Structured, slots: Slots, what: str, default: object = None) -> list[Any]:
    """Something for each output: a list, or a dict that may leave out names."""
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in slots.names]
        if unknown:
            raise ValueError(f"{what}: expected some of the names {list(slots.names)}, got {unknown[0]!r}")
        return [value.get(name, default) for name in slots.names]
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{what}: expected a list or a dict by the outputs {list(slots.names)}, got {value!r}")
    if len(value) != len(slots.names):
        raise ValueError(f"{what}: expected one for each of the outputs {list(slots.names)}, got {len(value)}")
    return list(value)


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"loss_weights: expected numbers, got {value!r}")
    if not 0 <= value < math.inf:
        raise ValueError(f"loss_weights: expected finite numbers that are not negative, got {value!r}")
    return float(value)


def total_loss(
    wanted: Sequence[Objective],
    outputs: Sequence[Array],
    targets: Sequence[Any],
    weights: Sequence[Array | None] | None = None,
) -> tuple[float, list[Array]]:
    """The losses of `outputs` beside `targets` and weights of samples, in sum, and its gradient for each output."""
    total, gradients = 0.0, [np.zeros_like(y) for y in outputs]
    for objective in wanted:
        i = objective.output
        value, gradient = objective.loss(outputs[i], targets[i], None if weights is None else weights[i])
        total += objective.weight * float(value)
        gradients[i] = np.asarray(objective.weight * gradient, outputs[i].dtype)
    return total, gradients


def columns(data: Array | Columns) -> Sequence[Array | None]:
    """The arrays of several inputs or outputs, or the one of one."""
    return data.arrays if isinstance(data, Columns) else [data]


class Columns:
    """Arrays of several inputs or outputs, as one: rows are taken of all. What an output has not is None."""

    def __init__(self, arrays: Sequence[Array | None]) -> None:
        self.arrays = tuple(arrays)
        self._rows = next((len(array) for array in arrays if array is not None), 0)

    @property
    def present(self) -> list[Array]:
        """All but those that are None."""
        return [array for array in self.arrays if array is not None]

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, rows: Any) -> Columns:  # noqa: ANN401 - whatever NumPy takes as an index
        return Columns([None if array is None else array[rows] for array in self.arrays])
