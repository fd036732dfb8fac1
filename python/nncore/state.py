"""All that training changes in a model, as arrays and JSON-like data: taken out, checked, and put back bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from reprlib import repr as short  # what a file holds instead may be long
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore.lbfgs import LBFGS, Memory
from nncore.optimizers import Optimizer

if TYPE_CHECKING:
    from nncore.network import Network

__all__ = ["capture", "check", "restore"]

_COUNTS = ("iterations", "accumulated", "draws", "epochs")


def capture(model: Network) -> dict[str, Any]:
    """The parameters, the optimizer's state and learning rate, and the counters that random numbers and orders go by."""
    engine, optimizer = model.engine, model._optimizer
    with engine.held():  # all of one moment, also while another thread trains
        places = range(len(model.graph.parameters))
        state: dict[str, Any] = {
            "parameters": {spec.name: engine.get_parameter(i) for i, spec in enumerate(model.graph.parameters)},
            "seed": model._seed,
            "iterations": engine.iterations,
            "accumulated": engine.accumulated,
            "draws": engine.draws,
            "epochs": model._epochs,
            "optimizer": None,
        }
        if optimizer is not None:
            rate = optimizer.learning_rate
            kept = optimizer.states if isinstance(optimizer, Optimizer) else []
            state["optimizer"] = {
                "class": type(optimizer).__name__,
                "learning_rate": rate if isinstance(rate, (int, float)) else None,
                # Before the first update there is no average yet, and zeros would not be one.
                "states": {
                    f"{rule}/{name}": [engine.get_state(rule, name, i) for i in places]
                    for rule, name in kept
                    if rule != "ema" or engine.iterations
                },
                "memory": (model._memory or Memory()).arrays() if isinstance(optimizer, LBFGS) else {},
            }
        return state


def check(model: Network, state: Any) -> None:  # noqa: ANN401 - it comes from a file
    """Raise ValueError unless `state` is what `capture` gives of such a model."""
    parameters = _part(state, "parameters", Mapping)
    specs = {spec.name: spec for spec in model.graph.parameters}
    if list(parameters) != list(specs):
        raise ValueError(f"parameters: expected {', '.join(specs)}, got {', '.join(map(str, parameters))}")
    for name, spec in specs.items():
        _check_array(model, f"parameter {name!r}", parameters[name], spec.shape)
    for name in (*_COUNTS, "seed"):
        value, bits = _part(state, name, int), 64 if name == "seed" else 62  # counts go on from there
        if not 0 <= value < 2**bits:
            raise ValueError(f"{name}: expected an integer from 0 to 2**{bits} - 1, got {value}")
    if state["seed"] != model._seed:
        raise ValueError(f"seed: expected that of the model, {model._seed}, got {state['seed']}")
    kept = _part(state, "optimizer", Mapping)
    optimizer: Any = model._optimizer
    if optimizer is None or kept.get("class") != type(optimizer).__name__:
        known = "none" if optimizer is None else type(optimizer).__name__
        raise ValueError(f"optimizer: expected that of the model, {known}, got {short(kept.get('class'))}")
    rate = kept.get("learning_rate")
    if (rate is None) == isinstance(optimizer.learning_rate, (int, float)):
        raise ValueError(f"learning_rate: expected one as the model has, {optimizer.learning_rate!r}, got {short(rate)}")
    whole = isinstance(rate, int) and not isinstance(rate, bool) and rate <= 2**53  # which a float can be
    if rate is not None and not ((whole or isinstance(rate, float)) and 0 <= rate < float("inf")):
        raise ValueError(f"learning_rate: expected a finite number >= 0, got {short(rate)}")
    states = _part(kept, "states", Mapping)
    if isinstance(optimizer, LBFGS):
        size = sum(math.prod(spec.shape) for spec in specs.values() if spec.trainable)
        Memory.of(_part(kept, "memory", Mapping), size)
        return
    wanted = [f"{rule}/{name}" for rule, name in optimizer.states if rule != "ema" or state["iterations"]]
    if list(states) != wanted:
        raise ValueError(f"optimizer: expected the states {', '.join(wanted)}, got {', '.join(map(str, states))}")
    for key, arrays in states.items():
        if not isinstance(arrays, list) or len(arrays) != len(specs):
            raise ValueError(f"state {key!r}: expected {len(specs)} arrays")
        for array, spec in zip(arrays, specs.values(), strict=True):
            _check_array(model, f"state {key!r} of {spec.name!r}", array, spec.shape)


def restore(model: Network, state: Mapping[str, Any]) -> None:
    """Put back what `capture` gave of this model, or of one that `check` takes for its equal."""
    engine, optimizer, kept, memory = model.engine, model._optimizer, state["optimizer"], model._memory
    states: dict[tuple[str, str, int], Any] = {}
    if kept is not None and optimizer is not None:
        for key, arrays in kept["states"].items():
            rule, name = key.split("/")
            states |= {(rule, name, i): array for i, array in enumerate(arrays)}
        if isinstance(optimizer, LBFGS):
            size = sum(math.prod(spec.shape) for spec in model.graph.parameters if spec.trainable)
            memory = Memory.of(kept["memory"], size)
    with engine.held():
        engine.assign(dict(enumerate(state["parameters"].values())), states)
        model._memory = memory
        if kept is not None and optimizer is not None and kept["learning_rate"] is not None:
            optimizer.learning_rate = kept["learning_rate"]
        engine.iterations, engine.accumulated, engine.draws = state["iterations"], state["accumulated"], state["draws"]
        model._epochs = state["epochs"]
        model._forget()


def _part(state: Any, name: str, kind: Any) -> Any:  # noqa: ANN401 - it comes from a file
    value = state.get(name) if isinstance(state, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name}: expected {'an integer' if kind is int else 'named values'}, got {short(value)}")
    return value


def _check_array(model: Network, what: str, array: object, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != model._dtype:
        got = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else short(array)
        raise ValueError(f"{what}: expected {model._dtype} of shape {shape}, got {got}")
