"""What ONNX's ops with weights are in nncore's layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nncore.arrays import Array
from nncore.onnx.assembly import Dims, Value, as_sample
from nncore.onnx.operands import Context, Convert, Operand, axis_of, constant, sample, scalar, weight
from nncore.onnx.reading import Step, Unsupported
from nncore.optable import AttrValue, Shape

__all__ = ["WEIGHTED", "dense", "vectors"]

# Layers with weights ------------------------------------------------------------------------------------------------------


def dense(c: Context, x: Value, kernel: Array, bias: Array | None, sources: Sequence[str]) -> Value:
    """What x @ kernel + bias is."""
    if kernel.ndim != 2:
        raise Unsupported(f"weights: expected a matrix, got shape {kernel.shape}")
    units = kernel.shape[1]
    if x.shape[-1:] != kernel.shape[:1]:
        raise Unsupported(f"input: expected samples with a last axis of {kernel.shape[0]}, got shape {x.shape}")
    weights = {"kernel": kernel}
    if bias is not None:
        weights["bias"] = np.broadcast_to(as_sample(bias, (units,)).reshape(-1), (units,))
    return c.assembly.weighted("dense", x, {"units": units, "use_bias": bias is not None}, weights, sources)


def _gemm(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if step.attrs.get("transA"):
        raise Unsupported("transA: expected 0")
    if len(sample(xs[0]).shape) != 1:
        raise Unsupported(f"input: expected a vector per sample, got shape {sample(xs[0]).shape}")
    kernel, alpha, beta = weight(xs[1], "B"), step.attrs.get("alpha", 1.0), step.attrs.get("beta", 1.0)
    bias = weight(xs[2], "C") if len(xs) > 2 and xs[2] is not None else None
    kernel = kernel.T if step.attrs.get("transB") else kernel
    kernel = kernel if alpha == 1 else (kernel * alpha).astype(kernel.dtype)
    bias = bias if bias is None or beta == 1 else (bias * beta).astype(bias.dtype)
    return dense(c, sample(xs[0]), kernel, bias, [*step.inputs[1:], f"{step.attrs}"])


def _batch_norm(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if step.attrs.get("training_mode") or len([name for name in step.outputs if name]) > 1:
        raise Unsupported("expected the form for inference, without training_mode and with one output")
    x, epsilon = sample(xs[0]), float(step.attrs.get("epsilon", 1e-5))
    gamma, beta, mean, variance = (weight(x, what) for x, what in zip(xs[1:], ("scale", "B", "mean", "var"), strict=True))
    if len(x.shape) > 1:  # nncore's channels are the last axis; so it is the same in inference, but learns nothing
        ones = (1,) * (len(x.shape) - 1)
        scale = (gamma / np.sqrt(variance.astype(np.float64) + epsilon)).reshape(-1, *ones)
        return c.assembly.affine(x, scale, beta.reshape(-1, *ones), mean.reshape(-1, *ones))
    attrs: dict[str, AttrValue] = {"momentum": float(step.attrs.get("momentum", 0.9)), "epsilon": epsilon}
    weights = {"gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": variance}
    return c.assembly.weighted("batch_norm", x, attrs, vectors(weights, x.shape), step.inputs[1:])


def vectors(weights: Mapping[str, Array], shape: Shape) -> dict[str, Array]:
    """Weights along the last axis of samples of `shape`."""
    size = shape[-1:]
    for slot, array in weights.items():
        if array.size != math.prod(size) or array.size != array.shape[-1]:
            raise Unsupported(f"{slot}: expected a vector of {size} numbers, got shape {array.shape}")
    return {slot: array.reshape(-1) for slot, array in weights.items()}


def _layer_norm(op: str, epsilon: float) -> Convert:
    """LayerNormalization or RMSNormalization over the axes from `axis` on."""

    def convert(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
        if len([name for name in step.outputs if name]) > 1:
            raise Unsupported("expected the normalised values alone, without their mean and deviation")
        x = sample(xs[0])
        axis = axis_of(int(step.attrs.get("axis", -1)), x.shape)
        size = math.prod(x.shape[axis - 1 :])
        weights = {slot: weight(w, slot) for slot, w in zip(("gamma", "beta"), xs[1:], strict=False) if w is not None}
        whole = {
            slot: np.broadcast_to(as_sample(w, x.shape[axis - 1 :]), x.shape[axis - 1 :]) for slot, w in weights.items()
        }
        flat = {slot: array.reshape(-1) for slot, array in whole.items()}
        attrs: dict[str, AttrValue] = {"epsilon": float(step.attrs.get("epsilon", epsilon))}
        attrs |= {"center": "beta" in flat} if op == "layer_norm" else {}
        y = c.assembly.reshape(x, (*x.shape[: axis - 1], size)) if size != x.shape[-1] else x
        return c.assembly.reshape(c.assembly.weighted(op, y, attrs, flat, step.inputs[1:]), x.shape)

    return convert


def _gather(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    if isinstance(xs[0], Dims):
        places = constant(xs[1], "indices")
        sizes = xs[0].sizes
        if any(not -len(sizes) <= i < len(sizes) for i in places.reshape(-1)):
            raise ValueError(f"indices: expected some of {len(sizes)} sizes, got {places.tolist()}")
        return Dims(tuple(sizes[int(i)] for i in places.reshape(-1)))
    table, indices = weight(xs[0], "data"), sample(xs[1])
    if step.attrs.get("axis", 0) != 0 or table.ndim < 2:
        raise Unsupported(
            f"expected rows (axis 0) of a matrix, got axis {step.attrs.get('axis', 0)} of shape {table.shape}"
        )
    rows = table.reshape(len(table), -1)
    attrs: dict[str, AttrValue] = {"input_dim": rows.shape[0], "output_dim": rows.shape[1]}
    y = c.assembly.weighted("embedding", indices, attrs, {"embeddings": rows}, step.inputs[:1])
    return y if table.ndim == 2 else c.assembly.reshape(y, (*indices.shape, *table.shape[1:]))


def _one_hot(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    x, depth, values = sample(xs[0]), scalar(xs[1]), constant(xs[2], "values")
    if step.attrs.get("axis", -1) not in (-1, len(x.shape) + 1):
        raise Unsupported(f"axis: expected the last one, got {step.attrs['axis']}")
    if values.dtype not in (np.float32, np.float64):
        raise Unsupported(f"values: expected float32 or float64, got {values.dtype}")
    if values.size != 2:
        raise ValueError(f"values: expected those for off and on, got {values.size}")
    off, on = (float(value) for value in values.reshape(-1))
    return c.assembly.rescale(c.assembly.op("one_hot", x, {"depth": int(depth)}), on - off, off)


def _scaler(c: Context, step: Step, xs: Sequence[Operand]) -> Operand:
    """scikit-learn's StandardScaler: (x - offset) * scale."""
    offset, scale = (np.asarray(step.attrs.get(key, default)) for key, default in (("offset", [0.0]), ("scale", [1.0])))
    return c.assembly.affine(sample(xs[0]), scale, mean=offset)


WEIGHTED: Mapping[str, Convert] = {
    "Gemm": _gemm,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm("layer_norm", 1e-5),
    "RMSNormalization": _layer_norm("rms_norm", 1e-5),
    "ms.SimplifiedLayerNormalization": _layer_norm("rms_norm", 1e-5),
    "Gather": _gather,
    "OneHot": _one_hot,
    "ml.Scaler": _scaler,
}
