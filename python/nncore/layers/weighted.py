"""What layers with weights share: how each slot of their op begins, is penalised and is bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from nncore import initializers, regularizers
from nncore.graph import GraphBuilder, InitializerSpec
from nncore.initializers import Function, Initializer
from nncore.layers.base import Layer
from nncore.optable import OPS, AttrValue, Shape
from nncore.regularizers import L1L2, MaxNorm

__all__ = ["Constraint", "Initial", "Regularizer", "Weighted", "spec_of"]

Initial = str | Initializer | Callable[[Shape, Any], Any]
Regularizer = str | L1L2 | Mapping[str, float] | None
Constraint = MaxNorm | Mapping[str, float] | None


class Weighted(Layer):
    """A layer around one node of `op` whose parameters are called after the op's slots.

    Args:
        op: a row of the op table.
        attrs: its attributes.
        initial: how each slot begins.
        regularizer, constraint: penalties and bounds by slot, for those that may have some.
        state: slots that the op learns itself, which no optimizer changes.
        name, trainable: see `Layer`.
    """

    def __init__(
        self,
        op: str,
        attrs: Mapping[str, AttrValue],
        initial: Mapping[str, Initial],
        regularizer: Mapping[str, Regularizer],
        constraint: Mapping[str, Constraint],
        name: str | None,
        trainable: bool,
        state: Sequence[str] = (),
    ) -> None:
        super().__init__(name, trainable)
        self._op = op
        self._attrs = OPS[op].fill(attrs)
        self._initializers = {slot: initializers.get(value) for slot, value in initial.items()}
        self._regularizers = {s: regularizers.get(value, f"{s}_regularizer") for s, value in regularizer.items()}
        self._constraints = {s: regularizers.get_constraint(value, f"{s}_constraint") for s, value in constraint.items()}
        self._state = tuple(state)

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add the node and its parameters."""
        op, shapes = OPS[self._op], tuple(builder.shape(i) for i in inputs)
        op.shape(shapes, self._attrs)  # rejects an input that does not fit, before parameters are made for it
        parameters = []
        for slot, shape in op.parameters(shapes, self._attrs).items():
            penalty, bound = self._regularizers.get(slot), self._constraints.get(slot)
            parameters.append(
                builder.parameter(
                    f"{name}.{slot}",
                    shape,
                    spec_of(self._initializers[slot]),
                    trainable=slot not in self._state,
                    l1=penalty.l1 if penalty else 0.0,
                    l2=penalty.l2 if penalty else 0.0,
                    max_norm=bound.max_value if bound else None,
                )
            )
        return builder.node(self._op, inputs, self._attrs, parameters, name)

    def get_config(self) -> dict[str, Any]:
        """The options; an initialiser as ``[name, options]``, a regularizer or constraint as its options."""
        made = {f"{slot}_initializer": [i.row.name, i.get_config()] for slot, i in self._initializers.items()}
        penalties = {f"{slot}_regularizer": r.get_config() for slot, r in self._regularizers.items() if r is not None}
        bounds = {f"{slot}_constraint": c.get_config() for slot, c in self._constraints.items() if c is not None}
        attrs = {key: value for key, value in self._attrs.items() if key != "frozen"}
        return {**attrs, **made, **penalties, **bounds, **super().get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `get_config` described."""
        made = {key: initializers.create(*config[key]) for key in config if key.endswith("_initializer")}
        return super().from_config({**config, **made})


def spec_of(initializer: Initializer) -> InitializerSpec:
    """The initialiser as a parameter's specification has it."""
    return initializer if isinstance(initializer, Function) else (initializer.row.name, initializer.get_config())
