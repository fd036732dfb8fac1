"""TableSchema: how the columns of a table become features and targets, learned once and applied to any table like it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, TypedDict

import numpy as np
import numpy.typing as npt

from nncore.data.arrow import numbered, record_batches
from nncore.data.columns import Column, Learner, kind_of, listed, numbers, strategy_of, texts

__all__ = ["SchemaOptions", "TableSchema"]

Array = npt.NDArray[Any]
_VERSION = 1


class SchemaOptions(TypedDict, total=False):
    """What can be asked of `TableSchema.fit`, and so of the readers; it tells what each means."""

    task: Literal["classification", "regression"] | None
    missing: str | Mapping[str, str]
    fill_value: float | str | Mapping[str, float | str] | None
    text: Literal["one_hot", "error"]
    categorical: Sequence[str]
    ignore: Sequence[str]
    unknown: Literal["error", "ignore"]
    max_categories: int


@dataclass(frozen=True)
class TableSchema:
    """How a table becomes features x [n, features] and targets y [n].

    Numbers are one feature each as they are, booleans are 0 and 1, and text is one-hot: a feature for each category.
    Made by `fit`, or by `read_csv` and `read_parquet`; the same schema makes identical features of new tables.

    Attributes:
        columns: those that become features, in this order whatever the table's.
        target: name of the target column, or ``None``.
        classes: names of the target's classes by index; ``None`` where the target is a value.
        unknown: what a category that `fit` did not see does: ``"error"``, or ``"ignore"``: zeros for all categories.
    """

    columns: tuple[Column, ...]
    target: str | None = None
    classes: tuple[str, ...] | None = None
    unknown: Literal["error", "ignore"] = "error"

    @classmethod
    def fit(
        cls,
        data: Any,  # noqa: ANN401 - whatever speaks Arrow
        target: str | None = None,
        *,
        task: Literal["classification", "regression"] | None = None,
        missing: str | Mapping[str, str] = "error",
        fill_value: float | str | Mapping[str, float | str] | None = None,
        text: Literal["one_hot", "error"] = "one_hot",
        categorical: Sequence[str] = (),
        ignore: Sequence[str] = (),
        unknown: Literal["error", "ignore"] = "error",
        max_categories: int = 100,
    ) -> Self:
        """Learn kinds, fills and categories from training data, in one pass.

        Args:
            data: an Arrow table, record batch or reader, a pandas or polars frame, or an iterable of record batches.
            target: name of the column to predict.
            task: ``"classification"`` makes class indices of the target, ``"regression"`` numbers; ``None``: classes of
                text and booleans, numbers of numbers.
            missing: what to do about missing values (null or NaN): ``"error"``, or fill with the ``"mean"``, ``"median"``
                or ``"most_frequent"`` value of the column here, or a ``"constant"``. For text, mean and median mean the
                most frequent. A dict chooses by column; in columns that it does not name they are refused. A missing target
                always is.
            fill_value: the constant, or constants by column; ``None`` is 0 for numbers, and for text a category
                ``"missing"``.
            text: ``"error"`` refuses text columns other than the target and those in `categorical`.
            categorical: columns of numbers or booleans to take as categories.
            ignore: columns to leave out.
            unknown: see `TableSchema`.
            max_categories: more in one column are an error: that will be a name or a number of each row.

        Raises:
            ImportError: pyarrow is not installed.
            TypeError, ValueError: no such data or options, columns that are not there or not usable (dates), or missing
                values that nothing was asked for; the message names columns and counts.

        Source: scikit-learn ``SimpleImputer`` and ``OneHotEncoder``.

        >>> import pyarrow as pa
        >>> table = pa.table({"age": [30, None, 50], "city": ["Rome", "Bari", "Rome"], "buys": ["no", "yes", "no"]})
        >>> schema = TableSchema.fit(table, "buys", missing="mean")
        >>> schema.feature_names, schema.classes
        (('age', 'city=Bari', 'city=Rome'), ('no', 'yes'))
        >>> schema.features(table).tolist(), schema.targets(table).tolist()
        ([[30.0, 0.0, 1.0], [40.0, 1.0, 0.0], [50.0, 0.0, 1.0]], [0, 1, 0])
        """
        for name, value, allowed in (
            ("task", task, (None, "classification", "regression")),
            ("text", text, ("one_hot", "error")),
            ("unknown", unknown, ("error", "ignore")),
        ):
            if value not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, got {value!r}")
        batches = iter(record_batches(data))
        first = next(batches, None)
        if first is None:
            raise ValueError("data: expected at least one row, got none")
        kinds = _kinds(first.schema, target, categorical, ignore)
        for argument, asked in (("missing", missing), ("fill_value", fill_value)):
            _check_names(argument, asked if isinstance(asked, Mapping) else (), kinds)
        learners = []
        for name, kind in kinds.items():
            if kind == "category" and text == "error" and name not in categorical:
                raise ValueError(f"column {name!r}: expected numbers, got text; name it in ignore or in categorical")
            learners.append(Learner(name, kind, *strategy_of(name, kind, missing, fill_value)))
        if not learners:
            raise ValueError("data: expected at least one column beside the target and those to ignore")
        goal = None if target is None else _goal(target, task, first.schema.field(target).type)

        for batch in _with(first, batches):
            for learner in (*learners, *(() if goal is None else (goal,))):
                learner.add(batch.column(learner.name))
        rows = learners[0].rows
        if not rows:
            raise ValueError("data: expected at least one row, got none")
        refused = [
            f"{learner.name!r} ({learner.missing})"
            for learner in learners
            if learner.missing and learner.strategy == "error"
        ]
        if refused:
            raise ValueError(
                f"missing values: expected none in {rows} rows, got some in column {', '.join(refused)}; "
                "ask for a fill by missing, such as 'mean'"
            )
        columns = tuple(learner.column(max_categories) for learner in learners)
        if goal is None:
            return cls(columns, unknown=unknown)
        if goal.missing:
            raise ValueError(f"target {target!r}: expected a value in each row, got none in {goal.missing} of {rows}")
        classes = goal.column(rows).categories if goal.kind == "category" else None
        if classes is not None and len(classes) < 2:
            raise ValueError(f"target {target!r}: expected at least two classes, got {classes[0]!r} only")
        return cls(columns, target, classes, unknown)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What each feature is called: ``age``, or ``city=Rome`` for a category."""
        return tuple(name for column in self.columns for name in column.features)

    def features(self, data: Any, dtype: npt.DTypeLike = "float32") -> Array:  # noqa: ANN401
        """The features [n, features] of `data`, as `fit` takes it; columns that the schema does not know do not matter.

        Raises:
            ValueError: a column that is absent or of another kind, missing values in a column that was not to be filled, or
                an unknown category.
        """
        dtype = float_type(dtype)
        parts = [self._features(batch, row, dtype) for row, batch in numbered(record_batches(data))]
        return np.concatenate(parts) if parts else np.empty((0, len(self.feature_names)), dtype)

    def targets(self, data: Any) -> Array:  # noqa: ANN401
        """The targets [n] of `data`: class indices as int64, or values as float64.

        Raises:
            ValueError: the schema has no target, the column is absent, values are missing, or a class is unknown.
        """
        if self.target is None:
            raise ValueError("target: expected a schema with a target")
        parts = [self._targets(batch, row) for row, batch in numbered(record_batches(data))]
        empty = np.empty(0, np.float64 if self.classes is None else np.int64)
        return np.concatenate(parts) if parts else empty

    def _features(self, batch: Any, row: int, dtype: npt.DTypeLike) -> Array:  # noqa: ANN401
        """Of a record batch whose first row has the number `row`."""
        x = np.zeros((batch.num_rows, len(self.feature_names)), dtype)
        place = 0
        for column in self.columns:
            array = _column(batch, column.name)
            if column.kind == "category":
                codes = self._codes(array, column, row)
                known = np.flatnonzero(codes >= 0)
                x[known, place + codes[known]] = 1
            else:
                values = numbers(array, column.name, row)
                empty = np.isnan(values)
                if empty.any():
                    values = np.where(empty, _fill(column, int(empty.sum()), len(values), row), values)
                x[:, place] = values
            place += len(column.features)
        return x

    def _codes(self, array: Any, column: Column, row: int) -> npt.NDArray[np.int64]:  # noqa: ANN401
        """The category of each row [n], -1 where it is unknown and that is to be ignored."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = texts(array, column.name)
        if values.null_count:
            values = pc.fill_null(values, _fill(column, values.null_count, len(values), row))
        codes: npt.NDArray[np.int64] = (
            pc.index_in(values, pa.array(column.categories, pa.string())).fill_null(-1).to_numpy().astype(np.int64)
        )
        if self.unknown == "error" and (codes < 0).any():
            at = int((codes < 0).argmax())
            raise ValueError(f"column {column.name!r}: {_unknown(column.categories, values[at].as_py(), row + at)}")
        return codes

    def _targets(self, batch: Any, row: int) -> Array:  # noqa: ANN401
        import pyarrow as pa
        import pyarrow.compute as pc

        name = self.target or ""
        array = _column(batch, name)
        values: Array
        if self.classes is None:
            values = numbers(array, name, row)
            missing = np.isnan(values)
        else:
            labels = texts(array, name)
            missing = labels.is_null().to_numpy(zero_copy_only=False)
            values = pc.index_in(labels, pa.array(self.classes, pa.string())).fill_null(-1).to_numpy().astype(np.int64)
        if missing.any():
            raise ValueError(
                f"target {name!r}: expected a value in each row from {row} on, got none in {missing.sum()} of {len(values)}"
            )
        if self.classes is not None and (values < 0).any():
            at = int((values < 0).argmax())
            raise ValueError(f"target {name!r}: {_unknown(self.classes, labels[at].as_py(), row + at)}")
        return values

    def to_json(self) -> str:
        """The schema as JSON text; `from_json` reads it."""
        return json.dumps({"version": _VERSION, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The schema that `to_json` wrote.

        Raises:
            ValueError: the text is no such schema.

        >>> schema = TableSchema((Column("age", "number", fill=40.0),), "buys", ("no", "yes"))
        >>> TableSchema.from_json(schema.to_json()) == schema
        True
        """
        try:
            content = json.loads(text)
            if content.pop("version") != _VERSION:
                raise ValueError("another version")
            columns = tuple(
                Column(**{**column, "categories": tuple(column["categories"])}) for column in content.pop("columns")
            )
            classes = content.pop("classes")
            schema = cls(columns, classes=None if classes is None else tuple(classes), **content)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"expected a TableSchema as JSON, got something else ({error!r})") from None
        if not _sound(schema):
            raise ValueError("expected a TableSchema as JSON, got values of other types")
        return schema


