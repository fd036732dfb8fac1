"""An ONNX file as nodes and constants, checked before anything else looks at it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nncore.arrays import Array
from nncore.onnx.package import load_onnx
from nncore.optable import Shape

__all__ = ["Source", "Step", "Unsupported", "is_number", "number"]

_FIRST_OPSET = 7  # since when operands are broadcast as in NumPy
_MACHINE_LEARNING = "ai.onnx.ml"
_MOST_NODES = 20_000  # far more than any network of such layers; a bound on the time that a file can take
_SPARE = 2**20  # bytes that constants computed from constants may take, however small the file is


class Unsupported(ValueError):
    """The file is valid, but has something that nncore's models do not."""


@dataclass(frozen=True)
class Step:
    """A node of the file.

    Attributes:
        op: its type; those of scikit-learn's domain begin with ``"ml."``.
        name: what messages call it.
        inputs, outputs: names of values; an input that is left out is empty.
        attrs: its attributes; text is decoded, numbers of float32 have their shortest decimals.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]


class Source:
    """What a file says.

    Attributes:
        opset: version of the ops.
        steps: the nodes, each after those it depends on.
        producers: by name of a value the position of its node and its place among the node's outputs.
        constants: initializers, and values computed from constants alone.
        inputs: by name the element type and the shape of a sample.
        batch: the first extent of the inputs, where it is a number.
        outputs: by name the element type; 0 of what is no tensor.
        metadata: text by name.

    Raises:
        ValueError: no ONNX file, or one that is not valid.
        Unsupported: parts that this package does not read.
    """

    def __init__(self, data: bytes) -> None:
        onnx = load_onnx()
        self._onnx = onnx
        model = _parsed(onnx, data)
        self._check(model)
        self.opset = self._opset(model)
        try:
            self.steps = [self._step(node) for node in model.graph.node]
        except (ValueError, TypeError, AttributeError, UnicodeDecodeError) as error:
            raise ValueError(f"not a valid ONNX model: {error}") from None
        self.producers = {
            name: (i, place) for i, step in enumerate(self.steps) for place, name in enumerate(step.outputs) if name
        }
        self.constants: dict[str, Array] = {t.name: self._array(t, t.name) for t in model.graph.initializer}
        self._spare = max(_SPARE, len(data))
        for step in self.steps:
            self._fold(step)
        self.batch: int | None = None
        self.inputs = {i.name: self._input(i) for i in model.graph.input if i.name not in self.constants}
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        self.outputs = {o.name: int(o.type.tensor_type.elem_type) for o in model.graph.output}

    def _check(self, model: Any) -> None:  # noqa: ANN401
        graph = model.graph
        if len(graph.node) > _MOST_NODES:
            raise Unsupported(f"expected at most {_MOST_NODES} nodes, got {len(graph.node)}")
        if model.functions:
            raise Unsupported("functions: expected none in the file; let the exporter inline them")
        if graph.sparse_initializer:
            raise Unsupported("sparse initializers: expected none")
        tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute)]
        if any(t.data_location == self._onnx.TensorProto.EXTERNAL or t.external_data for t in tensors):
            raise Unsupported(
                "external data: expected all weights in the file itself; export it so (torch.onnx.export(..., "
                "external_data=False))"
            )
        for node in graph.node:
            if any(a.g.node or a.graphs for a in node.attribute):
                raise Unsupported(f"node {node.name!r} ({node.op_type}): expected no control flow, got a graph inside it")
            if node.op_type == "SimplifiedLayerNormalization" and not node.domain:
                node.domain = "com.microsoft"  # onnxruntime's optimizer writes it like one of ONNX's own
                if all(opset.domain != node.domain for opset in model.opset_import):
                    model.opset_import.add(domain=node.domain, version=1)
        try:
            self._onnx.checker.check_model(model)
        except (self._onnx.checker.ValidationError, RuntimeError, ValueError, TypeError) as error:
            raise ValueError(f"not a valid ONNX model: {str(error).strip()}") from None

    def _opset(self, model: Any) -> int:  # noqa: ANN401
        versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
        newest = self._onnx.defs.onnx_opset_version()
        if not versions or not _FIRST_OPSET <= max(versions) <= newest:
            raise Unsupported(f"opset: expected {_FIRST_OPSET} to {newest}, got {max(versions, default=None)}")
        return int(max(versions))

    def _step(self, node: Any) -> Step:  # noqa: ANN401
        attrs = {a.name: _plain(self._onnx.helper.get_attribute_value(a), a) for a in node.attribute}
        prefix = {_MACHINE_LEARNING: "ml.", "": "", "ai.onnx": "", "com.microsoft": "ms."}.get(
            node.domain, node.domain + "."
        )
        name = node.name or next((name for name in node.output if name), "")
        return Step(prefix + node.op_type, name, tuple(node.input), tuple(node.output), attrs)

    def _array(self, tensor: Any, name: str) -> Array:  # noqa: ANN401
        try:
            return np.asarray(self._onnx.numpy_helper.to_array(tensor))
        except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            raise ValueError(f"tensor {name!r}: expected data that fit its shape and type ({error})") from None

    def _input(self, info: Any) -> tuple[int, Shape]:  # noqa: ANN401
        tensor = info.type.tensor_type
        if not info.type.HasField("tensor_type") or not tensor.HasField("shape") or not tensor.shape.dim:
            raise Unsupported(f"input {info.name!r}: expected a tensor with a batch axis, got {_written(info)}")
        first, *sizes = tensor.shape.dim
        if any(not size.HasField("dim_value") or size.dim_value < 1 for size in sizes):
            raise Unsupported(f"input {info.name!r}: expected fixed sizes after the batch axis, got {_written(info)}")
        if first.HasField("dim_value"):
            self.batch = int(first.dim_value)
        return int(tensor.elem_type), tuple(int(size.dim_value) for size in sizes)

    def _fold(self, step: Step) -> None:
        """Compute a step of constants; together they may take a few times the file's size and no more."""
        if step.op == "Constant":
            self.constants[step.outputs[0]] = self._constant(step)
        arrays = [self.constants[name] for name in step.inputs if name in self.constants]
        if step.op not in _FOLDS or not arrays or len(arrays) < len([name for name in step.inputs if name]):
            return
        kinds = _KINDS.get(step.op, "biuf")
        if any(array.dtype.kind not in kinds for array in arrays):
            return
        try:
            most = max(
                math.prod(np.broadcast_shapes(*(a.shape for a in arrays))) if step.op in _BROADCASTS else 0,
                sum(array.size for array in arrays),
            )
            if 8 * most > self._spare:
                raise Unsupported(f"node {step.name!r} ({step.op}): expected fewer constants to compute from constants")
            with np.errstate(all="ignore"):
                result = np.asarray(_FOLDS[step.op](self, step, arrays))
        except Unsupported:
            raise
        except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
            raise ValueError(f"node {step.name!r} ({step.op}): expected operands that fit ({error})") from None
        self._spare -= result.nbytes
        self.constants[step.outputs[0]] = result

    def _constant(self, step: Step) -> Array:
        if len(step.attrs) != 1:
            raise ValueError(f"node {step.name!r} (Constant): expected one attribute, got {list(step.attrs)}")
        ((key, value),) = step.attrs.items()
        if key == "value":
            return self._array(value, step.outputs[0])
        kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
        return np.asarray(value, kinds.get(key, np.str_))

    def dtype(self, kind: int) -> np.dtype[Any]:
        """The dtype of an element type."""
        try:
            dtype: np.dtype[Any] = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(kind))
        except (KeyError, TypeError):
            raise Unsupported(f"element type: expected one of ONNX's, got number {kind}") from None
        return dtype

    def axes(self, step: Step) -> list[int] | None:
        """The axes of a reduction, a Squeeze or an Unsqueeze, which are an input or, in old files, an attribute."""
        if len(step.inputs) > 1 and step.inputs[1]:
            return [int(axis) for axis in self.integers(step.inputs[1])]
        return [int(axis) for axis in step.attrs["axes"]] if "axes" in step.attrs else None

    def integers(self, name: str) -> list[int]:
        """A constant vector of integers, or a scalar."""
        array = self.constants.get(name)
        if array is None or array.dtype.kind not in "iu" or array.ndim > 1:
            raise Unsupported(f"{name!r}: expected a constant vector of integers")
        return [int(value) for value in array.reshape(-1)]


