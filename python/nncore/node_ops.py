"""Ops of the native engine that have no kernel call of their own, as functions: each call runs a graph of one node.

`nncore.ops` has them beside the others; the docstrings are those of the reference functions.
"""

# ruff: noqa: D103 - the docstrings are set below

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nncore import _core, reference
from nncore.optable import OPS, AttrValue
from nncore.reference.arrays import Array, alike, as_float, as_floats, deliver
from nncore.reference.indices import filled_shape
from nncore.reference.normalization import check_channels
from nncore.reference.random import check_stream

__all__ = [
    "alpha_dropout",
    "alpha_dropout_backward",
    "batch_norm",
    "batch_norm_backward",
    "embedding",
    "embedding_backward",
    "gaussian_noise",
    "gaussian_noise_backward",
    "layer_norm",
    "layer_norm_backward",
    "one_hot",
    "one_hot_backward",
    "reshape",
    "reshape_backward",
    "rms_norm",
    "rms_norm_backward",
]


def _engine(op: str, x: Array, parameters: Sequence[Array], attrs: Mapping[str, AttrValue]) -> _core.Engine:
    """An engine for one node on samples like those of x, its parameters set."""
    row = OPS[op]
    filled = row.fill(attrs)
    shape = x.shape[1:]
    result = row.shape((shape,), filled)
    engine = _core.Engine(
        nodes=[("input", [], [], [], shape), (op, [0], row.encode(filled), range(len(parameters)), result)],
        parameters=[(p.shape, True, 0.0, 0.0, 0.0) for p in parameters],
        inputs=[0],
        outputs=[1],
        dtype=x.dtype.name,
        seed=0,
    )
    for i, parameter in enumerate(parameters):
        engine.set_parameter(i, np.ascontiguousarray(parameter))
    return engine


def _forward(op: str, x: Array, parameters: Sequence[Array], attrs: Mapping[str, AttrValue]) -> Array:
    (y,) = _engine(op, x, parameters, attrs).forward([np.ascontiguousarray(x)], True)
    return y


def _backward(
    op: str, x: Array, parameters: Sequence[Array], attrs: Mapping[str, AttrValue], dy: npt.ArrayLike
) -> list[Array]:
    """The gradients of x and of the parameters."""
    engine = _engine(op, x, parameters, attrs)
    (y,) = engine.forward([np.ascontiguousarray(x)], True)
    gradient = np.ascontiguousarray(as_float("dy", dy), x.dtype)
    if gradient.shape != y.shape:
        raise ValueError(f"dy: expected the shape of y, {y.shape}, got {gradient.shape}")
    (dx,) = engine.backward([gradient])
    return [dx, *(engine.get_gradient(i) for i in range(len(parameters)))]


def _batch_norm(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    mean: npt.ArrayLike | None,
    variance: npt.ArrayLike | None,
    epsilon: float,
) -> tuple[Array, list[Array], dict[str, AttrValue]]:
    array, channels = check_channels(x, gamma=gamma, beta=beta, mean=mean, variance=variance)
    if (mean is None) != (variance is None):
        raise ValueError("variance: expected mean and variance both or neither, got one of them")
    frozen, (n,) = mean is not None, array.shape[-1:]
    if not frozen:
        channels |= {"mean": np.zeros(n, array.dtype), "variance": np.ones(n, array.dtype)}
    attrs: dict[str, AttrValue] = {
        "epsilon": epsilon,
        "center": beta is not None,
        "scale": gamma is not None,
        "frozen": frozen,
    }
    return array, [channels[name] for name in ("gamma", "beta", "mean", "variance") if name in channels], attrs


def batch_norm(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None = None,
    beta: npt.ArrayLike | None = None,
    mean: npt.ArrayLike | None = None,
    variance: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
) -> Array:
    return _forward("batch_norm", *_batch_norm(x, gamma, beta, mean, variance, epsilon))


def batch_norm_backward(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    mean: npt.ArrayLike | None = None,
    variance: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
) -> tuple[Array, Array | None, Array | None]:
    dx, *gradients = _backward("batch_norm", *_batch_norm(x, gamma, beta, mean, variance, epsilon), dy)
    dgamma = None if gamma is None else gradients.pop(0)
    return dx, dgamma, None if beta is None else gradients.pop(0)


def layer_norm(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None = None,
    beta: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-3,
) -> Array:
    array, found = check_channels(x, gamma=gamma, beta=beta)
    attrs = {"epsilon": epsilon, "center": beta is not None, "scale": gamma is not None}
    return _forward("layer_norm", array, list(found.values()), attrs)


