"""What rows of all tables share: a name, and attributes with defaults and bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

__all__ = ["Attr", "AttrValue", "Attrs", "Row", "RowT", "Shape", "row_of", "table"]

Shape = tuple[int, ...]
AttrValue = float | int | bool | str
Attrs = Mapping[str, AttrValue]


# The rows have only the methods that are called: making each takes part of a millisecond at import.
@dataclass(eq=False, repr=False)
class Attr:
    """One attribute: its default (``None``: must be given), and the values it may take.

    Attributes:
        default: the value when none is given; its type is the attribute's type.
        low, high: bounds of a number; inclusive unless `open_low` / `open_high`.
        choices: the allowed strings of a string attribute; an engine receives the position in this tuple.
        pattern: instead, what a string attribute must look like; an engine receives 0, as it needs no such attribute.
    """

    type: type
    default: AttrValue | None = None
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""

    def check(self, owner: str, name: str, value: AttrValue) -> AttrValue:
        """`value` as this attribute's type, or an error that names `owner` and `name`."""
        if self.pattern:
            if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
                raise ValueError(f"{name} of {owner}: expected text like {self.pattern}, got {value!r}")
            return value
        if self.type is str:
            if not isinstance(value, str) or value not in self.choices:
                raise ValueError(f"{name} of {owner}: expected one of {', '.join(map(repr, self.choices))}, got {value!r}")
            return value
        if self.type is bool:
            if not isinstance(value, bool):
                raise TypeError(f"{name} of {owner}: expected True or False, got {value!r}")
            return value
        if isinstance(value, (bool, str)):
            raise TypeError(f"{name} of {owner}: expected a number, got {value!r}")
        try:
            number: float = self.type(value)
        except Exception:  # as NumPy's scalars and arrays may raise anything here
            raise TypeError(f"{name} of {owner}: expected {self.type.__name__}, got {value!r}") from None
        if number != value and not math.isnan(value):
            raise TypeError(f"{name} of {owner}: expected {self.type.__name__}, got {value!r}")
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        if not (above and below):
            left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
            raise ValueError(f"{name} of {owner}: expected a value in {left}{self.low}, {self.high}{right}, got {value!r}")
        return number

    def encode(self, value: AttrValue) -> float:
        """The number by which an engine receives `value`."""
        if self.pattern:
            return 0.0
        return float(self.choices.index(str(value))) if self.type is str else float(value)


@dataclass(eq=False, repr=False)
class Row:
    """What rows of all three tables share: a name and attributes.

    Attributes:
        ordered: pairs of attributes of which the first may not exceed the second.
    """

    name: str
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    ordered: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)

    def fill(self, given: Attrs) -> dict[str, AttrValue]:
        """`given` checked and completed by the defaults, in the row's order."""
        if not isinstance(given, Mapping):
            raise TypeError(f"attributes of {self.name!r}: expected a mapping by name, got {type(given).__name__}")
        unknown = [name for name in given if name not in self.attrs]
        if unknown:
            raise ValueError(f"{self.name!r} has no attribute {unknown[0]!r}: expected some of {list(self.attrs)}")
        filled: dict[str, AttrValue] = {}
        for key, attr in self.attrs.items():
            value = given.get(key, attr.default)
            if value is None:
                raise ValueError(f"{key} of {self.name!r}: expected a value, got none")
            filled[key] = attr.check(repr(self.name), key, value)
        for low, high in self.ordered:
            if filled[low] > filled[high]:  # type: ignore[operator]  # both are numbers
                raise ValueError(f"{low} of {self.name!r}: expected at most {high}, {filled[high]}, got {filled[low]}")
        return filled

    def encode(self, filled: Attrs) -> list[float]:
        """The attributes as the engine receives them: one number each, in the row's order."""
        return [attr.encode(filled[key]) for key, attr in self.attrs.items()]


RowT = TypeVar("RowT", bound=Row)


def table(*rows: RowT) -> Mapping[str, RowT]:
    """The rows by name."""
    return {row.name: row for row in rows}


def row_of(table: Mapping[str, RowT], what: str, name: str) -> RowT:
    """The row called `name`, or a ValueError that calls it `what`."""
    if name not in table:
        raise ValueError(f"{what}: expected one of {', '.join(map(repr, table))}, got {name!r}")
    return table[name]
