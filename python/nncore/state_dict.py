"""Weights between a model and a state dict of PyTorch: names, orders of axes, and checks before anything changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, real
from nncore.optable import OPS

if TYPE_CHECKING:
    from nncore.model import Model

__all__ = ["apply", "collect"]

# By op what PyTorch calls the slots of its weights.
_NAMES = {
    "dense": {"kernel": "weight", "bias": "bias"},
    "batch_norm": {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"},
    "layer_norm": {"gamma": "weight", "beta": "bias"},
    "rms_norm": {"gamma": "weight"},
    "prelu": {"alpha": "weight"},
    "embedding": {"embeddings": "weight"},
}
_COUNTER = "num_batches_tracked"  # of PyTorch's batch normalisation; nncore has no use for it

Part = dict[str, int]  # of a layer: by PyTorch's name the index of the parameter


def _parts(model: Model) -> dict[str, tuple[str, Part]]:
    """By name the layers with weights, in order: their op and parameters."""
    parts: dict[str, tuple[str, Part]] = {}
    graph = model.graph
    for node in graph.nodes:
        if not node.parameters:
            continue
        layer = graph.parameters[node.parameters[0]].name.rpartition(".")[0]
        if node.op not in _NAMES:
            raise ValueError(f"model: expected layers that PyTorch has too, got layer {layer!r} with weights of its own")
        slots = OPS[node.op].parameters(tuple(graph.nodes[i].shape for i in node.inputs), node.attrs)
        names = {_NAMES[node.op][slot]: index for slot, index in zip(slots, node.parameters, strict=True)}
        parts.setdefault(layer, (node.op, names))
    return parts


def apply(model: Model, arrays: Mapping[str, npt.ArrayLike], mapping: Mapping[str, str] | None, ordered: bool) -> None:
    """Overwrite the weights of `model` by `arrays`; see `nncore.io.load_state_dict`.

    `ordered` says whether the arrays come in the order of the modules, as a file has them in another.
    """
    parts = _parts(model)
    modules = _modules(arrays, ordered)
    pairs = _pairs(list(parts), list(modules), mapping)
    weights: dict[int, Array] = {}
    for layer, module in pairs.items():
        (op, part), names = parts[layer], modules[module]
        if set(part) != set(names):
            raise ValueError(f"module {module!r} for layer {layer!r}: expected {_listed(part)}, got {_listed(names)}")
        for suffix, index in part.items():
            shape = model.graph.parameters[index].shape
            turned = op == "dense" and suffix == "weight"
            array, expected = real(arrays[names[suffix]], f"tensor {names[suffix]!r}"), shape[::-1] if turned else shape
            if array.shape != expected:
                raise ValueError(
                    f"tensor {names[suffix]!r} for layer {layer!r}: expected shape {expected}, got {array.shape}"
                )
            weights[index] = array.T if turned else array
    model.set_weights([weights[i] for i in range(len(weights))])


def _modules(arrays: Mapping[str, npt.ArrayLike], ordered: bool) -> dict[str, dict[str, str]]:
    """By module and name within it the tensors' names, in the order of the modules."""
    modules: dict[str, dict[str, str]] = {}
    for name in arrays if ordered else sorted(arrays, key=_natural):
        if not isinstance(name, str):
            raise TypeError(f"weights: expected text as names, got {name!r}")
        module, _, suffix = name.rpartition(".")
        if suffix != _COUNTER:
            modules.setdefault(module, {})[suffix] = name
    return modules


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that puts "2.weight" before "10.weight"."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def check_mapping(mapping: object) -> None:
    """Raise TypeError unless `mapping` is one, or None."""
    if mapping is not None and not isinstance(mapping, Mapping):
        raise TypeError(f"mapping: expected one of layers to modules, got {type(mapping).__name__}")
    if mapping is not None and not all(isinstance(name, str) for pair in mapping.items() for name in pair):
        raise TypeError("mapping: expected names of layers and modules as text, got something else")


def _pairs(layers: Sequence[str], modules: Sequence[str], mapping: Mapping[str, str] | None) -> dict[str, str]:
    """By layer the module that it gets its weights from: by `mapping`, else by equal names, else by order."""
    check_mapping(mapping)
    if mapping is not None:
        if unknown := [layer for layer in mapping if layer not in layers]:
            raise ValueError(f"mapping: expected layers with weights ({_listed(layers)}), got {unknown[0]!r}")
        pairs = {layer: mapping.get(layer, layer) for layer in layers}
    elif set(layers) == set(modules):
        pairs = {layer: layer for layer in layers}
    else:
        if len(layers) != len(modules):
            raise ValueError(
                f"weights: expected those of {len(layers)} modules for the layers {_listed(layers)}, got {len(modules)}: "
                f"{_listed(modules)}"
            )
        return dict(zip(layers, modules, strict=True))
    if missing := [layer for layer in layers if pairs[layer] not in modules]:
        raise ValueError(f"weights: expected those of module {pairs[missing[0]]!r} for layer {missing[0]!r}, got none")
    if extra := [module for module in modules if module not in pairs.values()]:
        raise ValueError(f"weights: expected a layer for each module, got none for {extra[0]!r}")
    return pairs


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(names) if names else "none"


def collect(model: Model, mapping: Mapping[str, str] | None) -> dict[str, Array]:
    """The weights of `model` as PyTorch has them; see `nncore.io.save_state_dict`."""
    parts = _parts(model)
    check_mapping(mapping)
    names = _numbers(model) if mapping is None else dict(mapping)
    if mapping is not None and set(mapping) - set(parts):
        raise ValueError(f"mapping: expected layers with weights ({_listed(list(parts))}), got {_listed(mapping)}")
    weights = model.get_weights()
    arrays: dict[str, Array] = {}
    for layer, (op, part) in parts.items():
        module = names.get(layer, layer)
        for suffix, index in part.items():
            if (name := f"{module}.{suffix}" if module else suffix) in arrays:
                raise ValueError(f"mapping: expected different modules, got {module!r} twice")
            turned = op == "dense" and suffix == "weight"
            arrays[name] = np.ascontiguousarray(weights[index].T) if turned else weights[index]
        if op == "batch_norm":
            arrays[f"{module}.{_COUNTER}" if module else _COUNTER] = np.zeros((), np.int64)
    return arrays


def _numbers(model: Model) -> dict[str, str]:
    """By layer of a Sequential its place in PyTorch's, where an activation that a Dense names is a module of its own."""
    from nncore.layers import Dense, Input
    from nncore.sequential import Sequential

    numbers: dict[str, str] = {}
    if isinstance(model, Sequential):
        place = 0
        for name, layer in model._layers.items():
            numbers[name] = str(place)
            place += 0 if isinstance(layer, Input) else 1 + (isinstance(layer, Dense) and layer.activation is not None)
    return numbers
