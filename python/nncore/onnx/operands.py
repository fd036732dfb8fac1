"""What converters of ONNX ops share: operands, and what they must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nncore.arrays import Array
from nncore.onnx.assembly import Assembly, Dims, Value
from nncore.onnx.reading import Source, Step, Unsupported, is_number, number
from nncore.optable import Shape

__all__ = ["Context", "Convert", "Operand", "axis_of", "constant", "sample", "scalar", "weight"]

Operand = Any  # a Value, Dims, a constant array, or None for an input that is left out


class Context:
    """What converters work with.

    Attributes:
        source: the file.
        assembly: the layers.
    """

    def __init__(self, source: Source, assembly: Assembly) -> None:
        self.source = source
        self.assembly = assembly


Convert = Callable[[Context, Step, Sequence[Operand]], Operand]


def sample(value: Operand) -> Value:
    """An operand that must depend on the input."""
    if not isinstance(value, Value):
        raise Unsupported(f"expected a value that depends on the model's input, got {_kind(value)}")
    return value


def constant(value: Operand, what: str) -> Array:
    """An operand that must be constant numbers."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        raise Unsupported(f"{what}: expected constant numbers, got {_kind(value)}")
    return value


def weight(value: Operand, what: str) -> Array:
    """An operand that must be constant floating-point numbers."""
    array = constant(value, what)
    if array.dtype not in (np.float32, np.float64):
        raise Unsupported(f"{what}: expected float32 or float64, got {array.dtype}")
    return array


def _kind(value: Operand) -> str:
    kinds = {Value: "a value of the model", Dims: "a shape", type(None): "none"}
    return kinds.get(type(value), "a constant")


def axis_of(axis: int, shape: Shape) -> int:
    """`axis` of a value whose samples have `shape`, counted with the batch axis, which it may not be."""
    rank = len(shape) + 1
    if not -rank <= axis < rank:
        raise ValueError(f"axis: expected {-rank} to {rank - 1}, got {axis}")
    if axis % rank == 0:
        raise Unsupported("axis: expected one other than the batch axis 0")
    return axis % rank


def scalar(value: Operand) -> float:
    """An operand that must be one constant number."""
    array = constant(value, "bound")
    if not is_number(array):
        raise Unsupported(f"expected a constant number, got one of shape {array.shape}")
    return number(array)
