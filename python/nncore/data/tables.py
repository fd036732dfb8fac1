"""CSV and Parquet files as features and targets, through pyarrow (extra ``data``)."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Unpack

import numpy.typing as npt

from nncore.data.arrow import need_pyarrow
from nncore.data.columns import listed
from nncore.data.schema import SchemaOptions, TableSchema, check_columns, check_schema, float_type
from nncore.paths import as_path

__all__ = ["Table", "learn_schema", "read_csv", "read_parquet", "stream_table"]

Path = str | os.PathLike[str]
Array = npt.NDArray[Any]
_PIECE = 2**17  # values of a Parquet file that are decoded at a time


@dataclass(frozen=True)
class Table:
    """A table as a network takes it.

    Attributes:
        x: features [n, features].
        y: targets [n]: class indices as int64 or values as float64; ``None`` where the table has no target column.
        schema: how the columns became x and y; it makes identical features of new tables.
    """

    x: Array
    y: Array | None
    schema: TableSchema


def read_csv(
    path: Path,
    target: str | None = None,
    *,
    schema: TableSchema | None = None,
    delimiter: str = ",",
    dtype: npt.DTypeLike = "float32",
    **options: Unpack[SchemaOptions],
) -> Table:
    r"""Read a CSV file, also a compressed one (.gz), with the columns' names in its first row.

    Empty fields and the usual words (NA, NaN, null, ...) are missing values. The kinds of columns are found out by reading
    them, but a column in `categorical`, and the target of a classification, is text as it stands.

    Args:
        path: the file.
        target: name of the column to predict.
        schema: of another table, to make identical features of this one; then there are no further options, and the
            target may be absent. ``None`` learns one by `TableSchema.fit`.
        delimiter: between two fields.
        dtype: of the features.
        **options: of `TableSchema.fit`.

    Returns:
        Features, targets and the schema.

    Raises:
        ImportError: pyarrow is not installed.
        OSError: the file cannot be read.
        TypeError, ValueError: no such table; the message names the file and what is wrong.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "flowers.csv")
    ...     _ = path.write_text("width,colour,kind\n1.5,red,rose\n,white,daisy\n")
    ...     table = read_csv(path, "kind", missing="mean")
    >>> table.x.tolist(), table.y.tolist()
    ([[1.5, 1.0, 0.0], [1.5, 0.0, 1.0]], [1, 0])
    """
    return _read(_CSV(path, delimiter), target, schema, dtype, options)


def read_parquet(
    path: Path,
    target: str | None = None,
    *,
    schema: TableSchema | None = None,
    dtype: npt.DTypeLike = "float32",
    **options: Unpack[SchemaOptions],
) -> Table:
    """Read a Parquet file; arguments and errors as in `read_csv`. Columns have the types that the file says."""
    return _read(_Parquet(path), target, schema, dtype, options)


class _CSV:
    """A CSV file: its columns' names, and its rows in record batches."""

    def __init__(self, path: Path, delimiter: str = ",") -> None:
        need_pyarrow()
        if not isinstance(delimiter, str) or len(delimiter) != 1:
            raise ValueError(f"delimiter: expected one character, got {delimiter!r}")
        self.path, self._delimiter = as_path(path), delimiter

    def names(self) -> list[str]:
        from pyarrow import input_stream

        with io.TextIOWrapper(input_stream(self.path), encoding="utf-8-sig", errors="replace", newline="") as text:
            return next(filter(None, csv.reader(text, delimiter=self._delimiter)), [])  # after empty lines, as pyarrow

    def _options(self, names: Sequence[str], types: Mapping[str, Any]) -> dict[str, Any]:
        from pyarrow import csv as arrow_csv

        return {
            "parse_options": arrow_csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
            "convert_options": arrow_csv.ConvertOptions(
                include_columns=list(names),
                column_types=dict(types),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        }

    def whole(self, names: Sequence[str], types: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an Arrow table
        """All rows of these columns; types that are not given are found out over the whole file."""
        from pyarrow import csv as arrow_csv

        return arrow_csv.read_csv(self.path, **self._options(names, types))

    def batches(self, names: Sequence[str], types: Mapping[str, Any]) -> Iterator[Any]:
        """The rows piece by piece; types that are not given are those of the first megabyte, whole numbers as float."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        if set(names) - set(types):
            with arrow_csv.open_csv(self.path, **self._options(names, types)) as reader:
                found = {field.name: field.type for field in reader.schema}
            number = (pa.types.is_integer, pa.types.is_null)
            types = {name: pa.float64() if any(is_(t) for is_ in number) else t for name, t in found.items()}
        with arrow_csv.open_csv(self.path, **self._options(names, types)) as reader:
            yield from reader

    def types(self, schema: TableSchema | None, target: str | None, options: SchemaOptions) -> dict[str, Any]:
        """The Arrow types that are known before reading."""
        import pyarrow as pa

        kinds = {"number": pa.float64(), "bool": pa.bool_(), "category": pa.string()}
        if schema is not None:
            known = {column.name: kinds[column.kind] for column in schema.columns}
            return known | ({target: kinds["number" if schema.classes is None else "category"]} if target else {})
        known = {name: pa.string() for name in options.get("categorical", ())}
        return known | ({target: pa.string()} if target and options.get("task") == "classification" else {})

    def explain(self, message: str) -> str:
        """An error of pyarrow, with the column's name in place of its number."""
        found = re.match(r"In CSV column #(\d+): ", message)
        return message if found is None else f"column {self.names()[int(found[1])]!r}: {message[found.end() :]}"


class _Parquet:
    """A Parquet file, as `_CSV`."""

    def __init__(self, path: Path) -> None:
        need_pyarrow()
        self.path = as_path(path)

    def names(self) -> list[str]:
        from pyarrow import parquet

        names: list[str] = parquet.read_schema(self.path).names
        return names

    def whole(self, names: Sequence[str], types: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an Arrow table
        from pyarrow import parquet

        with parquet.ParquetFile(self.path) as file:
            return file.read(columns=list(names))

    def batches(self, names: Sequence[str], types: Mapping[str, Any]) -> Iterator[Any]:
        from pyarrow import parquet

        with parquet.ParquetFile(self.path, pre_buffer=False) as file:  # which would hold the whole file in the end
            yield from file.iter_batches(max(1, _PIECE // len(names)), columns=list(names))

    def types(self, schema: TableSchema | None, target: str | None, options: SchemaOptions) -> dict[str, Any]:
        return {}

    def explain(self, message: str) -> str:
        return message


def _source(path: Path, delimiter: str = ",") -> _CSV | _Parquet:
    """The file at `path`, of the format that its name says."""
    return _Parquet(path) if as_path(path).endswith((".parquet", ".pq")) else _CSV(path, delimiter)


@contextmanager
def _naming(source: _CSV | _Parquet) -> Iterator[None]:
    """Errors about the content name the file."""
    from pyarrow import ArrowException

    with open(source.path, "rb"):
        pass  # an OSError that names the file, where it cannot be read
    try:
        yield
    except (ArrowException, ValueError) as error:
        raise ValueError(f"{source.path}: {source.explain(str(error))}") from None


def _columns(
    source: _CSV | _Parquet, target: str | None, schema: TableSchema | None, options: SchemaOptions
) -> tuple[list[str], str | None]:
    """The columns to read, and the target where there is one."""
    names = source.names()
    if schema is not None:
        check_schema(schema)
    if schema is None:
        check_columns(names, target, options.get("categorical", ()), options.get("ignore", ()))
        return [name for name in names if name not in options.get("ignore", ())], target
    for column in schema.columns:
        if names.count(column.name) != 1:
            raise ValueError(f"column {column.name!r}: expected it once in the table, got columns {listed(names)}")
    target = schema.target if schema.target in names else None
    return [column.name for column in schema.columns] + ([] if target is None else [target]), target


def _check_options(target: str | None, schema: TableSchema | None, options: SchemaOptions) -> None:
    if schema is not None and (target is not None or options):
        asked = "target" if target is not None else next(iter(options))
        raise ValueError(f"{asked}: expected nothing beside schema, which says it already")


def _read(
    source: _CSV | _Parquet,
    target: str | None,
    schema: TableSchema | None,
    dtype: npt.DTypeLike,
    options: SchemaOptions,
) -> Table:
    _check_options(target, schema, options)
    dtype = float_type(dtype)
    with _naming(source):
        names, target = _columns(source, target, schema, options)
        table = source.whole(names, source.types(schema, target, options))
        if schema is None:
            options["ignore"] = ()  # the table is without them
            schema = TableSchema.fit(table, target, **options)
        y = None if target is None else schema.targets(table)
        return Table(schema.features(table, dtype), y, schema)


def learn_schema(
    path: Path, target: str | None = None, *, delimiter: str = ",", **options: Unpack[SchemaOptions]
) -> TableSchema:
    r"""The schema of a CSV or Parquet file (``.parquet``, ``.pq``) of any size, which is read once, piece by piece.

    Arguments and errors as in `read_csv`. What a column of a CSV file holds is judged by its first megabyte, and a median,
    which would need all values at once, is refused.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "flowers.csv")
    ...     _ = path.write_text("width,kind\n1.5,rose\n2.5,daisy\n")
    ...     learn_schema(path, "kind").classes
    ('daisy', 'rose')
    """
    missing = options.get("missing", "error")
    if "median" in (missing.values() if isinstance(missing, Mapping) else (missing,)):
        raise ValueError("missing: expected mean, most_frequent, constant or error for a file read in pieces, got 'median'")
    source = _source(path, delimiter)
    with _naming(source):
        names, target = _columns(source, target, None, options)
        batches = source.batches(names, source.types(None, target, options))
        options["ignore"] = ()  # the batches are without them
        return TableSchema.fit(batches, target, **options)


def stream_table(
    path: Path, schema: TableSchema, *, delimiter: str = ",", dtype: npt.DTypeLike = "float32"
) -> Iterator[tuple[Array, Array | None]]:
    r"""Features and targets of a CSV or Parquet file, piece by piece as they are read; errors as in `read_csv`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "flowers.csv")
    ...     _ = path.write_text("width,kind\n1.5,rose\n2.5,daisy\n")
    ...     schema = learn_schema(path, "kind")
    ...     [(x.tolist(), y.tolist()) for x, y in stream_table(path, schema)]
    [([[1.5], [2.5]], [1, 0])]
    """
    check_schema(schema)
    source, dtype = _source(path, delimiter), float_type(dtype)
    with _naming(source):
        names, target = _columns(source, None, schema, {})
        row = 0
        for batch in source.batches(names, source.types(schema, target, {})):
            x = schema._features(batch, row, dtype)
            yield x, None if target is None else schema._targets(batch, row)
            row += batch.num_rows
