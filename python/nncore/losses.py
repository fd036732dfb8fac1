"""Losses: what a model minimises, and which targets each accepts.

A loss object configures ``Model.compile`` and, called on arrays, gives the value and the gradient for one's own loops.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, as_rows, batch_shape, check_finite
from nncore.optable import LOSSES as ROWS
from nncore.optable import AttrValue, LossSpec, Shape

__all__ = ["LOSSES", "BCEWithLogitsLoss", "CrossEntropyLoss", "Loss", "MSELoss", "get"]


class Loss(ABC):
    """A row of `nncore.optable.LOSSES` with its reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Attributes:
        name: the row's name.
        spec: the row and its options as an engine takes them.
    """

    name: ClassVar[str]

    def __init__(self, reduction: str = "mean") -> None:
        self.spec = LossSpec(self.name, ROWS[self.name].fill({"reduction": reduction}))

    @property
    def attrs(self) -> Mapping[str, AttrValue]:
        """The options."""
        return self.spec.attrs

    def check_output(self, shape: Shape) -> None:  # noqa: B027 - most losses follow any output
        """Raise ValueError unless the loss can follow an output of per-sample `shape`."""

    @abstractmethod
    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """`target` for `rows` samples of per-sample shape `output`, as an engine takes it.

        Values come in `dtype`, class indices as int32 or int64. Errors call the targets `what`.

        Raises:
            TypeError: not real numbers, or of the wrong kind.
            ValueError: the wrong shape, or values that cannot be targets.
        """

    def __call__(self, y: npt.ArrayLike, t: npt.ArrayLike) -> tuple[Any, Array]:
        """Value of the loss and its gradient with respect to `y`.

        Args:
            y: outputs [n, ...], float32 or float64.
            t: targets for them.

        Returns:
            A float, or with reduction ``"none"`` an array (for cross-entropy [n], else of y's shape); and dy of y's shape
            (with ``"none"`` the gradient of the sum).

        >>> value, dy = MSELoss()(np.array([[1.0], [3.0]]), np.array([[0.0], [3.0]]))
        >>> value, dy.tolist()
        (0.5, [[1.0], [0.0]])
        """
        from nncore import ops  # here: importing nncore must not load the compiled module

        y = as_rows(y, "y")
        if y.dtype not in (np.float32, np.float64):
            y = y.astype(np.float64)
        self.check_output(y.shape[1:])
        t = self.check_target(t, len(y), y.shape[1:], y.dtype, "t")
        reduction = self.attrs["reduction"]
        value = getattr(ops, self.name)(y, t, reduction=reduction)
        return value, getattr(ops, f"{self.name}_backward")(y, t, reduction=reduction)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.attrs.items())})"


def _rows(target: npt.ArrayLike, rows: int, what: str) -> Array:
    array = as_rows(target, what)
    if len(array) != rows:
        raise ValueError(f"{what}: expected as many targets as samples ({rows}), got {len(array)}")
    return array


def _values(array: Array, output: Shape, dtype: npt.DTypeLike, low: float, high: float, what: str) -> Array:
    """`array` as finite values [n, *output] in [low, high]; [n] stands for [n, 1]."""
    if array.ndim == 1 and output == (1,):
        array = array[:, None]
    if array.shape[1:] != output:
        raise ValueError(f"{what}: expected targets of the output's shape {batch_shape(output)}, got {array.shape}")
    with np.errstate(over="ignore"):  # what overflows is infinite and reported as such
        array = np.asarray(array, dtype)
    check_finite(array, what, low, high)
    return array


class MSELoss(Loss):
    """Mean squared error: the mean over all elements of (y - t)^2.

    Targets: finite values of y's shape; [n] is accepted for y [n, 1].

    Source: PyTorch ``MSELoss``.
    """

    name = "mse"

    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """Values [n, *output]."""
        return _values(_rows(target, rows, what), output, dtype, -np.inf, np.inf, what)


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy on logits: the mean over all elements of log(1 + exp(y)) - t y.

    Targets: values in [0, 1] of y's shape; [n] is accepted for y [n, 1].

    Source: PyTorch ``BCEWithLogitsLoss``.
    """

    name = "bce_with_logits"

    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """Values [n, *output] in [0, 1]."""
        return _values(_rows(target, rows, what), output, dtype, 0.0, 1.0, what)


class CrossEntropyLoss(Loss):
    """Cross-entropy on logits: the mean over rows of -sum_c t_c log softmax(y)_c.

    The last layer needs no softmax: y [n, classes >= 2] are logits. Targets: integer class indices [n] or [n, 1], or
    probabilities (one-hot or not) [n, classes].

    Source: PyTorch ``CrossEntropyLoss``.

    >>> value, dy = CrossEntropyLoss()(np.zeros((1, 2)), [1])
    >>> round(value, 6), dy.tolist()
    (0.693147, [[0.5, -0.5]])
    """

    name = "cross_entropy"

    def check_output(self, shape: Shape) -> None:
        """Raise ValueError unless the output is one vector of at least two logits per sample."""
        if len(shape) != 1 or shape[0] < 2:
            hint = "; for one logit use bce_with_logits" if shape == (1,) else ""
            raise ValueError(
                f"loss 'cross_entropy': expected an output of shape (n, classes >= 2), got {batch_shape(shape)}{hint}"
            )

    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """Indices [n] as int32 or int64, or probabilities [n, classes]."""
        array = _rows(target, rows, what)
        if array.shape[1:] not in ((), (1,)):
            return _values(array, output, dtype, 0.0, np.inf, what)
        if array.dtype.kind == "f":
            check_finite(array, what)
            raise TypeError(
                f"{what}: expected integer class indices in shape {array.shape}, got {array.dtype}; cast with .astype(int)"
            )
        array = array.reshape(-1)
        classes = output[0]
        if int(array.min()) < 0 or int(array.max()) >= classes:
            row = int(((array < 0) | (array >= classes)).argmax())
            raise ValueError(f"{what}: expected class indices from 0 to {classes - 1}, got {array[row]} in row {row}")
        return array if array.dtype in (np.int32, np.int64) else array.astype(np.int32)


LOSSES: Mapping[str, type[Loss]] = {cls.name: cls for cls in (MSELoss, CrossEntropyLoss, BCEWithLogitsLoss)}


def get(value: str | Loss) -> Loss:
    """`value` itself, or the loss of that name, averaged."""
    if isinstance(value, Loss):
        return value
    if not isinstance(value, str):
        raise TypeError(f"loss: expected a name or a Loss, got {value!r}")
    if value not in LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {value!r}")
    return LOSSES[value]()
