"""ONNX's own node tests for every op that `nncore.onnx` reads: which run through the importer, and why the others do not.

A node test has all operands as inputs of its graph. What nncore has as weights, shapes or bounds becomes an initializer
with the test's own array; what is left are the model's inputs, whose first axis is the batch.
"""

from __future__ import annotations

import pkgutil
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.case import node

from nncore.onnx.converters import CONVERTERS
from nncore.onnx.importing import read

# By op the operands that stay inputs, where they are not the first alone.
SAMPLES = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Sum", "Mean", "Concat"), None),
    "Gather": (1,),
}
# Ops of which nncore has the first result and not the others.
FIRST_RESULT = ("LayerNormalization", "Dropout")


@dataclass(frozen=True)
class NodeTest:
    """A test: its name, op, model and arrays."""

    name: str
    op: str
    model: Any
    inputs: list[Any]
    outputs: list[Any]
    rtol: float
    atol: float


def node_tests() -> list[NodeTest]:
    """The tests of one node for each op that can be read, by itself or as MatMul is in a form."""
    ops = {op for op in (*CONVERTERS, "MatMul") if "." not in op}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, while the tests' expected values are computed
        for module in pkgutil.iter_modules(node.__path__):  # of the others importing alone takes seconds
            if module.name.replace("_", "") in {op.lower() for op in ops}:
                import_module(f"{node.__name__}.{module.name}")
    found = []
    for case in node._NodeTestCases:
        (step, *more) = case.model.graph.node
        if not more and step.op_type in ops and not step.domain and not case.name.endswith("_expanded"):
            ((inputs, outputs),) = case.data_sets
            arrays, results = ([as_array(a) for a in group] for group in (inputs, outputs))
            name = case.name.removeprefix("test_")
            found.append(NodeTest(name, step.op_type, case.model, arrays, results, case.rtol, case.atol))
    return sorted(found, key=lambda test: (test.op, test.name))


def as_array(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def candidates(test: NodeTest) -> Iterator[tuple[Any, list[Any]]]:
    """The test's model with operands made initializers, and its inputs' arrays; several ways where operands are alike."""
    names = [info.name for info in test.model.graph.input]
    kept = SAMPLES.get(test.op, (0,))
    for places in [tuple(range(len(names))), (0,), (1,)] if kept is None else [kept]:
        model = onnx.ModelProto.FromString(test.model.SerializeToString())
        for name, array in zip(names, test.inputs, strict=True):
            if names.index(name) not in places and not isinstance(array, (list, type(None))):
                model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
        if test.op in FIRST_RESULT:
            del model.graph.output[1:]
            del model.graph.node[0].output[1:]
        given = [array for place, array in enumerate(test.inputs) if place in places]
        if given:
            yield model, given


def outcome(test: NodeTest) -> str:
    """Why nncore does not read the test, or nothing where its model gives the expected numbers.

    Raises:
        AssertionError: it gives others.
    """
    reason = "expected an input, got none"
    for model, given in candidates(test):
        try:
            made = read(model.SerializeToString())
            y = made.predict(given if len(given) > 1 else given[0])
        except (ValueError, TypeError) as error:
            reason = reason if reason != "expected an input, got none" else said(str(error))
            continue
        np.testing.assert_allclose(y, test.outputs[0], test.rtol, test.atol, err_msg=test.name)
        assert y.shape == test.outputs[0].shape
        return ""
    return reason


def said(message: str) -> str:
    """A message without the node's name, and without what the one test has in place of what is expected."""
    text = re.sub(r"^node '[^']*' \(\w+\): ", "", message)
    text = re.sub(r"^(input|output) '[^']*': ", r"\1: ", text)
    return text.split(", got ")[0].split(", as it ")[0]


def table(outcomes: Sequence[tuple[NodeTest, str]]) -> list[str]:
    """Lines of the Markdown table of all tests: by op those that run, and the others by reason."""
    lines = ["| op | runs | is refused |", "| --- | --- | --- |"]
    for op in dict.fromkeys(test.op for test, _ in outcomes):
        runs = [test.name for test, reason in outcomes if test.op == op and not reason]
        reasons = dict.fromkeys(reason for test, reason in outcomes if test.op == op and reason)
        refused = [
            f"{reason}: {', '.join(test.name for test, why in outcomes if test.op == op and why == reason)}"
            for reason in reasons
        ]
        lines.append(f"| {op} | {', '.join(runs)} | {'<br>'.join(refused)} |")
    return lines
