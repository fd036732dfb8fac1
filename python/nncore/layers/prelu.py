"""PReLU: a rectifier that learns its slope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from nncore import initializers
from nncore.graph import GraphBuilder
from nncore.initializers import Constant, Initializer
from nncore.layers.base import Layer
from nncore.optable import OPS, Shape

__all__ = ["PReLU"]


class PReLU(Layer):
    """y = x where x > 0, else alpha * x, with alpha learned. Shape unchanged.

    Args:
        shared: whether one slope serves all; otherwise each place on the last axis has its own.
        alpha_initializer: a name or object of `nncore.initializers`, or a function ``(shape, rng) -> array``.
        name: see `Layer`; the parameter is called ``<name>.alpha``.

    Source: He et al. 2015, arXiv:1502.01852; ``torch.nn.PReLU``, whose default slope 0.25 this is.

    >>> import nncore as nn
    >>> model = nn.Sequential([nn.Input((3,)), nn.PReLU(shared=False)])
    >>> [w.tolist() for w in model.get_weights()]
    [[0.25, 0.25, 0.25]]
    """

    def __init__(
        self,
        shared: bool = True,
        alpha_initializer: str | Initializer | Callable[[Shape, Any], Any] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._attrs = OPS["prelu"].fill({"shared": shared})
        self._initializer = Constant(0.25) if alpha_initializer is None else initializers.get(alpha_initializer)

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add a prelu node and its parameter."""
        slopes = OPS["prelu"].parameters(tuple(builder.shape(i) for i in inputs), self._attrs)
        parameters = [
            builder.parameter(f"{name}.{slot}", shape, initializers.spec(self._initializer))
            for slot, shape in slopes.items()
        ]
        return builder.node("prelu", inputs, self._attrs, parameters, name)

    def get_config(self) -> dict[str, Any]:
        """The options; the initialiser as ``[name, options]``."""
        initializer = [self._initializer.row.name, self._initializer.get_config()]
        return {**self._attrs, "alpha_initializer": initializer, **super().get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `get_config` described."""
        return cls(**{**config, "alpha_initializer": initializers.create(*config["alpha_initializer"])})
