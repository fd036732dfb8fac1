"""Layers: the vocabulary from which models are built."""

from __future__ import annotations

from collections.abc import Mapping

from nncore.layers.base import Layer, Tensor
from nncore.layers.core import Activation, Dense, Dropout, Flatten, Input, Rescaling
from nncore.layers.merging import Add, Average, Concatenate, Multiply
from nncore.layers.normalization import BatchNorm
from nncore.layers.prelu import PReLU

__all__ = [
    "LAYERS",
    "Activation",
    "Add",
    "Average",
    "BatchNorm",
    "Concatenate",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "Layer",
    "Multiply",
    "PReLU",
    "Rescaling",
    "Tensor",
]

# The classes that a saved model may name.
LAYERS: Mapping[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        *(Input, Dense, Activation, Dropout, Flatten, Rescaling),
        *(Add, Multiply, Average, Concatenate),
        *(BatchNorm, PReLU),
    )
}
