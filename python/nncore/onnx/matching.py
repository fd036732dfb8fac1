"""Finding the forms of `nncore.onnx.forms` among the nodes of a file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nncore.onnx.forms import FORMS, LAST, VARIANTS, Expr
from nncore.onnx.reading import Source, is_number, number
from nncore.optable import OPS, AttrValue

__all__ = ["Match", "find"]

_COMMUTE = ("Add", "Mul", "Max", "Min")
Found = Mapping[str, Any]  # "x" and parameter slots: names of values; attributes: numbers


@dataclass(frozen=True)
class Match:
    """An op of nncore's, or ``"affine"``, that some nodes of the file amount to.

    Attributes:
        x: name of the input.
        axis: the axis of the means in the form, which must be the last; None where there are none.
        attrs: the op's attributes, as far as the form has them.
        slots: by parameter slot the name of a constant.
    """

    op: str
    x: str
    attrs: Mapping[str, AttrValue]
    slots: Mapping[str, str]
    axis: int | None = None


@dataclass(frozen=True)
class _Pattern:
    """A form to look for, and which of its names are those of constant arrays; the others are attributes."""

    op: str
    tree: tuple[Any, ...]
    fixed: Mapping[str, AttrValue]
    slots: frozenset[str]


def _patterns() -> dict[str, list[_Pattern]]:
    """By type of the last node, the largest first: what is a part of another form is not taken for the whole."""
    found = []
    for table in (FORMS, VARIANTS):
        for op, forms in table.items():
            attrs = OPS[op].attrs if op in OPS else {}
            for form in forms:
                if isinstance(form.tree, tuple):
                    found.append(
                        _Pattern(op, form.tree, form.fixed, frozenset(_names(form.tree) - {"x", LAST} - attrs.keys()))
                    )
    by_last: dict[str, list[_Pattern]] = {}
    for pattern in sorted(found, key=lambda p: (-_size(p.tree), not p.slots)):
        by_last.setdefault(pattern.tree[0], []).append(pattern)
    return by_last


def _size(tree: Expr) -> int:
    return 1 + sum(map(_size, tree[1:])) if isinstance(tree, tuple) else 0


def _names(tree: Expr) -> set[str]:
    if isinstance(tree, tuple):
        return {name for part in tree[1:] for name in _names(part)}
    return {tree} if isinstance(tree, str) else set()


_PATTERNS = _patterns()


def find(source: Source, name: str) -> Match | None:
    """The largest form that ends in the value `name`."""
    if name in source.constants or name not in source.producers:
        return None
    for pattern in _PATTERNS.get(source.steps[source.producers[name][0]].op, ()):
        for found in _matches(source, pattern.tree, name, {}, pattern.slots):
            own = {"x", LAST, *pattern.slots}
            attrs = {k: v for k, v in found.items() if k not in own} | dict(pattern.fixed)
            if pattern.op == "affine" and any(source.constants[found[slot]].size == 1 for slot in pattern.slots):
                continue  # numbers are a layer of their own
            if _fits(pattern.op, attrs):
                slots = {slot: found[slot] for slot in pattern.slots}
                return Match(pattern.op, found["x"], attrs, slots, found.get(LAST))
    return None


def _fits(op: str, attrs: Mapping[str, AttrValue]) -> bool:
    """Whether the op may have these attributes."""
    try:
        return op in ("affine", "dense") or bool(OPS[op].fill(attrs) or True)
    except (ValueError, TypeError):
        return False


def _matches(source: Source, tree: Expr, name: str, found: Found, slots: frozenset[str]) -> Iterator[Found]:
    """All ways in which the value `name` is what `tree` says, as extensions of `found`."""
    array = source.constants.get(name)
    if isinstance(tree, tuple):
        yield from _node_matches(source, tree, name, found, slots)
    elif tree == "x":
        if array is None and found.get("x", name) == name:
            yield {**found, "x": name}
    elif array is None or array.dtype.kind not in "fiu":
        return
    elif isinstance(tree, str) and tree in slots:
        if array.ndim and found.get(tree, name) == name:
            yield {**found, tree: name}
    elif is_number(array) and isinstance(tree, str):
        if found.get(tree, number(array)) == number(array):
            yield {**found, tree: number(array)}
    elif is_number(array) and isinstance(tree, (int, float)) and math.isclose(number(array), tree, rel_tol=1e-6):
        yield found


def _node_matches(source: Source, tree: Any, name: str, found: Found, slots: frozenset[str]) -> Iterator[Found]:  # noqa: ANN401
    op, *parts = tree
    kind, _, place = op.partition(":")
    if name not in source.producers:
        return
    position, output = source.producers[name]
    step = source.steps[position]
    if step.op != kind or output != int(place or 0):
        return
    inputs = list(step.inputs)
    if kind == "ReduceMean":
        axes = source.axes(step)
        if step.attrs.get("keepdims", 1) != 1 or axes is None or len(axes) != 1 or found.get(LAST, axes[0]) != axes[0]:
            return
        found, inputs = {**found, parts.pop(): axes[0]}, inputs[:1]
    elif kind == "Split":
        halves = source.integers(inputs[1]) if len(inputs) > 1 else step.attrs.get("split", [1, 1])
        if len(step.outputs) != 2 or len(halves) != 2 or halves[0] != halves[1]:
            return
        axis = step.attrs.get("axis", 0)
        if found.get(parts[-1], axis) != axis:
            return
        found, inputs = {**found, parts.pop(): axis}, inputs[:1]
    elif not _usual(kind, step.attrs):
        return
    if len(inputs) != len(parts):
        return
    orders = [inputs, inputs[::-1]] if kind in _COMMUTE and len(inputs) == 2 else [inputs]
    for order in orders:
        yield from _all_match(source, parts, order, found, slots)


def _usual(kind: str, attrs: Mapping[str, Any]) -> bool:
    """Whether a node inside a form has the attributes that the form means."""
    if kind != "HardSigmoid":
        return not attrs
    return math.isclose(attrs.get("alpha", 0.2), 1 / 6, rel_tol=1e-6) and attrs.get("beta", 0.5) == 0.5


def _all_match(source: Source, parts: list[Any], names: list[str], found: Found, slots: frozenset[str]) -> Iterator[Found]:
    if not parts:
        yield found
        return
    for more in _matches(source, parts[0], names[0], found, slots):
        yield from _all_match(source, parts[1:], names[1:], more, slots)
