"""What a layer is: configuration that knows which graph nodes to add; and what it gives when called on symbolic tensors."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from nncore import initializers
from nncore.arrays import batch_shape
from nncore.graph import GraphBuilder
from nncore.optable import Shape

__all__ = ["Call", "Layer", "Tensor", "as_tensors"]

_numbers = itertools.count()  # of calls: whatever a call uses has a smaller one


@dataclass(frozen=True, eq=False)
class Call:
    """One use of a layer on tensors."""

    layer: Layer
    inputs: tuple[Tensor, ...]
    number: int = field(default_factory=_numbers.__next__)

    def __reduce__(self) -> Any:  # noqa: ANN401 - what pickle wants
        """A copy has a number of its own, also in another process."""
        return Call, (self.layer, self.inputs)


class Tensor:
    """A value that a model will compute: an `Input`, or what a layer gave when it was called on such values.

    Attributes:
        shape: per sample; the batch axis is free and never written.
        call: the use of a layer that it comes from.
        index: its place among the results of that call.

    >>> import nncore as nn
    >>> nn.Dense(3)(nn.Input((2,)))
    <Tensor of shape (n, 3) from Dense>
    """

    def __init__(self, shape: Shape, call: Call, index: int = 0) -> None:
        self.shape = shape
        self.call = call
        self.index = index

    def __repr__(self) -> str:
        return f"<Tensor of shape {batch_shape(self.shape)} from {self.call.layer.label}>"


class Layer:
    """A step of a network, described but not computed.

    A layer holds its options and no weights: each model made from it has its own. Called on symbolic tensors it gives the
    tensor that it makes of them; a layer called at several places of one model has one set of weights there.

    A layer of your own is a subclass with two methods on NumPy arrays, which both engines call once for each batch:

    - ``forward(self, *inputs, *parameters)`` gives y [n, ...] from inputs [n, ...] and parameters.
    - ``backward(self, *inputs, *parameters, y, dy)`` gives the gradients of the inputs and of the parameters, in this
      order; each is a sum over whatever the array has been used for.

    A method with an argument ``training`` after these, ``forward(self, x, training)``, is told whether the pass is one of
    training; `nncore.explain` has gradients of passes that are not.

    The arrays are read-only; results are checked, and converted to the model's dtype. `compute_output_shape` and
    `declare_parameters` say what a model must know beforehand. Nothing may be kept between calls: one layer serves many
    models. An `__init__` with options needs a `get_config` for files, and the class goes to `nncore.load`.

    >>> import numpy as np, nncore as nn
    >>> class Scale(nn.Layer):
    ...     def declare_parameters(self, shape):
    ...         return {"gain": (shape, "ones")}
    ...     def forward(self, x, gain):
    ...         return x * gain
    ...     def backward(self, x, gain, y, dy):
    ...         return dy * gain, (dy * x).sum(axis=0)
    >>> model = nn.Sequential([nn.Input((2,)), Scale(), nn.Dense(1)])
    >>> [spec.name for spec in model.graph.parameters]
    ['scale.gain', 'dense.kernel', 'dense.bias']

    Attributes:
        name: the layer's name in the model, or ``None``: the model makes one from the class (``dense``, ``dense_1``, ...).
        trainable: whether training changes the layer's parameters. ``False`` freezes them; a frozen `BatchNorm` runs as in
            inference. A change takes effect where the model is made or compiled next.
    """

    def __init__(self, name: str | None = None, trainable: bool = True) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise ValueError(f"name of {type(self).__name__}: expected a non-empty string, got {name!r}")
        self.name = name
        self.trainable = trainable

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer's parameters."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"trainable of {type(self).__name__}: expected True or False, got {value!r}")
        self._trainable = value

    @property
    def label(self) -> str:
        """What messages call the layer outside a model: its name, or else its class."""
        return type(self).__name__ if self.name is None else repr(self.name)

    def compute_output_shape(self, *shapes: Shape) -> Shape:
        """Per-sample shape of what a layer of one's own makes of inputs of per-sample `shapes`: by default the first's."""
        return shapes[0]

    def declare_parameters(self, *shapes: Shape) -> Mapping[str, tuple[Shape, Any]]:
        """The parameters of a layer of one's own by name: shape, and an initialiser as `Dense` takes them."""
        return {}

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add this layer's nodes, called `name`, after the nodes `inputs`; returns the index of the last.

        By default one node that calls the layer's own ``forward`` and ``backward``.

        Raises:
            TypeError: the class has no such methods.
            ValueError: the inputs' shapes do not fit.
        """
        function: Any = self
        for method in ("forward", "backward"):
            if not callable(getattr(self, method, None)):
                raise TypeError(f"{type(self).__name__}: expected a method {method!r}, as layers of one's own have")
        shapes = [builder.shape(i) for i in inputs]
        shape = self.compute_output_shape(*shapes)
        parameters = [
            builder.parameter(f"{name}.{key}", size, initializers.spec(initializer))
            for key, (size, initializer) in self.declare_parameters(*shapes).items()
        ]
        return builder.call(function, inputs, shape, parameters, name)

    def add_to(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> tuple[int, ...]:
        """`build` as a model calls it: a layer that the graph has already gives another use of its parameters.

        Raises:
            ValueError: the inputs do not fit; the message names the layer.
        """
        with builder.adding(self, name) as owner:
            try:
                owner.results = self._results(builder, inputs, owner.name)
            except ValueError as error:
                raise ValueError(f"layer {owner.name!r}: {error}") from None
            return owner.results

    def _results(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> tuple[int, ...]:
        """The nodes of all results; a layer has one."""
        return (self.build(builder, inputs, name),)

    def __call__(self, inputs: Tensor | Sequence[Tensor]) -> Any:  # noqa: ANN401 - a model with several outputs gives a list
        """The tensor that this layer makes of a tensor, or of a list of them.

        Raises:
            TypeError: something that is not a symbolic tensor.
            ValueError: their number or shapes do not fit.

        Source: Keras's functional API.
        """
        return self._call(as_tensors(inputs, f"inputs of {self.label}"))[0]

    def _call(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        builder = GraphBuilder()  # of a graph of this layer alone, for its checks and shapes
        nodes = [builder.input(tensor.shape, f"input {i}") for i, tensor in enumerate(inputs)]
        results = self.add_to(builder, nodes, self.name or type(self).__name__)
        call = Call(self, inputs)
        return [Tensor(builder.shape(node), call, i) for i, node in enumerate(results)]

    def get_config(self) -> dict[str, Any]:
        """The options, JSON-like, such that ``from_config`` makes an equal layer."""
        return {"name": self.name} if self.trainable else {"name": self.name, "trainable": False}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `get_config` described."""
        options = dict(config)
        trainable = options.pop("trainable", True)
        layer = cls(**options)
        layer.trainable = trainable
        return layer

    def __repr__(self) -> str:
        options = {k: v for k, v in self.get_config().items() if v is not None}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in options.items())})"


def as_tensors(value: Any, what: str) -> tuple[Tensor, ...]:  # noqa: ANN401 - what users pass is checked here
    """A tensor, or a list or tuple of at least one, as a tuple."""
    tensors = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            hint = "; arrays go into a model's predict or forward" if hasattr(tensor, "__array__") else ""
            raise TypeError(f"{what}: expected symbolic tensors such as nn.Input((8,)), got {tensor!r}{hint}")
    if not tensors:
        raise ValueError(f"{what}: expected at least one tensor, got none")
    return tensors