def _parsed(onnx: Any, data: bytes) -> Any:  # noqa: ANN401
    from google.protobuf.message import DecodeError  # which onnx brings along

    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise ValueError(f"not an ONNX file: {error}") from None
    if not model.graph.node:
        raise ValueError("not an ONNX model: expected at least one node, got none")
    return model


def _plain(value: Any, attribute: Any) -> Any:  # noqa: ANN401
    """An attribute's value as Python has it."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):
        return float(str(np.float32(value)))  # 0.1 for what float32 makes of 0.1
    if attribute.type == attribute.STRINGS:
        return [text.decode() for text in value]
    return list(value) if attribute.type in (attribute.INTS, attribute.FLOATS) else value


def _written(info: Any) -> str:  # noqa: ANN401
    """The shape of an input, for messages."""
    sizes = [
        size.dim_param or (size.dim_value if size.HasField("dim_value") else "?")
        for size in info.type.tensor_type.shape.dim
    ]
    return f"shape ({', '.join(map(str, sizes))})" if sizes else "none"


def is_number(array: Array) -> bool:
    """Whether a constant is one number for every value, whatever axes that has."""
    return array.size == 1 and array.ndim <= 1


def number(array: Array) -> float:
    """The number that a constant of one element holds; of float32 the shortest decimals."""
    value = array.reshape(-1)[0]
    return float(str(value)) if array.dtype == np.float32 else float(value)


_Fold = Callable[[Source, Step, list[Array]], Any]


def _elementwise(source: Source, step: Step, arrays: list[Array]) -> Array:
    return np.asarray(_BROADCASTS[step.op](*arrays))


def _reshaped(source: Source, step: Step, arrays: list[Array]) -> Array:
    array, shape = arrays[0], source.integers(step.inputs[1])
    kept = not step.attrs.get("allowzero", 0)
    return array.reshape([array.shape[i] if n == 0 and kept else n for i, n in enumerate(shape)])


def _squeezed(source: Source, step: Step, arrays: list[Array]) -> Array:
    axes = source.axes(step)
    return arrays[0].squeeze(None if axes is None else tuple(axes))


def _unsqueezed(source: Source, step: Step, arrays: list[Array]) -> Array:
    return np.expand_dims(arrays[0], tuple(source.axes(step) or ()))


_BROADCASTS: Mapping[str, Callable[[Array, Array], Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Mod": np.mod,
}  # fmt: skip
_KINDS = {"Div": "f", "Mod": "iu"}  # where NumPy's results are ONNX's for some types alone
_FOLDS: Mapping[str, _Fold] = {
    **dict.fromkeys(_BROADCASTS, _elementwise),
    "Identity": lambda source, step, arrays: arrays[0],
    "Neg": lambda source, step, arrays: np.negative(arrays[0]),
    "Sqrt": lambda source, step, arrays: np.sqrt(arrays[0]),
    "Cast": lambda source, step, arrays: arrays[0].astype(source.dtype(step.attrs["to"])),
    "Transpose": lambda source, step, arrays: arrays[0].transpose(step.attrs.get("perm")),
    "Concat": lambda source, step, arrays: np.concatenate(arrays, step.attrs["axis"]),
    "Reshape": _reshaped,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
}
