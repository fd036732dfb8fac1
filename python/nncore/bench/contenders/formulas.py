"""Ops and update rules written out on arrays, for the array libraries that leave them to their users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["RULES", "backward", "forward", "update"]

_Array = Any  # of NumPy or JAX
_Module = Any  # numpy or jax.numpy
RULES = (
    "sgd",
    "momentum",
    "adam",
    "adamw",
    "amsgrad",
    "rmsprop",
    "adagrad",
    "adadelta",
    "adamax",
    "lion",
)  # that update knows
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def forward(xp: _Module, op: str, x: _Array, other: _Array) -> _Array:
    """The op of `ELEMENTWISE` on x [rows, n]; `other` is the second input of ``add`` and its like."""
    match op:
        case "relu":
            return xp.maximum(x, 0)
        case "leaky_relu":
            return xp.where(x > 0, x, 0.01 * x)
        case "relu6":
            return xp.minimum(xp.maximum(x, 0), 6)
        case "hard_tanh":
            return xp.minimum(xp.maximum(x, -1), 1)
        case "hard_sigmoid":
            return xp.minimum(xp.maximum(x + 3, 0), 6) / 6
        case "hard_swish":
            return x * (xp.minimum(xp.maximum(x + 3, 0), 6) / 6)
        case "softsign":
            return x / (1 + abs(x))
        case "elu" | "celu":
            return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)))
        case "selu":
            return _SELU_SCALE * xp.where(x > 0, x, _SELU_ALPHA * xp.expm1(xp.minimum(x, 0)))
        case "silu":
            return x / (1 + xp.exp(-x))
        case "mish":
            return x * xp.tanh(xp.log1p(xp.exp(x)))
        case "softplus":
            return xp.where(x > 20, x, xp.log1p(xp.exp(x)))
        case "log_sigmoid":
            return xp.minimum(x, 0) - xp.log1p(xp.exp(-abs(x)))
        case "gelu_tanh":
            return 0.5 * x * (1 + xp.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * (x * x * x))))
        case "sigmoid":
            return 1 / (1 + xp.exp(-x))
        case "tanh":
            return xp.tanh(x)
        case "softmax":
            e = xp.exp(x - x.max(axis=-1, keepdims=True))
            return e / e.sum(axis=-1, keepdims=True)
        case "log_softmax":
            shifted = x - x.max(axis=-1, keepdims=True)
            return shifted - xp.log(xp.exp(shifted).sum(axis=-1, keepdims=True))
        case "rescaling":
            return 0.5 * x + 0.25
        case "add":
            return x + other
        case "multiply":
            return x * other
        case "average":
            return (x + other) / 2
    raise KeyError(op)


def backward(xp: _Module, op: str, x: _Array, y: _Array, dy: _Array) -> _Array:
    """Its gradient dx [rows, n], from x, y = forward(x), and dy, whichever is cheapest."""
    match op:
        case "relu":
            return xp.where(x > 0, dy, 0)
        case "leaky_relu":
            return xp.where(x > 0, dy, 0.01 * dy)
        case "relu6":
            return xp.where((x > 0) & (x < 6), dy, 0)
        case "hard_tanh":
            return xp.where((x > -1) & (x < 1), dy, 0)
        case "hard_sigmoid":
            return xp.where((x > -3) & (x < 3), dy / 6, 0)
        case "hard_swish":
            return xp.where(x < -3, 0, xp.where(x < 3, dy * (x / 3 + 0.5), dy))
        case "softsign":
            return dy / (1 + abs(x)) ** 2
        case "elu" | "celu":
            return xp.where(x > 0, dy, dy * (y + 1))
        case "selu":
            return dy * xp.where(x > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA)
        case "silu":
            s = 1 / (1 + xp.exp(-x))
            return dy * (s * (1 + x * (1 - s)))
        case "mish":
            t = xp.tanh(xp.log1p(xp.exp(x)))
            return dy * (t + x * (1 - t * t) / (1 + xp.exp(-x)))
        case "softplus":
            return xp.where(x > 20, dy, dy / (1 + xp.exp(-x)))
        case "log_sigmoid":
            return dy * (1 - xp.exp(y))
        case "gelu_tanh":
            square = x * x
            t = xp.tanh(_SQRT_2_OVER_PI * (x + 0.044715 * (square * x)))
            return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (_SQRT_2_OVER_PI * (1 + 3 * 0.044715 * square)))
        case "sigmoid":
            return dy * y * (1 - y)
        case "tanh":
            return dy * (1 - y * y)
        case "softmax":
            return y * (dy - (dy * y).sum(axis=-1, keepdims=True))
        case "log_softmax":
            return dy - xp.exp(y) * dy.sum(axis=-1, keepdims=True)
        case "rescaling":
            return 0.5 * dy
    raise KeyError(op)


def update(
    xp: _Module, rule: str, p: _Array, g: _Array, states: Sequence[_Array], t: _Array, rate: float = 1e-3
) -> tuple[_Array, ...]:
    """New parameters and states after step `t` = 1, 2, ... of the rule, with `nncore.ops`'s defaults."""
    if rule == "sgd":
        return (p - rate * g,)
    if rule == "momentum":
        velocity = 0.9 * states[0] + g
        return p - rate * velocity, velocity
    if rule == "rmsprop":
        v = 0.99 * states[0] + 0.01 * (g * g)
        return p - rate * g / (xp.sqrt(v) + 1e-8), v
    if rule == "adagrad":
        v = states[0] + g * g
        return p - rate * g / (xp.sqrt(v) + 1e-10), v
    if rule == "lion":
        direction = xp.sign(0.9 * states[0] + 0.1 * g)
        return p - rate * direction, 0.99 * states[0] + 0.01 * g
    if rule == "adadelta":
        v = 0.9 * states[0] + 0.1 * (g * g)
        step = xp.sqrt(states[1] + 1e-6) / xp.sqrt(v + 1e-6) * g
        return p - rate * step, v, 0.9 * states[1] + 0.1 * (step * step)
    m = 0.9 * states[0] + 0.1 * g
    if rule == "adamax":
        u = xp.maximum(0.999 * states[1], abs(g) + 1e-8)
        return p - rate / (1 - 0.9**t) * m / u, m, u
    v = 0.999 * states[1] + 0.001 * (g * g)
    decayed = p * (1 - rate * 0.01) if rule == "adamw" else p
    largest = (xp.maximum(states[2], v),) if rule == "amsgrad" else ()
    denominator = xp.sqrt(largest[0] if largest else v) / xp.sqrt(1 - 0.999**t) + 1e-8
    return decayed - rate / (1 - 0.9**t) * m / denominator, m, v, *largest
