"""How the reference engine runs each row of the op table: what a graph's nodes, losses and rules are in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nncore import reference as ref
from nncore.engines.base import Array
from nncore.engines.functions import FunctionCall
from nncore.graph import Graph, Node
from nncore.optable import LOSSES as LOSS_ROWS
from nncore.optable import AttrValue, target_shape
from nncore.reference.activations import ACTIVATIONS
from nncore.reference.metrics import METRICS
from nncore.reference.normalization import batch_statistics

__all__ = ["LOSSES", "METRICS", "OPERATIONS", "RULES", "Call", "Operation", "function_operation"]

Arrays = tuple[Array, ...]


@dataclass(frozen=True)
class Call:
    """One application of an op to a batch: all that its forward reads, kept for its backward.

    Attributes:
        inputs: ``[rows, *shape]`` each.
        parameters: in the order of the op's slots.
        attrs: the node's attributes.
        draw: ``seed``, ``node`` and ``step`` of the random numbers, or None in inference.
    """

    inputs: Arrays
    parameters: Arrays
    attrs: Mapping[str, AttrValue]
    draw: Mapping[str, int] | None


@dataclass(frozen=True)
class Operation:
    """How the engine runs one op.

    Attributes:
        forward: from the call to the result y.
        backward: from the call, y and dy to the gradients of the inputs and of the parameters.
        learn: for an op that learns from a training pass itself: from the call to the new values of some slots.
    """

    forward: Callable[[Call], Array]
    backward: Callable[[Call, Array, Array], tuple[Arrays, Arrays]]
    learn: Callable[[Call], Mapping[int, Array]] | None = None


def _unary(forward: Callable[..., Array], backward: Callable[..., Array]) -> Operation:
    """An op of one input whose attributes are its function's keyword arguments."""
    return Operation(
        forward=lambda call: forward(call.inputs[0], **call.attrs),
        backward=lambda call, y, dy: ((backward(call.inputs[0], y, dy, **call.attrs),), ()),
    )


def _dropout(call: Call) -> Array:
    return call.inputs[0] if call.draw is None else ref.dropout(call.inputs[0], **_numbers(call))


def _dropout_backward(call: Call, y: Array, dy: Array) -> tuple[Arrays, Arrays]:
    return (ref.dropout_backward(call.inputs[0], y, dy, **_numbers(call)),), ()


def _numbers(call: Call) -> dict[str, Any]:
    return {**call.attrs, **(call.draw or {})}


def _rrelu(call: Call) -> Array:
    return ref.rrelu(call.inputs[0], training=call.draw is not None, **_numbers(call))


def _rrelu_backward(call: Call, y: Array, dy: Array) -> tuple[Arrays, Arrays]:
    return (ref.rrelu_backward(call.inputs[0], y, dy, training=True, **_numbers(call)),), ()


def _prelu_backward(call: Call, y: Array, dy: Array) -> tuple[Arrays, Arrays]:
    dx, dalpha = ref.prelu_backward(call.inputs[0], call.parameters[0], y, dy)
    return (dx,), (dalpha,)


def _dense(call: Call) -> Array:
    w, *b = call.parameters
    return ref.dense(call.inputs[0], w, b[0] if b else None)


def _dense_backward(call: Call, y: Array, dy: Array) -> tuple[Arrays, Arrays]:
    w, *b = call.parameters
    dx, dw, db = ref.dense_backward(call.inputs[0], w, b[0] if b else None, y, dy)
    return (dx,), (dw,) if db is None else (dw, db)


def _split(call: Call, dy: Array) -> Arrays:
    return ref.concatenate_backward(dy, [x.shape for x in call.inputs], int(call.attrs["axis"]))


def _layer_norm_arrays(call: Call) -> dict[str, Any]:
    slots = list(call.parameters)
    gamma = slots.pop(0) if call.attrs["scale"] else None
    return {"gamma": gamma, "beta": slots.pop(0) if call.attrs["center"] else None, "epsilon": call.attrs["epsilon"]}


