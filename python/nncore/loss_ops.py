"""The native losses as functions on NumPy arrays; `nncore.ops` has them beside the other ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nncore import _core, reference
from nncore.optable import LOSSES, AttrValue
from nncore.reference.arrays import Array, alike, as_array, as_float, as_floats
from nncore.reference.losses import check_rows, class_scores, class_weights
from nncore.reference.reductions import check_indices, check_reduction, check_weights, columns
from nncore.reference.value_losses import quantiles, split_target_shape

__all__ = [name for loss in LOSSES for name in (loss, f"{loss}_backward")]

_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])


def _specified(function: _FunctionT) -> _FunctionT:
    """Give `function` the docstring of the reference function of its name."""
    function.__doc__ = getattr(reference, function.__name__).__doc__
    return function


def _contiguous(**values: npt.ArrayLike) -> list[Array]:
    return [np.ascontiguousarray(a).reshape(a.shape) for a in alike(**values)]


Columns = Sequence[Array | None]


def _loss_attrs(name: str, **attrs: AttrValue) -> list[float]:
    row = LOSSES[name]
    return row.encode(row.fill(attrs))


def _reduced(
    name: str,
    rows: Array,
    target: Array,
    values: Array | None,
    reduction: str,
    attrs: list[float],
    columns: Columns,
    weights: Array | None,
    shares: Array | None,
) -> float:
    """Runs the loss on `rows` [rows, n]; fills `values`, unweighted, and gives the sum or the mean."""
    indices = target.ndim == 1
    if weights is None and shares is None:
        total = _core.loss(name, rows, target, indices, attrs, columns, None, None, values, None, 1.0)
        parts = len(rows) if LOSSES[name].per_row else target.size
        return total / parts if reduction == "mean" else total
    row_loss = np.empty(len(rows), np.float64)
    _core.loss(name, rows, target, indices, attrs, columns, None, row_loss, values, None, 1.0)
    w = np.ones(len(rows)) if weights is None else weights
    count = _share_count(name, target, w, shares) if reduction == "mean" else 1.0
    return float((w * row_loss).sum()) / count if count > 0 else 0.0


def _share_count(name: str, target: Array, w: Array, shares: Array | None) -> float:
    """The weighted number of values."""
    per_row = 1 if LOSSES[name].per_row else target.size // len(target)
    return float((w if shares is None else w * shares).sum()) * per_row


def _loss_gradient(
    name: str,
    rows: Array,
    target: Array,
    shape: tuple[int, ...],
    reduction: str,
    attrs: list[float],
    columns: Columns,
    weights: Array | None,
    shares: Array | None,
) -> Array:
    """The gradient for `rows` [rows, n], in `shape`."""
    indices = target.ndim == 1
    gradient = np.empty(shape, rows.dtype)
    if weights is None and shares is None:
        parts = len(rows) if LOSSES[name].per_row else target.size
        scale = 1 / parts if reduction == "mean" else 1.0
        _core.loss(name, rows, target, indices, attrs, columns, None, None, None, gradient, scale)
        return gradient
    w = np.ones(len(rows)) if weights is None else weights
    count = _share_count(name, target, w, shares) if reduction == "mean" else 1.0
    row_scale = (w / count if count > 0 else np.zeros_like(w)).astype(rows.dtype)
    _core.loss(name, rows, target, indices, attrs, columns, row_scale, None, None, gradient, 1.0)
    return gradient


def _value_rows(
    input: npt.ArrayLike, target: npt.ArrayLike, reduction: str, sample_weight: npt.ArrayLike | None
) -> tuple[Array, Array, tuple[int, ...], Array | None]:
    """Rows of the input and of the target, the input's shape, and the weights of the rows."""
    x, t = _contiguous(input=input, target=target)
    check_reduction(x.size, reduction)
    if sample_weight is None:
        rows = x.reshape(len(x) if x.ndim > 1 else 1, -1) if x.size else x.reshape(0, 1)
        return rows, t.reshape(rows.shape), x.shape, None
    weights = check_weights(sample_weight, x.shape)
    rows = x.reshape(len(x), -1) if x.size else x.reshape(0, 1)
    return rows, t.reshape(rows.shape), x.shape, weights if x.size else None


