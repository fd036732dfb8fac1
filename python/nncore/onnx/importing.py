"""A model from an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nncore.model import Model
from nncore.onnx.assembly import Assembly, Value
from nncore.onnx.converters import CONVERTERS, convert_match
from nncore.onnx.matching import Match, find
from nncore.onnx.operands import Context
from nncore.onnx.reading import Source, Step, Unsupported, is_number, number
from nncore.paths import as_path

__all__ = ["load", "read"]

_ENDS = ("Softmax", "LogSoftmax", "Sigmoid")


def load(path: str | os.PathLike[str], output: str | None = None) -> Model:
    """The model in the ONNX file `path`, to predict with, train, save and export.

    It reads what `export` writes, and what the exporters of PyTorch and scikit-learn write for multi-layer perceptrons; see
    docs/onnx.md for all ops. The first axis of each input is the batch axis, even where the file fixes its extent. A model
    with one input or output takes or gives an array, one with several a dict by the file's names. Outputs that are no
    floating-point numbers, such as the labels of scikit-learn's classifiers, are left out; of a ZipMap its probabilities
    are taken. Layers are called as their weights: those of ``"fc1.weight"`` and ``"fc1.bias"`` become ``"fc1"``. Nothing in
    the file is executed.

    Args:
        path: the file.
        output: ``None``, or ``"logits"`` to leave out a softmax or sigmoid at the end, for training on with a loss of
            logits; the two columns 1 - p and p of scikit-learn's classifiers of two classes become the one logit.

    Raises:
        ImportError: onnx is not installed.
        ValueError: no valid ONNX file, or one with something that the message names and nncore's models do not have.
        OSError: the file cannot be read.

    >>> import os, tempfile, nncore as nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(8, activation="gelu"), nn.Dense(3)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.onnx.export(model, os.path.join(folder, "model.onnx"))
    ...     same = nn.onnx.load(os.path.join(folder, "model.onnx"))
    >>> list(same.parameters())
    ['dense.kernel', 'dense.bias', 'dense_1.kernel', 'dense_1.bias']
    """
    if output is not None and not (isinstance(output, str) and output == "logits"):
        raise ValueError(f"output: expected None or 'logits', got {output!r}")
    name = as_path(path)
    with open(name, "rb") as file:
        data = file.read()
    try:
        return read(data, output == "logits")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def read(data: bytes, logits: bool = False) -> Model:
    """The model in the contents of an ONNX file; see `load`."""
    source = Source(data)
    ends = _ends(source)
    if logits:
        ends = {name: _before_the_end(source, value) for name, value in ends.items()}
    plans = _plans(source, list(ends.values()))
    context = Context(source, Assembly())
    values: dict[str, Any] = dict(source.constants)
    inputs = {}
    for name, (kind, shape) in source.inputs.items():
        dtype = source.dtype(kind)
        if dtype.kind not in "iuf" or dtype.itemsize > 8 or (dtype.kind == "f" and dtype.itemsize < 4):
            raise Unsupported(f"input {name!r}: expected float32, float64 or integers, got {dtype}")
        values[name] = inputs[name] = context.assembly.input(name, shape, dtype.kind != "f")
    for position in sorted(plans):
        step, match = source.steps[position], plans[position]
        try:
            if match is None:
                operands = [values.get(name) if name else None for name in step.inputs]
                values[step.outputs[0]] = CONVERTERS[step.op](context, step, operands)
            else:
                values[step.outputs[0]] = convert_match(context, match, values.get(match.x))
        except Unsupported as error:
            raise Unsupported(f"node {step.name!r} ({step.op}): {error}") from None
        except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
            raise ValueError(f"node {step.name!r} ({step.op}): {error}") from None
    results = {}
    for name, value in ends.items():
        result = values.get(value)
        if not isinstance(result, Value) or result.integers:
            raise Unsupported(f"output {name!r}: expected floating-point numbers that depend on the input")
        results[name] = result if value not in inputs else context.assembly.op("identity", result)
    kinds = {source.dtype(kind) for name, kind in source.outputs.items() if name in ends and kind}
    model = context.assembly.model(inputs, results, "float64" if kinds == {np.dtype(np.float64)} else "float32")
    model.metadata = source.metadata
    return model


def _ends(source: Source) -> dict[str, str]:
    """By name the outputs that are floating-point numbers, and the values that they are."""
    ends = {}
    for name, kind in source.outputs.items():
        producer = source.steps[source.producers[name][0]] if name in source.producers else None
        if producer is not None and producer.op == "ml.ZipMap":
            ends[name] = producer.inputs[0]
        elif kind and source.dtype(kind) in (np.dtype(np.float32), np.dtype(np.float64)):
            ends[name] = name
    if not ends:
        kinds = (f"{name} of {source.dtype(kind) if kind else 'no tensor'}" for name, kind in source.outputs.items())
        raise Unsupported(f"outputs: expected one of float32 or float64, got {', '.join(kinds)}")
    return ends


def _producer(source: Source, name: str) -> Step | None:
    return source.steps[source.producers[name][0]] if name in source.producers else None


def _is_one(source: Source, name: str) -> bool:
    array = source.constants.get(name)
    return array is not None and array.dtype.kind == "f" and is_number(array) and number(array) == 1


def _before_the_end(source: Source, name: str) -> str:
    """The value of which `name` is a softmax or a sigmoid, or the columns 1 - p and p of one; else `name`."""
    step, value = _producer(source, name), name
    while step is not None and step.op in ("Identity", "Cast"):
        value = step.inputs[0]
        step = _producer(source, value)
    if step is not None and step.op == "Concat" and len(step.inputs) == 2:
        rest, p = _producer(source, step.inputs[0]), step.inputs[1]
        if rest is not None and rest.op == "Sub" and rest.inputs[1] == p and _is_one(source, rest.inputs[0]):
            step = _producer(source, p)
    return step.inputs[0] if step is not None and step.op in _ENDS else name


def _found(source: Source, name: str) -> Match | None:
    """The form that ends in `name`; nodes that no form expects end the search with an error that names this one."""
    try:
        return find(source, name)
    except (Unsupported, IndexError, KeyError, TypeError, OverflowError) as error:
        step = source.steps[source.producers[name][0]]
        raise ValueError(f"node {step.name!r} ({step.op}): {error}") from None


def _plans(source: Source, ends: Sequence[str]) -> Mapping[int, Match | None]:
    """By position the nodes that the outputs need, and the forms that they end; other nodes of a form are not needed."""
    plans: dict[int, Match | None] = {}
    todo = [name for name in ends if name not in source.inputs]
    while todo:
        name = todo.pop()
        if name in source.constants or name in source.inputs or not name:
            continue
        position, place = source.producers[name]
        if position in plans and not place:
            continue
        step, match = source.steps[position], _found(source, name)
        if match is None and step.op not in CONVERTERS:
            raise Unsupported(f"node {step.name!r} ({step.op}): expected an op that nncore has; docs/onnx.md lists them")
        if place:
            raise Unsupported(f"node {step.name!r} ({step.op}): expected its first output alone to be used, got {name!r}")
        plans[position] = match
        todo += step.inputs if match is None else [match.x]
    return plans
