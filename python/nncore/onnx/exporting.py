"""A model's graph as an ONNX file."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from nncore.files import write_file
from nncore.graph import Graph, Node
from nncore.io import checked_metadata
from nncore.model import Model
from nncore.onnx.package import load_onnx
from nncore.onnx.writer import INEXPRESSIBLE, WRITERS, Writer
from nncore.optable import OPS

__all__ = ["export", "proto_of"]

_OPSETS = 18  # the first opset that can be written: axes are inputs of reductions from here on
_IR_VERSIONS = 8  # the first that has room for opset 18
_MOST_BYTES = 2**31 - 2**20  # of weights in a file: protobuf's limit, less room for the nodes

# What a softmax or sigmoid at the end of a model is a function of, and what makes probabilities of logits by their loss.
_ENDS = ("softmax", "log_softmax", "sigmoid", "log_sigmoid")
_PROBABILITIES = {"cross_entropy": "softmax", "bce_with_logits": "sigmoid", "focal": "sigmoid"}


def export(
    model: Model, path: str | os.PathLike[str], opset: int = 21, ir_version: int = 10, output: str | None = None
) -> None:
    """Write `model`, as it predicts, to the ONNX file `path`.

    The batch axis is free. Inputs and outputs are called as in the model, those of a model with one are ``"input"`` (or
    the name of its Input) and ``"output"``, and have the model's dtype; an input that only Embedding or OneHot read is of
    int64. Dropout and noise have no part in it; the model's `metadata` go along. The file at `path` is replaced as a whole,
    after ``onnx.checker`` has accepted it, or not at all.

    Args:
        model: any model without layers in Python.
        path: the file.
        opset: version of ONNX's ops, from 18 to the newest that the installed onnx knows.
        ir_version: version of the file format, from 8.
        output: ``None`` for what `predict` gives; ``"logits"`` without a softmax or sigmoid (or their logarithm) at the
            end; ``"probabilities"`` with one: the softmax of a model compiled with ``"cross_entropy"``, the sigmoid of one
            with ``"bce_with_logits"`` or ``"focal"``.

    Raises:
        ImportError: onnx is not installed.
        TypeError: something that is no model, no path or no integer.
        ValueError: a layer that ONNX cannot express, another version or word, or more than 2 GiB of weights.
        OSError: the file cannot be written.

    Source: https://onnx.ai/onnx/operators.

    >>> import os, tempfile, nncore as nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3), nn.Activation("softmax")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.onnx.export(model, os.path.join(folder, "model.onnx"))
    ...     same = nn.onnx.load(os.path.join(folder, "model.onnx"))
    >>> bool(abs(same.predict([[1, 2, 3, 4]]) - model.predict([[1, 2, 3, 4]])).max() < 1e-6)
    True
    """
    write_file(path, proto_of(model, opset, ir_version, output).SerializeToString())


def proto_of(model: Model, opset: int = 21, ir_version: int = 10, output: str | None = None) -> Any:  # noqa: ANN401
    """What `export` writes, as an ``onnx.ModelProto``."""
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")
    onnx = load_onnx()
    opset = _version(opset, "opset", _OPSETS, onnx.defs.onnx_opset_version())
    ir_version = _version(ir_version, "ir_version", _IR_VERSIONS, onnx.IR_VERSION)
    graph = _ending(model, output)
    proto = _proto(onnx, model, graph, opset)
    proto.ir_version = ir_version
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _version(value: int, what: str, low: int, high: int) -> int:
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except Exception:  # as NumPy's arrays may raise anything here
        number = None
    if number is None:
        raise TypeError(f"{what}: expected an integer, got {value!r}")
    if not low <= number <= high:
        raise ValueError(f"{what}: expected {low} to {high}, got {value}")
    return number


def _ending(model: Model, output: str | None) -> Graph:
    """The model's graph with the ends that `output` asks for."""
    graph = model.graph
    if output is None:
        return graph
    if not isinstance(output, str) or output not in ("logits", "probabilities"):
        raise ValueError(f"output: expected None, 'logits' or 'probabilities', got {output!r}")
    nodes, ends = list(graph.nodes), []
    losses = {objective.output: objective.loss.name for objective in model._objectives}
    for place, end in enumerate(graph.outputs):
        last = graph.nodes[end]
        kind = {"log_softmax": "softmax", "log_sigmoid": "sigmoid"}.get(last.op, last.op)
        if last.op in _ENDS and output == "logits":
            end = last.inputs[0]
        elif last.op in _ENDS and kind != last.op:
            nodes.append(replace(last, op=kind))
            end = len(nodes) - 1
        elif last.op not in _ENDS and output == "probabilities":
            if losses.get(place) not in _PROBABILITIES:
                known = ", ".join(_PROBABILITIES)
                raise ValueError(
                    f"output: expected a model compiled with a loss of logits ({known}), got {losses.get(place)}"
                )
            op = _PROBABILITIES[losses[place]]
            nodes.append(Node(op, (end,), MappingProxyType(OPS[op].fill({})), (), last.shape, last.name))
            end = len(nodes) - 1
        ends.append(end)
    return replace(graph, nodes=tuple(nodes), outputs=tuple(ends))


