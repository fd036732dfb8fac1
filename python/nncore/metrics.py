"""The metric table, and which metric ``"accuracy"`` stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nncore.optable import Shape

__all__ = ["METRICS", "Metric", "resolve"]


@dataclass(frozen=True)
class Metric:
    """One metric: a float64 value for each row of a batch; what is reported is the mean over rows.

    Attributes:
        name: as the engine knows it.
        targets: which targets it takes, as in `nncore.optable.Loss`.
    """

    name: str
    targets: tuple[str, ...] = ("values",)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        # argmax of the output [rows, classes > 1] equals the class index, or the argmax of the target's row
        Metric("accuracy", targets=("indices", "values")),
        # fraction of columns with (output > 0.5) == (target > 0.5)
        Metric("binary_accuracy"),
        # fraction of columns with (output > 0) == (target > 0.5)
        Metric("binary_accuracy_logits"),
        # mean over columns of (output - target)^2, and of |output - target|
        Metric("mse"),
        Metric("mae"),
    )
}


def check(names: Sequence[str]) -> tuple[str, ...]:
    """`names` as a tuple, every one a row of `METRICS` and none twice."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(f"metrics: expected a list of names, got {names!r}")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"metrics: expected names, got {name!r}")
        if name not in METRICS:
            raise ValueError(f"metrics: expected some of {', '.join(METRICS)}, got {name!r}")
    if len(set(names)) != len(names):
        raise ValueError(f"metrics: expected different names, got {list(names)}")
    return tuple(names)


def resolve(name: str, loss: str, output: Shape) -> str:
    """The row of `METRICS` that metric `name` stands for, beside `loss` and an output of per-sample shape `output`.

    As in Keras, ``"accuracy"`` is that of the task: of logits beside ``bce_with_logits``, binary for an output of width 1,
    else of classes.

    >>> resolve("accuracy", "cross_entropy", (10,)), resolve("accuracy", "mse", (1,))
    ('accuracy', 'binary_accuracy')

    Raises:
        ValueError: ``"accuracy"`` of classes for an output that is not one vector per sample.
    """
    if name != "accuracy":
        return name
    if loss == "bce_with_logits":
        return "binary_accuracy_logits"
    if output[-1:] == (1,):
        return "binary_accuracy"
    if len(output) != 1:
        raise ValueError(f"metric 'accuracy': expected an output of one vector per sample, got shape {output}")
    return name
