"""Layers: the vocabulary from which models are built."""

from __future__ import annotations

from collections.abc import Mapping

from nncore.layers.base import Layer, Tensor
from nncore.layers.core import (
    Activation,
    AlphaDropout,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    Input,
    Rescaling,
    Reshape,
)
from nncore.layers.indices import Embedding, OneHot
from nncore.layers.merging import Add, Average, Concatenate, Multiply
from nncore.layers.normalization import BatchNorm, LayerNorm, Normalization, RMSNorm
from nncore.layers.prelu import PReLU

__all__ = [
    "LAYERS",
    "Activation",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNorm",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "Input",
    "Layer",
    "LayerNorm",
    "Multiply",
    "Normalization",
    "OneHot",
    "PReLU",
    "RMSNorm",
    "Rescaling",
    "Reshape",
    "Tensor",
]

# The classes that a saved model may name.
LAYERS: Mapping[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        *(Input, Dense, Activation, Dropout, Flatten, Rescaling),
        *(Add, Multiply, Average, Concatenate),
        *(BatchNorm, PReLU),
        *(LayerNorm, RMSNorm, Normalization, AlphaDropout, GaussianNoise, Reshape, Embedding, OneHot),
    )
}
