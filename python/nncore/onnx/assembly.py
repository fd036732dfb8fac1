"""Layers with given weights, connected one after the other into a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nncore.arrays import Array
from nncore.functional import Structured
from nncore.layers import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    Layer,
    LayerNorm,
    OneHot,
    PReLU,
    Rescaling,
    Reshape,
    RMSNorm,
    Tensor,
)
from nncore.model import Model
from nncore.onnx.reading import Unsupported
from nncore.optable import OPS, AttrValue, Shape

__all__ = ["Assembly", "Dims", "Value"]

_LAYERS: Mapping[str, type[Layer]] = {
    "dense": Dense,
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "rms_norm": RMSNorm,
    "prelu": PReLU,
    "embedding": Embedding,
    "one_hot": OneHot,
    "rescaling": Rescaling,
    "dropout": Dropout,
}


@dataclass(frozen=True)
class Value:
    """A value that depends on the model's input.

    Attributes:
        tensor: the symbolic tensor.
        integers: it holds indices, which only an Embedding or OneHot can use.
    """

    tensor: Tensor
    integers: bool = False

    @property
    def shape(self) -> Shape:
        """Of a sample."""
        return self.tensor.shape


@dataclass(frozen=True)
class Dims:
    """A shape, or a part of one, that the file computes; ``None`` stands for the number of samples."""

    sizes: tuple[int | None, ...]


class Assembly:
    """The layers so far, and their weights."""

    def __init__(self) -> None:
        self._weights: dict[str, Array] = {}
        self._taken: set[str] = set()
        self._layers: dict[Any, Layer] = {}

    def input(self, name: str, shape: Shape, integers: bool) -> Value:
        """An input of the model."""
        self._taken.add(name)
        return Value(Input(shape, name=name), integers)

    def op(self, op: str, x: Value, attrs: Mapping[str, AttrValue] | None = None) -> Value:
        """What an op without weights makes of `x`."""
        options: dict[str, Any] = OPS[op].fill(attrs or {})
        layer = Activation(op, **options) if OPS[op].activation else _LAYERS[op](**options)
        return self.call(layer, [x])

    def call(self, layer: Layer, xs: Sequence[Value]) -> Value:
        """What a layer makes of values."""
        if any(x.integers for x in xs) and not isinstance(layer, (Embedding, OneHot, Reshape, Flatten)):
            raise Unsupported("expected floating-point numbers, got integers: only Gather and OneHot take these")
        tensors = [x.tensor for x in xs]
        tensor = layer(tensors[0] if len(tensors) == 1 else tensors)
        return Value(tensor, xs[0].integers and isinstance(layer, (Reshape, Flatten)))

    def weighted(
        self,
        op: str,
        x: Value,
        attrs: Mapping[str, AttrValue],
        weights: Mapping[str, Array],
        sources: Sequence[str],
        trainable: bool = True,
    ) -> Value:
        """What an op with `weights` by slot makes of `x`.

        The same op with weights of the same `sources`, their names in the file, is the same layer.
        """
        key = (op, tuple(sorted(attrs.items())), tuple(sources), tuple(array.shape for array in weights.values()))
        if key not in self._layers or not sources:
            name = self._name(op, sources)
            options: dict[str, Any] = dict(attrs)
            layer = _LAYERS[op](**options, name=name)
            layer.trainable = trainable
            self._weights |= {f"{name}.{slot}": array for slot, array in weights.items()}
            self._layers[key] = layer
        return self.call(self._layers[key], [x])

    def _name(self, op: str, sources: Sequence[str]) -> str:
        """Of weights called "fc1.weight" and "fc1.bias" it is "fc1"; else that of the op, with a number."""
        owner = re.fullmatch(r"(.+)\.[^.]+", sources[0]) if sources else None
        stem = owner[1] if owner and owner[1] not in self._taken else op
        name, count = stem, 0
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The samples of `x` in another shape; a reshape of a reshape is one."""
        while isinstance(x.tensor.call.layer, (Reshape, Flatten)):
            x = Value(x.tensor.call.inputs[0], x.integers)
        if shape == x.shape:
            return x
        return self.call(Flatten() if len(shape) == 1 else Reshape(shape), [x])

    def rescale(self, x: Value, scale: float, offset: float) -> Value:
        """What x * scale + offset is."""
        return x if (scale, offset) == (1.0, 0.0) else self.op("rescaling", x, {"scale": scale, "offset": offset})

    def affine(self, x: Value, scale: Array | None = None, offset: Array | None = None, mean: Array | None = None) -> Value:
        """(x - mean) * scale + offset with arrays for each sample; they stay as they are in training."""
        given = {"gamma": scale, "beta": offset, "moving_mean": mean}
        arrays = {slot: as_sample(array, x.shape) for slot, array in given.items() if array is not None}
        flat = not x.shape or any(
            array.ndim > 1 and array.shape[:-1] != (1,) * (array.ndim - 1) for array in arrays.values()
        )
        size = int(np.prod(x.shape)) if flat else x.shape[-1]
        arrays = {
            slot: np.broadcast_to(array, x.shape).reshape(-1) if flat else np.broadcast_to(array.reshape(-1), (size,))
            for slot, array in arrays.items()
        }
        weights = {"moving_mean": np.zeros(size), "moving_variance": np.ones(size), **arrays}
        attrs: dict[str, AttrValue] = {"epsilon": 0.0, "center": offset is not None, "scale": scale is not None}
        y = self.weighted("batch_norm", self.reshape(x, (size,)) if flat else x, attrs, weights, (), trainable=False)
        return self.reshape(y, x.shape) if flat else y

    def model(self, inputs: Mapping[str, Value], outputs: Mapping[str, Value], dtype: str) -> Model:
        """The model between `inputs` and `outputs`, in `dtype`."""
        model = Model(_ends(inputs), _ends(outputs))
        try:
            weights = [np.asarray(self._weights[spec.name], dtype) for spec in model.graph.parameters]
        except KeyError as error:
            raise AssertionError(f"no weights for {error}") from None
        model._restore(weights, dtype)
        return model


def _ends(values: Mapping[str, Value]) -> Structured:
    """One tensor as it is, several by name."""
    tensors = {name: value.tensor for name, value in values.items()}
    return tensors if len(tensors) > 1 else next(iter(tensors.values()))


def as_sample(array: Array, shape: Shape) -> Array:
    """A constant operand without the batch axis, of as many axes as a sample of `shape` or fewer.

    Raises:
        Unsupported: it differs from sample to sample, or makes samples larger.
    """
    if array.ndim == len(shape) + 1:
        if array.shape[0] != 1:
            raise Unsupported(f"expected a constant that is the same for all samples, got one of shape {array.shape}")
        array = array[0]
    try:
        fits = np.broadcast_shapes(array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise Unsupported(f"expected a constant that fits samples of shape {shape}, got one of shape {array.shape}")
    return array
