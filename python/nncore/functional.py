"""How symbolic tensors make a network, and how arrays for several inputs or outputs are given: in a list, or by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nncore.graph import GraphBuilder
from nncore.layers import Input, Layer
from nncore.layers.base import Call, as_tensors
from nncore.optable import Shape

__all__ = ["Connections", "Slots", "Structured", "name_layers", "run_calls"]

Structured = Any  # what a model takes and gives: one thing; of several inputs or outputs a list of them, or a dict by name


def name_layers(layers: Sequence[Layer]) -> dict[str, Layer]:
    """The layers by name; those without one are called after their class: dense, dense_1, ..."""
    given = [layer.name for layer in layers if layer.name is not None]
    taken, counts, named = set(given), dict[str, int](), dict[str, Layer]()
    if len(taken) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise ValueError(f"layers: expected different names, got {twice!r} twice")
    for layer in layers:
        if layer.name is not None:
            named[layer.name] = layer
            continue
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
        count = counts.get(stem, 0)
        while (name := f"{stem}_{count}" if count else stem) in taken:
            count += 1
        counts[stem] = count + 1
        taken.add(name)
        named[name] = layer
    return named


@dataclass(frozen=True, eq=False, repr=False)
class Slots:
    """The inputs or the outputs of a model.

    Attributes:
        names: of each.
        kind: how they were given, and their arrays are: ``"one"``, ``"list"`` or ``"dict"``.
    """

    names: tuple[str, ...] = ("",)
    kind: str = "one"

    def split(self, value: Structured, what: str) -> list[Any]:
        """One thing for each slot, out of `value`: the thing itself, a list or tuple, or a dict by name.

        Raises:
            TypeError, ValueError: another structure, another number, or other names; messages call `value` `what`.
        """
        if isinstance(value, Mapping):
            if set(value) != set(self.names):
                raise ValueError(f"{what}: expected the names {list(self.names)}, got {list(value)}")
            return [value[name] for name in self.names]
        if self.kind == "one":
            return [value]
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{what}: expected a list or a dict by names {list(self.names)}, got {type(value).__name__}")
        if len(value) != len(self.names):
            raise ValueError(f"{what}: expected one for each of {list(self.names)}, got {len(value)}")
        return list(value)

    def label(self, i: int, what: str) -> str:
        """What messages call thing `i` of `what`."""
        return what if self.kind == "one" else f"{what}[{i}]" if self.kind == "list" else f"{what}[{self.names[i]!r}]"

    def join(self, things: Sequence[Any]) -> Structured:
        """The opposite of `split`."""
        if self.kind == "one":
            return things[0]
        return list(things) if self.kind == "list" else dict(zip(self.names, things, strict=True))


class Connections:
    """The layers between a model's inputs and outputs, in the order in which they were called.

    Attributes:
        inputs, outputs: the ends.
        calls: all uses of layers on the way; each comes after those it depends on.
        layers: by name, the inputs first.
        input_slots, output_slots: how the ends were given.

    Raises:
        TypeError: ends that are not symbolic tensors, inputs that are not `nncore.Input`.
        ValueError: an input twice, an output that depends on an input that is not among them, or equal names.
    """

    def __init__(self, inputs: Structured, outputs: Structured) -> None:
        ends = {"inputs": inputs, "outputs": outputs}
        tensors = {what: as_tensors(list(v.values()) if isinstance(v, dict) else v, what) for what, v in ends.items()}
        self.outputs = tensors["outputs"]
        self.inputs: list[Input] = []
        known: set[Input] = set()
        for place, tensor in enumerate(tensors["inputs"]):
            if not isinstance(tensor, Input):
                raise TypeError(f"inputs: expected nn.Input objects, got {tensor!r} at position {place}")
            if tensor in known:
                raise ValueError(f"inputs: expected each once, got {tensor!r} again at position {place}")
            known.add(tensor)
            self.inputs.append(tensor)
        self.calls = self._calls_between()
        self.layers = name_layers(list(dict.fromkeys([*self.inputs, *(call.layer for call in self.calls)])))
        self.names = {id(layer): name for name, layer in self.layers.items()}
        self.input_slots = _slots(inputs, [self.names[id(tensor)] for tensor in self.inputs])
        self.output_slots = _slots(outputs, [self.names[id(tensor.call.layer)] for tensor in self.outputs])

    def _calls_between(self) -> list[Call]:
        found: dict[int, Call] = {}
        inputs = set(self.inputs)
        todo = [tensor.call for tensor in self.outputs]
        while todo:
            call = todo.pop()
            if isinstance(call.layer, Input):
                if call.layer not in inputs:
                    raise ValueError(f"outputs: expected to depend on the inputs alone, got {call.layer!r} beside them")
            elif call.number not in found:
                found[call.number] = call
                todo += [tensor.call for tensor in call.inputs]
        return [found[number] for number in sorted(found)]

    def build(self, builder: GraphBuilder, inputs: Sequence[int], prefix: str = "") -> list[int]:
        """Add everything between the nodes `inputs` and the outputs; returns the outputs' nodes.

        Raises:
            ValueError: the inputs do not have the shapes that the layers were connected for.
        """
        shapes: list[Shape] = [builder.shape(node) for node in inputs]
        if shapes != [tensor.shape for tensor in self.inputs]:
            raise ValueError(f"inputs: expected shapes {[tensor.shape for tensor in self.inputs]}, got {shapes}")
        values = {(tensor.call.number, 0): node for tensor, node in zip(self.inputs, inputs, strict=True)}
        for call in self.calls:
            nodes = [values[tensor.call.number, tensor.index] for tensor in call.inputs]
            results = call.layer.add_to(builder, nodes, prefix + self.names[id(call.layer)])
            values |= {(call.number, index): node for index, node in enumerate(results)}
        return [values[tensor.call.number, tensor.index] for tensor in self.outputs]

    def __reduce__(self) -> Any:  # noqa: ANN401 - what pickle wants
        """Calls by their places, in order: a copy has calls of its own, and a deep network needs no deep recursion."""
        calls = [*(tensor.call for tensor in self.inputs), *self.calls]
        places = {call.number: i for i, call in enumerate(calls)}
        steps = [(call.layer, [(places[t.call.number], t.index) for t in call.inputs]) for call in calls]
        ends = [(places[tensor.call.number], tensor.index) for tensor in self.outputs]
        return _reconnect, (steps, ends, self.input_slots, self.output_slots)

    def sources(self) -> dict[str, str]:
        """For each layer the layers that it is connected to: of one use separated by commas, uses by semicolons."""
        uses: dict[str, list[str]] = {name: [] for name in self.layers}
        for call in self.calls:
            used = [self.names[id(tensor.call.layer)] + (f"[{t}]" if (t := tensor.index) else "") for tensor in call.inputs]
            uses[self.names[id(call.layer)]].append(", ".join(used))
        return {name: "; ".join(texts) for name, texts in uses.items()}


def run_calls(calls: Sequence[tuple[Layer, Sequence[tuple[int, int]]]]) -> list[list[Any]]:
    """Call layers on results of earlier calls, each a place and an index; the results. A call of nothing is an input."""
    results: list[list[Any]] = []
    for layer, inputs in calls:
        tensors = tuple(results[place][index] for place, index in inputs)
        results.append(layer._call(tensors) if tensors else [layer])
    return results


def _reconnect(
    calls: Sequence[tuple[Layer, Sequence[tuple[int, int]]]], ends: Sequence[tuple[int, int]], inputs: Slots, outputs: Slots
) -> Connections:
    results = run_calls(calls)
    starts = [result[0] for result, (_, given) in zip(results, calls, strict=True) if not given]
    return Connections(inputs.join(starts), outputs.join([results[place][index] for place, index in ends]))


def _slots(given: Structured, names: Sequence[str]) -> Slots:
    """The slots of what was given; a name that comes again gets a number, as in Keras."""
    if isinstance(given, dict):
        for name in given:
            if not isinstance(name, str) or not name:
                raise TypeError(f"names of inputs and outputs: expected non-empty strings, got {name!r}")
        return Slots(tuple(given), "dict")
    unique, counts = dict[str, None](), dict[str, int]()
    for name in names:
        count = counts.get(name, 0)
        while (numbered := f"{name}_{count}" if count else name) in unique:
            count += 1
        counts[name] = count + 1
        unique[numbered] = None
    return Slots(tuple(unique), "list" if isinstance(given, (list, tuple)) else "one")
