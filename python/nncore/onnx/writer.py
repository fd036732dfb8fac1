"""Writing ONNX nodes and constants, and from them each op of the op table: one row of `WRITERS` for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nncore.arrays import Array
from nncore.graph import Node
from nncore.onnx.forms import FORMS, LAST, Expr
from nncore.optable import Shape, sample_axis

__all__ = ["INEXPRESSIBLE", "WRITERS", "Writer"]


class Writer:
    """The nodes and constants of an ONNX graph as it grows. Values go by their names.

    Attributes:
        nodes: ONNX nodes, in topological order.
        constants: weights and other constants, by name.
        layer: name of the layer that is being written.
        shapes: per-sample shapes of its inputs.
        index_inputs: the graph's inputs that are integers already.
    """

    def __init__(self, onnx: Any, dtype: str, opset: int, taken: Sequence[str]) -> None:  # noqa: ANN401 - the module
        self._onnx = onnx
        self._dtype = np.dtype(dtype)
        self._opset = opset
        self._taken = set(taken)
        self._numbers: dict[tuple[str, tuple[float, ...]], str] = {}
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self.layer = ""
        self.shapes: tuple[Shape, ...] = ()
        self.index_inputs: frozenset[str] = frozenset()

    def unique(self, name: str) -> str:
        """`name`, or with a number after it where it is taken."""
        candidate, count = name, 0
        while candidate in self._taken:
            count += 1
            candidate = f"{name}_{count}"
        self._taken.add(candidate)
        return candidate

    def node(self, op: str, *inputs: str, outputs: int = 1, **attrs: Any) -> Any:  # noqa: ANN401 - as ONNX takes them
        """Add a node; returns the name of its result, or the names of several."""
        names = [self.unique(f"{self.layer}/{op}") for _ in range(outputs)]
        self.nodes.append(self._onnx.helper.make_node(op, inputs, names, names[0], **attrs))
        return names[0] if outputs == 1 else names

    def result(self, value: str, name: str) -> None:
        """Call `value` `name`, as a result of the graph."""
        self.nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name))

    def number(self, value: float) -> str:
        """A scalar constant of the model's dtype; equal ones are one."""
        return self._shared("number", (value,), np.asarray(value, self._dtype))

    def integers(self, values: Sequence[int]) -> str:
        """A vector of integers: axes or a shape."""
        return self.vector(np.asarray(values, np.int64))

    def integer(self, value: int) -> str:
        """A scalar integer."""
        return self._shared("integer", (value,), np.asarray(value, np.int64))

    def vector(self, values: Array) -> str:
        """A vector as it is; equal ones are one."""
        return self._shared(values.dtype.name, tuple(values.tolist()), values)

    def array(self, name: str, value: Array) -> str:
        """A constant of one's own."""
        name = self.unique(name)
        self.constants[name] = np.asarray(value, self._dtype)
        return name

    def _shared(self, kind: str, key: tuple[float, ...], value: Array) -> str:
        if (kind, key) not in self._numbers:
            name = self._numbers[kind, key] = self.unique(f"{kind}_{len(self._numbers)}")
            self.constants[name] = value
        return self._numbers[kind, key]

    def indices(self, x: str) -> str:
        """`x` as int64."""
        return x if x in self.index_inputs else str(self.node("Cast", x, to=self._onnx.TensorProto.INT64))

    def real(self, x: str) -> str:
        """`x` in the model's dtype."""
        return str(self.node("Cast", x, to=self._onnx.helper.np_dtype_to_tensor_dtype(self._dtype)))

    def expression(self, tree: Expr, values: Mapping[str, Any]) -> str:
        """Write an expression; `values` has its names: names of arrays, or numbers."""
        done: dict[str, str] = {}  # a part that comes twice is computed once

        def write(part: Expr) -> str:
            if part == LAST:
                return self.integers([-1])
            if isinstance(part, str):
                return str(values[part]) if isinstance(values[part], str) else self.number(values[part])
            if not isinstance(part, tuple):
                return self.number(part)
            key = repr(part)
            if key not in done:
                op, *operands = part
                inputs = [write(operand) for operand in operands]
                done[key] = str(self.node(op, *inputs))
            return done[key]

        return write(tree)

    def form(self, node: Node, x: str, parameters: Mapping[str, str]) -> str:
        """Write the form of a node that its attributes and the dtype ask for."""
        form = next(f for f in FORMS[node.op] if all(node.attrs[key] == value for key, value in f.fixed.items()))
        if form.single and (form.tree is None or (self.single and self._opset >= form.since)):
            attrs: dict[str, Any] = {key: node.attrs[v] if isinstance(v, str) else v for key, v in form.attrs.items()}
            return str(self.node(form.single, x, **attrs))
        assert form.tree is not None  # else the table of forms has a row of nothing
        return self.expression(form.tree, {**node.attrs, **parameters, "x": x})

    @property
    def single(self) -> bool:
        """Whether ops with attributes keep the digits of the dtype."""
        return self._dtype == np.float32


# A writer of an op: (writer, node, inputs, parameters by slot) -> name of the result.
Write = Callable[[Writer, Node, Sequence[str], Mapping[str, str]], str]


