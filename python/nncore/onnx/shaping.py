"""What ONNX's ops on shapes and types are in nncore's layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nncore.layers import Concatenate
from nncore.onnx.assembly import Dims, Value
from nncore.onnx.operands import Context, Convert, Operand, axis_of, constant, sample, scalar
from nncore.onnx.reading import Step, Unsupported

__all__ = ["SHAPING"]


def _concatenate(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if any(isinstance(x, Dims) for x in xs):
        parts = [x if isinstance(x, Dims) else Dims(tuple(map(int, constant(x, "size").reshape(-1)))) for x in xs]
        return Dims(tuple(size for part in parts for size in part.sizes))
    values = [sample(x) for x in xs]
    axis = axis_of(int(step.attrs["axis"]), values[0].shape)
    return values[0] if len(values) == 1 else c.assembly.call(Concatenate(axis), values)


# Shapes and types ---------------------------------------------------------------------------------------------------------


def _identity(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    return xs[0]


def _cast(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if not isinstance(xs[0], Value):
        return xs[0]
    dtype = c.source.dtype(step.attrs["to"])
    if dtype.kind in "iu" and dtype.itemsize >= 4:
        return Value(xs[0].tensor, True)  # of whole numbers: others are an error where they are used
    if dtype in (np.float32, np.float64):
        return Value(xs[0].tensor)
    raise Unsupported(f"to: expected float32 or float64, or int32 or int64 for indices, got {dtype}")


def _dropout(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    x, ratio = sample(xs[0]), step.attrs.get("ratio", 0.5)
    ratio = scalar(xs[1]) if len(xs) > 1 and xs[1] is not None else ratio
    if len(xs) > 2 and xs[2] is not None and scalar(xs[2]):
        raise Unsupported("training_mode: expected false, as it would drop while predicting")
    return c.assembly.op("dropout", x, {"rate": float(ratio)})


def _flatten(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    x = sample(xs[0])
    axis, rank = int(step.attrs.get("axis", 1)), len(x.shape) + 1
    if axis != 1 and not 0 > axis == 1 - rank:
        raise Unsupported(f"axis: expected 1, which keeps the samples apart, got {axis}")
    return c.assembly.reshape(x, (math.prod(x.shape),))


def _reshape(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    x = sample(xs[0])
    sizes = xs[1].sizes if isinstance(xs[1], Dims) else tuple(c.source.integers(step.inputs[1]))
    zero_copies = not step.attrs.get("allowzero", 0)
    whole: list[int | None] = [None, *x.shape]
    copied = [whole[i] if n == 0 and zero_copies and i < len(whole) else n for i, n in enumerate(sizes)]
    first, *rest = copied or [0]
    size, known = math.prod(x.shape), math.prod(n for n in rest if n is not None and n > 0)
    if None in rest or (rest.count(-1) + (first == -1)) > 1 or known > size:
        raise Unsupported(f"shape: expected one that keeps the samples apart, got {sizes} for {('n', *x.shape)}")
    shape = tuple(size // known if n == -1 else int(n or 0) for n in rest)
    if math.prod(shape) != size or not (first in (None, -1) or first == c.source.batch):
        raise Unsupported(f"shape: expected one that keeps the samples apart, got {sizes} for {('n', *x.shape)}")
    return c.assembly.reshape(x, shape)


def _squeeze(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if isinstance(xs[0], Dims):
        return xs[0]
    x, axes = sample(xs[0]), c.source.axes(step)
    found = [i + 1 for i, n in enumerate(x.shape) if n == 1] if axes is None else [axis_of(axis, x.shape) for axis in axes]
    if any(x.shape[axis - 1] != 1 for axis in found):
        raise ValueError(f"axes: expected axes of length 1, got {found} of {('n', *x.shape)}")
    return c.assembly.reshape(x, tuple(n for i, n in enumerate(x.shape) if i + 1 not in found))


def _unsqueeze(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if isinstance(xs[0], Dims):
        return xs[0]
    x, axes = sample(xs[0]), c.source.axes(step) or []
    rank = len(x.shape) + 1 + len(axes)
    places = {axis % rank for axis in axes if -rank <= axis < rank}
    if len(places) != len(axes):
        raise ValueError(f"axes: expected different ones from {-rank} to {rank - 1}, got {axes}")
    if 0 in places:
        raise Unsupported("axes: expected the samples to stay in axis 0")
    sizes = iter(x.shape)
    return c.assembly.reshape(x, tuple(1 if i in places else next(sizes) for i in range(1, rank)))


def _transpose(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    x = sample(xs[0])
    order = step.attrs.get("perm", list(range(len(x.shape), -1, -1)))
    if list(order) != list(range(len(x.shape) + 1)):
        raise Unsupported(f"perm: expected an order of axes that changes nothing, got {order}")
    return x


def _shape(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    sizes = (None, *sample(xs[0]).shape)
    return Dims(sizes[step.attrs.get("start", 0) : step.attrs.get("end", len(sizes))])


def _slice(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if not isinstance(xs[0], Dims) or len(xs) > 4 or len(xs) < 3:
        raise Unsupported("expected a part of a shape")
    start, end = (c.source.integers(name) for name in step.inputs[1:3])
    if len(start) != 1 or len(end) != 1:
        raise ValueError(f"expected one start and one end, got {start} and {end}")
    return Dims(xs[0].sizes[start[0] : end[0]])


def _largest(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    """ReduceMax along one axis: a maxout of its elements."""
    x, axes = sample(xs[0]), c.source.axes(step)
    if axes is None or len(axes) != 1:
        raise Unsupported(f"axes: expected one axis, got {axes}")
    at = axis_of(axes[0], x.shape)
    before, groups, after = x.shape[: at - 1], x.shape[at - 1], x.shape[at:]
    joined = (*before, groups * after[0], *after[1:]) if after else x.shape
    y = c.assembly.op("maxout", c.assembly.reshape(x, joined), {"groups": groups, "axis": at})
    return c.assembly.reshape(y, (*before, *([1] if step.attrs.get("keepdims", 1) else []), *after))


SHAPING: Mapping[str, Convert] = {
    "Concat": _concatenate,
    "Identity": _identity,
    "Cast": _cast,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Shape": _shape,
    "Slice": _slice,
    "ReduceMax": _largest,
}