def _layer_norm(call: Call) -> Array:
    return ref.layer_norm(call.inputs[0], **_layer_norm_arrays(call))


def _layer_norm_backward(call: Call, y: Array, dy: Array) -> tuple[Arrays, Arrays]:
    dx, *gradients = ref.layer_norm_backward(call.inputs[0], y=y, dy=dy, **_layer_norm_arrays(call))
    return (dx,), tuple(g for g in gradients if g is not None)


def _rms_norm(call: Call) -> Array:
    return ref.rms_norm(call.inputs[0], *call.parameters, epsilon=float(call.attrs["epsilon"]))


def _rms_norm_backward(call: Call, y: Array, dy: Array) -> tuple[Arrays, Arrays]:
    gamma = call.parameters[0] if call.parameters else None
    dx, dgamma = ref.rms_norm_backward(call.inputs[0], gamma, y, dy, epsilon=float(call.attrs["epsilon"]))
    return (dx,), () if dgamma is None else (dgamma,)


def _batch_norm_arrays(call: Call) -> dict[str, Any]:
    """The keyword arguments of the reference functions, the running averages among them where those are used."""
    attrs, slots = call.attrs, list(call.parameters)
    arrays: dict[str, Any] = {"gamma": slots.pop(0) if attrs["scale"] else None}
    arrays["beta"] = slots.pop(0) if attrs["center"] else None
    arrays["epsilon"] = attrs["epsilon"]
    if attrs["frozen"] or call.draw is None:
        arrays["mean"], arrays["variance"] = slots
    return arrays


def _batch_norm_backward(call: Call, y: Array, dy: Array) -> tuple[Arrays, Arrays]:
    dx, *gradients = ref.batch_norm_backward(call.inputs[0], y=y, dy=dy, **_batch_norm_arrays(call))
    averages = (np.zeros_like(p) for p in call.parameters[-2:])
    return (dx,), (*(g for g in gradients if g is not None), *averages)


def _batch_norm_learn(call: Call) -> Mapping[int, Array]:
    """New averages: momentum times the old ones plus 1 - momentum times what the batch has."""
    if call.attrs["frozen"] or call.inputs[0].size == 0:
        return {}
    count, momentum = len(call.parameters), float(call.attrs["momentum"])
    found = batch_statistics(call.inputs[0])
    averages = zip(call.parameters[-2:], found, strict=True)
    return {count - 2 + i: momentum * old + (1 - momentum) * new for i, (old, new) in enumerate(averages)}


