"""What ONNX's activations and arithmetic are in nncore's layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nncore.layers import Add, Average, Multiply
from nncore.onnx.assembly import Value, as_sample
from nncore.onnx.operands import Context, Convert, Operand, axis_of, sample, scalar, weight
from nncore.onnx.reading import Step, Unsupported, is_number, number
from nncore.optable import AttrValue

__all__ = ["ELEMENTWISE", "prelu"]

# Activations --------------------------------------------------------------------------------------------------------------


def _activation(op: str, **names: tuple[str, AttrValue]) -> Convert:
    """The op `op` of nncore; `names` are its attributes by ONNX's: the name, and ONNX's default."""

    def convert(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
        attrs = {ours: step.attrs.get(theirs, default) for theirs, (ours, default) in names.items()}
        return c.assembly.op(op, sample(xs[0]), attrs)

    return convert


def _softmax(op: str) -> Convert:
    def convert(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
        x, old = sample(xs[0]), c.source.opset < 13
        axis = axis_of(int(step.attrs.get("axis", 1 if old else -1)), x.shape)
        if old and axis != len(x.shape):
            raise Unsupported(f"axis: expected the last one before opset 13, got {axis}")
        return c.assembly.op(op, x, {"axis": axis})

    return convert


def _softplus(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    return c.assembly.op("softplus", sample(xs[0]), {"threshold": 40.0})  # where float64 has no digit of the difference


def _hard_sigmoid(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    alpha, beta = float(step.attrs.get("alpha", 0.2)), float(step.attrs.get("beta", 0.5))
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return c.assembly.op("hard_sigmoid", sample(xs[0]))
    return _clipped(c, c.assembly.rescale(sample(xs[0]), alpha, beta), 0.0, 1.0)


def _selu(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    alpha, gamma = float(step.attrs.get("alpha", 1.6732632)), float(step.attrs.get("gamma", 1.0507010))
    if math.isclose(alpha, 1.6732632, rel_tol=1e-6) and math.isclose(gamma, 1.0507010, rel_tol=1e-6):
        return c.assembly.op("selu", sample(xs[0]))
    return c.assembly.rescale(c.assembly.op("elu", sample(xs[0]), {"alpha": alpha}), gamma, 0.0)


def _swish(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    alpha = float(step.attrs.get("alpha", 1.0))
    if not alpha:
        return c.assembly.rescale(sample(xs[0]), 0.5, 0.0)
    return c.assembly.rescale(c.assembly.op("silu", c.assembly.rescale(sample(xs[0]), alpha, 0.0)), 1 / alpha, 0.0)


def _clipped(c: Context, x: Value, low: float, high: float) -> Value:
    if (low, high) == (0.0, math.inf):
        return c.assembly.op("relu", x)
    if (low, high) == (0.0, 6.0):
        return c.assembly.op("relu6", x)
    return x if (low, high) == (-math.inf, math.inf) else c.assembly.op("hard_tanh", x, {"min_val": low, "max_val": high})


def _clip(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    low, high = step.attrs.get("min", -math.inf), step.attrs.get("max", math.inf)  # attributes before opset 11
    bounds = [*xs[1:], None, None][:2]
    low, high = (b if o is None else scalar(o) for b, o in zip((low, high), bounds, strict=True))
    return _clipped(c, sample(xs[0]), low, high)


def _bound(lower: bool) -> Convert:
    """Max or Min with a number."""

    def convert(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
        if len(xs) == 1:
            return sample(xs[0])
        if len(xs) != 2 or sum(isinstance(x, Value) for x in xs) != 1:
            raise Unsupported("expected a value and a number")
        x, bound = xs if isinstance(xs[0], Value) else xs[::-1]
        low, high = (scalar(bound), math.inf) if lower else (-math.inf, scalar(bound))
        return _clipped(c, sample(x), low, high)

    return convert


def prelu(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    """PRelu with slopes for all, for the last axis, or for each place of a sample."""
    x, slope = sample(xs[0]), weight(xs[1], "slope")
    alpha = as_sample(slope, x.shape)
    if alpha.size == 1 or alpha.size == alpha.shape[-1]:
        shared = alpha.size == 1
        return c.assembly.weighted("prelu", x, {"shared": shared}, {"alpha": alpha.reshape(-1)}, step.inputs[1:])
    flat = c.assembly.reshape(x, (math.prod(x.shape),))
    every = np.broadcast_to(alpha, x.shape).reshape(-1)
    return c.assembly.reshape(
        c.assembly.weighted("prelu", flat, {"shared": False}, {"alpha": every}, step.inputs[1:]), x.shape
    )


# Arithmetic ---------------------------------------------------------------------------------------------------------------


def _merging(layer: type[Any]) -> Convert:
    """Add, Sum, Mul or Mean of values of one shape."""

    def convert(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
        values = [sample(x) for x in xs]
        if any(value.shape != values[0].shape for value in values):
            raise Unsupported(f"expected values of one shape, got {', '.join(str(value.shape) for value in values)}")
        return values[0] if len(values) == 1 else c.assembly.call(layer(), values)

    return convert


def _add(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if all(isinstance(x, Value) for x in xs):
        return _merging(Add)(c, step, xs)
    x, constant = xs if isinstance(xs[0], Value) else xs[::-1]
    array = weight(constant, "operand")
    return c.assembly.rescale(x, 1.0, number(array)) if is_number(array) else c.assembly.affine(x, offset=array)


def _multiply(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if all(isinstance(x, Value) for x in xs):
        return _merging(Multiply)(c, step, xs)
    x, constant = xs if isinstance(xs[0], Value) else xs[::-1]
    array = weight(constant, "operand")
    return c.assembly.rescale(x, number(array), 0.0) if is_number(array) else c.assembly.affine(x, scale=array)


def _subtract(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if not isinstance(xs[1], Value):
        return _add(c, step, [xs[0], np.asarray(-weight(xs[1], "operand"))])
    if isinstance(xs[0], np.ndarray) and is_number(xs[0]):
        return c.assembly.rescale(xs[1], -1.0, number(weight(xs[0], "operand")))
    return _add(c, step, [xs[0], c.assembly.rescale(xs[1], -1.0, 0.0)])


def _divide(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    x, divisor = sample(xs[0]), weight(xs[1], "divisor").astype(np.float64)
    if not divisor.all():
        raise Unsupported("divisor: expected numbers other than 0")
    return (
        c.assembly.rescale(x, 1 / number(divisor), 0.0) if is_number(divisor) else c.assembly.affine(x, scale=1 / divisor)
    )


def _negate(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    return c.assembly.rescale(sample(xs[0]), -1.0, 0.0)


def _power(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if scalar(xs[1]) not in (1.0, 2.0, 3.0):
        raise Unsupported(f"exponent: expected 1, 2 or 3, got {scalar(xs[1])}")
    x = sample(xs[0])
    return _merging(Multiply)(c, step, [x] * int(scalar(xs[1])))


ELEMENTWISE: Mapping[str, Convert] = {
    "Relu": _activation("relu"),
    "LeakyRelu": _activation("leaky_relu", alpha=("negative_slope", 0.01)),
    "Elu": _activation("elu", alpha=("alpha", 1.0)),
    "Celu": _activation("celu", alpha=("alpha", 1.0)),
    "Selu": _selu,
    "Sigmoid": _activation("sigmoid"),
    "Tanh": _activation("tanh"),
    "Softplus": _softplus,
    "Softsign": _activation("softsign"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _activation("hard_swish"),
    "Gelu": _activation("gelu", approximate=("approximate", "none")),
    "Mish": _activation("mish"),
    "Swish": _swish,
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("log_softmax"),
    "PRelu": prelu,
    "Clip": _clip,
    "Max": _bound(lower=True),
    "Min": _bound(lower=False),
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Neg": _negate,
    "Pow": _power,
    "Sum": _merging(Add),
    "Mean": _merging(Average),
}
