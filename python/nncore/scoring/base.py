"""What a metric is: it sees targets and predictions piece by piece, and tells its value over all of them."""

from __future__ import annotations

import copy
import math
import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array
from nncore.optable import Shape

__all__ = ["CheckedMetric", "Metric"]


class Metric(ABC):
    """A value over a set of samples that arrive in pieces of any size: exact over the whole set, not a mean of means.

    A metric of one's own is a subclass with `reset`, `update` and `result`. An option is set before ``super().__init__``,
    which ends with `reset`.

    >>> import numpy as np, nncore as nn
    >>> class LargestError(nn.metrics.Metric):
    ...     greater_is_better = False
    ...
    ...     def reset(self):
    ...         self.largest = 0.0
    ...
    ...     def update(self, y_true, y_pred, sample_weight=None):
    ...         self.largest = max(self.largest, float(np.abs(y_pred - y_true).max()))
    ...
    ...     def result(self):
    ...         return self.largest
    >>> model = nn.Sequential([nn.Input((1,)), nn.Dense(1, kernel_initializer="ones")])
    >>> model.compile(loss="mse", metrics=[LargestError()])
    >>> model.evaluate([[1.0], [2.0]], [[1.5], [5.0]])
    {'loss': 4.625, 'largest_error': 3.0}

    Args:
        name: what the value is called in logs; by default the class's name in snake case.

    Attributes:
        greater_is_better: which way is better.
        probabilities: the predictions are probabilities: of a model whose loss takes logits, the metric is given their
            softmax or sigmoid, as the loss has it.
    """

    greater_is_better: ClassVar[bool] = True
    probabilities: ClassVar[bool] = False

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise ValueError(f"name of {type(self).__name__}: expected a non-empty string, got {name!r}")
        self.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower() if name is None else name
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forget all samples."""

    @abstractmethod
    def update(self, y_true: npt.ArrayLike, y_pred: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> None:
        """Take in the samples of one piece.

        Args:
            y_true: targets [n, ...].
            y_pred: predictions [n, ...].
            sample_weight: how often each sample counts, [n]; ``None``: once.
        """

    @abstractmethod
    def result(self) -> Any:  # noqa: ANN401 - a confusion matrix is no float
        """The value over all samples since the last `reset`: a float, for a confusion matrix an array."""

    def check(self, output: Shape) -> None:  # noqa: B027 - most metrics of one's own take any output
        """Raise ValueError unless the metric can follow a model's output of per-sample shape `output`."""

    def check_target(self, y_true: Array, output: Shape, sample_weight: Array | None = None) -> None:  # noqa: B027 - as above
        """Raise TypeError or ValueError unless such targets and weights go with outputs of per-sample shape `output`."""

    def fresh(self) -> Self:
        """A copy that has seen no samples."""
        made = copy.copy(self)
        made.reset()
        return made

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class CheckedMetric(Metric):
    """A metric whose `update` refuses what it cannot compare, and has no effect but on itself."""

    def check_target(self, y_true: Array, output: Shape, sample_weight: Array | None = None) -> None:
        """A rehearsal, with predictions that are valid whatever the metric takes them for."""
        self.fresh().update(y_true, np.full((len(y_true), *output), 1.0 / max(1, math.prod(output))), sample_weight)