def _by_form(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    return w.form(node, xs[0], parameters)


def _nothing(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    return xs[0]


def _softplus(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    plain = node.attrs["beta"] == 1 and float(node.attrs["threshold"]) >= 20  # float32 has no digit of the difference
    return str(w.node("Softplus", xs[0])) if plain and w.single else _by_form(w, node, xs, parameters)


def _rrelu(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    slope = (float(node.attrs["lower"]) + float(node.attrs["upper"])) / 2
    leaky = Node("leaky_relu", node.inputs, {"negative_slope": slope}, (), node.shape, node.name)
    return w.form(leaky, xs[0], {})


def _prelu(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    return str(w.node("PRelu", xs[0], parameters["alpha"])) if w.single else _by_form(w, node, xs, parameters)


def _glu(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    value, gate = w.node("Split", xs[0], outputs=2, axis=node.attrs["axis"], num_outputs=2)
    return str(w.node("Mul", value, w.node("Sigmoid", gate)))


def _maxout(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    """[..., groups * m, ...] as [..., groups, m, ...], of which the largest along groups."""
    (shape,) = w.shapes
    at, groups = sample_axis(int(node.attrs["axis"]), len(shape)), int(node.attrs["groups"])
    cut = [0, *shape[:at], groups, shape[at] // groups, *shape[at + 1 :]]
    parts = w.node("Reshape", xs[0], w.integers(cut))
    return str(w.node("ReduceMax", parts, w.integers([at + 1]), keepdims=0))


def _reshape(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    return str(w.node("Reshape", xs[0], w.integers([0, *node.shape])))


def _flatten(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    return str(w.node("Flatten", xs[0], axis=1))


def _add(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    return str(w.node("Sum", *xs)) if len(xs) > 2 else str(w.node("Add", *xs))


def _multiply(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    result, *others = xs
    for other in others:
        result = w.node("Mul", result, other)
    return result


def _average(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    return str(w.node("Mean", *xs) if w.single else w.node("Div", w.node("Sum", *xs), w.number(len(xs))))


def _concatenate(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    return str(w.node("Concat", *xs, axis=node.attrs["axis"]))


def _dense(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    if len(node.shape) == 1:
        return str(w.node("Gemm", xs[0], *parameters.values()))
    y = str(w.node("MatMul", xs[0], parameters["kernel"]))
    return str(w.node("Add", y, parameters["bias"])) if "bias" in parameters else y


def _batch_norm(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    slots, epsilon = dict(parameters), float(node.attrs["epsilon"])
    if node.attrs["frozen"]:  # it no longer learns: a difference, a product and a sum with constants
        variance = w.constants[slots["moving_variance"]].astype(np.float64)
        gain = w.constants[slots["gamma"]] if "gamma" in slots else 1.0
        scale = w.array(f"{node.name}.scale", gain / np.sqrt(variance + epsilon))
        y = w.node("Mul", w.node("Sub", xs[0], slots["moving_mean"]), scale)
        return str(w.node("Add", y, slots["beta"])) if "beta" in slots else str(y)
    if not w.single or len(w.shapes[0]) != 1:  # ONNX has the channels in axis 1, nncore in the last one
        return _by_form(w, node, xs, parameters)
    size = node.shape
    gamma = slots.get("gamma") or w.array(f"{node.name}.gamma", np.ones(size))
    beta = slots.get("beta") or w.array(f"{node.name}.beta", np.zeros(size))
    averages = slots["moving_mean"], slots["moving_variance"]
    return str(
        w.node("BatchNormalization", xs[0], gamma, beta, *averages, epsilon=epsilon, momentum=node.attrs["momentum"])
    )


def _layer_norm(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    if not w.single or "gamma" not in parameters:
        return w.form(node, xs[0], parameters)
    return str(w.node("LayerNormalization", xs[0], *parameters.values(), axis=-1, epsilon=node.attrs["epsilon"]))


def _embedding(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    return str(w.node("Gather", parameters["embeddings"], w.indices(xs[0]), axis=0))


def _one_hot(w: Writer, node: Node, xs: Sequence[str], parameters: Mapping[str, str]) -> str:
    off_and_on = w.vector(np.array([0, 1], np.float32))  # of float64 onnxruntime makes none
    y = str(w.node("OneHot", w.indices(xs[0]), w.integer(int(node.attrs["depth"])), off_and_on, axis=-1))
    return y if w.single else w.real(y)


WRITERS: Mapping[str, Write] = {
    **dict.fromkeys(FORMS, _by_form),
    "identity": _nothing,
    "dropout": _nothing,  # without a part in inference, as the other noise
    "alpha_dropout": _nothing,
    "gaussian_noise": _nothing,
    "softplus": _softplus,
    "rrelu": _rrelu,
    "prelu": _prelu,
    "glu": _glu,
    "maxout": _maxout,
    "flatten": _flatten,
    "reshape": _reshape,
    "add": _add,
    "multiply": _multiply,
    "average": _average,
    "concatenate": _concatenate,
    "dense": _dense,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "embedding": _embedding,
    "one_hot": _one_hot,
}

# What ONNX cannot express, and why.
INEXPRESSIBLE: Mapping[str, str] = {"python": "it is a layer written in Python"}