def _columns(name: str, value: npt.ArrayLike | None, shape: tuple[int, ...], rows: Array) -> Array | None:
    """The array option `name` of a loss for an input of `shape`, laid out for its `rows`."""
    array = columns(name, value, shape[1:])
    return (
        None
        if array is None
        else np.ascontiguousarray(np.broadcast_to(array.reshape(1, -1), (1, rows.shape[1])), rows.dtype)
    )


def _values_loss(
    name: str,
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str,
    sample_weight: npt.ArrayLike | None,
    attrs: list[float] | None = None,
    **arrays: npt.ArrayLike | None,
) -> float | Array:
    rows, t, shape, weights = _value_rows(input, target, reduction, sample_weight)
    given = [_columns(key, value, shape, rows) for key, value in arrays.items()]
    values = np.empty(shape, rows.dtype) if reduction == "none" else None
    total = _reduced(name, rows, t, values, reduction, attrs or [], given, weights, None)
    if values is None:
        return total
    return values if weights is None else values * _by_row(weights, values)


def _values_loss_backward(
    name: str,
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str,
    sample_weight: npt.ArrayLike | None,
    attrs: list[float] | None = None,
    **arrays: npt.ArrayLike | None,
) -> Array:
    rows, t, shape, weights = _value_rows(input, target, reduction, sample_weight)
    given = [_columns(key, value, shape, rows) for key, value in arrays.items()]
    return _loss_gradient(name, rows, t, shape, reduction, attrs or [], given, weights, None)


def _by_row(weights: Array, values: Array) -> Array:
    return weights.reshape(-1, *(1,) * (values.ndim - 1)).astype(values.dtype)


@_specified
def mse(
    input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean", *, sample_weight: npt.ArrayLike | None = None
) -> float | Array:
    return _values_loss("mse", input, target, reduction, sample_weight)


@_specified
def mse_backward(
    input: npt.ArrayLike, target: npt.ArrayLike, reduction: str = "mean", *, sample_weight: npt.ArrayLike | None = None
) -> Array:
    return _values_loss_backward("mse", input, target, reduction, sample_weight)


