"""The waist of the package: a small, typed, immutable description of a network.

Everything above (layers, models, importers) only builds a `Graph`; everything below (engines, exporters) only reads one.
A graph is a DAG of nodes in topological order. Shapes are per sample: the batch dimension is free and never written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from nncore.caching import cached_property
from nncore.optable import OPS, AttrValue, Shape

__all__ = ["Function", "Graph", "GraphBuilder", "InitializerSpec", "Node", "Owner", "ParameterSpec", "freeze"]

# Name and options of an initialiser, or a function (shape, numpy.random.Generator) -> array.
InitializerSpec = tuple[str, Mapping[str, AttrValue]] | Callable[[Shape, Any], Any]


@dataclass(frozen=True)
class ParameterSpec:
    """A named array that training may change.

    Attributes:
        name: unique within the graph, such as ``"dense.kernel"``.
        shape: the array's shape.
        initializer: name and options of the initialiser, e.g. ``("glorot_uniform", {})``, or a function
            ``(shape, rng) -> array``.
        trainable: whether an optimizer may change it. What an op learns itself, such as the averages of a batch
            normalisation, is not trainable.
        l1, l2: of the penalty l1 * sum(|p|) + l2 * sum(p^2) that is added to the loss while the parameter is trainable.
        max_norm: what no column of a matrix, or no vector, may exceed in Euclidean norm after an update.
    """

    name: str
    shape: Shape
    initializer: InitializerSpec = ("zeros", MappingProxyType({}))
    trainable: bool = True
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float | None = None


class Function(Protocol):
    """Python code that an engine calls on whole batches; a layer written by a user is one.

    ``forward(*inputs, *parameters)`` gives y ``[rows, *shape]`` from inputs ``[rows, *shape]`` and parameters, and
    ``backward(*inputs, *parameters, y, dy)`` the gradients of the inputs and of the parameters, in this order. The arrays
    cannot be written to. A method with an argument ``training`` is told whether the pass trains.
    """

    def forward(self, *arrays: Any) -> Any: ...  # noqa: ANN401, D102

    def backward(self, *arrays: Any) -> Any: ...  # noqa: ANN401, D102


@dataclass(frozen=True)
class Node:
    """One application of an op.

    Attributes:
        op: a row of `nncore.optable.OPS`, ``"input"``, or ``"python"`` for a function of the user's.
        inputs: indices of earlier nodes.
        attrs: every attribute of the op's row, defaults filled in, in the row's order; of op ``"python"`` none, or
            ``frozen`` where the function is told that no pass trains.
        parameters: indices into `Graph.parameters`, one for each parameter slot of the op, in the row's order.
        shape: per-sample shape of the result.
        name: the layer that made the node; not unique.
        function: of op ``"python"``.
    """

    op: str
    inputs: tuple[int, ...]
    attrs: Mapping[str, AttrValue]
    parameters: tuple[int, ...]
    shape: Shape
    name: str
    function: Any = None


@dataclass(frozen=True)
class Graph:
    """A network: nodes in topological order, the parameters they use, and which nodes are its inputs and outputs."""

    nodes: tuple[Node, ...]
    parameters: tuple[ParameterSpec, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Per-sample shapes of the inputs."""
        return tuple(self.nodes[i].shape for i in self.inputs)

    @cached_property
    def output_shapes(self) -> tuple[Shape, ...]:
        """Per-sample shapes of the outputs."""
        return tuple(self.nodes[i].shape for i in self.outputs)


def freeze(graph: Graph, parameters: frozenset[int] | set[int]) -> Graph:
    """`graph` with the `parameters` frozen: no optimizer changes them, and an op that has one learns nothing else either.

    >>> b = GraphBuilder()
    >>> h = b.node("dense", [b.input((3,))], {"units": 2, "use_bias": False}, [b.parameter("kernel", (3, 2))])
    >>> [p.trainable for p in freeze(b.build([h]), {0}).parameters]
    [False]
    """
    if not parameters:
        return graph
    nodes = [
        replace(node, attrs=MappingProxyType({**node.attrs, "frozen": True}))
        if "frozen" in node.attrs and not parameters.isdisjoint(node.parameters)
        else node
        for node in graph.nodes
    ]
    specs = [replace(spec, trainable=False) if i in parameters else spec for i, spec in enumerate(graph.parameters)]
    return replace(graph, nodes=tuple(nodes), parameters=tuple(specs))