def _needed(graph: Graph) -> set[int]:
    """The nodes that the outputs depend on."""
    needed = set(graph.outputs)
    for i in reversed(range(len(graph.nodes))):
        if i in needed:
            needed.update(graph.nodes[i].inputs)
    return needed


def _proto(onnx: Any, model: Model, graph: Graph, opset: int) -> Any:  # noqa: ANN401 - onnx has no types here
    """The ONNX model of `graph` with the weights of `model`."""
    weights = model.get_weights()
    if sum(array.nbytes for array in weights) > _MOST_BYTES:
        raise ValueError(f"model: expected at most {_MOST_BYTES} bytes of weights, which is what an ONNX file holds")
    needed = _needed(graph)
    parameters = [spec.name for spec in graph.parameters]
    writer = Writer(onnx, model.dtype, opset, parameters)
    writer.constants.update(zip(parameters, weights, strict=True))
    real = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(model.dtype))

    names = model._inputs.names if model._inputs.kind != "one" else [graph.nodes[graph.inputs[0]].name]
    values = {i: writer.unique(name) for i, name in zip(graph.inputs, names, strict=True)}
    inputs = []
    for i in graph.inputs:
        readers = {graph.nodes[k].op for k in needed if i in graph.nodes[k].inputs}
        indices = bool(readers) and readers <= {"embedding", "one_hot"} and i not in graph.outputs
        writer.index_inputs |= {values[i]} if indices else set()
        inputs.append(_info(onnx, values[i], onnx.TensorProto.INT64 if indices else real, graph.nodes[i]))
    ends = model._outputs.names if model._outputs.kind != "one" else ["output"]
    ends = [writer.unique(name) for name in ends]

    for i, node in enumerate(graph.nodes):
        if i in needed and i not in values:
            values[i] = _write(writer, graph, node, [values[k] for k in node.inputs], parameters)
    for i, name in zip(graph.outputs, ends, strict=True):
        writer.result(values[i], name)
    used = {name for node in writer.nodes for name in node.input}
    made = onnx.helper.make_graph(
        writer.nodes,
        model.name or "model",
        inputs,
        [_info(onnx, name, real, graph.nodes[i]) for i, name in zip(graph.outputs, ends, strict=True)],
        [onnx.numpy_helper.from_array(array, name) for name, array in writer.constants.items() if name in used],
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    proto = onnx.helper.make_model(made, producer_name="nncore", opset_imports=opsets)
    onnx.helper.set_model_props(proto, checked_metadata(model))
    return proto


def _info(onnx: Any, name: str, kind: int, node: Node) -> Any:  # noqa: ANN401
    """The declaration of an input or output."""
    return onnx.helper.make_tensor_value_info(name, kind, ["batch", *node.shape])


def _write(writer: Writer, graph: Graph, node: Node, inputs: Sequence[str], parameters: Sequence[str]) -> str:
    if node.op in INEXPRESSIBLE:
        raise ValueError(f"layer {node.name!r}: expected one that ONNX can express, but {INEXPRESSIBLE[node.op]}")
    shapes = tuple(graph.nodes[i].shape for i in node.inputs)
    slots = OPS[node.op].parameters(shapes, node.attrs)
    writer.layer, writer.shapes = node.name, shapes
    return WRITERS[node.op](
        writer, node, inputs, {slot: parameters[i] for slot, i in zip(slots, node.parameters, strict=True)}
    )
