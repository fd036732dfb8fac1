"""Tables of other packages as arrays: frames of pandas and polars, tables of Arrow, and their columns, none imported."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["is_table", "table_as_array"]


def is_table(value: object) -> bool:
    """Whether `value` is a frame or table with named columns, or one such column."""
    return _has_columns(value) or _is_column(value)


def _has_columns(value: object) -> bool:
    """A frame of pandas or polars, or a table of Arrow."""
    kind = type(value)
    pandas = hasattr(kind, "iloc") and hasattr(kind, "columns")
    return pandas or hasattr(kind, "get_columns") or hasattr(kind, "column_names")


def _is_column(value: object) -> bool:
    """A series of pandas or polars, or an array of Arrow."""
    kind = type(value)
    series = hasattr(kind, "to_numpy") and (hasattr(kind, "iloc") or hasattr(kind, "null_count"))
    return series and not _has_columns(value)


def table_as_array(table: Any, what: str) -> npt.NDArray[Any]:  # noqa: ANN401 - of whatever package
    """A table as an array [n, columns] of the type that holds all of them, or a column as [n].

    Raises:
        TypeError: a column of something else than numbers; messages call the table `what`.
        ValueError: a missing value, or no columns.

    >>> import pandas as pd
    >>> table_as_array(pd.DataFrame({"a": [1, 2], "b": [0.5, 0.25]}), "x")
    array([[1.  , 0.5 ],
           [2.  , 0.25]])
    """
    if _is_column(table):
        name = getattr(table, "name", None) or ""
        return _column(table, what, f" in column {name!r}" if name != "" else "")
    if hasattr(table, "column_names"):  # Arrow
        pairs = list(zip(table.column_names, table.columns, strict=True))
    elif hasattr(table, "get_columns"):  # polars
        pairs = [(column.name, column) for column in table.get_columns()]
    else:  # pandas
        pairs = list(table.items())
    if not pairs:
        raise ValueError(f"{what}: expected a table with at least one column, got none")
    columns = [_column(column, what, f" in column {name!r}") for name, column in pairs]
    array = np.empty((len(columns[0]), len(columns)), np.result_type(*columns))
    for place, column in enumerate(columns):
        array[:, place] = column
    return array


def _column(column: Any, what: str, where: str) -> npt.NDArray[Any]:  # noqa: ANN401
    nulls = column.isna().sum() if hasattr(column, "isna") else column.null_count
    missing = int(nulls() if callable(nulls) else nulls)
    array = np.asarray(column)
    kind = getattr(column, "dtype", None) or getattr(column, "type", array.dtype)
    if array.dtype.kind not in "biuf" and not (missing and array.dtype.kind == "O" and _has_numbers(kind)):
        raise TypeError(f"{what}: expected numbers, got {kind}{where}")
    if array.ndim != 1:
        raise TypeError(f"{what}: expected a number in each row, got {kind}{where}")
    if array.dtype.kind == "f":
        missing = int(np.isnan(array).sum())
    if missing:
        raise ValueError(f"{what}: expected numbers, got {missing} missing values{where}; fill or drop them first")
    return array


def _has_numbers(kind: object) -> bool:
    """Whether a column's type is one of numbers, by its name: where values are missing NumPy gets objects of them."""
    return str(kind).lower().startswith(("int", "uint", "float", "double", "bool"))
