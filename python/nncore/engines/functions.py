"""Calls of a user's Python code from both engines: a node of op ``"python"`` on one batch, its results checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nncore.engines.base import Array
from nncore.graph import Graph, Node

__all__ = ["FunctionCall"]


class FunctionCall:
    """A node's function for one engine: gives it arrays that it cannot change, and checks what it returns.

    What the function itself raises passes through as it is.
    """

    def __init__(self, graph: Graph, node: Node, dtype: np.dtype[np.generic]) -> None:
        self._dtype, self._frozen = dtype, "frozen" in node.attrs
        self._forward, self._forward_asks = _method(node.function, "forward")
        self._backward, self._backward_asks = _method(node.function, "backward")
        self._owner = f"{type(node.function).__name__} {node.name!r}"
        self._shape = node.shape
        self._input_shapes = [graph.nodes[i].shape for i in node.inputs]
        self._parameter_shapes = [graph.parameters[p].shape for p in node.parameters]

    def forward(self, inputs: Sequence[Array], parameters: Sequence[Array], training: bool) -> Array:
        """Y = f(inputs, parameters), in the engine's dtype; `training` goes to a function that asks for it.

        Raises:
            TypeError, ValueError: the result is no array of real numbers of the declared shape.
        """
        asked = {"training": training and not self._frozen} if self._forward_asks else {}
        result = self._forward(*_read_only([*inputs, *parameters]), **asked)
        return self._checked("forward: result", result, (len(inputs[0]), *self._shape))

    def backward(self, inputs: Sequence[Array], parameters: Sequence[Array], y: Array, dy: Array) -> list[Array]:
        """The gradients of the inputs and then of the parameters.

        Raises:
            TypeError, ValueError: not as many arrays, not of real numbers, or not of these shapes.
        """
        asked = {"training": not self._frozen} if self._backward_asks else {}
        results = self._backward(*_read_only([*inputs, *parameters, y, dy]), **asked)
        shapes = [(len(y), *shape) for shape in self._input_shapes] + self._parameter_shapes
        if not isinstance(results, (tuple, list)):
            results = (results,)
        if len(results) != len(shapes):
            raise ValueError(
                f"{self._owner}, backward: expected {len(shapes)} gradients ({len(inputs)} of inputs, {len(parameters)} of "
                f"parameters), got {len(results)}"
            )
        return [
            self._checked(f"backward: gradient {i}", r, s) for i, (r, s) in enumerate(zip(results, shapes, strict=True))
        ]

    def _checked(self, what: str, value: object, shape: tuple[int, ...]) -> Array:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{self._owner}, {what}: expected an array of real numbers, got {_kind(value, array)}")
        if array.shape != shape:
            raise ValueError(f"{self._owner}, {what}: expected shape {shape}, got {array.shape}")
        return np.array(array, self._dtype, order="C")  # a copy: the function may have kept the array


def _method(function: object, name: str) -> tuple[Callable[..., Any], bool]:
    """A method of the user's, and whether it has an argument ``training``."""
    method: Callable[..., Any] = getattr(function, name)
    try:
        return method, "training" in inspect.signature(method).parameters
    except (TypeError, ValueError):  # of code that Python cannot look into
        return method, False


def _kind(value: object, array: Array) -> str:
    return f"dtype {array.dtype}" if isinstance(value, np.ndarray) else repr(value)


def _read_only(arrays: Sequence[Array]) -> list[Array]:
    views = [array.view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    return views
