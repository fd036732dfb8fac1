"""Where a loss that is NaN or infinite came from: looked for once it is there, so that training pays nothing for it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from nncore.arrays import Array
from nncore.engines.base import Engine
from nncore.engines.reference import ReferenceEngine
from nncore.objectives import Columns, columns

__all__ = ["tell"]


def tell(
    error: FloatingPointError,
    engine: Engine,
    x: Array | Columns,
    order: Array | None = None,
    start: int = 0,
    batch_size: int | None = None,
) -> None:
    """Add to `error` where it came from: a step on `batch_size` samples of `x` in `order` from `start`."""
    rows: Any = slice(start, None if batch_size is None else start + batch_size)
    if order is not None:
        rows = order[rows]
    with suppress(Exception):  # of a user's layer, or for lack of memory: the error at hand matters more
        error.args = (f"{error}; {_origin(engine, [array[rows] for array in columns(x) if array is not None])}",)


def _origin(engine: Engine, inputs: Sequence[Array]) -> str:
    """What gave the first number that is not finite when `engine` was to train on the batch `inputs`, as words.

    The batch runs again through a reference engine with the same weights and random numbers. Nothing changes in `engine`.
    """
    for i, array in enumerate(inputs):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"the samples{'' if len(inputs) == 1 else f' of input {i}'} are not finite"
    again = ReferenceEngine(engine.graph, engine.dtype, engine.seed)
    for i in range(len(engine.graph.parameters)):
        again.set_parameter(i, engine.get_parameter(i))
    again.draws = engine.draws
    with np.errstate(all="ignore"):
        found = again.first_not_finite(inputs)
    if found is None:
        return "the outputs of all layers are finite: the loss of them is not"
    node = engine.graph.nodes[found]
    bad = any(not np.isfinite(engine.get_parameter(p)).all() for p in node.parameters)
    return f"the first layer whose output is not finite is {node.name!r}" + (", as its weights are not" if bad else "")
