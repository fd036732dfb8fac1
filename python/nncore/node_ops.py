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
from nncore.reference.arrays import Array
from nncore.reference.normalization import check_channels

__all__ = ["batch_norm", "batch_norm_backward"]


def _engine(op: str, x: Array, parameters: Sequence[Array], attrs: Mapping[str, AttrValue]) -> _core.Engine:
    """An engine for one node on samples like those of x, its parameters set."""
    row = OPS[op]
    filled = row.fill(attrs)
    shape = x.shape[1:]
    result = row.shape((shape,), filled)
    engine = _core.Engine(
        nodes=[("input", [], [], [], shape), (op, [0], row.encode(filled), range(len(parameters)), result)],
        parameters=[(p.shape, True) for p in parameters],
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
    gradient = np.ascontiguousarray(dy, x.dtype)
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


for _name in __all__:
    globals()[_name].__doc__ = getattr(reference, _name).__doc__