OPERATIONS: Mapping[str, Operation] = {
    **{name: _unary(forward, backward) for name, (forward, backward) in ACTIVATIONS.items()},
    "rrelu": Operation(_rrelu, _rrelu_backward),
    "prelu": Operation(lambda call: ref.prelu(call.inputs[0], call.parameters[0]), _prelu_backward),
    "rescaling": _unary(ref.rescaling, ref.rescaling_backward),
    "dropout": Operation(_dropout, _dropout_backward),
    "flatten": Operation(
        forward=lambda call: ref.flatten(call.inputs[0]),
        backward=lambda call, y, dy: ((ref.flatten_backward(dy, call.inputs[0].shape),), ()),
    ),
    "add": Operation(
        forward=lambda call: ref.add(*call.inputs),
        backward=lambda call, y, dy: (ref.add_backward(dy, len(call.inputs)), ()),
    ),
    "multiply": Operation(
        forward=lambda call: ref.multiply(*call.inputs),
        backward=lambda call, y, dy: (ref.multiply_backward(call.inputs, dy), ()),
    ),
    "average": Operation(
        forward=lambda call: ref.average(*call.inputs),
        backward=lambda call, y, dy: (ref.average_backward(dy, len(call.inputs)), ()),
    ),
    "concatenate": Operation(
        forward=lambda call: ref.concatenate(*call.inputs, axis=int(call.attrs["axis"])),
        backward=lambda call, y, dy: (_split(call, dy), ()),
    ),
    "dense": Operation(_dense, _dense_backward),
    "layer_norm": Operation(_layer_norm, _layer_norm_backward),
    "rms_norm": Operation(_rms_norm, _rms_norm_backward),
    "gaussian_noise": Operation(
        forward=lambda call: call.inputs[0] if call.draw is None else ref.gaussian_noise(call.inputs[0], **_numbers(call)),
        backward=lambda call, y, dy: ((dy,), ()),
    ),
    "alpha_dropout": Operation(
        forward=lambda call: call.inputs[0] if call.draw is None else ref.alpha_dropout(call.inputs[0], **_numbers(call)),
        backward=lambda call, y, dy: ((ref.alpha_dropout_backward(call.inputs[0], y, dy, **_numbers(call)),), ()),
    ),
    "reshape": Operation(
        forward=lambda call: ref.reshape(call.inputs[0], target_shape(call.attrs)),
        backward=lambda call, y, dy: ((ref.reshape_backward(dy, call.inputs[0].shape),), ()),
    ),
    "embedding": Operation(
        forward=lambda call: ref.embedding(call.inputs[0], call.parameters[0]),
        backward=lambda call, y, dy: (
            (np.zeros_like(call.inputs[0]),),
            (ref.embedding_backward(call.inputs[0], call.parameters[0], y, dy),),
        ),
    ),
    "one_hot": Operation(
        forward=lambda call: ref.one_hot(call.inputs[0], int(call.attrs["depth"])),
        backward=lambda call, y, dy: ((np.zeros_like(call.inputs[0]),), ()),
    ),
    "batch_norm": Operation(
        forward=lambda call: ref.batch_norm(call.inputs[0], **_batch_norm_arrays(call)),
        backward=_batch_norm_backward,
        learn=_batch_norm_learn,
    ),
}
"""How to run each row of `nncore.optable.OPS`."""


def function_operation(graph: Graph, node: Node, dtype: np.dtype[Any]) -> Operation:
    """How to run a user's function."""
    function, count = FunctionCall(graph, node, dtype), len(node.inputs)

    def backward(call: Call, y: Array, dy: Array) -> tuple[Arrays, Arrays]:
        gradients = function.backward(call.inputs, call.parameters, y, dy)
        return tuple(gradients[:count]), tuple(gradients[count:])

    return Operation(lambda call: function.forward(call.inputs, call.parameters, call.draw is not None), backward)


LOSSES: Mapping[str, tuple[Callable[..., float | Array], Callable[..., Array]]] = {
    name: (getattr(ref, name), getattr(ref, f"{name}_backward")) for name in LOSS_ROWS
}
"""Value and gradient of each row of `nncore.optable.LOSSES`."""

Update = Callable[[Array, Array, Sequence[Array], int, Mapping[str, AttrValue]], None]


def _plain(step: Callable[..., None]) -> Update:
    """A rule that needs not know how many updates came before."""
    return lambda p, g, states, iteration, attrs: step(p, g, *states, **attrs)


def _counted(step: Callable[..., None]) -> Update:
    """A rule that needs the number of the update."""
    return lambda p, g, states, iteration, attrs: step(p, g, *states, iteration=iteration, **attrs)


RULES: Mapping[str, Update] = {
    "sgd": _plain(ref.sgd_step),
    "momentum": _counted(ref.momentum_step),
    "rmsprop": _plain(ref.rmsprop_step),
    "rmsprop_momentum": _plain(ref.rmsprop_momentum_step),
    "rmsprop_centered": _plain(ref.rmsprop_centered_step),
    "rmsprop_centered_momentum": _plain(ref.rmsprop_centered_momentum_step),
    "adagrad": _plain(ref.adagrad_step),
    "adadelta": _plain(ref.adadelta_step),
    "adam": _counted(ref.adam_step),
    "adamw": _counted(ref.adamw_step),
    "amsgrad": _counted(ref.amsgrad_step),
    "adamax": _counted(ref.adamax_step),
    "nadam": _counted(ref.nadam_step),
    "radam": _counted(ref.radam_step),
    "lion": _plain(ref.lion_step),
    "lamb": _counted(ref.lamb_step),
}
"""The update of each row of `nncore.optable.RULES`."""
