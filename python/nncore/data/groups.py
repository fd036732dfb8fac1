"""One array or several in a tuple or dict, all along the same samples; and other arguments that loaders share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.foreign import as_array

__all__ = ["Array", "Given", "Group", "as_arrays", "common_length", "integer", "like", "members", "take"]

Array = npt.NDArray[Any]
Group = Array | tuple[Array, ...] | dict[str, Array]
Given = npt.ArrayLike | tuple[npt.ArrayLike, ...] | dict[str, npt.ArrayLike]


def members(group: Any) -> dict[str, Any]:  # noqa: ANN401 - a Given or a Group
    """The arrays of `group` by what messages call them."""
    if isinstance(group, tuple):
        return {f"[{i}]": array for i, array in enumerate(group)}
    return {f"[{key!r}]": array for key, array in group.items()} if isinstance(group, dict) else {"": group}


def like(group: Any, arrays: Iterable[Any]) -> Any:  # noqa: ANN401 - a group like `group`
    """`arrays` in a tuple or dict where `group` is one."""
    if isinstance(group, dict):
        return dict(zip(group, arrays, strict=True))
    return tuple(arrays) if isinstance(group, tuple) else next(iter(arrays))


def take(group: Group, rows: npt.NDArray[np.int64] | slice) -> Group:
    """These rows of each array."""
    result: Group = like(group, (array[rows] for array in members(group).values()))
    return result


def as_arrays(name: str, value: Given) -> Group:
    """`value` as an array, or as a tuple or dict of arrays where it is one; each has a first axis."""
    arrays = [as_array(item, f"{name}{key}") for key, item in members(value).items()]
    if not arrays:
        raise ValueError(f"{name}: expected at least one array, got an empty {type(value).__name__}")
    if any(array.ndim == 0 for array in arrays):
        raise ValueError(f"{name}: expected arrays with samples along axis 0, got a scalar")
    group: Group = like(value, arrays)
    return group


def common_length(x: Group, y: Group | None) -> int:
    """The number of samples, the same in every array."""
    groups = {"x": x} if y is None else {"x": x, "y": y}
    lengths = {f"{name}{key}": len(a) for name, group in groups.items() for key, a in members(group).items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected arrays of one length, got {', '.join(f'{k}: {n}' for k, n in lengths.items())}")
    return next(iter(lengths.values()))


def integer(name: str, value: int, low: int, end: int) -> int:
    """`value` as an int in [low, end)."""
    if isinstance(value, (bool, np.timedelta64)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not low <= value < end:
        raise ValueError(f"{name}: expected an integer in [{low}, {end - 1}], got {value}")
    return int(value)
