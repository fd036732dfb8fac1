"""Sequential: a model that is a chain of layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nncore.functional import Slots, name_layers
from nncore.graph import GraphBuilder
from nncore.layers import Input, Layer
from nncore.model import Model
from nncore.optable import Shape

__all__ = ["Sequential"]


class Sequential(Model):
    """A model whose layers follow one another.

    With an `Input` first the model is complete at once; without one, the shape is taken from the first data it sees.

    Args:
        layers: the layers in order, each object once; models with one input and one output are layers too. They hold no
            weights: a second model made of them has its own.
        name: what the model is called as a part of another.

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
    flops: 12 per sample in matrix products
    """

    def __init__(self, layers: Iterable[Layer], name: str | None = None) -> None:
        given: list[Any] = list(layers)  # Any: what users pass is checked here
        seen: set[int] = set()
        for place, layer in enumerate(given):
            if not isinstance(layer, Layer):
                hint = " (the class; make an object of it)" if isinstance(layer, type) else ""
                raise TypeError(f"layers: expected a Layer at position {place}, got {layer!r}{hint}")
            if id(layer) in seen:
                raise ValueError(f"layers: expected each layer once, got {layer!r} again at position {place}")
            seen.add(id(layer))
            if isinstance(layer, Input) and place:
                raise ValueError(f"layers: expected Input only at the first position, got it at position {place}")
        if all(isinstance(layer, Input) for layer in given):
            raise ValueError("layers: expected at least one layer beside Input, got none")
        named = name_layers(given)
        self._begin(name, named, Slots((next(iter(named)),)), Slots((list(named)[-1],)))
        if isinstance(given[0], Input):
            self._set_graph(given[0].shape)

    def _sources(self) -> None:
        return None

    def _assemble(self, builder: GraphBuilder, input_shape: Shape) -> tuple[list[int], dict[str, Layer]]:
        first = [] if isinstance(self.layers[0], Input) else [Input(input_shape)]
        layers = name_layers([*first, *self.layers])
        start, *rest = layers.items()
        return self._chain(builder, start[1].add_to(builder, [], start[0]), rest), layers

    def _results(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> tuple[int, ...]:
        if len(inputs) != 1:
            raise ValueError(f"expected one input, got {len(inputs)}")
        shape = builder.shape(inputs[0])
        if self._graph is not None and shape != self.input_shape:
            raise ValueError(f"expected an input of shape {self.input_shape}, got {shape}")
        parts = [(f"{name}.{key}", layer) for key, layer in self._layers.items() if not isinstance(layer, Input)]
        return tuple(self._chain(builder, inputs, parts))

    def _chain(self, builder: GraphBuilder, nodes: Sequence[int], layers: Iterable[tuple[str, Layer]]) -> list[int]:
        for name, layer in layers:
            nodes = layer.add_to(builder, nodes, name)
            if len(nodes) != 1:
                raise ValueError(f"layer {name!r}: expected one output in a Sequential, got {len(nodes)}")
        return list(nodes)
