"""Ops and update rules written out on arrays, for the array libraries that leave them to their users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["backward", "forward", "update"]

_Array = Any  # of NumPy or JAX
_Module = Any  # numpy or jax.numpy
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


def forward(xp: _Module, op: str, x: _Array, other: _Array) -> _Array:
    """The op of `ELEMENTWISE` on x [rows, n]; `other` is the second input of ``add`` and its like."""
    match op:
        case "relu":
            return xp.maximum(x, 0)
        case "leaky_relu":
            return xp.where(x > 0, x, 0.01 * x)
        case "elu":
            return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)))
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
        case "elu":
            return xp.where(x > 0, dy, dy * (y + 1))
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
    """New parameters and states after step `t` = 1, 2, ... of the rule, with the defaults of `nncore.ops`."""
    if rule == "sgd":
        return (p - rate * g,)
    if rule == "momentum":
        velocity = 0.9 * states[0] + g
        return p - rate * velocity, velocity
    if rule == "rmsprop":
        v = 0.99 * states[0] + 0.01 * (g * g)
        return p - rate * g / (xp.sqrt(v) + 1e-8), v
    m = 0.9 * states[0] + 0.1 * g
    v = 0.999 * states[1] + 0.001 * (g * g)
    decayed = p * (1 - rate * 0.01) if rule == "adamw" else p
    denominator = xp.sqrt(v) / xp.sqrt(1 - 0.999**t) + 1e-8
    return decayed - rate / (1 - 0.9**t) * m / denominator, m, v
