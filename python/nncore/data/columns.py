"""What is learned of a table's columns: how many values are missing, what to fill them with, and which categories occur."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Column", "Learner", "kind_of", "listed", "name_order", "numbers", "texts"]

Kind = Literal["number", "bool", "category"]
Array = npt.NDArray[Any]
STRATEGIES = ("error", "mean", "median", "most_frequent", "constant")


@dataclass(frozen=True)
class Column:
    """A column that becomes features.

    Attributes:
        name: in the table.
        kind: ``"number"``, ``"bool"`` (0 and 1) or ``"category"``.
        categories: one feature for each, of a category.
        fill: what stands for a missing value; ``None`` where one is refused.
    """

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    fill: float | str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The features' names: ``age``, or ``city=Rome`` for each category."""
        return tuple(f"{self.name}={value}" for value in self.categories) if self.kind == "category" else (self.name,)


def kind_of(name: str, type_: Any) -> Kind:  # noqa: ANN401 - pyarrow has no stubs
    """What a column of an Arrow type becomes.

    Raises:
        ValueError: dates, times, lists and whatever else is neither number, bool nor text.
    """
    from pyarrow import types

    if types.is_dictionary(type_):
        type_ = type_.value_type
    if types.is_boolean(type_):
        return "bool"
    if types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_) or types.is_null(type_):
        return "number"
    if types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_):
        return "category"
    raise ValueError(
        f"column {name!r}: expected numbers, booleans or text, got {type_}; name it in ignore, or make numbers of it first"
    )


def _plain(array: Any) -> Any:  # noqa: ANN401
    """An Arrow array without a dictionary."""
    import pyarrow as pa

    if not pa.types.is_dictionary(array.type):
        return array
    values = array.dictionary
    if pa.types.is_string_view(values.type):  # of polars' categories; Arrow cannot look up in these
        values = values.cast(pa.string())
    return values.take(array.indices)


def numbers(array: Any, name: str, first_row: int = 0) -> npt.NDArray[np.float64]:  # noqa: ANN401
    """An Arrow array of numbers or booleans as float64 [n], NaN where a value is missing.

    Raises:
        ValueError: text, dates or the like, or an infinite value; `first_row` is the number of the first in messages.
    """
    import pyarrow as pa

    plain = _plain(array)
    if kind_of(name, plain.type) == "category":
        raise ValueError(f"column {name!r}: expected numbers, got text")
    values: npt.NDArray[np.float64] = plain.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(infinite.argmax())
        raise ValueError(f"column {name!r}: expected finite numbers, got {values[row]} in row {first_row + row}")
    return values