@_specified
def bce_with_logits(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("bce_with_logits", input, target, reduction, sample_weight, weight=weight, pos_weight=pos_weight)


@_specified
def bce_with_logits_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    weight: npt.ArrayLike | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward(
        "bce_with_logits", input, target, reduction, sample_weight, weight=weight, pos_weight=pos_weight
    )


def _logits_and_target(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str,
    ignore_index: int | None,
    weight: npt.ArrayLike | None,
    values: bool = False,
) -> tuple[Array, Array, Array | None, Array | None]:
    """Scores [rows, classes], their target, class weights, and what each row counts in a mean weighted by them.

    A target of class indices is a vector, -1 where the row is ignored. `values` allows probabilities as well.
    """
    x = np.ascontiguousarray(class_scores(input))
    check_reduction(len(x), reduction)
    w = class_weights(weight, x.shape[1])
    columns = None if w is None else w.astype(x.dtype)
    t = as_array("target", target)
    if t.ndim == 1 or not values:
        check_indices(t, x.shape[1], ignore_index)
        check_rows(x, t, values)
        ignored = None if ignore_index is None else t == ignore_index
        if ignored is not None and ignored.any():
            t = np.where(ignored, -1, t.astype(np.int64))
            shares = np.where(ignored, 0.0, 1.0 if w is None else w[t])
            return x, np.ascontiguousarray(t, np.int32), columns, shares
        return x, np.ascontiguousarray(t, np.int32), columns, None if w is None else w[t]
    if t.shape != x.shape:
        raise ValueError(f"target: expected shape {x.shape[:1]} or {x.shape}, got {t.shape}")
    x, t = _contiguous(input=x, target=t)
    return x, t, None if w is None else w.astype(x.dtype), None


def _row_loss(
    name: str,
    x: Array,
    t: Array,
    reduction: str,
    attrs: list[float],
    columns: Columns,
    sample_weight: npt.ArrayLike | None,
    shares: Array | None,
) -> float | Array:
    weights = None if sample_weight is None else check_weights(sample_weight, x.shape)
    if reduction != "none":
        return _reduced(name, x, t, None, reduction, attrs, columns, weights, shares)
    row_loss = np.empty(len(x), np.float64)
    _core.loss(name, x, t, t.ndim == 1, attrs, columns, None, row_loss, None, None, 1.0)
    return (row_loss if weights is None else row_loss * weights).astype(x.dtype)


def _row_loss_backward(
    name: str,
    x: Array,
    t: Array,
    reduction: str,
    attrs: list[float],
    columns: Columns,
    sample_weight: npt.ArrayLike | None,
    shares: Array | None,
) -> Array:
    weights = None if sample_weight is None else check_weights(sample_weight, x.shape)
    return _loss_gradient(name, x, t, x.shape, reduction, attrs, columns, weights, shares)


@_specified
def cross_entropy(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    x, t, w, shares = _logits_and_target(input, target, reduction, ignore_index, weight, values=True)
    attrs = _loss_attrs("cross_entropy", ignore_index=ignore_index, label_smoothing=label_smoothing)
    return _row_loss("cross_entropy", x, t, reduction, attrs, [w], sample_weight, shares)


@_specified
def cross_entropy_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    x, t, w, shares = _logits_and_target(input, target, reduction, ignore_index, weight, values=True)
    attrs = _loss_attrs("cross_entropy", ignore_index=ignore_index, label_smoothing=label_smoothing)
    return _row_loss_backward("cross_entropy", x, t, reduction, attrs, [w], sample_weight, shares)


@_specified
def mae(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("mae", input, target, reduction, sample_weight)


@_specified
def mae_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward("mae", input, target, reduction, sample_weight)


@_specified
def huber(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    delta: float = 1.0,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("huber", input, target, reduction, sample_weight, _loss_attrs("huber", delta=delta))


@_specified
def huber_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    delta: float = 1.0,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward("huber", input, target, reduction, sample_weight, _loss_attrs("huber", delta=delta))


@_specified
def smooth_l1(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    beta: float = 1.0,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("smooth_l1", input, target, reduction, sample_weight, _loss_attrs("smooth_l1", beta=beta))


@_specified
def smooth_l1_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    beta: float = 1.0,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward("smooth_l1", input, target, reduction, sample_weight, _loss_attrs("smooth_l1", beta=beta))


@_specified
def log_cosh(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("log_cosh", input, target, reduction, sample_weight)


@_specified
def log_cosh_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward("log_cosh", input, target, reduction, sample_weight)


@_specified
def quantile(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    quantile: npt.ArrayLike = 0.5,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss(
        "quantile", input, target, reduction, sample_weight, [], quantile=_checked_quantile(input, quantile)
    )


@_specified
def quantile_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    quantile: npt.ArrayLike = 0.5,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward(
        "quantile", input, target, reduction, sample_weight, [], quantile=_checked_quantile(input, quantile)
    )


@_specified
def poisson(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-08,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss(
        "poisson", input, target, reduction, sample_weight, _loss_attrs("poisson", log_input=log_input, full=full, eps=eps)
    )


@_specified
def poisson_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-08,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward(
        "poisson", input, target, reduction, sample_weight, _loss_attrs("poisson", log_input=log_input, full=full, eps=eps)
    )


@_specified
def gaussian_nll(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    full: bool = False,
    eps: float = 1e-06,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    rows, t, weights, shape = _mean_rows(input, target, reduction, sample_weight)
    attrs = _loss_attrs("gaussian_nll", full=full, eps=eps)
    values = np.empty(t.shape, t.dtype) if reduction == "none" else None
    total = _reduced("gaussian_nll", rows, t, values, reduction, attrs, [], weights, None)
    if values is None:
        return total
    return (values if weights is None else values * _by_row(weights, values)).reshape(shape)


@_specified
def gaussian_nll_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    full: bool = False,
    eps: float = 1e-06,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    rows, t, weights, shape = _mean_rows(input, target, reduction, sample_weight)
    attrs = _loss_attrs("gaussian_nll", full=full, eps=eps)
    gradient = _loss_gradient("gaussian_nll", rows, t, rows.shape, reduction, attrs, [], weights, None)
    return gradient.reshape(*shape[:-1], 2 * shape[-1])


@_specified
def cosine(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    eps: float = 1e-08,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    x, t = _contiguous(input=input, target=target)
    if x.ndim != 2:
        raise ValueError(f"input: expected shape [rows, n], got {x.shape}")
    check_reduction(len(x), reduction)
    return _row_loss("cosine", x, t, reduction, _loss_attrs("cosine", eps=eps), [], sample_weight, None)


@_specified
def cosine_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    eps: float = 1e-08,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    x, t = _contiguous(input=input, target=target)
    if x.ndim != 2:
        raise ValueError(f"input: expected shape [rows, n], got {x.shape}")
    check_reduction(len(x), reduction)
    return _row_loss_backward("cosine", x, t, reduction, _loss_attrs("cosine", eps=eps), [], sample_weight, None)


@_specified
def kl_div(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    log_target: bool = False,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("kl_div", input, target, reduction, sample_weight, _loss_attrs("kl_div", log_target=log_target))


@_specified
def kl_div_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    log_target: bool = False,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward(
        "kl_div", input, target, reduction, sample_weight, _loss_attrs("kl_div", log_target=log_target)
    )


@_specified
def hinge(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("hinge", input, target, reduction, sample_weight)


@_specified
def hinge_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward("hinge", input, target, reduction, sample_weight)


@_specified
def squared_hinge(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("squared_hinge", input, target, reduction, sample_weight)


@_specified
def squared_hinge_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward("squared_hinge", input, target, reduction, sample_weight)


@_specified
def multi_margin(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    attrs = _loss_attrs("multi_margin", p=p, margin=margin)
    x, t, w, _ = _logits_and_target(input, target, reduction, None, weight)
    return _row_loss("multi_margin", x, t, reduction, attrs, [w], sample_weight, None)


@_specified
def multi_margin_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    attrs = _loss_attrs("multi_margin", p=p, margin=margin)
    x, t, w, _ = _logits_and_target(input, target, reduction, None, weight)
    return _row_loss_backward("multi_margin", x, t, reduction, attrs, [w], sample_weight, None)


@_specified
def bce(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("bce", input, target, reduction, sample_weight, [], weight=weight)


@_specified
def bce_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward("bce", input, target, reduction, sample_weight, [], weight=weight)


@_specified
def nll(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    ignore_index: int = -100,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    attrs = _loss_attrs("nll", ignore_index=ignore_index)
    x, t, w, shares = _logits_and_target(input, target, reduction, ignore_index, weight)
    return _row_loss("nll", x, t, reduction, attrs, [w], sample_weight, shares)


@_specified
def nll_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    ignore_index: int = -100,
    weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    attrs = _loss_attrs("nll", ignore_index=ignore_index)
    x, t, w, shares = _logits_and_target(input, target, reduction, ignore_index, weight)
    return _row_loss_backward("nll", x, t, reduction, attrs, [w], sample_weight, shares)


@_specified
def focal(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    sample_weight: npt.ArrayLike | None = None,
) -> float | Array:
    return _values_loss("focal", input, target, reduction, sample_weight, _loss_attrs("focal", alpha=alpha, gamma=gamma))


@_specified
def focal_backward(
    input: npt.ArrayLike,
    target: npt.ArrayLike,
    reduction: str = "mean",
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    sample_weight: npt.ArrayLike | None = None,
) -> Array:
    return _values_loss_backward(
        "focal", input, target, reduction, sample_weight, _loss_attrs("focal", alpha=alpha, gamma=gamma)
    )


def _checked_quantile(input: npt.ArrayLike, quantile: npt.ArrayLike) -> npt.ArrayLike:
    quantiles(quantile, as_float("input", input))
    return quantile


def _mean_rows(
    input: npt.ArrayLike, target: npt.ArrayLike, reduction: str, sample_weight: npt.ArrayLike | None
) -> tuple[Array, Array, Array | None, tuple[int, ...]]:
    """Rows of m means and m variances, their targets [rows, m], a weight for each row, and the target's shape."""
    x, t = (np.ascontiguousarray(a).reshape(np.shape(a)) for a in as_floats(input=input, target=target))
    split_target_shape(x, t)
    check_reduction(t.size, reduction)
    weights = None if sample_weight is None else check_weights(sample_weight, t.shape)
    rows = x.reshape(-1, np.shape(x)[-1])
    if weights is not None:
        weights = np.repeat(weights, len(rows) // max(1, len(weights)))
    return rows, t.reshape(-1, np.shape(t)[-1]), weights, t.shape
