"""The engines by name; only the one that is asked for is imported."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from nncore.engines.base import Engine
    from nncore.graph import Graph

__all__ = ["ENGINES", "create"]

ENGINES = {
    "native": ("nncore.engines.native", "NativeEngine"),
    "reference": ("nncore.engines.reference", "ReferenceEngine"),
}


def create(name: str, graph: Graph, dtype: npt.DTypeLike, seed: int) -> Engine:
    """An engine for `graph`, its parameters all zero.

    Args:
        name: ``"native"`` or ``"reference"``.
        graph: the network.
        dtype: ``"float32"`` or ``"float64"``.
        seed: key of all random numbers the engine draws, 0 .. 2**64 - 1.

    Raises:
        ValueError: unknown name, another dtype, or a seed out of range.

    >>> from nncore.graph import GraphBuilder
    >>> b = GraphBuilder()
    >>> graph = b.build(outputs=[b.node("relu", [b.input((2,))])])
    >>> create("reference", graph, "float32", seed=0).predict([np.array([[-1.0, 2.0]])], batch_size=1)
    [array([[0., 2.]], dtype=float32)]
    """
    if not isinstance(name, str) or name not in ENGINES:
        raise ValueError(f"engine: expected one of {', '.join(map(repr, ENGINES))}, got {name!r}")
    try:
        chosen = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError):
        chosen = None
    if chosen is None or chosen not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
    if isinstance(seed, (bool, np.timedelta64)) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise ValueError(f"seed: expected an integer in [0, 2**64 - 1], got {seed!r}")
    module, class_name = ENGINES[name]
    engine: Any = getattr(import_module(module), class_name)
    created: Engine = engine(graph, chosen, int(seed))
    return created
