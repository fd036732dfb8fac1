"""Layers that normalise: over the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from nncore import initializers
from nncore.graph import GraphBuilder, InitializerSpec
from nncore.initializers import Function, Initializer
from nncore.layers.base import Layer
from nncore.optable import OPS, AttrValue, Shape

__all__ = ["BatchNorm"]

_Initial = str | Initializer | Callable[[Shape, Any], Any]


class _Norm(Layer):
    """A layer that is one node whose parameters are named by the op's slots and have an initialiser each."""

    _op: str

    def __init__(
        self, attrs: dict[str, AttrValue], initial: dict[str, _Initial], name: str | None, trainable: bool
    ) -> None:
        super().__init__(name, trainable)
        self._attrs = OPS[self._op].fill(attrs)
        self._initializers = {slot: initializers.get(value) for slot, value in initial.items()}

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add the node and its parameters."""
        op, shapes = OPS[self._op], tuple(builder.shape(i) for i in inputs)
        op.shape(shapes, self._attrs)  # rejects an input that does not fit, before parameters are made for it
        parameters = [
            builder.parameter(f"{name}.{slot}", shape, _spec(self._initializers[slot]), not slot.startswith("moving_"))
            for slot, shape in op.parameters(shapes, self._attrs).items()
        ]
        return builder.node(self._op, inputs, self._attrs, parameters, name)

    def get_config(self) -> dict[str, Any]:
        """The options; an initialiser as ``[name, options]``."""
        attrs = {key: value for key, value in self._attrs.items() if key != "frozen"}
        made = {f"{slot}_initializer": [i.row.name, i.get_config()] for slot, i in self._initializers.items()}
        return {**attrs, **made, **super().get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `get_config` described."""
        made = {key: initializers.create(*config[key]) for key in config if key.endswith("_initializer")}
        return super().from_config({**config, **made})


def _spec(initializer: Initializer) -> InitializerSpec:
    return initializer if isinstance(initializer, Function) else (initializer.row.name, initializer.get_config())


class BatchNorm(_Norm):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta for each channel, the last axis.

    x and y [n, ..., channels]; gamma, beta, moving_mean and moving_variance [channels]. In training mean and variance are
    those of the batch over all other axes, and running averages follow them with every training pass::

        moving = momentum * moving + (1 - momentum) * batch

    In inference the averages take their place, so that a sample's result does not depend on the others. The variance has
    the divisor n throughout, as in Keras; PyTorch puts n - 1 under its running variance, and its momentum is 1 - momentum.

    Args:
        momentum: of the averages, 0 to 1.
        epsilon: what keeps the division safe.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: names or objects of
            `nncore.initializers`, or functions ``(shape, rng) -> array``.
        name, trainable: see `Layer`. The averages are parameters that no optimizer changes; they are saved and loaded with
            the others. A frozen layer uses them in training too, and they stand still.

    Source: Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift"; Keras ``BatchNormalization``.

    >>> import nncore as nn
    >>> model = nn.Sequential([nn.Input((2,)), nn.BatchNorm(momentum=0.5, epsilon=0.0)])
    >>> model.forward([[1.0, 0.0], [3.0, 4.0]], training=True).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> model.parameters()["batch_norm.moving_mean"].tolist()
    [1.0, 1.0]
    """

    _op = "batch_norm"

    def __init__(
        self,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: _Initial = "zeros",
        gamma_initializer: _Initial = "ones",
        moving_mean_initializer: _Initial = "zeros",
        moving_variance_initializer: _Initial = "ones",
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        attrs: dict[str, AttrValue] = {"momentum": momentum, "epsilon": epsilon, "center": center, "scale": scale}
        initial = {
            "beta": beta_initializer,
            "gamma": gamma_initializer,
            "moving_mean": moving_mean_initializer,
            "moving_variance": moving_variance_initializer,
        }
        super().__init__(attrs, initial, name, trainable)
