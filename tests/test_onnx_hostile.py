"""Files that are broken, hostile or hold what nncore does not have: a clear ValueError, in little time and memory."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import nncore as nn
from nncore.onnx.exporting import proto_of
from nncore.onnx.importing import read
from onnx_models import chain


def valid() -> onnx.ModelProto:
    """A small model with nodes of many kinds."""
    model = chain(
        (4,),
        nn.Dense(6, activation="gelu"),
        nn.BatchNorm(),
        nn.Reshape((2, 3)),
        nn.LayerNorm(),
        nn.Flatten(),
        nn.PReLU(),
        nn.Activation("maxout"),
        nn.Dense(2),
        nn.Activation("softmax"),
    )
    return proto_of(model)


DATA = valid().SerializeToString()


def value(name="x", shape=("n", 3), kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes, inputs=None, outputs=None, weights=(), opset=21):
    tensors = [w if isinstance(w, TensorProto) else numpy_helper.from_array(w[1], w[0]) for w in weights]
    graph = helper.make_graph(nodes, "g", inputs or [value()], outputs or [value("y")], tensors)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", opset)])


def node(op, inputs, outputs=("y",), **attrs):
    return helper.make_node(op, inputs, outputs, **attrs)


def tensor(name, dims, kind=TensorProto.FLOAT, **fields):
    return TensorProto(name=name, dims=dims, data_type=kind, **fields)


def external():
    made = tensor("w", [3, 3], data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="location", value="../../etc/passwd")
    return made


ONES = ("w", np.ones((3, 3), np.float32))
MATMUL = [node("MatMul", ["x", "w"])]
IF = node(
    "If",
    ["c"],
    then_branch=helper.make_graph([node("Relu", ["x"], ["t"])], "a", [], [value("t")]),
    else_branch=helper.make_graph([node("Relu", ["x"], ["e"])], "b", [], [value("e")]),
)
BAD = {
    "empty": (b"", "expected at least one node"),
    "text": (b"this is no model", "not an ONNX"),
    "truncated": (DATA[: len(DATA) // 2], "not a"),
    "no such op": (model_of([node("Conv2000", ["x"])]), "not a valid ONNX model: No Op registered for Conv2000"),
    "an op that nncore has not": (
        model_of([node("Sin", ["x"], name="wave")]),
        r"node 'wave' \(Sin\): expected an op that nncore has",
    ),
    "a domain of one's own": (model_of([node("Relu", ["x"], domain="my.ops")]), "not a valid|my.ops.Relu"),
    "control flow": (model_of([IF], [value(), value("c", (), TensorProto.BOOL)]), r"\(If\): expected no control flow"),
    "a cycle": (model_of([node("Add", ["x", "y"], ["h"]), node("Relu", ["h"])]), "topologically sorted"),
    "weights that are missing": (model_of(MATMUL), "not a valid ONNX model: .*'w'"),
    "a name twice": (model_of([node("Relu", ["x"]), node("Tanh", ["x"])]), "not a valid ONNX model"),
    "external data": (model_of(MATMUL, weights=[external()]), "external data: expected all weights in the file itself"),
    "huge weights": (model_of(MATMUL, weights=[tensor("w", [2**40, 2**20], raw_data=b"1234")]), "not a valid|tensor 'w'"),
    "negative sizes": (model_of(MATMUL, weights=[tensor("w", [-1, -3], raw_data=b"1234")]), "not a valid|tensor 'w'"),
    "too little data": (model_of(MATMUL, weights=[tensor("w", [3, 3], float_data=[1.0])]), "not a valid|tensor 'w'"),
    "text as weights": (
        model_of(MATMUL, weights=[tensor("w", [1], TensorProto.STRING, string_data=[b"a"])]),
        "MatMul.*: expected an op that nncore has",
    ),
    "integers as weights": (
        model_of(MATMUL, weights=[("w", np.ones((3, 3), np.int64))]),
        "expected float32 or float64, got int64",
    ),
    "half precision": (
        model_of(MATMUL, weights=[("w", np.ones((3, 3), np.float16))]),
        "expected float32 or float64, got float16",
    ),
    "a vector as weights": (model_of(MATMUL, weights=[("w", np.ones(3, np.float32))]), "weights: expected a matrix"),
    "weights that do not fit": (
        model_of(MATMUL, weights=[("w", np.ones((5, 3), np.float32))]),
        "a last axis of 5, got shape",
    ),
    "a huge sample": (model_of([node("Relu", ["x"])], [value(shape=("n", 2**31, 2**31))]), "at most 2.*40 elements"),
    "a free size": (
        model_of([node("Relu", ["x"])], [value(shape=("n", "k"))]),
        r"input 'x': expected fixed sizes .*got shape \(n, k\)",
    ),
    "no batch axis": (model_of([node("Relu", ["x"])], [value(shape=())]), "input 'x': expected a tensor with a batch axis"),
    "text as input": (
        model_of([node("Identity", ["x"])], [value(kind=TensorProto.STRING)]),
        "expected float32, float64 or integers",
    ),
    "labels only": (
        model_of([node("ArgMax", ["x"])], None, [value("y", ("n", 1), TensorProto.INT64)]),
        "outputs: expected one of",
    ),
    "a constant as output": (model_of([node("Relu", ["w"])], weights=[ONES]), "depend"),
    "arithmetic of indices": (
        model_of([node("Relu", ["x"], ["h"]), node("Cast", ["h"], to=1)], [value(kind=TensorProto.INT64)]),
        "integers|not a valid",
    ),
    "an axis that is not there": (model_of([node("Softmax", ["x"], axis=5)]), r"axis: expected -2 to 1, got 5"),
    "samples that mix": (model_of([node("Softmax", ["x"], axis=0)]), "axis: expected one other than the batch axis 0"),
    "another opset": (model_of([node("Relu", ["x"])], opset=5), "opset: expected 7 to .*, got 5"),
    "an opset to come": (model_of([node("Relu", ["x"])], opset=99), "opset|not a valid"),
    "an attribute of another type": (model_of([node("LeakyRelu", ["x"], alpha="steep")]), "not a valid ONNX model"),
    "a slope below zero": (
        model_of([node("LeakyRelu", ["x"], alpha=-1.0)]),
        "negative_slope of 'leaky_relu': expected a value in",
    ),
    "constants that grow": (
        model_of(
            [node("Add", ["a", "b"], ["s"]), node("Add", ["x", "s"])],
            weights=[("a", np.ones((2**15, 1), np.float32)), ("b", np.ones((1, 2**15), np.float32))],
        ),
        "fewer constants to compute from constants",
    ),
    "constants that double": (
        model_of(
            [*(node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(60)), node("Add", ["x", "c60"])],
            weights=[("c0", np.ones(1000, np.float32))],
        ),
        "fewer constants to compute from constants",
    ),
    "no such element type": (
        model_of([node("Relu", ["x"])], [value(kind=99)]),
        "element type: expected one of ONNX's, got",
    ),
    "no such output type": (model_of([node("Relu", ["x"])], None, [value("y", kind=99)]), "element type: expected one of"),
    "an axis twice": (
        model_of([node("Unsqueeze", ["x", "a"])], weights=[("a", np.array([1, 1]))]),
        r"axes: expected different ones from -4 to 3, got \[1, 1\]",
    ),
    "a split of nothing": (
        model_of(
            [node("Split", ["x", "e"], ["a", "b"], axis=1), node("Sigmoid", ["b"], ["s"]), node("Mul", ["a", "s"])],
            weights=[("e", np.zeros(0, np.int64))],
        ),
        "Split",
    ),
    "a constant of nothing": (model_of([node("Constant", [], ["c"]), node("Add", ["x", "c"])]), "expected one attribute"),
    "too many nodes": (
        model_of(
            [*(node("Relu", [f"x{i}" if i else "x"], [f"x{i + 1}"]) for i in range(20_001)), node("Relu", ["x20001"])]
        ),
        "at most 20000 nodes",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_say_what_is_wrong(name, tmp_path):
    data, message = BAD[name]
    path = tmp_path / "bad.onnx"
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    with pytest.raises(ValueError, match=rf"(?s)bad\.onnx: .*(?:{message})"):
        nn.onnx.load(path)


def test_functions_are_refused():
    function = helper.make_function("f", "F", ["a"], ["b"], [node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 21)])
    proto = model_of([node("F", ["x"], domain="f")])
    proto.functions.append(function)
    with pytest.raises(ValueError, match="functions: expected none"):
        read(proto.SerializeToString())


def harmless(data: bytes) -> None:
    """Reading `data` gives a model or a ValueError, and takes little."""
    began, model, said = time.monotonic(), None, ""
    tracemalloc.start()
    try:
        model = read(data)
    except ValueError as error:
        said = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert isinstance(model, nn.Model) or len(said) > 10
    assert peak < 50e6
    assert time.monotonic() - began < 20


@settings(max_examples=150)
@example(cuts=[(0, 0)], flips=[])
@given(
    cuts=st.lists(st.tuples(st.integers(0, len(DATA)), st.integers(0, 40)), max_size=2),
    flips=st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), max_size=6),
)
def test_bytes_that_were_changed(cuts, flips):
    data = bytearray(DATA)
    for place, byte in flips:
        data[place] = byte
    for place, length in cuts:
        del data[place : place + length]
    harmless(bytes(data))


NAMES = sorted({name for n in valid().graph.node for name in (*n.input, *n.output)})
OPS = [
    "Relu",
    "Gemm",
    "MatMul",
    "Add",
    "Mul",
    "Reshape",
    "Flatten",
    "Concat",
    "Split",
    "Softmax",
    "Gather",
    "Clip",
    "Cast",
    "Shape",
    "Slice",
    "ReduceMean",
    "ReduceMax",
    "Squeeze",
    "Unsqueeze",
    "BatchNormalization",
    "PRelu",
    "Sub",
    "Div",
    "Transpose",
    "OneHot",
    "Pow",
    "LayerNormalization",
    "Sqrt",
    "Erf",
    "Max",
    "Dropout",
    "Constant",
    "Identity",
]


@settings(max_examples=150)
@given(data=st.data())
def test_graphs_that_were_changed(data):
    """Valid protobuf with other ops, operands, attributes and shapes."""
    proto = valid()
    for _ in range(data.draw(st.integers(1, 3))):
        changed = proto.graph.node[data.draw(st.integers(0, len(proto.graph.node) - 1))]
        what = data.draw(st.sampled_from(["op", "input", "attribute", "drop", "shape", "dims", "type", "kind", "end"]))
        if what == "op":
            changed.op_type = data.draw(st.sampled_from(OPS))
        elif what == "input" and changed.input:
            changed.input[data.draw(st.integers(0, len(changed.input) - 1))] = data.draw(st.sampled_from([*NAMES, ""]))
        elif what == "attribute" and changed.attribute:
            attribute = changed.attribute[0]
            attribute.i, attribute.f = data.draw(st.integers(-(2**63), 2**63 - 1)), data.draw(st.floats(width=32))
        elif what == "drop":
            del changed.input[-1:]
        elif what in ("kind", "end"):
            ends = proto.graph.input if what == "kind" else proto.graph.output
            ends[0].type.tensor_type.elem_type = data.draw(st.integers(-1, 30))
        elif what == "shape":
            shape = proto.graph.input[0].type.tensor_type.shape
            shape.dim[data.draw(st.integers(0, 1))].dim_value = data.draw(st.integers(-(2**63), 2**63 - 1))
        else:
            weights = proto.graph.initializer[data.draw(st.integers(0, len(proto.graph.initializer) - 1))]
            if what == "dims":
                weights.dims[:] = data.draw(st.lists(st.integers(-1, 2**62), max_size=4))
            else:
                weights.data_type = data.draw(st.integers(0, 30))
    harmless(proto.SerializeToString())


@pytest.mark.parametrize(
    "body",
    [
        [node("Flatten", ["x"], axis=0)],  # of samples that are numbers: [1, n]
        [node("Add", ["x", "w"])],  # [n] and [1, 1] make [1, n]
    ],
)
def test_what_would_move_the_samples_to_another_axis(body):
    made = model_of(body, [value(shape=("n",))], [value("y", (1, "n"))], [("w", np.ones((1, 1), np.float32))])
    with pytest.raises(ValueError, match="samples"):
        read(made.SerializeToString())
