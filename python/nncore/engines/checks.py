"""What both engines check before they touch anything: inputs, targets and sample orders that do not fit the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nncore.engines.base import Array
from nncore.graph import Graph
from nncore.optable import LOSSES, AttrValue, LossSpec, Shape

__all__ = [
    "check_batch",
    "check_batch_size",
    "check_indices",
    "check_order",
    "check_sample_weight",
    "check_sums",
    "check_target",
    "index_counts",
]


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


def index_counts(graph: Graph) -> dict[int, tuple[str, int]]:
    """Of inputs whose elements are indices: who takes them, and how many there are, by position among the inputs."""
    counts: dict[int, tuple[str, int]] = {}
    for node in graph.nodes:
        for name in {"input_dim", "depth"} & node.attrs.keys():
            if node.inputs[0] in graph.inputs:
                position, count = graph.inputs.index(node.inputs[0]), int(node.attrs[name])
                if position not in counts or count < counts[position][1]:
                    counts[position] = node.op, count
    return counts


def check_indices(counts: Mapping[int, tuple[str, int]], arrays: Sequence[Array]) -> None:
    """Raise ValueError where an array that holds indices has something else, so that no sample changes anything."""
    for position, (op, count) in counts.items():
        array = arrays[position]
        good = (array >= 0) & (array < count)
        if array.dtype.kind == "f":
            good &= array == np.floor(array)
        if not good.all():
            bad = array.reshape(-1)[np.flatnonzero(~good.reshape(-1))[0]]
            raise ValueError(f"input of {op!r}: expected whole numbers in [0, {count - 1}], got {bad:g}")


def check_target(graph: Graph, loss: LossSpec, target: npt.ArrayLike, rows: int) -> tuple[Array, int | None]:
    """The target of `rows` samples, and the class index of rows to ignore where it has such rows.

    The target is values shaped like the graph's output, or class indices where the loss takes them.

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
            return array, _check_indices(array, shape[0], rows, loss.filled.get("ignore_index"))
    shape = loss.row.target_shape(shape)
    if array.shape != (rows, *shape):
        raise ValueError(f"target: expected shape {(rows, *shape)}, got {array.shape}")
    return array, None


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
    """Raise ValueError unless `sums` is empty or the sums of the loss, of each metric, and of their weights."""
    if len(sums) not in (0, 3 + metrics):
        raise ValueError(f"sums: expected one for the loss, {metrics} for the metrics and two weights, got {len(sums)}")


def check_sample_weight(sample_weight: npt.ArrayLike | None, rows: int, name: str = "sample_weight") -> Array | None:
    """The weights as float64 ``[rows]``, or None where there are none.

    Raises:
        TypeError: not real numbers.
        ValueError: another shape, or a weight that is negative or not finite.
    """
    if sample_weight is None:
        return None
    array = _real(name, sample_weight)
    if array.shape != (rows,):
        raise ValueError(f"{name}: expected one number for each of {rows} samples, got shape {array.shape}")
    array = np.ascontiguousarray(array, np.float64)
    bad = ~((array >= 0) & (array < np.inf))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{name}: expected finite numbers that are not negative, got {array[row]} in row {row}")
    return array


def check_batch_size(batch_size: int) -> None:
    """Raise ValueError unless a batch has at least one sample."""
    if batch_size < 1:
        raise ValueError(f"batch_size: expected an integer from 1, got {batch_size}")


def _check_indices(target: Array, classes: int, rows: int, ignore_index: AttrValue | None) -> int | None:
    if target.dtype.kind not in "iu":
        raise TypeError(f"target: expected integer class indices, got dtype {target.dtype}")
    if len(target) != rows:
        raise ValueError(f"target: expected {rows} rows as in inputs[0], got {len(target)}")
    bad = np.flatnonzero((target < 0) | (target >= classes))
    if ignore_index is not None:
        ignore_index = int(ignore_index)
        if bad.size:
            bad = bad[target[bad] != ignore_index]
    if bad.size:
        raise ValueError(f"target: expected class indices in [0, {classes - 1}], got {target[bad[0]]} in row {bad[0]}")
    return ignore_index if ignore_index is not None and (target == ignore_index).any() else None


def _real(name: str, value: npt.ArrayLike) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    return array
