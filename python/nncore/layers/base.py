"""What a layer is: configuration that knows which graph nodes to add."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

from nncore.graph import GraphBuilder

__all__ = ["Layer"]


class Layer(ABC):
    """A step of a network, described but not computed.

    A layer holds its options and no weights: each model made from it has its own.

    Attributes:
        name: the layer's name in the model, or ``None``: the model makes one from the class (``dense``, ``dense_1``, ...).
    """

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise ValueError(f"name of {type(self).__name__}: expected a non-empty string, got {name!r}")
        self.name = name

    @abstractmethod
    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add this layer's nodes, called `name`, after the nodes `inputs`; returns the index of the last.

        Raises:
            ValueError: the inputs' shapes do not fit.
        """

    def get_config(self) -> dict[str, Any]:
        """The options, JSON-like, such that ``from_config`` makes an equal layer."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        options = {k: v for k, v in self.get_config().items() if v is not None}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in options.items())})"
