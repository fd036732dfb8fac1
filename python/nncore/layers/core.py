"""The basic layers: Input, Dense, Activation, Dropout, Flatten, Rescaling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from nncore import initializers
from nncore.graph import GraphBuilder
from nncore.initializers import Initializer
from nncore.layers.base import Call, Layer, Tensor
from nncore.optable import OPS, AttrValue, Shape

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "Rescaling"]


def _check_activation(activation: str, attrs: Mapping[str, AttrValue]) -> None:
    choices = [name for name, op in OPS.items() if op.activation]
    if activation not in choices:
        raise ValueError(f"activation: expected one of {', '.join(choices)}, got {activation!r}")
    OPS[activation].fill(attrs)


class Input(Layer, Tensor):
    """The shape of one sample: ``Input((784,))``.

    The first layer of a `Sequential`, and a symbolic tensor to call layers on, from which a `Model` begins.
    """

    def __init__(self, shape: Sequence[int], name: str | None = None) -> None:
        Layer.__init__(self, name)
        if isinstance(shape, int):
            raise TypeError(f"shape of Input: expected a tuple such as ({shape},), got {shape}")
        checked: Shape = tuple(shape)
        GraphBuilder().input(checked)
        Tensor.__init__(self, checked, Call(self, ()))

    def _call(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        raise TypeError(f"{self!r}: expected to be used as a tensor, not called on one")

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add an input; `inputs` is empty."""
        return builder.input(self.shape, name)

    def get_config(self) -> dict[str, Any]:
        """The options."""
        return {"shape": list(self.shape), **super().get_config()}


class Dense(Layer):
    """y = activation(x @ kernel + bias).

    x [n, k], kernel [k, units], bias [units], y [n, units].

    Args:
        units: width of the output.
        activation: an activation by name, or ``None`` for none; one with options is an `Activation` of its own.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: names or objects of `nncore.initializers`, or functions
            ``(shape, rng) -> array``.
        name, trainable: see `Layer`; the parameters are called ``<name>.kernel`` and ``<name>.bias``.

    Source: Keras ``Dense``.
    """

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Initializer | Callable[[Shape, Any], Any] = "glorot_uniform",
        bias_initializer: str | Initializer | Callable[[Shape, Any], Any] = "zeros",
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, trainable)
        self._attrs = OPS["dense"].fill({"units": units, "use_bias": use_bias})
        if activation is not None:
            _check_activation(activation, {})
        self.activation = activation
        self._initializers = {
            "kernel": initializers.get(kernel_initializer),
            "bias": initializers.get(bias_initializer),
        }

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add a dense node and the activation's."""
        shapes = tuple(builder.shape(i) for i in inputs)
        op = OPS["dense"]
        op.shape(shapes, self._attrs)  # rejects an input that is no vector, before parameters are made for it
        parameters = [
            builder.parameter(f"{name}.{slot}", shape, initializers.spec(self._initializers[slot]))
            for slot, shape in op.parameters(shapes, self._attrs).items()
        ]
        node = builder.node("dense", inputs, self._attrs, parameters, name)
        return node if self.activation is None else builder.node(self.activation, [node], name=name)

    def get_config(self) -> dict[str, Any]:
        """The options; an initialiser as ``[name, options]``."""
        return {
            **self._attrs,
            "activation": self.activation,
            **{f"{slot}_initializer": [i.row.name, i.get_config()] for slot, i in self._initializers.items()},
            **super().get_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `get_config` described."""
        made = {key: initializers.create(*config[key]) for key in ("kernel_initializer", "bias_initializer")}
        return super().from_config({**config, **made})


class _OneOp(Layer):
    """A layer that is one node without parameters."""

    def __init__(self, op: str, attrs: Mapping[str, AttrValue], name: str | None) -> None:
        super().__init__(name)
        self._op = op
        self._attrs = OPS[op].fill(attrs)

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        return builder.node(self._op, inputs, self._attrs, name=name)

    def get_config(self) -> dict[str, Any]:
        return {**self._attrs, **super().get_config()}


class Activation(_OneOp):
    """An activation by name, with its options: ``Activation("leaky_relu", negative_slope=0.2)``.

    The names and options are the rows of `nncore.optable.OPS` marked ``activation``; the functions of `nncore.ops` of the
    same names tell what they do. An ``axis`` counts the batch axis, which it may not be: 1 .. rank, or negative from the
    last. The shape is unchanged, but ``glu`` and ``maxout`` give one part of their axis for two or more.
    """

    def __init__(self, activation: str, name: str | None = None, **attrs: AttrValue) -> None:
        _check_activation(activation, attrs)
        super().__init__(activation, attrs, name)

    def get_config(self) -> dict[str, Any]:
        """The options."""
        return {"activation": self._op, **super().get_config()}


class Dropout(_OneOp):
    """While training, zeroes each element with probability `rate` and multiplies the rest by 1 / (1 - rate).

    Inactive otherwise. The drawn numbers depend on the model's seed only, not on engine, threads or batches before.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """

    def __init__(self, rate: float, name: str | None = None) -> None:
        super().__init__("dropout", {"rate": rate}, name)


class Flatten(_OneOp):
    """Makes each sample a vector: [n, a, b, ...] to [n, a * b * ...]."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("flatten", {}, name)


class Rescaling(_OneOp):
    """y = x * scale + offset, elementwise: ``Rescaling(1 / 255)`` for images of uint8.

    Source: Keras ``Rescaling``.
    """

    def __init__(self, scale: float, offset: float = 0.0, name: str | None = None) -> None:
        super().__init__("rescaling", {"scale": scale, "offset": offset}, name)
