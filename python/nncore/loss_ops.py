"""The native losses as functions on NumPy arrays; `nncore.ops` has them beside the other ops.

Each is made of its row in the op table, and has the signature and the docstring of the reference function of its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt

from nncore import _core, reference
from nncore.optable import LOSSES, AttrValue, Loss
from nncore.reference.arrays import Array, alike, as_array, as_floats
from nncore.reference.losses import check_rows, class_scores, class_weights
from nncore.reference.reductions import check_indices, check_reduction, check_weights, columns
from nncore.reference.value_losses import quantiles, split_target_shape

if TYPE_CHECKING:  # the functions that are made below
    from nncore.reference.class_losses import *  # noqa: F403
    from nncore.reference.losses import *  # noqa: F403
    from nncore.reference.value_losses import *  # noqa: F403

__all__ = [name for loss in LOSSES for name in (loss, f"{loss}_backward")]

Options = Mapping[str, Any]
_P = ParamSpec("_P")
_ResultT = TypeVar("_ResultT")


@dataclass(eq=False, repr=False)
class _Rows:
    """What a loss is of, as its kernel takes it.

    Attributes:
        input: rows [rows, n].
        target: values for as many rows, or the class of each as int32, -1 where it is ignored.
        columns: the array options, a number for each column of the rows, or None.
        weights: of the rows, or None.
        shares: what each row counts in a mean that class weights weigh, or None.
        shape: of the input as it came, and so of the gradient.
        parts: shape of the loss's values.
    """

    input: Array
    target: Array
    columns: list[Array | None]
    weights: Array | None
    shares: Array | None
    shape: tuple[int, ...]
    parts: tuple[int, ...]


def contiguous(**values: npt.ArrayLike) -> list[Array]:
    """Arrays of one shape and dtype, as kernels take them."""
    return [np.ascontiguousarray(a).reshape(a.shape) for a in alike(**values)]


def _elements(
    row: Loss, input: npt.ArrayLike, target: npt.ArrayLike, reduction: str, weight: npt.ArrayLike | None, options: Options
) -> _Rows:
    """Of a loss with a value for each element."""
    x, t = contiguous(input=input, target=target)
    check_reduction(x.size, reduction)
    weights = None if weight is None else check_weights(weight, x.shape)
    if row.name == "quantile":
        quantiles(options["quantile"], x)
    together = weights is None and x.ndim < 2  # a vector is one row, unless its elements have weights
    rows = x.reshape(1 if together else len(x), -1) if x.size else x.reshape(0, 1)
    found = []
    for name in row.arrays:
        array = columns(name, options[name], x.shape[1:])
        array = None if array is None else np.broadcast_to(array.reshape(1, -1), (1, rows.shape[1]))
        found.append(None if array is None else np.ascontiguousarray(array, rows.dtype))
    return _Rows(rows, t.reshape(rows.shape), found, weights if x.size else None, None, x.shape, x.shape)


def _halves(
    row: Loss, input: npt.ArrayLike, target: npt.ArrayLike, reduction: str, weight: npt.ArrayLike | None, options: Options
) -> _Rows:
    """Of a loss with a value for each two elements of the input."""
    x, t = (np.ascontiguousarray(a).reshape(np.shape(a)) for a in as_floats(input=input, target=target))
    split_target_shape(x, t)
    check_reduction(t.size, reduction)
    weights = None if weight is None else check_weights(weight, t.shape)
    rows = x.reshape(-1, np.shape(x)[-1])
    if weights is not None:
        weights = np.repeat(weights, len(rows) // max(1, len(weights)))
    return _Rows(rows, t.reshape(-1, np.shape(t)[-1]), [], weights, None, x.shape, t.shape)


def _whole_rows(
    row: Loss, input: npt.ArrayLike, target: npt.ArrayLike, reduction: str, weight: npt.ArrayLike | None, options: Options
) -> _Rows:
    """Of a loss with a value for each row."""
    found: list[Array | None] = []
    shares = None
    if "indices" in row.targets:
        x, t, w, shares = _classes(row, input, target, reduction, options)
        found = [None if w is None else w.astype(x.dtype)]
    else:
        x, t = contiguous(input=input, target=target)
        if x.ndim != 2:
            raise ValueError(f"input: expected shape [rows, n], got {x.shape}")
        check_reduction(len(x), reduction)
    weights = None if weight is None else check_weights(weight, x.shape)
    return _Rows(x, t, found, weights, shares if row.class_mean else None, x.shape, x.shape[:1])


def _classes(
    row: Loss, input: npt.ArrayLike, target: npt.ArrayLike, reduction: str, options: Options
) -> tuple[Array, Array, Array | None, Array | None]:
    """Scores [rows, classes], their target, class weights, and what each row counts in a mean weighted by them."""
    x = np.ascontiguousarray(class_scores(input))
    check_reduction(len(x), reduction)
    w = class_weights(options["weight"], x.shape[1])
    t, values = as_array("target", target), "values" in row.targets
    if t.ndim == 1 or not values:
        check_rows(x, t, values)
        t, some = _indices(t, x.shape[1], options.get("ignore_index"))
        if not some:
            return x, t, w, None if w is None else w[t]
        return x, t, w, np.where(t < 0, 0.0, 1.0 if w is None else w[t])
    if t.shape != x.shape:
        raise ValueError(f"target: expected shape {x.shape[:1]} or {x.shape}, got {t.shape}")
    x, t = contiguous(input=x, target=t)
    return x, t, w, None


def _indices(t: Array, classes: int, ignore_index: int | None) -> tuple[Array, bool]:
    """Class indices as int32, -1 where they are ignored, and whether any is."""
    if t.dtype == np.int64 and (found := _core.class_indices(np.ascontiguousarray(t), classes, ignore_index)):
        return found
    check_indices(t, classes, ignore_index)
    ignored = np.zeros(t.shape, np.bool_) if ignore_index is None else t == ignore_index
    return np.where(ignored, -1, t).astype(np.int32), bool(ignored.any())


@lru_cache(maxsize=512, typed=True)  # typed: True is no number
def _encoded_once(name: str, **attrs: AttrValue) -> list[float]:
    return LOSSES[name].encode(LOSSES[name].fill(attrs))


def _encoded(name: str, attrs: Mapping[str, AttrValue]) -> list[float]:
    """The checked attributes as the core takes them."""
    try:
        return _encoded_once(name, **attrs)
    except TypeError:  # also for a value without a hash: say what is wrong with it
        return _encoded_once.__wrapped__(name, **attrs)


def _count(row: Loss, rows: _Rows) -> float:
    """The weighted number of values."""
    per_row = 1 if row.per_row else rows.target.size // max(1, len(rows.target))
    if rows.weights is None and rows.shares is None:
        return len(rows.input) * per_row
    w = np.ones(len(rows.input)) if rows.weights is None else rows.weights
    return float((w if rows.shares is None else w * rows.shares).sum()) * per_row


def _value(row: Loss, rows: _Rows, reduction: str, attrs: list[float]) -> float | Array:
    name, x, t, indices = row.name, rows.input, rows.target, rows.target.ndim == 1
    if reduction == "none":
        found: Array = np.empty(len(x), np.float64) if row.per_row else np.empty(t.shape, x.dtype)
        row_loss, values = (found, None) if row.per_row else (None, found)
        _core.loss(name, x, t, indices, attrs, rows.columns, None, row_loss, values, None, 1.0)
        if rows.weights is not None:
            found = found * rows.weights.reshape(-1, *(1,) * (found.ndim - 1)).astype(found.dtype)
        return found.astype(x.dtype, copy=False).reshape(rows.parts)
    if rows.weights is None:
        total = _core.loss(name, x, t, indices, attrs, rows.columns, None, None, None, None, 1.0)
    else:
        row_loss = np.empty(len(x), np.float64)
        _core.loss(name, x, t, indices, attrs, rows.columns, None, row_loss, None, None, 1.0)
        total = float((rows.weights * row_loss).sum())
    if reduction == "sum":
        return total
    count = _count(row, rows)
    return total / count if count > 0 else 0.0


def _gradient(row: Loss, rows: _Rows, reduction: str, attrs: list[float]) -> Array:
    gradient = np.empty(rows.shape, rows.input.dtype)
    count = _count(row, rows) if reduction == "mean" else 1.0
    scale, row_scale = 1.0 / count if count > 0 else 0.0, None
    if rows.weights is not None or rows.shares is not None:
        w = np.ones(len(rows.input)) if rows.weights is None else rows.weights
        scale, row_scale = 1.0, (w / count if count > 0 else np.zeros_like(w)).astype(rows.input.dtype)
    indices = rows.target.ndim == 1
    _core.loss(row.name, rows.input, rows.target, indices, attrs, rows.columns, row_scale, None, None, gradient, scale)
    return gradient


def _native(
    spec: Callable[_P, _ResultT], compute: Callable[[Loss, _Rows, str, list[float]], _ResultT]
) -> Callable[_P, _ResultT]:
    """What the reference function `spec` describes, with its signature."""
    row, signature = LOSSES[spec.__name__.removesuffix("_backward")], inspect.signature(spec)
    prepare = _halves if row.halves else _whole_rows if row.per_row else _elements
    defaults = {key: p.default for key, p in signature.parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    names = {*defaults, "reduction"}

    @wraps(spec)
    def function(*args: _P.args, **kwargs: _P.kwargs) -> _ResultT:
        options: dict[str, Any] = {**defaults, **kwargs}
        if len(args) == 2 and kwargs.keys() <= names:
            input, target = args
        else:
            options |= signature.bind(*args, **kwargs).arguments  # says what is wrong with the arguments
            input, target = options.pop("input"), options.pop("target")
        reduction, weight = options.pop("reduction", "mean"), options.pop("sample_weight")
        attrs = _encoded(row.name, {key: value for key, value in options.items() if key in row.attrs})
        rows = prepare(row, cast(Any, input), cast(Any, target), reduction, weight, options)
        return compute(row, rows, reduction, attrs)

    return function


for _name in LOSSES:
    globals()[_name] = _native(getattr(reference, _name), _value)
    globals()[f"{_name}_backward"] = _native(getattr(reference, f"{_name}_backward"), _gradient)
