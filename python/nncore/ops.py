"""The native kernels as functions on NumPy arrays: the same names and signatures as `nncore.reference`.

Each op is a forward and a backward, in float32 or float64, on as many threads as it is worth. The docstrings are those of
the reference functions, which are the specification. Options are held to the bounds of the op table.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt

from nncore import _core, reference
from nncore.layer_ops import *  # noqa: F403 - the names that its __all__ has
from nncore.loss_ops import *  # noqa: F403 - the names that its __all__ has
from nncore.loss_ops import contiguous
from nncore.optable import OPS, RULES, AttrValue
from nncore.reference import piecewise, smooth
from nncore.reference.arrays import Array, alike, as_float, as_floats, check_out, deliver
from nncore.reference.axes import check_any_axis, part_arrays, parts_of
from nncore.reference.merging import check_axis, check_several, several, term_count
from nncore.reference.optimizers import check_arrays, check_iteration
from nncore.reference.products import check_shape, sum_of_products
from nncore.reference.random import check_stream, words
from nncore.reference.slopes import mean_slope, slope_arrays
from nncore.scalars import flag

if TYPE_CHECKING:  # the functions that are made of their rows in the op table
    from nncore.reference.piecewise import *  # noqa: F403
    from nncore.reference.smooth import *  # noqa: F403

__all__ = list(reference.__all__)

_P = ParamSpec("_P")
_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])


def _specified(function: _FunctionT) -> _FunctionT:
    """Give `function` the docstring of the reference function of its name."""
    function.__doc__ = getattr(reference, function.__name__).__doc__
    return function


@contextmanager
def _result(out: Array | None, like: Array, *inputs: Array) -> Iterator[tuple[Array, Array]]:
    """The array to return, and the one to compute into, for a result of the shape and dtype of `like`.

    The two differ where `out` overlaps an input without being that input: there a kernel would read what it has written.
    """
    if out is None:
        y = np.empty(like.shape, like.dtype)
        yield y, y
        return
    check_out(out, like.shape, like.dtype)
    same = [x.__array_interface__["data"] == out.__array_interface__["data"] for x in inputs]
    if all(equal or not np.may_share_memory(out, x) for x, equal in zip(inputs, same, strict=True)):
        yield out, out
        return
    y = np.empty(like.shape, like.dtype)
    yield out, y
    out[...] = y


@lru_cache(maxsize=512, typed=True)  # typed: True is no number
def _encoded_once(op: str, **attrs: AttrValue) -> list[float]:
    row = OPS[op]
    return row.encode(row.fill(attrs))


def _encoded(op: str, **attrs: AttrValue) -> list[float]:
    """The checked attributes as the core takes them."""
    try:
        return _encoded_once(op, **attrs)
    except TypeError:  # also for a value without a hash: say what is wrong with it
        return _encoded_once.__wrapped__(op, **attrs)


# Small arrays are worth a microsecond, of which checks and conversions would take ten. So the core is asked first: it
# returns None, and has done nothing, where an argument is not an array that its kernel takes as it is.


def _elementwise(name: str, x: npt.ArrayLike, attrs: list[float], out: Array | None) -> Array:
    if (result := _core.activation_forward(name, x, out, attrs)) is not None:
        return result
    (x,) = contiguous(x=x)
    return deliver(_converted(_core.activation_forward(name, x, None, attrs)), out)


def _elementwise_backward(
    name: str, x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, attrs: list[float], out: Array | None
) -> Array:
    if (result := _core.activation_backward(name, x, y, dy, out, attrs)) is not None:
        return result
    x, y, dy = contiguous(x=x, y=y, dy=dy)
    return deliver(_converted(_core.activation_backward(name, x, y, dy, None, attrs)), out)


def _converted(result: Array | None) -> Array:
    """The core's result for arguments that have been converted for it."""
    assert result is not None
    return result


def _elementwise_pair(name: str) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """Forward and backward of an elementwise activation, with the signatures of the reference functions."""
    specs = getattr(reference, name), getattr(reference, f"{name}_backward")
    options, defaults, signatures = OPS[name].attrs.keys(), _encoded(name), [inspect.signature(spec) for spec in specs]

    @wraps(specs[0])
    def forward(x: npt.ArrayLike, *args: AttrValue, out: Array | None = None, **attrs: AttrValue) -> Array:
        if not args and not attrs:
            return _elementwise(name, x, defaults, out)
        if args or not attrs.keys() <= options:
            bound = signatures[0].bind(x, *args, out=out, **attrs)  # says what is wrong with the arguments
            attrs = {key: value for key, value in bound.arguments.items() if key in options}
        return _elementwise(name, x, _encoded(name, **attrs), out)

    @wraps(specs[1])
    def backward(
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        dy: npt.ArrayLike,
        *args: AttrValue,
        out: Array | None = None,
        **attrs: AttrValue,
    ) -> Array:
        if not args and not attrs:
            return _elementwise_backward(name, x, y, dy, defaults, out)
        if args or not attrs.keys() <= options:
            bound = signatures[1].bind(x, y, dy, *args, out=out, **attrs)
            attrs = {key: value for key, value in bound.arguments.items() if key in options}
        return _elementwise_backward(name, x, y, dy, _encoded(name, **attrs), out)

    return forward, backward