_MOST_NODES = 20_000  # a file of a few bytes may describe models in models in models, each used twice by the next
_MOST_ELEMENTS = 2**40  # of a parameter or a sample: no machine holds more, and no size overflows 64 bits


def _checked_shape(what: str, shape: Sequence[int]) -> Shape:
    shape = tuple(shape)
    if any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in shape):
        raise ValueError(f"shape of {what}: expected positive integers, got {shape}")
    _check_size(what, shape)
    return shape


def _check_size(what: str, shape: Shape) -> None:
    if math.prod(shape) > _MOST_ELEMENTS:
        raise ValueError(f"shape of {what}: expected at most 2**40 elements, got {shape}")


@dataclass(eq=False, repr=False)
class Owner:
    """What a layer, or a model that is a part of another, has added to a graph.

    Attributes:
        thing: the layer or model.
        name: what it is called there.
        parameters: indices into `Graph.parameters`, in the order in which it asked for them; the keys of a dict, each once.
        results: the nodes that its last use gave.
    """

    thing: object
    name: str
    parameters: dict[int, None] = field(default_factory=dict)
    results: tuple[int, ...] = ()


@dataclass(eq=False, repr=False)
class GraphBuilder:
    """Builds a `Graph` node by node, checking every step against the op table.

    >>> b = GraphBuilder()
    >>> x = b.input((3,))
    >>> w = b.parameter("kernel", (3, 2))
    >>> h = b.node("dense", [x], {"units": 2, "use_bias": False}, [w])
    >>> b.build(outputs=[b.node("relu", [h])]).output_shapes
    ((2,),)
    """

    _nodes: list[Node] = field(default_factory=list)
    _parameters: list[ParameterSpec] = field(default_factory=list)
    _indices: dict[str, int] = field(default_factory=dict)  # of the parameters by name
    _inputs: list[int] = field(default_factory=list)
    _owners: dict[int, Owner] = field(default_factory=dict)  # by the identity of the thing
    _adding: list[tuple[Owner, bool]] = field(default_factory=list)  # who is, innermost last, and whether again

    @property
    def owners(self) -> tuple[Owner, ...]:
        """Who has added something, in order of their first time."""
        return tuple(self._owners.values())

    @property
    def parameter_count(self) -> int:
        """How many parameters there are so far."""
        return len(self._parameters)

    @contextmanager
    def adding(self, thing: object, name: str) -> Iterator[Owner]:
        """Within it the layer or model `thing`, called `name`, adds its nodes and parameters.

        A `thing` that was here before keeps its first name, and asking for a parameter then gives the one of the first
        time: so a layer that is used at several places has one set of weights.
        """
        again = id(thing) in self._owners
        owner = self._owners.setdefault(id(thing), Owner(thing, name))
        self._adding.append((owner, again))
        try:
            yield owner
        finally:
            self._adding.pop()

    def shape(self, index: int) -> Shape:
        """The per-sample shape of node `index`."""
        return self._nodes[index].shape

    def input(self, shape: Sequence[int], name: str = "input") -> int:
        """Add an input of per-sample `shape`; returns its node index."""
        shape = _checked_shape(f"input {name!r}", shape)
        self._add(Node("input", (), MappingProxyType({}), (), shape, name))
        self._inputs.append(len(self._nodes) - 1)
        return self._inputs[-1]

    def parameter(
        self,
        name: str,
        shape: Sequence[int],
        initializer: InitializerSpec = ("zeros", MappingProxyType({})),
        trainable: bool = True,
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
    ) -> int:
        """Declare a parameter; returns its index. Two nodes given the same index share it.

        Raises:
            ValueError: the name is taken, or, where it is used again (see `adding`), the shape is another one.
        """
        index = self._indices.get(name, len(self._parameters))
        if index < len(self._parameters):
            first = self._parameters[index].shape
            if not any(again for _, again in self._adding):
                raise ValueError(f"parameter name {name!r} is used twice")
            if first != tuple(shape):
                raise ValueError(f"parameter {name!r}: expected shape {first} as at its first use, got {tuple(shape)}")
        else:
            _check_size(f"parameter {name!r}", tuple(shape))
            frozen = initializer if callable(initializer) else (initializer[0], MappingProxyType(dict(initializer[1])))
            if max_norm is not None and len(shape) not in (1, 2):
                raise ValueError(f"max_norm of parameter {name!r}: expected a vector or a matrix, got shape {tuple(shape)}")
            self._indices[name] = index
            self._parameters.append(ParameterSpec(name, tuple(shape), frozen, trainable, l1, l2, max_norm))
        for owner, _ in self._adding:
            owner.parameters[index] = None
        return index

    def node(
        self,
        op: str,
        inputs: Sequence[int],
        attrs: Mapping[str, AttrValue] = MappingProxyType({}),
        parameters: Sequence[int] = (),
        name: str | None = None,
    ) -> int:
        """Apply `op` to earlier nodes; returns the new node's index.

        Raises:
            ValueError: unknown op, wrong number of inputs, attribute out of bounds, shapes or parameters that do not fit.
        """
        if op not in OPS:
            raise ValueError(f"unknown op {op!r}: expected one of {', '.join(OPS)}")
        row = OPS[op]
        if any(not 0 <= i < len(self._nodes) for i in inputs):
            raise ValueError(f"inputs of {op!r}: expected indices of earlier nodes, got {tuple(inputs)}")
        row.check_arity(len(inputs))
        filled = row.fill(attrs)
        shapes = tuple(self._nodes[i].shape for i in inputs)
        out = row.shape(shapes, filled)
        _check_size(f"the result of {op!r}", out)
        expected = row.parameters(shapes, filled)
        got = {slot: self._parameters[p].shape for slot, p in zip(expected, parameters, strict=False)}
        if len(parameters) != len(expected) or dict(expected) != got:
            raise ValueError(f"parameters of {op!r}: expected shapes {dict(expected)}, got {got} ({len(parameters)} given)")
        self._add(Node(op, tuple(inputs), MappingProxyType(filled), tuple(parameters), out, name or op))
        return len(self._nodes) - 1

    def call(
        self, function: Function, inputs: Sequence[int], shape: Sequence[int], parameters: Sequence[int], name: str
    ) -> int:
        """Apply a `function` of the user's, whose result has per-sample `shape`; returns the new node's index.

        Raises:
            ValueError: no inputs, or a shape that is none.
        """
        if not inputs or any(not 0 <= i < len(self._nodes) for i in inputs):
            raise ValueError(f"inputs: expected at least one index of an earlier node, got {tuple(inputs)}")
        checked = _checked_shape(f"the result of {name!r}", shape)
        self._add(Node("python", tuple(inputs), MappingProxyType({}), tuple(parameters), checked, name, function))
        return len(self._nodes) - 1

    def _add(self, node: Node) -> None:
        if len(self._nodes) == _MOST_NODES:
            raise ValueError(f"expected a network of at most {_MOST_NODES} nodes, got more")
        self._nodes.append(node)

    def build(self, outputs: Sequence[int]) -> Graph:
        """The finished graph, ending in the nodes `outputs`."""
        if not self._inputs:
            raise ValueError("a graph needs at least one input")
        if not outputs or any(not 0 <= i < len(self._nodes) for i in outputs):
            raise ValueError(f"outputs: expected indices of nodes, got {tuple(outputs)}")
        return Graph(tuple(self._nodes), tuple(self._parameters), tuple(self._inputs), tuple(outputs))
