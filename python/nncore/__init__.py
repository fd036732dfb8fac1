"""nncore: neural networks on the CPU, one small graph with a native and a NumPy engine behind it.

>>> import nncore as nn
>>> model = nn.Sequential([nn.Input((4,)), nn.Dense(8, activation="relu"), nn.Dense(3)])
>>> model.output_shape
(3,)
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nncore import (
        callbacks,
        classic,
        data,
        datasets,
        explain,
        initializers,
        io,
        layers,
        losses,
        metrics,
        onnx,
        ops,
        optimizers,
        plots,
        reference,
        regularizers,
        schedules,
    )
    from nncore.differences import gradcheck
    from nncore.history import History
    from nncore.initializers import (
        Constant,
        GlorotNormal,
        GlorotUniform,
        HeNormal,
        HeUniform,
        LecunNormal,
        LecunUniform,
        Ones,
        Orthogonal,
        RandomNormal,
        RandomUniform,
        TruncatedNormal,
        VarianceScaling,
        Zeros,
    )
    from nncore.io import load
    from nncore.layers import (
        Activation,
        Add,
        AlphaDropout,
        Average,
        BatchNorm,
        Concatenate,
        Dense,
        Dropout,
        Embedding,
        Flatten,
        GaussianNoise,
        Input,
        Layer,
        LayerNorm,
        Multiply,
        Normalization,
        OneHot,
        PReLU,
        Rescaling,
        Reshape,
        RMSNorm,
        Tensor,
    )
    from nncore.losses import (
        BCELoss,
        BCEWithLogitsLoss,
        CosineLoss,
        CrossEntropyLoss,
        FocalLoss,
        GaussianNLLLoss,
        HingeLoss,
        HuberLoss,
        KLDivLoss,
        LogCoshLoss,
        Loss,
        MAELoss,
        MSELoss,
        MultiMarginLoss,
        NLLLoss,
        PoissonLoss,
        QuantileLoss,
        SmoothL1Loss,
        SquaredHingeLoss,
    )
    from nncore.model import Model
    from nncore.optimizers import (
        LAMB,
        LBFGS,
        SGD,
        Adadelta,
        Adagrad,
        Adam,
        Adamax,
        AdamW,
        Lion,
        NAdam,
        RAdam,
        RMSprop,
    )
    from nncore.regularizers import L1, L1L2, L2, MaxNorm
    from nncore.sequential import Sequential
    from nncore.threads import get_num_threads, set_num_threads
    from nncore.weights import average_weights

__version__ = "0.1.0"

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "LAMB",
    "LBFGS",
    "SGD",
    "Activation",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Add",
    "AlphaDropout",
    "Average",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm",
    "Concatenate",
    "Constant",
    "CosineLoss",
    "CrossEntropyLoss",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "FocalLoss",
    "GaussianNLLLoss",
    "GaussianNoise",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "HingeLoss",
    "History",
    "HuberLoss",
    "Input",
    "KLDivLoss",
    "Layer",
    "LayerNorm",
    "LecunNormal",
    "LecunUniform",
    "Lion",
    "LogCoshLoss",
    "Loss",
    "MAELoss",
    "MSELoss",
    "MaxNorm",
    "Model",
    "MultiMarginLoss",
    "Multiply",
    "NAdam",
    "NLLLoss",
    "Normalization",
    "OneHot",
    "Ones",
    "Orthogonal",
    "PReLU",
    "PoissonLoss",
    "QuantileLoss",
    "RAdam",
    "RMSNorm",
    "RMSprop",
    "RandomNormal",
    "RandomUniform",
    "Rescaling",
    "Reshape",
    "Sequential",
    "SmoothL1Loss",
    "SquaredHingeLoss",
    "Tensor",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "average_weights",
    "callbacks",
    "classic",
    "data",
    "datasets",
    "explain",
    "get_num_threads",
    "gradcheck",
    "initializers",
    "io",
    "layers",
    "load",
    "losses",
    "metrics",
    "onnx",
    "ops",
    "optimizers",
    "plots",
    "reference",
    "regularizers",
    "schedules",
    "set_num_threads",
]

if os.environ.get("NNCORE_ISA"):
    from nncore import _core as _core  # a name that is unknown or unsupported here is an ImportError now, not at first use

# Nothing is imported before somebody asks for it: a name is looked up where it may come from, in this order.
_HOMES = (
    "sequential",
    "model",
    "layers",
    "losses",
    "optimizers",
    "initializers",
    "regularizers",
    "history",
    "threads",
    "io",
    "differences",
    "weights",
)
_SUBMODULES = {
    "callbacks",
    "classic",
    "data",
    "datasets",
    "explain",
    "initializers",
    "io",
    "layers",
    "losses",
    "metrics",
    "onnx",
    "ops",
    "optimizers",
    "plots",
    "reference",
    "regularizers",
    "schedules",
}


def __getattr__(name: str) -> object:
    """Import a public name when somebody asks for it."""
    if name in _SUBMODULES:
        return importlib.import_module(f"nncore.{name}")
    if name in __all__:
        for home in _HOMES:
            module = importlib.import_module(f"nncore.{home}")
            if name in module.__all__:
                value: object = getattr(module, name)
                globals()[name] = value
                return value
    raise AttributeError(f"module 'nncore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


importlib.import_module("nncore.threads")  # it looks after forks, from here on