for _name in (*piecewise.__all__, *smooth.__all__):
    if not _name.endswith("_backward"):
        globals()[_name], globals()[f"{_name}_backward"] = _elementwise_pair(_name)
identity_backward = reference.identity_backward  # computes nothing


def _along_axis(name: str, x: npt.ArrayLike, axis: int, out: Array | None) -> Array:
    if type(axis) is int and axis == -1 and (result := _core.rows_forward(name, x, out)) is not None:
        return result
    (x,) = contiguous(x=x)
    check_any_axis(x, axis)
    if axis in (-1, x.ndim - 1):
        return deliver(_converted(_core.rows_forward(name, x, None)), out)
    with _result(out, x, x) as (result, y):
        _core.columns_forward(name, x, y, axis % x.ndim)
    return result


def _along_axis_backward(
    name: str, x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, axis: int, out: Array | None
) -> Array:
    if type(axis) is int and axis == -1 and (result := _core.rows_backward(name, x, y, dy, out)) is not None:
        return result
    x, y, dy = contiguous(x=x, y=y, dy=dy)
    check_any_axis(x, axis)
    if axis in (-1, x.ndim - 1):
        return deliver(_converted(_core.rows_backward(name, x, y, dy, None)), out)
    with _result(out, y, dy) as (result, dx):
        _core.columns_backward(name, y, dy, dx, axis % x.ndim)
    return result


@_specified
def softmax(x: npt.ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    return _along_axis("softmax", x, axis, out)


@_specified
def softmax_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, axis: int = -1, *, out: Array | None = None
) -> Array:
    return _along_axis_backward("softmax", x, y, dy, axis, out)


@_specified
def log_softmax(x: npt.ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    return _along_axis("log_softmax", x, axis, out)


@_specified
def log_softmax_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, axis: int = -1, *, out: Array | None = None
) -> Array:
    return _along_axis_backward("log_softmax", x, y, dy, axis, out)


def _parts(name: str, x: npt.ArrayLike, parts: int, axis: int, out: Array | None) -> Array:
    x = as_float("x", x)
    x = np.ascontiguousarray(x).reshape(x.shape)
    y = np.empty(parts_of(x, parts, axis)[0].shape, x.dtype)
    _core.parts_forward(name, x, y, parts, axis % x.ndim)
    return deliver(y, out)


def _parts_backward(
    name: str, x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, parts: int, axis: int, out: Array | None
) -> Array:
    x, y, dy = (np.ascontiguousarray(a) for a in part_arrays(x, y, dy, parts, axis))
    dx = np.empty_like(x)
    _core.parts_backward(name, x, y, dy, dx, parts, axis % x.ndim)
    return deliver(dx, out)


@_specified
def glu(x: npt.ArrayLike, axis: int = -1, *, out: Array | None = None) -> Array:
    return _parts("glu", x, 2, axis, out)


@_specified
def glu_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, axis: int = -1, *, out: Array | None = None
) -> Array:
    return _parts_backward("glu", x, y, dy, 2, axis, out)


@_specified
def maxout(x: npt.ArrayLike, groups: int = 2, axis: int = -1, *, out: Array | None = None) -> Array:
    return _parts("maxout", x, groups, axis, out)


@_specified
def maxout_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, groups: int = 2, axis: int = -1, *, out: Array | None = None
) -> Array:
    return _parts_backward("maxout", x, y, dy, groups, axis, out)


@_specified
def prelu(x: npt.ArrayLike, alpha: npt.ArrayLike, *, out: Array | None = None) -> Array:
    x, alpha = (np.ascontiguousarray(a).reshape(a.shape) for a in slope_arrays(x, alpha))
    with _result(out, x, x, alpha) as (result, y):
        _core.prelu(x, alpha, y)
    return result


