"""The table that `Model.summary` prints."""

from __future__ import annotations

import math
from collections.abc import Mapping

from nncore.arrays import batch_shape
from nncore.graph import Graph, Node, Owner
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


def matrix_flops(graph: Graph, node: Node) -> int:
    """Multiplications and additions of a node's matrix product, forward, for one sample; 0 of other nodes.

    Backward takes as many for the gradient of the weights, and as many again for that of the input.
    """
    if node.op != "dense":
        return 0
    kernel = graph.parameters[node.parameters[0]].shape  # [K, units]
    return 2 * math.prod(kernel) * math.prod(node.shape[:-1])


def lines(
    layers: Mapping[str, Layer],
    graph: Graph | None,
    parts: Mapping[str, Owner],
    sources: Mapping[str, str] | None,
    dtype: str,
    states: int | None,
) -> list[str]:
    """The summary, line by line.

    Args:
        layers: the layers by name.
        graph: what they build, or ``None`` while the input shape is unknown.
        parts: what each layer has added to the graph.
        sources: what each layer is connected to, or ``None`` where that is the layer before it.
        dtype: the parameters' type.
        states: arrays that the optimizer keeps for each parameter, or ``None`` without an optimizer.
    """
    rows = [["layer", "type", "output shape", "parameters"]]
    for name, layer in layers.items():
        if graph is None:
            rows.append([name, type(layer).__name__, "?", "?"])
            continue
        shapes = ", ".join(batch_shape(graph.nodes[node].shape) for node in parts[name].results)
        count = sum(math.prod(graph.parameters[p].shape) for p in parts[name].parameters)
        rows.append([name, type(layer).__name__, shapes, f"{count:,}"])
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    table = [f"{n:{widths[0]}}  {t:{widths[1]}}  {s:{widths[2]}}  {p:>{widths[3]}}" for n, t, s, p in rows]
    if sources is not None:
        table = [f"{line}  {text}".rstrip() for line, text in zip(table, ["connected to", *sources.values()], strict=True)]
    width = max(map(len, table))
    table.insert(1, "-" * width)
    table.append(table[1])
    if graph is None:
        return [*table, "The input shape is not known yet."]
    total = sum(math.prod(p.shape) for p in graph.parameters)
    trainable = sum(math.prod(p.shape) for p in graph.parameters if p.trainable)
    size = total * (8 if dtype == "float64" else 4)
    products = sum(matrix_flops(graph, node) for node in graph.nodes)
    memory = f"memory: {_bytes(size)} of {dtype} parameters"
    if states is not None:
        memory += f", {_bytes(size * (2 + states))} with gradients and optimizer state"
    return [
        *table,
        f"parameters: {total:,}, trainable: {trainable:,}",
        memory,
        f"flops: {products:,} per sample in matrix products",
    ]