def texts(array: Any, name: str) -> Any:  # noqa: ANN401
    """An Arrow array of anything with a kind as an Arrow array of text, null where a value is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = _plain(array)
    kind_of(name, plain.type)
    if pa.types.is_floating(plain.type):
        plain = pc.if_else(pc.is_nan(plain), pa.scalar(None, plain.type), plain)
    return plain.cast(pa.string())


def listed(names: Iterable[str]) -> str:
    """Names in a message: the first ten.

    >>> listed("abc"), listed(map(str, range(99)))
    ('a, b, c', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...')
    """
    shown = list(names)
    return ", ".join([*shown[:10], *(["..."] if len(shown) > 10 else [])])


def name_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names in order: as numbers where all of them are whole numbers, otherwise as text.

    >>> name_order(["10", "9", "-1"]), name_order(["b", "10", "9"])
    (('-1', '9', '10'), ('10', '9', 'b'))
    """
    listed = sorted(names)
    try:
        return tuple(sorted(listed, key=int))
    except ValueError:
        return tuple(listed)


class Learner:
    """Takes in a column piece by piece and gives a `Column`.

    Args:
        name: the column's.
        kind: of its values.
        strategy: one of `STRATEGIES`, or for a category ``"error"``, ``"most_frequent"`` or ``"constant"``.
        constant: the fill of ``"constant"``.

    Attributes:
        name, kind, strategy: as given.
        rows: how many were taken in.
        missing: how many of them have no value.
    """

    def __init__(self, name: str, kind: Kind, strategy: str, constant: float | str | None = None) -> None:
        self.name, self.kind, self.strategy = name, kind, strategy
        self.rows = self.missing = 0
        self._constant = constant
        self._total = 0.0
        self._seen: list[Array] = []  # for the median only
        self._counts: Counter[Any] = Counter()

    def add(self, array: Any) -> None:  # noqa: ANN401
        """Count in an Arrow array."""
        if self.kind == "category":
            found = texts(array, self.name)
            self.missing += found.null_count
            for entry in found.drop_null().value_counts().to_pylist():
                self._counts[entry["values"]] += entry["counts"]
        else:
            values = numbers(array, self.name, self.rows)
            known = values[~np.isnan(values)]
            self.missing += len(values) - len(known)
            if self.strategy == "mean":
                self._total += float(known.sum())
            elif self.strategy == "median":
                self._seen.append(known)
            elif self.strategy == "most_frequent":
                unique, counts = np.unique(known, return_counts=True)
                self._counts.update(dict(zip(unique.tolist(), counts.tolist(), strict=True)))
        self.rows += len(array)

    def column(self, most: int) -> Column:
        """What was learned.

        Raises:
            ValueError: more than `most` categories, or no value at all to learn a fill from.
        """
        fill = self._fill()
        if self.kind != "category":
            return Column(self.name, self.kind, fill=fill)
        found = set(self._counts) if fill is None else {*self._counts, fill}
        if len(found) > most:
            raise ValueError(
                f"column {self.name!r}: expected at most {most} categories, got {len(found)}; "
                "name it in ignore, or allow more by max_categories"
            )
        return Column(self.name, self.kind, name_order(found), fill)

    def _fill(self) -> Any:  # noqa: ANN401 - a float or text
        if self.strategy == "error":
            return None
        if self.strategy == "constant":
            return self._constant
        if self.rows == self.missing:
            raise ValueError(f"column {self.name!r}: expected values to learn the {self.strategy} from, got none")
        if self.strategy == "mean":
            return self._total / (self.rows - self.missing)
        if self.strategy == "median":
            return float(np.median(np.concatenate(self._seen)))
        most = max(self._counts.values())
        return min(value for value, count in self._counts.items() if count == most)  # of equals the least


def strategy_of(
    name: str,
    kind: Kind,
    missing: str | Mapping[str, str],
    fill_value: float | str | Mapping[str, float | str] | None,
) -> tuple[str, float | str | None]:
    """The strategy and the constant for one column, out of what was asked for all.

    Raises:
        ValueError: a strategy that the column's kind does not have, or a constant of the wrong kind.
    """
    own = not isinstance(missing, str)
    strategy = missing.get(name, "error") if isinstance(missing, Mapping) else missing
    if strategy not in STRATEGIES:
        raise ValueError(f"missing: expected one of {', '.join(STRATEGIES)}, got {strategy!r} for column {name!r}")
    category = kind == "category"
    if category and strategy in ("mean", "median"):
        if own:
            raise ValueError(f"missing: expected error, most_frequent or constant for text, got {strategy!r} for {name!r}")
        strategy = "most_frequent"
    if strategy != "constant":
        return strategy, None
    value = fill_value.get(name) if isinstance(fill_value, Mapping) else fill_value
    if value is None:
        return strategy, "missing" if category else 0.0
    if category:
        if not isinstance(value, str):
            raise ValueError(f"fill_value: expected text for column {name!r}, got {value!r}")
        return strategy, value
    if isinstance(value, (str, bool)) or not math.isfinite(value):
        raise ValueError(f"fill_value: expected a finite number for column {name!r}, got {value!r}")
    return strategy, float(value)