@_specified
def prelu_backward(x: npt.ArrayLike, alpha: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike) -> tuple[Array, Array]:
    x, y, dy = contiguous(x=x, y=y, dy=dy)
    x, alpha = slope_arrays(x, alpha)
    x, dy, alpha = (np.ascontiguousarray(a, x.dtype).reshape(a.shape) for a in (x, dy, alpha))
    dx, dalpha = np.empty_like(x), np.empty_like(alpha)
    _core.prelu_backward(x, alpha, dy, dx, dalpha)
    return dx, dalpha


def _random_slopes(
    source: Array, x: Array, lower: float, upper: float, seed: int, node: int, step: int, out: Array | None
) -> Array:
    lower, upper = _encoded("rrelu", lower=lower, upper=upper)
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    seed, node, step = check_stream(seed, node, step)
    source, x = np.ascontiguousarray(source), np.ascontiguousarray(x)
    with _result(out, x, source, x) as (result, y):
        if x.size:  # rows without elements may be more than anyone can count
            _core.rrelu(source, x, y, len(x), lower, upper, seed, node, step % 2**32)
    return result


@_specified
def rrelu(
    x: npt.ArrayLike,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    *,
    training: bool = False,
    seed: int = 0,
    node: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    if not flag(training, "training"):
        return _elementwise("leaky_relu", x, _encoded("leaky_relu", negative_slope=mean_slope(lower, upper)), out)
    x = as_float("x", x)
    return _random_slopes(x, x, lower, upper, seed, node, step, out)


@_specified
def rrelu_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    *,
    training: bool = False,
    seed: int = 0,
    node: int = 0,
    step: int = 0,
    out: Array | None = None,
) -> Array:
    if not flag(training, "training"):
        slope = _encoded("leaky_relu", negative_slope=mean_slope(lower, upper))
        return _elementwise_backward("leaky_relu", x, y, dy, slope, out)
    x, y, dy = alike(x=x, y=y, dy=dy)
    return _random_slopes(dy, x, lower, upper, seed, node, step, out)


@_specified
def rescaling(x: npt.ArrayLike, scale: float, offset: float = 0.0, *, out: Array | None = None) -> Array:
    return _elementwise("rescaling", x, _encoded("rescaling", scale=scale, offset=offset), out)


@_specified
def rescaling_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    scale: float,
    offset: float = 0.0,
    *,
    out: Array | None = None,
) -> Array:
    return _elementwise_backward("rescaling", x, y, dy, _encoded("rescaling", scale=scale, offset=offset), out)


@_specified
def dropout(x: npt.ArrayLike, rate: float, *, seed: int, node: int, step: int, out: Array | None = None) -> Array:
    return _masked(as_float("x", x), rate, seed, node, step, out)


@_specified
def dropout_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    rate: float,
    *,
    seed: int,
    node: int,
    step: int,
    out: Array | None = None,
) -> Array:
    x, y, dy = alike(x=x, y=y, dy=dy)
    return _masked(dy, rate, seed, node, step, out)


def _masked(x: Array, rate: float, seed: int, node: int, step: int, out: Array | None) -> Array:
    (checked,) = _encoded("dropout", rate=rate)
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    seed, node, step = check_stream(seed, node, step)
    x = np.ascontiguousarray(x)
    with _result(out, x, x) as (result, y):
        if x.size:  # rows without elements may be more than anyone can count
            _core.dropout(x, y, len(x), checked, seed, node, step % 2**32)
    return result


@_specified
def add(*xs: npt.ArrayLike, out: Array | None = None) -> Array:
    check_several(xs)
    first, *others = contiguous(**{f"xs[{i}]": x for i, x in enumerate(xs)})
    if out is not None and any(np.may_share_memory(out, x) for x in others[1:]):
        return deliver(add(first, *others), out)
    with _result(out, first, first, others[0]) as (result, y):
        _core.add(first, others[0], y)
        for x in others[1:]:
            _core.add(y, x, y)
    return result


def _several(xs: Sequence[npt.ArrayLike], **more: npt.ArrayLike) -> list[Array]:
    return [np.ascontiguousarray(x).reshape(x.shape) for x in several(xs, **more)]


@_specified
def multiply(*xs: npt.ArrayLike, out: Array | None = None) -> Array:
    arrays = _several(xs)
    with _result(out, arrays[0], *arrays) as (result, y):
        _core.product(arrays, y)
    return result


@_specified
def multiply_backward(xs: Sequence[npt.ArrayLike], dy: npt.ArrayLike) -> tuple[Array, ...]:
    *factors, dy = _several(xs, dy=dy)
    gradients = [np.empty_like(x) for x in factors]
    for i, gradient in enumerate(gradients):
        _core.product([dy, *factors[:i], *factors[i + 1 :]], gradient)
    return tuple(gradients)


