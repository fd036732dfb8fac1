"""Callbacks: what `Model.fit` calls between epochs, and between steps where one asks for them.

Names and options are those of Keras; learning-rate schedules that are functions of the step are in `nncore.schedules`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from nncore.callbacks.base import Callback

if TYPE_CHECKING:
    from nncore.callbacks.loggers import CSVLogger, JSONLogger
    from nncore.callbacks.model_checkpoint import ModelCheckpoint
    from nncore.callbacks.monitors import EarlyStopping, ReduceLROnPlateau
    from nncore.callbacks.small import LambdaCallback, LearningRateScheduler, TerminateOnNaN
    from nncore.callbacks.tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "JSONLogger",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]

# Where the classes are; imported when somebody asks for one.
_HOMES = {
    **dict.fromkeys(("CSVLogger", "JSONLogger"), "loggers"),
    **dict.fromkeys(("EarlyStopping", "ReduceLROnPlateau"), "monitors"),
    **dict.fromkeys(("LambdaCallback", "LearningRateScheduler", "TerminateOnNaN"), "small"),
    "ModelCheckpoint": "model_checkpoint",
    "TensorBoard": "tensorboard",
}


def __getattr__(name: str) -> object:
    """Import one of `_HOMES` when somebody asks for it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nncore.callbacks' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nncore.callbacks.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
