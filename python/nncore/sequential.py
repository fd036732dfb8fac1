"""Sequential: a model that is a chain of layers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

from nncore.graph import Graph, GraphBuilder
from nncore.layers import Input, Layer
from nncore.model import Model
from nncore.optable import Shape

__all__ = ["Sequential"]


def _names(layers: list[Layer]) -> dict[str, Layer]:
    """The layers by name; those without one are called after their class: dense, dense_1, ..."""
    taken = [layer.name for layer in layers if layer.name is not None]
    for name in taken:
        if taken.count(name) > 1:
            raise ValueError(f"layers: expected different names, got {name!r} twice")
    named: dict[str, Layer] = {}
    for layer in layers:
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
        candidates = (f"{stem}_{count}" if count else stem for count in itertools.count())
        free = (name for name in candidates if name not in taken and name not in named)
        named[layer.name if layer.name is not None else next(free)] = layer
    return named


class Sequential(Model):
    """A model whose layers follow one another.

    With an `Input` first the model is complete at once; without one, the shape is taken from the first data it sees.

    Args:
        layers: the layers in order, each object once. They hold no weights: a second model made of them has its own.

    Raises:
        TypeError: something that is not a layer.
        ValueError: no layers, one used twice, equal names, or shapes that do not fit.

    Source: Keras ``Sequential``.

    >>> import nncore as nn
    >>> nn.Sequential([nn.Input((2,)), nn.Dense(3, name="hidden")]).summary()
    layer   type   output shape  parameters
    ---------------------------------------
    input   Input  (n, 2)                 0
    hidden  Dense  (n, 3)                 9
    ---------------------------------------
    parameters: 9, trainable: 9
    memory: 36 B of float32 parameters
    """

    def __init__(self, layers: Iterable[Layer]) -> None:
        given: list[Any] = list(layers)  # Any: what users pass is checked here
        for place, layer in enumerate(given):
            if not isinstance(layer, Layer):
                hint = " (the class; make an object of it)" if isinstance(layer, type) else ""
                raise TypeError(f"layers: expected a Layer at position {place}, got {layer!r}{hint}")
            if any(layer is other for other in given[:place]):
                raise ValueError(f"layers: expected each layer once, got {layer!r} again at position {place}")
            if isinstance(layer, Input) and place:
                raise ValueError(f"layers: expected Input only at the first position, got it at position {place}")
        if all(isinstance(layer, Input) for layer in given):
            raise ValueError("layers: expected at least one layer beside Input, got none")
        super().__init__(_names(given))
        if isinstance(given[0], Input):
            self._set_graph(given[0].shape)

    def _describe(self, input_shape: Shape) -> tuple[Graph, dict[str, Layer]]:
        first = [] if isinstance(self.layers[0], Input) else [Input(input_shape)]
        layers = _names([*first, *self.layers])
        builder = GraphBuilder()
        nodes: list[int] = []
        for name, layer in layers.items():
            try:
                nodes = [layer.build(builder, nodes, name)]
            except ValueError as error:
                raise ValueError(f"layer {name!r}: {error}") from None
        return builder.build(outputs=nodes), layers
