"""Layers: the vocabulary from which models are built."""

from __future__ import annotations

from collections.abc import Mapping

from nncore.layers.base import Layer
from nncore.layers.core import Activation, Dense, Dropout, Flatten, Input, Rescaling

__all__ = ["LAYERS", "Activation", "Dense", "Dropout", "Flatten", "Input", "Layer", "Rescaling"]

# The classes that a saved model may name.
LAYERS: Mapping[str, type[Layer]] = {cls.__name__: cls for cls in (Input, Dense, Activation, Dropout, Flatten, Rescaling)}
