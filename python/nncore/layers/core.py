"""The basic layers: Input, Dense, Activation, those that add noise, and those that change shapes or scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nncore.graph import GraphBuilder
from nncore.layers.base import Call, Layer, Tensor
from nncore.layers.weighted import Constraint, Initial, Regularizer, Weighted
from nncore.optable import OPS, AttrValue, Shape

__all__ = [
    "Activation",
    "AlphaDropout",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "Input",
    "Rescaling",
    "Reshape",
]


def _check_activation(activation: str, attrs: Mapping[str, AttrValue]) -> None:
    choices = [name for name, op in OPS.items() if op.activation]
    if not isinstance(activation, str) or activation not in choices:
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
        checked: Shape = tuple(_extents(shape, "shape of Input"))
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


class Dense(Weighted):
    """y = activation(x @ kernel + bias) for each vector along the last axis.

    x [n, ..., k], kernel [k, units], bias [units], y [n, ..., units].

    Args:
        units: width of the output.
        activation: an activation by name, an `Activation` with its options, or ``None``. One with weights, `PReLU`, is a
            layer of its own.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: names or objects of `nncore.initializers`, or functions
            ``(shape, rng) -> array``.
        kernel_regularizer, bias_regularizer: penalties that are part of the loss, names (``"l1"``, ``"l2"``) or objects of
            `nncore.regularizers`.
        kernel_constraint, bias_constraint: `nncore.regularizers.MaxNorm`, or ``None``.
        name, trainable: see `Layer`; the parameters are called ``<name>.kernel`` and ``<name>.bias``.

    Source: Keras ``Dense``.

    >>> import nncore as nn
    >>> nn.Dense(3, activation=nn.Activation("leaky_relu", negative_slope=0.2))(nn.Input((5, 2))).shape
    (5, 3)
    """

    def __init__(
        self,
        units: int,
        activation: str | Activation | Mapping[str, Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: Initial = "glorot_uniform",
        bias_initializer: Initial = "zeros",
        kernel_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        kernel_constraint: Constraint = None,
        bias_constraint: Constraint = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        if isinstance(activation, str):
            activation = Activation(activation)
        elif isinstance(activation, Mapping):  # as get_config describes it
            activation = Activation.from_config(dict(activation))
        if activation is not None and not isinstance(activation, Activation):
            raise TypeError(f"activation: expected a name, an nn.Activation or None, got {activation!r}")
        self.activation = activation
        super().__init__(
            "dense",
            {"units": units, "use_bias": use_bias},
            {"kernel": kernel_initializer, "bias": bias_initializer},
            {"kernel": kernel_regularizer, "bias": bias_regularizer},
            {"kernel": kernel_constraint, "bias": bias_constraint},
            name,
            trainable,
        )

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add a dense node and the activation's."""
        node = super().build(builder, inputs, name)
        return node if self.activation is None else self.activation.build(builder, [node], name)

    def get_config(self) -> dict[str, Any]:
        """The options; an initialiser as ``[name, options]``, what else is an object as its options."""
        activation = None if self.activation is None else self.activation.described()
        return {"activation": activation, **super().get_config()}


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
    same names tell what they do. One layer is there for all of them: Keras's ``LeakyReLU(0.3)`` is
    ``Activation("leaky_relu", negative_slope=0.3)``, its ``Softmax()`` ``Activation("softmax")``. An ``axis`` counts
    the batch axis, which it may not be: 1 .. rank, or negative from the last. The shape is unchanged, but ``glu`` and
    ``maxout`` give one part of their axis for two or more.
    """

    def __init__(self, activation: str, name: str | None = None, **attrs: AttrValue) -> None:
        _check_activation(activation, attrs)
        super().__init__(activation, attrs, name)

    def described(self) -> str | dict[str, Any]:
        """The activation alone: its name, with those options that are not the defaults."""
        row = OPS[self._op].attrs
        options = {key: value for key, value in self._attrs.items() if value != row[key].default}
        return {"activation": self._op, **options} if options else self._op

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


class AlphaDropout(_OneOp):
    """While training, sets each element with probability `rate` to selu's lowest value, and keeps mean 0 and variance 1.

    y = a x + b, with x = -1.758... where dropped; a and b are such that mean and variance stay. Inactive otherwise. For
    networks of selu. Drawn numbers as those of `Dropout`.

    Source: Klambauer et al. 2017, "Self-normalizing neural networks"; ``torch.nn.AlphaDropout``, Keras ``AlphaDropout``.
    """

    def __init__(self, rate: float, name: str | None = None) -> None:
        super().__init__("alpha_dropout", {"rate": rate}, name)


class GaussianNoise(_OneOp):
    """While training, adds independent normal numbers of deviation `stddev`; inactive otherwise.

    Drawn numbers as those of `Dropout`. Source: Keras ``GaussianNoise``.
    """

    def __init__(self, stddev: float, name: str | None = None) -> None:
        super().__init__("gaussian_noise", {"stddev": stddev}, name)


def _extents(shape: Sequence[int], what: str) -> list[int]:
    """The elements of a shape; a TypeError that calls it `what` unless it is a sequence."""
    if not isinstance(shape, Sequence) or isinstance(shape, (str, bytes)):
        raise TypeError(f"{what}: expected a tuple of integers, got {shape!r}")
    return list(shape)


class Reshape(_OneOp):
    """Gives each sample another shape of as many elements, in row-major order: [n, ...] to [n, *target_shape].

    Args:
        target_shape: of a sample; one extent may be -1, which stands for what is left.
        name: see `Layer`.

    Source: Keras ``Reshape``.

    >>> import nncore as nn
    >>> nn.Sequential([nn.Input((6,)), nn.Reshape((2, -1))]).output_shape
    (2, 3)
    """

    def __init__(self, target_shape: Sequence[int], name: str | None = None) -> None:
        shape = _extents(target_shape, "target_shape of Reshape")
        if any(isinstance(n, bool) or not isinstance(n, int) or n < -1 or n == 0 for n in shape) or shape.count(-1) > 1:
            raise ValueError(f"target_shape of Reshape: expected positive integers and at most one -1, got {target_shape}")
        super().__init__("reshape", {"target_shape": ",".join(map(str, shape))}, name)
        self.target_shape = tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """The options."""
        return {**super().get_config(), "target_shape": list(self.target_shape)}


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