@_specified
def average(*xs: npt.ArrayLike, out: Array | None = None) -> Array:
    arrays = _several(xs)
    with _result(out, arrays[0], *arrays) as (result, y):
        _core.sum_over(arrays, len(arrays), y)
    return result


@_specified
def average_backward(dy: npt.ArrayLike, count: int) -> tuple[Array, ...]:
    (dy,) = contiguous(dy=dy)
    gradient = np.empty_like(dy)
    _core.sum_over([dy], term_count(count), gradient)
    return (gradient,) * count


@_specified
def concatenate(*xs: npt.ArrayLike, axis: int = -1, out: Array | None = None) -> Array:
    check_several(xs)
    arrays = as_floats(**{f"xs[{i}]": x for i, x in enumerate(xs)})
    first, rank = arrays[0], arrays[0].ndim
    check_axis(axis, rank)
    at = axis % rank
    if any(x.shape[:at] + x.shape[at + 1 :] != first.shape[:at] + first.shape[at + 1 :] for x in arrays):
        raise ValueError(f"xs: expected shapes that differ along axis {axis} only, got {[x.shape for x in arrays]}")
    y = np.empty((*first.shape[:at], sum(x.shape[at] for x in arrays), *first.shape[at + 1 :]), first.dtype)
    _core.concatenate([np.ascontiguousarray(x) for x in arrays], y, math.prod(first.shape[:at]))
    return deliver(y, out)


# Views: there is nothing to compute.
add_backward, concatenate_backward = reference.add_backward, reference.concatenate_backward
flatten, flatten_backward = reference.flatten, reference.flatten_backward


@_specified
def philox4x32(counter: npt.ArrayLike, key: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    c, k = words(counter, key)
    out = np.empty(c.shape, np.uint32)
    _core.philox4x32(np.ascontiguousarray(c, np.uint32), np.ascontiguousarray(k, np.uint32), out)
    return out


def _aligned(x: Array) -> Array:
    """`x`, copied if its elements do not lie at multiples of their size, as in a view of a record array."""
    return x if x.flags.aligned and all(stride % x.itemsize == 0 for stride in x.strides) else x.copy()


@_specified
def matmul(a: npt.ArrayLike, b: npt.ArrayLike, *, out: Array | None = None) -> Array:
    if (result := _core.matmul(a, b, out)) is not None:
        return result
    a, b = map(_aligned, as_floats(a=a, b=b))
    check_shape("a", a, (None, None))
    check_shape("b", b, (a.shape[1], None))
    return deliver(_converted(_core.matmul(a, b, None)), out, any_strides=True)


@_specified
def matmul_backward(a: npt.ArrayLike, b: npt.ArrayLike, dy: npt.ArrayLike) -> tuple[Array, Array]:
    a, b, dy = as_floats(a=a, b=b, dy=dy)
    check_shape("a", a, (None, None))
    check_shape("b", b, (a.shape[1], None))
    check_shape("dy", dy, (a.shape[0], b.shape[1]))
    return matmul(dy, b.T), sum_of_products(a, dy, matmul)


def _dense_arrays(
    x: npt.ArrayLike, w: npt.ArrayLike, b: npt.ArrayLike | None
) -> tuple[Array, Array, Array | None, tuple[int, ...]]:
    """The vectors of x as a matrix [vectors, K], w, b, and the shape of x."""
    x, w, *bias = as_floats(x=x, w=w) if b is None else as_floats(x=x, w=w, b=b)
    check_shape("x", x, (None,) * max(2, x.ndim))
    check_shape("w", w, (x.shape[-1], None))
    vectors = _aligned(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]))
    if not bias:
        return vectors, _aligned(w), None, x.shape
    check_shape("b", bias[0], (w.shape[1],))
    return vectors, _aligned(w), np.ascontiguousarray(bias[0]), x.shape


def _check_activation(name: str) -> None:
    if not isinstance(name, str) or name not in OPS or not OPS[name].activation:
        choices = ", ".join(repr(row.name) for row in OPS.values() if row.activation)
        raise ValueError(f"activation: expected one of {choices}, got {name!r}")


@cache
def _is_fused(activation: str) -> bool:
    """Whether the kernel of `dense` applies the activation: those that keep the shape and draw nothing."""
    row = OPS[activation]
    units = (12,)
    return not row.stochastic and row.shape((units,), row.fill({})) == units