def layer_norm_backward(
    x: npt.ArrayLike,
    gamma: npt.ArrayLike | None,
    beta: npt.ArrayLike | None,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    *,
    epsilon: float = 1e-3,
) -> tuple[Array, Array | None, Array | None]:
    array, found = check_channels(x, gamma=gamma, beta=beta)
    attrs = {"epsilon": epsilon, "center": beta is not None, "scale": gamma is not None}
    dx, *gradients = _backward("layer_norm", array, list(found.values()), attrs, dy)
    dgamma = None if gamma is None else gradients.pop(0)
    return dx, dgamma, None if beta is None else gradients.pop(0)


def rms_norm(x: npt.ArrayLike, gamma: npt.ArrayLike | None = None, *, epsilon: float = 1e-6) -> Array:
    array, found = check_channels(x, gamma=gamma)
    return _forward("rms_norm", array, list(found.values()), {"epsilon": epsilon, "scale": gamma is not None})


def rms_norm_backward(
    x: npt.ArrayLike, gamma: npt.ArrayLike | None, y: npt.ArrayLike, dy: npt.ArrayLike, *, epsilon: float = 1e-6
) -> tuple[Array, Array | None]:
    array, found = check_channels(x, gamma=gamma)
    attrs = {"epsilon": epsilon, "scale": gamma is not None}
    dx, *gradients = _backward("rms_norm", array, list(found.values()), attrs, dy)
    return dx, gradients[0] if gradients else None


def _random(name: str, x: Array, level: float, seed: int, node: int, step: int, out: Array | None, *more: bool) -> Array:
    """The kernel `name` on rows of x, with a random stream."""
    if x.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    (attr,) = OPS[name].attrs
    (checked,) = OPS[name].encode(OPS[name].fill({attr: level}))
    check_stream(seed, node, step)
    x = np.ascontiguousarray(x)
    y = np.empty_like(x)
    getattr(_core, name)(x, y, len(x), checked, seed, node, step % 2**32, *more)
    return deliver(y, out)


def gaussian_noise(x: npt.ArrayLike, stddev: float, *, seed: int, node: int, step: int, out: Array | None = None) -> Array:
    return _random("gaussian_noise", as_float("x", x), stddev, seed, node, step, out)


def gaussian_noise_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    stddev: float,
    *,
    seed: int,
    node: int,
    step: int,
    out: Array | None = None,
) -> Array:
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy.copy(), out)


def alpha_dropout(x: npt.ArrayLike, rate: float, *, seed: int, node: int, step: int, out: Array | None = None) -> Array:
    return _random("alpha_dropout", as_float("x", x), rate, seed, node, step, out, False)


def alpha_dropout_backward(
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
    return _random("alpha_dropout", dy, rate, seed, node, step, out, True)


def _table(x: npt.ArrayLike, table: npt.ArrayLike) -> tuple[Array, list[Array], dict[str, AttrValue]]:
    array, rows = as_floats(x=x, table=table)
    if array.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"table: expected a matrix [count, length], got shape {rows.shape}")
    return array, [rows], {"input_dim": rows.shape[0], "output_dim": rows.shape[1]}


def embedding(x: npt.ArrayLike, table: npt.ArrayLike) -> Array:
    return _forward("embedding", *_table(x, table))


def embedding_backward(x: npt.ArrayLike, table: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike) -> Array:
    return _backward("embedding", *_table(x, table), dy)[1]


def one_hot(x: npt.ArrayLike, depth: int) -> Array:
    array = as_float("x", x)
    if array.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    return _forward("one_hot", array, [], {"depth": depth})


def one_hot_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, depth: int) -> Array:
    return np.zeros_like(as_float("x", x))


def reshape(x: npt.ArrayLike, target_shape: Sequence[int]) -> Array:
    array = as_float("x", x)
    if array.ndim == 0:
        raise ValueError("x: expected at least the axis of rows, got a scalar")
    filled = filled_shape(array.shape[1:], target_shape)
    return _forward("reshape", array, [], {"target_shape": ",".join(map(str, filled))})


def reshape_backward(dy: npt.ArrayLike, shape: Sequence[int]) -> Array:
    array = as_float("dy", dy)
    (_, *features) = shape
    return _forward("reshape", array, [], {"target_shape": ",".join(map(str, features))})


for _name in __all__:
    globals()[_name].__doc__ = getattr(reference, _name).__doc__
