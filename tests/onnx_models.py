"""Models for the tests of ONNX files: some for each op, and how others run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.reference
import onnxruntime

import nncore as nn
from nncore.optable import OPS
from op_cases import OP_CASES

onnxruntime.set_default_logger_severity(4)  # nothing on the standard error

NOT_IN_ONNXRUNTIME = {("gelu", "float64")}
"""onnxruntime has no Erf in float64, and onnx's reference computes it in float32."""


def chain(shape: Sequence[int], *layers: nn.Layer) -> nn.Model:
    return nn.Sequential([nn.Input(tuple(shape)), *layers])


def merged(layer: nn.Layer, count: int, shape: tuple[int, ...] = (2, 3)) -> nn.Model:
    inputs = [nn.Input(shape, name=f"x{i}") for i in range(count)]
    return nn.Model(inputs, layer(inputs))


def layer_models() -> dict[str, list[nn.Model]]:
    """By op that is no activation, models of it."""
    adapted = nn.Normalization()
    adapted.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)))
    frozen = nn.BatchNorm()
    frozen.trainable = False
    return {
        "prelu": [chain((4,), nn.PReLU()), chain((2, 4), nn.PReLU(shared=False))],
        "rescaling": [chain((4,), nn.Rescaling(1 / 255)), chain((2, 3), nn.Rescaling(-2.0, 0.3))],
        "dropout": [chain((4,), nn.Dropout(0.5))],
        "gaussian_noise": [chain((4,), nn.GaussianNoise(0.5))],
        "alpha_dropout": [chain((4,), nn.AlphaDropout(0.5))],
        "flatten": [chain((4, 3, 2), nn.Flatten()), chain((), nn.Flatten())],
        "reshape": [chain((4, 3), nn.Reshape((2, -1))), chain((1,), nn.Reshape(()))],
        "add": [merged(nn.Add(), 2), merged(nn.Add(), 3)],
        "multiply": [merged(nn.Multiply(), 2), merged(nn.Multiply(), 4)],
        "average": [merged(nn.Average(), 2), merged(nn.Average(), 3)],
        "concatenate": [merged(nn.Concatenate(), 2), merged(nn.Concatenate(1), 3)],
        "dense": [
            chain((4,), nn.Dense(3)),
            chain((4,), nn.Dense(3, use_bias=False)),
            chain((2, 4), nn.Dense(3)),
            chain((2, 4), nn.Dense(3, use_bias=False)),
        ],
        "batch_norm": [
            chain((4,), nn.BatchNorm()),
            chain((4,), nn.BatchNorm(epsilon=1e-5, center=False)),
            chain((4,), nn.BatchNorm(scale=False, center=False)),
            chain((2, 3, 4), nn.BatchNorm()),
            chain((3, 4), nn.BatchNorm(center=False)),
            chain((4,), frozen),
            chain((4,), adapted),
        ],
        "layer_norm": [
            chain(shape, nn.LayerNorm(center=center, scale=scale))
            for shape in ((4,), (2, 3))
            for center in (True, False)
            for scale in (True, False)
        ],
        "rms_norm": [chain((4,), nn.RMSNorm()), chain((2, 3), nn.RMSNorm(epsilon=1e-3, scale=False))],
        "embedding": [
            chain((3,), nn.Embedding(5, 2)),
            chain((), nn.Embedding(5, 2)),
            chain((3,), nn.Flatten(), nn.Embedding(5, 2)),
        ],
        "one_hot": [chain((), nn.OneHot(5)), chain((2, 3), nn.OneHot(5)), chain((3,), nn.Reshape((3, 1)), nn.OneHot(5))],
    }  # fmt: skip


def op_models() -> list[tuple[str, nn.Model]]:
    """All ops of the table with their attributes' variants, each with its name."""
    activations = [
        (case.name, chain(shape, nn.Activation(case.name, **attrs)))
        for case in OP_CASES
        if case.name in OPS and OPS[case.name].activation
        for attrs in ({}, *case.attrs)
        if attrs.get("axis") != 0 and set(attrs) <= set(OPS[case.name].attrs)
        for shape in (((12,),) if "axis" not in attrs else ((6, 12, 6),))
    ]
    return activations + [(op, model) for op, models in layer_models().items() for model in models]


def prepared(model: nn.Model, dtype: str) -> nn.Model:
    """`model` in `dtype` with weights other than the first ones."""
    model.compile(dtype=dtype)
    rng = np.random.default_rng(3)
    weights = [rng.standard_normal(spec.shape) for spec in model.graph.parameters]
    positive = [spec.name.endswith("variance") for spec in model.graph.parameters]
    model.set_weights([abs(w) + 0.1 if p else w for w, p in zip(weights, positive, strict=True)])
    return model


def samples(model: nn.Model, dtype: str, rows: int = 5) -> list[Any]:
    """An array for each input of `model`: indices where it wants them."""
    rng = np.random.default_rng(4)
    indices = any(node.op in ("embedding", "one_hot") for node in model.graph.nodes)
    draw = (lambda size: rng.integers(0, 5, size)) if indices else (lambda size: 3 * rng.standard_normal(size))
    return [np.asarray(draw((rows, *shape)), dtype) for shape in model.graph.input_shapes]


def predicted(model: nn.Model, arrays: Sequence[Any]) -> list[Any]:
    """The model's outputs, as a list."""
    y = model.predict(list(arrays) if len(arrays) > 1 else arrays[0])
    return list(y.values()) if isinstance(y, Mapping) else y if isinstance(y, list) else [y]


def feeds(proto: Any, arrays: Sequence[Any]) -> dict[str, Any]:
    """The arrays by the names of the file's inputs, in their types."""
    types = {i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in proto.graph.input}
    return {name: array.astype(dtype) for (name, dtype), array in zip(types.items(), arrays, strict=True)}


def by_onnxruntime(proto: Any, arrays: Sequence[Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # no pool of threads to make for each of these small models
    return onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, feeds(proto, arrays))


def by_reference(proto: Any, arrays: Sequence[Any]) -> list[Any]:
    return onnx.reference.ReferenceEvaluator(proto).run(None, feeds(proto, arrays))
