"""What a loss object is, and the two kinds of targets: values beside each element, and classes of rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, as_rows, batch_shape, check_finite, real
from nncore.optable import LOSSES as ROWS
from nncore.optable import AttrValue, LossSpec, Shape

__all__ = ["ClassLoss", "ElementLoss", "Loss", "PlainTargets", "check_values", "rows_of"]


class PlainTargets(NamedTuple):
    """Targets in need of no conversion: class indices where `indices`, and finite values in [low, high]."""

    indices: bool
    low: float
    high: float


class Loss:
    """A row of `nncore.optable.LOSSES` with its options, or a loss written in Python.

    A loss of your own is a subclass with two methods on NumPy arrays, called once for each batch: ``forward(self, y, t)``
    gives the loss of each sample [n] from outputs y [n, ...] and targets t, and ``backward(self, y, t)`` the gradient of
    their sum with respect to y. A batch's loss is their mean, weighted by the samples' weights.

    Attributes:
        name: the row's name, or made from the class's.
        spec: the row and its options as an engine takes them; a loss of one's own has none.
    """

    name: ClassVar[str]
    spec: LossSpec

    def __init_subclass__(cls) -> None:
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, reduction: str = "mean", **options: Any) -> None:  # noqa: ANN401 - each subclass says which
        if self.own:
            if reduction != "mean" or options:
                raise ValueError(f"{type(self).__name__}: expected no options, which a loss of one's own keeps itself")
            return
        row = ROWS[self.name]
        arrays = {key: vector(key, value) for key, value in options.items() if key in row.arrays and value is not None}
        attrs = {key: value for key, value in options.items() if key not in row.arrays}
        self.spec = LossSpec(self.name, row.fill({"reduction": reduction, **attrs}), arrays)

    @property
    def attrs(self) -> Mapping[str, AttrValue]:
        """The options that are no vectors."""
        return {"reduction": "mean"} if self.own else self.spec.attrs

    @property
    def own(self) -> bool:
        """Whether it is written in Python by the user."""
        return hasattr(self, "forward")

    def check_output(self, shape: Shape) -> None:
        """Raise ValueError unless the loss can follow an output of per-sample `shape`."""
        if not self.own:
            _ = self.spec.encoded(shape)

    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """`target` for `rows` samples of per-sample shape `output`, as an engine takes it.

        Values come in `dtype`, class indices as int32 or int64. Errors call the targets `what`.

        Raises:
            TypeError: not real numbers, or of the wrong kind.
            ValueError: the wrong shape, or values that cannot be targets.
        """
        array = rows_of(target, rows, what)
        return array if array.dtype.kind != "f" else np.asarray(array, dtype)

    @property
    def plain_targets(self) -> PlainTargets | None:
        """The targets that `check_target` would give back as they are; None where there may be none."""
        return None

    def values(self, y: Array, t: Array) -> Array:
        """What a loss of one's own gives for each sample, in float64 [n]; TypeError or ValueError for anything else."""
        return _own_result(f"{type(self).__name__}.forward", self._method("forward")(y, t), (len(y),))

    def gradient(self, y: Array, t: Array, w: Array | None) -> Array:
        """The gradient of the mean, weighted by w [n], of a loss of one's own, in float64 of y's shape."""
        gradient = _own_result(f"{type(self).__name__}.backward", self._method("backward")(y, t), y.shape)
        weights = np.ones(len(y)) if w is None else w
        total = weights.sum()
        shares = weights / total if total > 0 else weights
        return np.asarray(gradient * shares.reshape(-1, *[1] * (y.ndim - 1)))

    def _method(self, name: str) -> Callable[..., Any]:
        method: Any = getattr(self, name, None)
        if not callable(method):
            raise TypeError(f"{type(self).__name__}: expected a method {name!r}, as losses of one's own have")
        return method  # type: ignore[no-any-return]

    def __call__(self, y: npt.ArrayLike, t: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> tuple[Any, Array]:
        """Value of the loss and its gradient with respect to `y`.

        Args:
            y: outputs [n, ...], float32 or float64.
            t: targets for them.
            sample_weight: what each sample counts, [n]; without it, one.

        Returns:
            A float, or with reduction ``"none"`` an array (for losses of whole rows such as cross-entropy [n], else of the
            target's shape); and dy of y's shape (with ``"none"`` the gradient of the sum).

        >>> import nncore as nn
        >>> value, dy = nn.MSELoss()(np.array([[1.0], [3.0]]), np.array([[0.0], [3.0]]))
        >>> value, dy.tolist()
        (0.5, [[1.0], [0.0]])
        """
        from nncore import ops  # here: importing nncore must not load the compiled module

        y = as_rows(y, "y")
        if y.dtype not in (np.float32, np.float64):
            y = y.astype(np.float64)
        self.check_output(y.shape[1:])
        t = self.check_target(t, len(y), y.shape[1:], y.dtype, "t")
        if self.own:
            w = None if sample_weight is None else np.asarray(real(sample_weight, "sample_weight"), np.float64)
            total = float(len(y) if w is None else w.sum())
            values = self.values(y, t) if w is None else self.values(y, t) * w
            return float(values.sum()) / total if total > 0 else 0.0, self.gradient(y, t, w).astype(y.dtype)
        value = getattr(ops, self.name)(y, t, **self.spec.options, sample_weight=sample_weight)
        return value, getattr(ops, f"{self.name}_backward")(y, t, **self.spec.options, sample_weight=sample_weight)

    def __repr__(self) -> str:
        if self.own:
            return f"{type(self).__name__}()"
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.spec.options.items())})"


