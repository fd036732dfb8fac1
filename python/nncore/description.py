"""A model as JSON-like data, and back; what is made of data can only be of classes known here or handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from reprlib import repr as short  # what a file holds instead may be long
from typing import Any

from nncore.functional import Structured, run_calls
from nncore.layers import LAYERS, Layer
from nncore.layers.base import Tensor
from nncore.model import Model
from nncore.network import Network
from nncore.sequential import Sequential

__all__ = ["describe", "make"]

_MODELS = ("Sequential", "Model")
Path = tuple[int, ...]  # positions among the layers of a model, of its layer, ...


def describe(model: Network) -> dict[str, Any]:
    """The model's architecture.

    Raises:
        ValueError: a class that a file cannot name: one derived from a model, or another one of the name of nncore's.
    """
    return _describe_model(model, (), {})


def _describe_model(model: Network, path: Path, seen: dict[int, Path]) -> dict[str, Any]:
    kind = type(model).__name__
    if type(model) not in (Model, Sequential):
        raise ValueError(f"model: expected a class that a file can name (Model or Sequential), got {kind}")
    layers = [_describe_layer(name, layer, (*path, i), seen) for i, (name, layer) in enumerate(model._layers.items())]
    description: dict[str, Any] = {"class": kind, "name": model.name, "layers": layers}
    if type(model) is Model:
        connections, numbers = model._connections, {name: i for i, name in enumerate(model._layers)}
        calls = [*(tensor.call for tensor in connections.inputs), *connections.calls]
        places = {call.number: i for i, call in enumerate(calls)}

        def ends(tensors: Sequence[Tensor]) -> list[list[int]]:
            return [[places[tensor.call.number], tensor.index] for tensor in tensors]

        description["calls"] = [
            {"layer": numbers[connections.names[id(call.layer)]], "inputs": ends(call.inputs)} for call in calls
        ]
        description["inputs"] = {"kind": model._inputs.kind, "names": list(model._inputs.names)}
        description["outputs"] = {"kind": model._outputs.kind, "names": list(model._outputs.names)}
        description["ends"] = ends(connections.outputs)
    return description


def _describe_layer(name: str, layer: Layer, path: Path, seen: dict[int, Path]) -> dict[str, Any]:
    if id(layer) in seen:  # it belongs to another part of the model too, with the same weights
        return {"same": list(seen[id(layer)])}
    seen[id(layer)] = path
    if isinstance(layer, Model):
        return _describe_model(layer, path, seen)
    kind = type(layer).__name__
    if LAYERS.get(kind, type(layer)) is not type(layer) or kind in _MODELS:
        raise ValueError(f"layer {name!r}: expected a class that a file can name, got a {kind} other than nncore's")
    return {"class": kind, "config": layer.get_config()}


def make(description: object, custom_objects: Mapping[str, type[Layer]]) -> Model:
    """The model that `describe` described, without weights.

    Raises:
        ValueError: no such description, or a class that is neither nncore's nor in `custom_objects`.
    """
    return _make_model(description, (), {}, {**LAYERS, **custom_objects})


def _make_model(description: object, path: Path, made: dict[Path, Layer], classes: Mapping[str, type[Layer]]) -> Model:
    if not isinstance(description, dict) or description.get("class") not in _MODELS:
        raise ValueError("expected a description of a Sequential or a Model")
    entries, name = description.get("layers"), description.get("name")
    if not isinstance(entries, list):
        raise ValueError(f"expected a list of layers, got {short(entries)}")
    layers = []
    for i, entry in enumerate(entries):
        layers.append(_make_layer(entry, (*path, i), made, classes))
        made[(*path, i)] = layers[-1]
    if description["class"] == "Sequential":
        return Sequential(layers, name)
    try:
        inputs, outputs = _connect(layers, description)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"expected calls of layers on results of earlier calls, got something else: {error!r}") from None
    return Model(inputs, outputs, name)


def _connect(layers: Sequence[Layer], description: Mapping[str, Any]) -> tuple[Structured, Structured]:
    """Call the layers as described; the inputs and the outputs for `Model`."""
    results = run_calls([(layers[call["layer"]], call["inputs"]) for call in description["calls"]])
    inputs = [result[0] for result, call in zip(results, description["calls"], strict=True) if not call["inputs"]]
    outputs = [results[place][index] for place, index in description["ends"]]
    return _structured(inputs, description["inputs"]), _structured(outputs, description["outputs"])


def _structured(tensors: Sequence[Any], slots: Mapping[str, Any]) -> Structured:
    if slots["kind"] == "dict":
        return dict(zip(slots["names"], tensors, strict=True))
    return tensors[0] if slots["kind"] == "one" else tensors


def _make_layer(entry: object, path: Path, made: dict[Path, Layer], classes: Mapping[str, type[Layer]]) -> Layer:
    if isinstance(entry, dict) and entry.get("class") in _MODELS:
        return _make_model(entry, path, made, classes)
    if isinstance(entry, dict) and "same" in entry:
        same = made.get(tuple(entry["same"])) if isinstance(entry["same"], list) else None
        if same is None:
            raise ValueError(f"layers: expected the place of an earlier layer, got {short(entry['same'])}")
        return same
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        raise ValueError(f"layers: expected a class and a config, got {short(entry)}")
    kind = entry.get("class")
    if not isinstance(kind, str) or kind not in classes:
        raise ValueError(f"layers: expected a class out of {', '.join(classes)} or custom_objects, got {short(kind)}")
    try:
        return classes[kind].from_config(entry["config"])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"layers: {kind} cannot be made from {short(entry['config'])}: {error}") from None