@_specified
def dense(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    b: npt.ArrayLike | None = None,
    activation: str = "identity",
    *,
    out: Array | None = None,
) -> Array:
    _check_activation(activation)
    if not _is_fused(activation):
        z = dense(x, w, b)
        result: Array = globals()[activation](z, out=out)
        return result
    x, w, b, given = _dense_arrays(x, w, b)
    shape = (*given[:-1], w.shape[1])
    if out is not None:
        check_out(out, shape, x.dtype)
    shared = out is not None and any(np.may_share_memory(out, array) for array in (x, w))
    y = np.empty(shape, x.dtype) if out is None or shared else out
    _core.dense(x, w, b, y.reshape(len(x), w.shape[1]), activation, _encoded(activation))
    if out is None or y is out:
        return y
    out[...] = y
    return out


@_specified
def dense_backward(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    b: npt.ArrayLike | None,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    activation: str = "identity",
) -> tuple[Array, Array, Array | None]:
    _check_activation(activation)
    y, dy = contiguous(y=y, dy=dy)
    dz = dy
    if activation != "identity":
        dz = globals()[f"{activation}_backward"](dense(x, w, b), y, dy)
    x, w, bias, shape = _dense_arrays(x, w, b)
    if dz.shape != (*shape[:-1], w.shape[1]):
        raise ValueError(f"dy: expected shape {(*shape[:-1], w.shape[1])}, got {dz.shape}")
    dz = dz.reshape(len(x), w.shape[1])
    db = None
    if bias is not None:
        db = np.empty(w.shape[1], dz.dtype)
        _core.column_sums(dz, db)
    return matmul(dz, w.T).reshape(shape), sum_of_products(x, dz, matmul), db


def _rule(spec: Callable[_P, None]) -> Callable[_P, None]:
    """The rule that the reference function `spec` describes, with its signature."""
    name = spec.__name__.removesuffix("_step")
    row, signature = RULES[name], inspect.signature(spec)
    arrays, options = 2 + len(row.states), set(row.attrs) | ({"iteration"} & set(signature.parameters))
    counted = "iteration" in options

    @lru_cache(maxsize=64, typed=True)
    def encoded(**given: AttrValue) -> list[float]:
        return row.encode(row.fill(given))

    def hyper_of(given: dict[str, Any]) -> list[float]:
        try:
            return encoded(**given)
        except TypeError:  # also for a value without a hash: say what is wrong with it
            return row.encode(row.fill(given))

    @wraps(spec)
    def step(*args: _P.args, **kwargs: _P.kwargs) -> None:
        given: dict[str, Any] = dict(kwargs)
        if len(args) != arrays or not given.keys() <= options or (counted and "iteration" not in given):
            bound = signature.bind(*args, **kwargs)  # says what is wrong with the arguments
            given = {key: value for key, value in bound.arguments.items() if key in options}
            args = tuple(value for key, value in bound.arguments.items() if key not in options)  # type: ignore[assignment]
        iteration = given.pop("iteration", 1)
        if type(iteration) is int and iteration > 0 and _core.rule_step(name, args, hyper_of(given), iteration):
            return
        p, g, *states = cast(tuple[Array, ...], args)
        check_arrays(p, g, **dict(zip(row.states, states, strict=True)))
        check_iteration(iteration)
        # Arrays with gaps are updated in a copy and written back.
        contiguous = [np.ascontiguousarray(a) for a in (p, *states)]
        arrays_of_core = (contiguous[0], np.ascontiguousarray(g), *contiguous[1:])
        _core.rule_step(name, arrays_of_core, hyper_of(given), iteration)
        for target, array in zip((p, *states), contiguous, strict=True):
            if not np.may_share_memory(target, array):
                target[...] = array.reshape(target.shape)

    return step


sgd_step = _rule(reference.sgd_step)
momentum_step = _rule(reference.momentum_step)
rmsprop_step = _rule(reference.rmsprop_step)
rmsprop_momentum_step = _rule(reference.rmsprop_momentum_step)
rmsprop_centered_step = _rule(reference.rmsprop_centered_step)
rmsprop_centered_momentum_step = _rule(reference.rmsprop_centered_momentum_step)
adagrad_step = _rule(reference.adagrad_step)
adadelta_step = _rule(reference.adadelta_step)
adam_step = _rule(reference.adam_step)
adamw_step = _rule(reference.adamw_step)
amsgrad_step = _rule(reference.amsgrad_step)
adamax_step = _rule(reference.adamax_step)
nadam_step = _rule(reference.nadam_step)
radam_step = _rule(reference.radam_step)
lion_step = _rule(reference.lion_step)
lamb_step = _rule(reference.lamb_step)
