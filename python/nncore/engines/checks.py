"""What both engines check before they touch anything: inputs, targets and sample orders that do not fit the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nncore.engines.base import Array
from nncore.graph import Graph
from nncore.optable import LOSSES, LossSpec, Shape

__all__ = ["check_batch", "check_batch_size", "check_order", "check_sums", "check_target"]


def check_batch(name: str, arrays: Sequence[Array], shapes: Sequence[Shape]) -> tuple[list[Array], int]:
    """The arrays, and how many rows each has.

    Args:
        name: the argument's name, for messages.
        arrays: one ``[rows, *shape]`` for each of `shapes`.
        shapes: per-sample shapes.

    Raises:
        TypeError: a dtype that is not real.
        ValueError: another number of arrays, another shape, or unequal numbers of rows.
    """
    if len(arrays) != len(shapes):
        raise ValueError(f"{name}: expected a sequence of {len(shapes)} arrays, got {len(arrays)}")
    checked = [_real(f"{name}[{i}]", array) for i, array in enumerate(arrays)]
    for i, (array, shape) in enumerate(zip(checked, shapes, strict=True)):
        if array.shape[1:] != tuple(shape) or array.ndim == 0:
            wanted = ", ".join(["rows", *map(str, shape)])
            raise ValueError(f"{name}[{i}]: expected shape [{wanted}], got {array.shape}")
        if len(array) != len(checked[0]):
            raise ValueError(f"{name}[{i}]: expected {len(checked[0])} rows as in {name}[0], got {len(array)}")
    return checked, len(checked[0])


def check_target(graph: Graph, loss: LossSpec, target: npt.ArrayLike, rows: int) -> Array:
    """The target of `rows` samples: values shaped like the graph's output, or class indices where the loss takes them.

    Raises:
        TypeError: a dtype that is not real, or class indices that are not integers.
        ValueError: the graph has several outputs, the loss is unknown, another shape, or a class index out of range.
    """
    if len(graph.outputs) != 1:
        raise ValueError(f"graph: expected one output to take a loss of, got {len(graph.outputs)}")
    _ = loss.filled  # checks it
    (shape,) = graph.output_shapes
    array = _real("target", target)
    if "indices" in LOSSES[loss.name].targets:
        if len(shape) != 1:
            raise ValueError(f"loss {loss.name!r}: expected an output of shape (classes,) per sample, got {shape}")
        if array.ndim == 1:
            _check_indices(array, shape[0], rows)
            return array
    if array.shape != (rows, *shape):
        raise ValueError(f"target: expected shape {(rows, *shape)}, got {array.shape}")
    return array


def check_order(order: npt.ArrayLike | None, rows: int, start: int) -> int:
    """How many samples the pass has in all.

    Raises:
        ValueError: `order` is no vector of indices of samples, or `start` is beyond its end.
    """
    total = rows
    if order is not None:
        indices = np.asarray(order)
        if indices.ndim != 1 or indices.dtype != np.int64:
            raise ValueError(f"order: expected a vector of int64, got {indices.dtype} of shape {indices.shape}")
        if indices.size and not 0 <= indices.min() <= indices.max() < rows:
            raise ValueError(f"order: expected indices in [0, {rows - 1}], got {indices.min()} to {indices.max()}")
        total = len(indices)
    if not 0 <= start <= total:
        raise ValueError(f"start: expected an integer in [0, {total}], got {start}")
    return total


def check_sums(sums: Sequence[float], metrics: int) -> None:
    """Raise ValueError unless `sums` is empty or the sums of the loss and of each metric."""
    if len(sums) not in (0, 1 + metrics):
        raise ValueError(f"sums: expected one for the loss and {metrics} for the metrics, got {len(sums)}")


def check_batch_size(batch_size: int) -> None:
    """Raise ValueError unless a batch has at least one sample."""
    if batch_size < 1:
        raise ValueError(f"batch_size: expected an integer from 1, got {batch_size}")


def _check_indices(target: Array, classes: int, rows: int) -> None:
    if target.dtype.kind not in "iu":
        raise TypeError(f"target: expected integer class indices, got dtype {target.dtype}")
    if len(target) != rows:
        raise ValueError(f"target: expected {rows} rows as in inputs[0], got {len(target)}")
    bad = np.flatnonzero((target < 0) | (target >= classes))
    if bad.size:
        raise ValueError(f"target: expected class indices in [0, {classes - 1}], got {target[bad[0]]} in row {bad[0]}")


def _real(name: str, value: npt.ArrayLike) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    return array
