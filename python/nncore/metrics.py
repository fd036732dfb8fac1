"""Metrics: what is reported of a model beside its loss, and the same as objects for one's own use.

``Model.compile(metrics=[...])`` takes names and objects. The names in `METRICS` are computed by the engine, row by row,
also while training. All others (`NAMES`, and objects) are computed from the outputs over the whole set, and are reported by
`Model.evaluate` and for validation data only. Values are those of scikit-learn.

>>> import nncore as nn
>>> metric = nn.metrics.F1("macro")
>>> metric.update([0, 1, 2], [0, 1, 1])  # piece by piece
>>> metric.update([2, 2], [2, 2])
>>> round(metric.result(), 6)
0.822222
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nncore.optable import Shape
from nncore.scoring.base import Metric

if TYPE_CHECKING:
    from nncore.scoring.classification import F1, Accuracy, BinaryAccuracy, ConfusionMatrix, Precision, Recall, TopKAccuracy
    from nncore.scoring.ranking import ROCAUC, AveragePrecision, LogLoss
    from nncore.scoring.regression import MAE, MAPE, MSE, R2, RMSE, CosineSimilarity

__all__ = [
    "F1",
    "MAE",
    "MAPE",
    "METRICS",
    "MSE",
    "NAMES",
    "R2",
    "RMSE",
    "ROCAUC",
    "Accuracy",
    "AveragePrecision",
    "BinaryAccuracy",
    "ConfusionMatrix",
    "CosineSimilarity",
    "LogLoss",
    "Metric",
    "Precision",
    "Recall",
    "RowMetric",
    "TopKAccuracy",
    "check",
    "get",
    "resolve",
]


@dataclass(frozen=True)
class RowMetric:
    """One metric: a float64 value for each row of a batch; what is reported is the mean over rows.

    Attributes:
        name: as the engine knows it.
        targets: which targets it takes, as in `nncore.optable.Loss`.
    """

    name: str
    targets: tuple[str, ...] = ("values",)


METRICS: Mapping[str, RowMetric] = {
    metric.name: metric
    for metric in (
        # argmax of the output [rows, classes > 1] equals the class index, or the argmax of the target's row
        RowMetric("accuracy", targets=("indices", "values")),
        # fraction of columns with (output > 0.5) == (target > 0.5)
        RowMetric("binary_accuracy"),
        # fraction of columns with (output > 0) == (target > 0.5)
        RowMetric("binary_accuracy_logits"),
        # mean over columns of (output - target)^2, and of |output - target|
        RowMetric("mse"),
        RowMetric("mae"),
    )
}

# Where the classes are; imported when somebody asks for one.
_HOMES = {
    **dict.fromkeys(("MAE", "MAPE", "MSE", "R2", "RMSE", "CosineSimilarity"), "regression"),
    **dict.fromkeys(("ROCAUC", "AveragePrecision", "LogLoss"), "ranking"),
    **dict.fromkeys(
        ("F1", "Accuracy", "BinaryAccuracy", "ConfusionMatrix", "Precision", "Recall", "TopKAccuracy"), "classification"
    ),
}

# The metrics that a name stands for, beside those of the engines: class and options. The name is the object's own.
NAMES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{
        f"{stem.lower()}{'' if average == 'binary' else f'_{average}'}": (stem, {"average": average})
        for stem in ("Precision", "Recall", "F1")
        for average in ("binary", "micro", "macro", "weighted")
    },
    "top_5_accuracy": ("TopKAccuracy", {}),
    "roc_auc": ("ROCAUC", {}),
    **{
        f"roc_auc_{pairs}{'' if average == 'macro' else f'_{average}'}": (
            "ROCAUC",
            {"multi_class": pairs, "average": average},
        )
        for pairs in ("ovr", "ovo")
        for average in ("macro", "weighted")
    },
    "average_precision": ("AveragePrecision", {}),
    "log_loss": ("LogLoss", {}),
    "rmse": ("RMSE", {}),
    "mape": ("MAPE", {}),
    "r2": ("R2", {}),
    "cosine_similarity": ("CosineSimilarity", {}),
}


def __getattr__(name: str) -> object:
    """Import one of `_HOMES` when somebody asks for it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nncore.metrics' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nncore.scoring.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def get(value: str | Metric) -> Metric:
    """`value` itself, or a new metric of that name.

    >>> get("f1_macro"), get("mse")
    (<F1 'f1_macro'>, <MSE 'mse'>)

    Raises:
        TypeError: neither a name nor a metric.
        ValueError: an unknown name.
    """
    if isinstance(value, Metric):
        return value
    if not isinstance(value, str):
        raise TypeError(f"metric: expected a name or an object of a class derived from Metric, got {value!r}")
    of_engine = {"accuracy": "Accuracy", "binary_accuracy": "BinaryAccuracy", "mse": "MSE", "mae": "MAE"}
    if value not in NAMES and value not in of_engine:
        raise ValueError(f"metric: expected one of {', '.join([*of_engine, *NAMES])}, got {value!r}")
    kind, options = NAMES[value] if value in NAMES else (of_engine[value], {})
    made: Metric = getattr(importlib.import_module(f"nncore.scoring.{_HOMES[kind]}"), kind)(**options)
    return made


def check(metrics: Sequence[str | Metric]) -> tuple[tuple[str, ...], tuple[Metric, ...]]:
    """What `Model.compile` is given, as rows of `METRICS` for the engine, and metrics of the outputs.

    Raises:
        TypeError, ValueError: no sequence of names and metrics, an unknown name, or two of one name.
    """
    given: Any = metrics  # Any: what users pass is checked here
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"metrics: expected a list of names and metrics, got {metrics!r}")
    rows, others = [], []
    for metric in metrics:
        if isinstance(metric, str) and metric not in METRICS and metric not in NAMES:
            raise ValueError(f"metrics: expected some of {', '.join([*METRICS, *NAMES])}, got {metric!r}")
        if isinstance(metric, str) and metric in METRICS:
            rows.append(metric)
        else:
            others.append(get(metric))
    for other in others:
        if not hasattr(other, "name"):
            raise TypeError(f"metrics: expected metrics with a name, got {type(other).__name__} (call super().__init__)")
    names = [*rows, *(other.name for other in others)]
    if len(set(names)) != len(names) or "loss" in names:
        raise ValueError(f"metrics: expected different names, none of them 'loss', got {names}")
    return tuple(rows), tuple(others)


def resolve(name: str, loss: str, output: Shape) -> str:
    """The row of `METRICS` that metric `name` stands for, beside `loss` and an output of per-sample shape `output`.

    As in Keras, ``"accuracy"`` is that of the task: of logits beside ``bce_with_logits``, ``focal`` and the hinges, binary
    for an output of width 1, else of classes.

    >>> resolve("accuracy", "cross_entropy", (10,)), resolve("accuracy", "mse", (1,))
    ('accuracy', 'binary_accuracy')

    Raises:
        ValueError: ``"accuracy"`` of classes for an output that is not one vector per sample.
    """
    if name != "accuracy":
        return name
    if loss in ("bce_with_logits", "focal", "hinge", "squared_hinge"):
        return "binary_accuracy_logits"
    if output[-1:] == (1,):
        return "binary_accuracy"
    if len(output) != 1:
        raise ValueError(f"metric 'accuracy': expected an output of one vector per sample, got shape {output}")
    return name