def _own_result(what: str, value: object, shape: Shape) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what}: expected an array of real numbers, got {value!r}")
    if array.shape != shape:
        raise ValueError(f"{what}: expected shape {shape}, got {array.shape}")
    return array.astype(np.float64)


def vector(name: str, value: npt.ArrayLike) -> tuple[float, ...]:
    """The array option `name` as numbers that are finite and not negative; one number stands for a vector of length 1."""
    array = real(value, name)
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name}: expected a number or a vector of them, got shape {array.shape}")
    array = array.astype(np.float64).reshape(-1)
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if bad.size:
        raise ValueError(f"{name}: expected finite numbers that are not negative, got {array[bad[0]]} at position {bad[0]}")
    return tuple(array.tolist())


def rows_of(target: npt.ArrayLike, rows: int, what: str) -> Array:
    """`target` as an array of that many rows."""
    array = as_rows(target, what)
    if len(array) != rows:
        raise ValueError(f"{what}: expected as many targets as samples ({rows}), got {len(array)}")
    return array


def check_values(array: Array, output: Shape, dtype: npt.DTypeLike, low: float, high: float, what: str) -> Array:
    """`array` as finite values [n, *output] in [low, high]; [n] stands for [n, 1]."""
    if array.ndim == 1 and output == (1,):
        array = array[:, None]
    if array.shape[1:] != output:
        raise ValueError(f"{what}: expected targets of the output's shape {batch_shape(output)}, got {array.shape}")
    with np.errstate(over="ignore"):  # what overflows is infinite and reported as such
        array = np.asarray(array, dtype)
    check_finite(array, what, low, high)
    return array


class ElementLoss(Loss):
    """A loss of single elements: targets are finite values of y's shape, where [n] is accepted for y [n, 1].

    Attributes:
        low, high: bounds of the targets.
    """

    low: ClassVar[float] = -np.inf
    high: ClassVar[float] = np.inf

    @property
    def bounds(self) -> tuple[float, float]:
        """The bounds that hold with the options of this loss."""
        return self.low, self.high

    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """Values [n, *output]."""
        return check_values(rows_of(target, rows, what), output, dtype, *self.bounds, what)

    @property
    def plain_targets(self) -> PlainTargets | None:
        """Values within the bounds."""
        return PlainTargets(False, *self.bounds) if type(self).check_target is ElementLoss.check_target else None


class ClassLoss(Loss):
    """A loss of rows of scores: y is [n, classes >= 2] and targets are integer class indices [n] or [n, 1].

    Attributes:
        hint: what the message for an output of one score adds.
    """

    hint: ClassVar[str] = ""

    def check_output(self, shape: Shape) -> None:
        """Raise ValueError unless the output is one vector of at least two scores per sample, with a weight for each."""
        if len(shape) != 1 or shape[0] < 2:
            hint = self.hint if shape == (1,) else "; a Flatten makes each sample a vector" if len(shape) > 1 else ""
            raise ValueError(
                f"loss {self.name!r}: expected an output of shape (n, classes >= 2), got {batch_shape(shape)}{hint}"
            )
        for key, array in self.spec.arrays.items():
            if len(array) != shape[0]:
                raise ValueError(f"{key}: expected one number for each of {shape[0]} classes, got {len(array)}")

    def check_target(self, target: npt.ArrayLike, rows: int, output: Shape, dtype: npt.DTypeLike, what: str = "y") -> Array:
        """Indices [n] as int32 or int64; where the row has probabilities too, those [n, classes]."""
        array = rows_of(target, rows, what)
        if "values" in ROWS[self.name].targets and array.shape[1:] not in ((), (1,)):
            return check_values(array, output, dtype, 0.0, np.inf, what)
        if array.shape[1:] not in ((), (1,)):
            raise ValueError(f"{what}: expected class indices of shape ({rows},), got {array.shape}")
        if array.dtype.kind == "f":
            check_finite(array, what)
            raise TypeError(
                f"{what}: expected integer class indices in shape {array.shape}, got {array.dtype}; cast with .astype(int)"
            )
        array = array.reshape(-1)
        classes = output[0]
        if int(array.min()) < 0 or int(array.max()) >= classes:
            bad = (array < 0) | (array >= classes)
            if "ignore_index" in self.attrs:
                bad &= array != self.attrs["ignore_index"]
            if bad.any():
                row = int(bad.argmax())
                raise ValueError(f"{what}: expected class indices from 0 to {classes - 1}, got {array[row]} in row {row}")
        return array if array.dtype in (np.int32, np.int64) else array.astype(np.int32)

    @property
    def plain_targets(self) -> PlainTargets | None:
        """Class indices, unless one of them means a row to ignore; where the row has probabilities too, those."""
        if type(self).check_target is not ClassLoss.check_target:
            return None
        return PlainTargets(
            int(self.attrs.get("ignore_index", -1)) < 0, 0.0, np.inf if "values" in ROWS[self.name].targets else -np.inf
        )
