"""The table that `Model.summary` prints."""

from __future__ import annotations

import math
from collections.abc import Mapping

from nncore.arrays import batch_shape
from nncore.graph import Graph
from nncore.layers import Layer

__all__ = ["lines"]


def _bytes(count: int) -> str:
    """`count` bytes as people read them.

    >>> _bytes(1000), _bytes(1066440)
    ('1000 B', '1.02 MiB')
    """
    unit = 0
    size = float(count)
    while size >= 1024 and unit < 3:
        size, unit = size / 1024, unit + 1
    return f"{size:.2f} {('B', 'KiB', 'MiB', 'GiB')[unit]}" if unit else f"{count} B"


def lines(layers: Mapping[str, Layer], graph: Graph | None, dtype: str, states: int | None) -> list[str]:
    """The summary, line by line.

    Args:
        layers: the layers by name.
        graph: what they build, or ``None`` while the input shape is unknown.
        dtype: the parameters' type.
        states: arrays that the optimizer keeps for each parameter, or ``None`` without an optimizer.
    """
    rows = [("layer", "type", "output shape", "parameters")]
    for name, layer in layers.items():
        nodes = [] if graph is None else [node for node in graph.nodes if node.name == name]
        if graph is None or not nodes:
            rows.append((name, type(layer).__name__, "?", "?"))
            continue
        count = sum(math.prod(graph.parameters[p].shape) for node in nodes for p in node.parameters)
        rows.append((name, type(layer).__name__, batch_shape(nodes[-1].shape), f"{count:,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    table = [f"{n:{widths[0]}}  {t:{widths[1]}}  {s:{widths[2]}}  {p:>{widths[3]}}" for n, t, s, p in rows]
    table.insert(1, "-" * len(table[0]))
    table.append(table[1])
    if graph is None:
        return [*table, "The input shape is not known yet."]
    total = sum(math.prod(p.shape) for p in graph.parameters)
    trainable = sum(math.prod(p.shape) for p in graph.parameters if p.trainable)
    size = total * (8 if dtype == "float64" else 4)
    memory = f"memory: {_bytes(size)} of {dtype} parameters"
    if states is not None:
        memory += f", {_bytes(size * (2 + states))} with gradients and optimizer state"
    return [*table, f"parameters: {total:,}, trainable: {trainable:,}", memory]
