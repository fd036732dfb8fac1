"""Losses: what a model minimises, and which targets each accepts.

A loss object configures ``Model.compile`` and, called on arrays, gives the value and the gradient for one's own loops.

All take ``reduction``: ``"mean"``, ``"sum"`` or ``"none"``. A mean with sample weights w is the weighted mean
``sum(w * loss) / sum(w)``; with the class weights of `CrossEntropyLoss` and `NLLLoss`, which PyTorch averages in the same
way, both weights multiply. The mean of a batch in which nothing weighs anything, as where all rows are to be ignored, is
0, and training takes no step on it (PyTorch: NaN).
"""

from __future__ import annotations

from collections.abc import Mapping

from nncore.class_losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    FocalLoss,
    HingeLoss,
    KLDivLoss,
    MultiMarginLoss,
    NLLLoss,
    SquaredHingeLoss,
)
from nncore.loss_base import Loss
from nncore.value_losses import (
    CosineLoss,
    GaussianNLLLoss,
    HuberLoss,
    LogCoshLoss,
    MAELoss,
    MSELoss,
    PoissonLoss,
    QuantileLoss,
    SmoothL1Loss,
)

__all__ = [
    "LOSSES",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "GaussianNLLLoss",
    "HingeLoss",
    "HuberLoss",
    "KLDivLoss",
    "LogCoshLoss",
    "Loss",
    "MAELoss",
    "MSELoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonLoss",
    "QuantileLoss",
    "SmoothL1Loss",
    "SquaredHingeLoss",
    "get",
]

LOSSES: Mapping[str, type[Loss]] = {
    cls.name: cls
    for cls in (
        MSELoss,
        CrossEntropyLoss,
        BCEWithLogitsLoss,
        BCELoss,
        CosineLoss,
        FocalLoss,
        GaussianNLLLoss,
        HingeLoss,
        HuberLoss,
        KLDivLoss,
        LogCoshLoss,
        MAELoss,
        MultiMarginLoss,
        NLLLoss,
        PoissonLoss,
        QuantileLoss,
        SmoothL1Loss,
        SquaredHingeLoss,
    )
}


def get(value: str | Loss) -> Loss:
    """`value` itself, or the loss of that name, averaged."""
    if isinstance(value, Loss):
        return value
    if not isinstance(value, str):
        raise TypeError(f"loss: expected a name or a Loss, got {value!r}")
    if value not in LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {value!r}")
    return LOSSES[value]()