def _with(first: Any, rest: Iterator[Any]) -> Iterator[Any]:  # noqa: ANN401
    yield first
    yield from rest


def _column(batch: Any, name: str) -> Any:  # noqa: ANN401
    names = batch.schema.names
    if names.count(name) != 1:
        raise ValueError(f"column {name!r}: expected it once in the table, got columns {listed(names)}")
    return batch.column(name)


def _check_names(argument: str, wanted: Iterable[str], names: Iterable[str]) -> None:
    for name in wanted:
        if name not in names:
            raise ValueError(f"{argument}: expected columns out of {listed(names)}, got {name!r}")


def float_type(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """`dtype` as NumPy's; a TypeError or ValueError unless features can be of it."""
    try:
        chosen = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):
        raise TypeError(f"dtype: expected one of real numbers, got {dtype!r}") from None
    if dtype is None or chosen.kind not in "iuf":
        raise ValueError(f"dtype: expected one of real numbers, got {dtype!r}")
    return chosen


def check_schema(schema: object) -> None:
    """Raise TypeError unless `schema` is one."""
    if not isinstance(schema, TableSchema):
        raise TypeError(f"schema: expected a TableSchema, got {type(schema).__name__}")


def check_columns(names: Sequence[str], target: str | None, categorical: Sequence[str], ignore: Sequence[str]) -> None:
    """Raise TypeError or ValueError unless all columns asked for are among `names`, and these differ."""
    if target is not None and not isinstance(target, str):
        raise TypeError(f"target: expected the name of a column or None, got {target!r}")
    for argument, wanted in (("categorical", categorical), ("ignore", ignore)):
        if isinstance(wanted, str):
            raise TypeError(f"{argument}: expected a list of column names, got {wanted!r}")
        _check_names(argument, wanted, names)
    _check_names("target", () if target is None else (target,), names)
    if target in ignore:
        raise ValueError(f"ignore: expected other columns than the target, got {target!r}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"expected columns of different names, got {twice[0]!r} {names.count(twice[0])} times")


def _kinds(schema: Any, target: str | None, categorical: Sequence[str], ignore: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401
    """The kinds of the columns that become features, by name."""
    names = schema.names
    check_columns(names, target, categorical, ignore)
    left_out = {target, *ignore, *(name for name in names if name.startswith("__index_level_"))}  # of a pandas frame
    kinds = {name: kind_of(name, schema.field(name).type) for name in names if name not in left_out}
    return {name: "category" if name in categorical else kind for name, kind in kinds.items()}


def _goal(target: str, task: str | None, type_: Any) -> Learner:  # noqa: ANN401
    """What learns the target's classes, or that there are numbers."""
    kind = kind_of(target, type_)
    if task == "regression" and kind == "category":
        raise ValueError(f"target {target!r}: expected numbers for a regression, got text")
    classes = task == "classification" or (task is None and kind != "number")
    return Learner(target, "category" if classes else "number", "error")


def _fill(column: Column, missing: int, rows: int, row: int) -> Any:  # noqa: ANN401 - a float or text
    if column.fill is None:
        raise ValueError(
            f"column {column.name!r}: expected a value in each row from {row} on, got none in {missing} of {rows}; "
            "the schema was made without a fill"
        )
    return column.fill


def _unknown(known: Sequence[str], value: str, row: int) -> str:
    return f"expected one of {listed(map(repr, known))}, got {value!r} in row {row}"


def _sound(schema: TableSchema) -> bool:
    """Whether values are of the types that the annotations say, and fit together."""

    def distinct(names: Any) -> bool:  # noqa: ANN401
        return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)

    for column in schema.columns:
        category, fill = column.kind == "category", column.fill
        right = isinstance(fill, str) and fill in column.categories if category else is_finite(fill)
        if column.kind not in ("number", "bool", "category") or not (fill is None or right):
            return False
        if not distinct(column.categories) or bool(column.categories) != category:
            return False
    names = [column.name for column in schema.columns]
    goal = schema.target is None or (isinstance(schema.target, str) and schema.target not in names)
    classes = schema.classes is None or (schema.target is not None and distinct(schema.classes) and len(schema.classes) > 1)
    return bool(names) and distinct(names) and goal and classes and schema.unknown in ("error", "ignore")


def is_finite(value: Any) -> bool:  # noqa: ANN401
    """Whether `value` is a finite number, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
