"""Tables from CSV and Parquet files: what becomes of their columns, beside scikit-learn and Python's own csv module."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from nncore.data import TableSchema, learn_schema, read_csv, read_parquet, stream_table

FLOWERS = "width,colour,wild,kind\n1.5,red,true,rose\n2.5,white,false,daisy\n-3,red,false,rose\n"


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    path = tmp_path / "flowers.csv"
    path.write_text(FLOWERS)
    return path


def test_columns_become_features(flowers):
    table = read_csv(flowers, "kind")
    assert table.schema.feature_names == ("width", "colour=red", "colour=white", "wild")
    assert table.x.dtype == np.float32
    assert table.x.tolist() == [[1.5, 1, 0, 1], [2.5, 0, 1, 0], [-3, 1, 0, 0]]
    assert (table.y.dtype, table.y.tolist(), table.schema.classes) == (np.int64, [1, 0, 1], ("daisy", "rose"))


def test_formats_agree(flowers, tmp_path):
    columns = {"width": [1.5, 2.5, -3.0], "colour": ["red", "white", "red"], "wild": [True, False, False]}
    table = pa.table({**columns, "kind": pa.array(["rose", "daisy", "rose"]).dictionary_encode()})
    parquet.write_table(table, tmp_path / "flowers.parquet")
    with gzip.open(tmp_path / "flowers.csv.gz", "wt") as file:
        file.write(FLOWERS)
    (tmp_path / "semicolon.csv").write_text("\ufeff" + FLOWERS.replace(",", ";"), encoding="utf-8")
    wanted = read_csv(flowers, "kind")
    others = [
        read_parquet(tmp_path / "flowers.parquet", "kind"),
        read_csv(tmp_path / "flowers.csv.gz", "kind"),
        read_csv(tmp_path / "semicolon.csv", "kind", delimiter=";"),
    ]
    for other in others:
        assert other.schema == wanted.schema
        np.testing.assert_array_equal(other.x, wanted.x)
        np.testing.assert_array_equal(other.y, wanted.y)
    for data in (table, table.to_batches()[0], table.to_reader(), iter(table.to_batches(max_chunksize=2))):
        assert TableSchema.fit(data, "kind") == wanted.schema
    np.testing.assert_array_equal(wanted.schema.features(table, "float64"), wanted.x)


def test_what_speaks_arrow_is_a_table():
    class Frame:
        def __init__(self, columns):
            self.columns = columns

        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table(self.columns).__arrow_c_stream__(requested_schema)

    frame = Frame({"a": [1.0, 2.0, None], "b": ["x", "y", "x"], "t": [1, 2, 3], "__index_level_0__": [7, 8, 9]})
    schema = TableSchema.fit(frame, "t", missing="mean")
    assert schema.feature_names == ("a", "b=x", "b=y")  # and no index of a pandas frame
    assert schema.features(frame).tolist() == [[1, 1, 0], [2, 0, 1], [1.5, 1, 0]]


def test_pandas_frames_are_tables():
    import pandas

    frame = pandas.DataFrame({"a": [1.0, 2.0, np.nan], "b": ["x", "y", "x"], "t": [1, 2, 3]})[::-1]
    schema = TableSchema.fit(frame, "t", missing="mean")
    assert schema.feature_names == ("a", "b=x", "b=y")
    assert schema.features(frame).tolist() == [[1.5, 1, 0], [2, 0, 1], [1, 1, 0]]
    assert schema.targets(frame).tolist() == [3, 2, 1]


def test_polars_frames_are_tables():
    import polars

    kind = polars.Series(["u", "v", "u"], dtype=polars.Categorical)
    frame = polars.DataFrame({"a": [1, None, 3], "b": ["x", "y", None], "c": kind, "t": [True, False, True]})
    schema = TableSchema.fit(frame, "t", missing="most_frequent")
    assert schema.feature_names == ("a", "b=x", "b=y", "c=u", "c=v")
    assert schema.features(frame).tolist() == [[1, 1, 0, 1, 0], [1, 0, 1, 0, 1], [3, 1, 0, 1, 0]]
    assert (schema.classes, schema.targets(frame).tolist()) == (("false", "true"), [1, 0, 1])


def test_types_of_columns():
    import decimal

    table = pa.table({
        "int8": pa.array([1, None], pa.int8()),
        "half": pa.array(np.array([0.5, np.nan], np.float16)),
        "decimal": pa.array([decimal.Decimal("1.25"), None]),
        "big": pa.array([2**60 + 1, 0]),
        "large": pa.array(["a", None], pa.large_string()),
        "view": pa.array(["b", None]).cast(pa.string_view()),
        "coded": pa.array([7, 8]).dictionary_encode(),
        "empty": pa.nulls(2),
    })  # fmt: skip
    schema = TableSchema.fit(table, missing="constant")
    assert schema.feature_names == (
        "int8",
        "half",
        "decimal",
        "big",
        "large=a",
        "large=missing",
        "view=b",
        "view=missing",
        "coded",
        "empty",
    )
    assert schema.features(table, "float64").tolist() == [
        [1, 0.5, 1.25, 2.0**60, 1, 0, 1, 0, 7, 0],
        [0, 0, 0, 0, 0, 1, 0, 1, 8, 0],
    ]


@pytest.mark.parametrize(("column", "type_name"), [
    (pa.array([0, 1], pa.date32()), "date32"),
    (pa.array([0, 1], pa.timestamp("s")), "timestamp"),
    (pa.array([0, 1], pa.time32("s")), "time32"),
    (pa.array([0, 1], pa.duration("s")), "duration"),
    (pa.array([[1], [2]]), "list"),
    (pa.array([b"1", b"2"]), "binary"),
])  # fmt: skip
def test_other_types_are_refused(column, type_name):
    table = pa.table({"a": [1, 2], "when": column})
    with pytest.raises(ValueError, match=f"column 'when': expected numbers, booleans or text, got {type_name}"):
        TableSchema.fit(table)
    assert TableSchema.fit(table, ignore=["when"]).feature_names == ("a",)


def test_dates_in_csv_are_refused_or_text_as_asked(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,when\n1,2026-01-31\n2,2026-02-01\n")
    with pytest.raises(ValueError, match=r"a\.csv: column 'when': expected numbers.*name it in ignore"):
        read_csv(path)
    assert read_csv(path, ignore=["when"]).x.tolist() == [[1], [2]]
    assert read_csv(path, categorical=["when"]).schema.feature_names == ("a", "when=2026-01-31", "when=2026-02-01")


def test_empty_lines_do_not_count(tmp_path):
    (tmp_path / "a.csv").write_text("\n\na,b\n1,2\n\n3,4\n\n")
    assert read_csv(tmp_path / "a.csv", "b").x.tolist() == [[1], [3]]


def test_numbers_as_categories_stand_as_they_are(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("zip,grade\n01234,10\n98765,9\n01234,10\n")
    table = read_csv(path, "grade", task="classification", categorical=["zip"])
    assert table.schema.feature_names == ("zip=01234", "zip=98765")
    assert table.schema.classes == ("9", "10")  # in the order of numbers
    assert (table.x.tolist(), table.y.tolist()) == ([[1, 0], [0, 1], [1, 0]], [1, 0, 1])
    assert read_csv(path, "grade", ignore=["zip"][:0]).y.tolist() == [10.0, 9.0, 10.0]


def _random_table(rows: int = 200) -> pa.Table:
    rng = np.random.default_rng(5)
    hidden = rng.random((rows, 3)) < 0.2
    number = np.where(hidden[:, 0], np.nan, rng.integers(0, 20, rows) / 4)
    return pa.table({
        "number": number,
        "whole": pa.array(rng.integers(0, 9, rows), mask=hidden[:, 1]),
        "text": pa.array(rng.choice(["a", "b", "c d"], rows), mask=hidden[:, 2]),
        "target": rng.standard_normal(rows),
    })  # fmt: skip


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
def test_fills_are_scikit_learn_s(strategy):
    table = _random_table()
    train, test = table.slice(0, 150), table.slice(150)
    names = ["number", "whole"]
    schema = TableSchema.fit(
        train, "target", missing=strategy, fill_value=2.5 if strategy == "constant" else None, ignore=["text"]
    )
    imputer = SimpleImputer(strategy=strategy, fill_value=2.5 if strategy == "constant" else None)
    columns = [np.stack([part[name].to_numpy() for name in names], 1).astype(float) for part in (train, test)]
    imputer.fit(columns[0])
    for part, values in zip((train, test), columns, strict=True):
        np.testing.assert_allclose(schema.features(part, "float64"), imputer.transform(values), rtol=1e-14)


def test_categories_are_scikit_learn_s():
    table = _random_table()
    values = [np.array([[v] for v in part["text"].to_pylist()], object) for part in (table.slice(0, 150), table.slice(150))]
    schema = TableSchema.fit(table.slice(0, 150), "target", missing="most_frequent", ignore=["number", "whole"])
    imputer = SimpleImputer(strategy="most_frequent", missing_values=None).fit(values[0])
    encoder = OneHotEncoder(sparse_output=False).fit(imputer.transform(values[0]))
    np.testing.assert_array_equal(schema.features(table.slice(150)), encoder.transform(imputer.transform(values[1])))


def test_strategies_by_column():
    table = pa.table({"a": [1.0, None], "b": [None, "x"], "c": [3.0, 4.0]})
    schema = TableSchema.fit(table, missing={"a": "constant", "b": "constant"}, fill_value={"a": -1, "b": "none"})
    assert schema.feature_names == ("a", "b=none", "b=x", "c")
    assert schema.features(table).tolist() == [[1, 1, 0, 3], [-1, 0, 1, 4]]
    with pytest.raises(ValueError, match=r"column 'c': expected a value in each row from 0 on, got none in 1 of 1"):
        schema.features(pa.table({"a": [1.0], "b": ["x"], "c": pa.array([None], pa.float64())}))


def test_missing_values_are_refused_with_their_number():
    table = pa.table({"a": [1.0, None, float("nan")], "b": ["x", "y", None], "c": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"expected none in 3 rows, got some in column 'a' \(2\), 'b' \(1\)"):
        TableSchema.fit(table, "c")
    with pytest.raises(ValueError, match=r"target 'b': expected a value in each row, got none in 1 of 3"):
        TableSchema.fit(table, "b", missing="mean")


@pytest.mark.parametrize(("options", "message"), [
    ({"target": "z"}, r"target: expected columns out of n, t, b, got 'z'"),
    ({"ignore": ["z"]}, "ignore: expected columns out of"),
    ({"categorical": ["z"]}, "categorical: expected columns out of"),
    ({"target": "t", "ignore": ["t"]}, "ignore: expected other columns than the target"),
    ({"ignore": ["n", "t", "b"]}, "expected at least one column"),
    ({"missing": "zero"}, "missing: expected one of error, mean, median, most_frequent, constant, got 'zero'"),
    ({"missing": {"z": "mean"}}, "missing: expected columns out of n, t, b, got 'z'"),
    ({"missing": {"t": "mean"}}, "missing: expected error, most_frequent or constant for text, got 'mean' for 't'"),
    ({"missing": "constant", "fill_value": 3}, "fill_value: expected text for column 't', got 3"),
    ({"missing": "constant", "fill_value": "x"}, "fill_value: expected a finite number for column 'n', got 'x'"),
    ({"missing": "constant", "fill_value": math.inf, "ignore": ["t"]}, "fill_value: expected a finite number"),
    ({"text": "error"}, "column 't': expected numbers, got text; name it in ignore or in categorical"),
    ({"text": "no"}, "text: expected one of 'one_hot', 'error', got 'no'"),
    ({"unknown": "no"}, "unknown: expected one of"),
    ({"task": "clustering"}, "task: expected one of"),
    ({"target": "t", "task": "regression"}, "target 't': expected numbers for a regression, got text"),
    ({"max_categories": 1}, "column 't': expected at most 1 categories, got 2"),
])  # fmt: skip
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        TableSchema.fit(pa.table({"n": [1, 2], "t": ["x", "y"], "b": [True, False]}), **options)


@pytest.mark.parametrize(("data", "error", "message"), [
    (pa.table({"a": pa.array([], pa.int64())}), ValueError, "expected at least one row, got none"),
    (3, TypeError, "data: expected an Arrow table, a data frame or an iterable of record batches, got 3"),
    ([1], TypeError, "expected an iterable of Arrow record batches, got a int in it"),
    (pa.table([[1], [2]], names=["a", "a"]), ValueError, "expected columns of different names, got 'a' 2 times"),
    (pa.table({"a": [1.0, math.inf]}), ValueError, "column 'a': expected finite numbers, got inf in row 1"),
])  # fmt: skip
def test_wrong_data(data, error, message):
    with pytest.raises(error, match=message):
        TableSchema.fit(data)


def test_a_target_needs_two_classes_and_names_no_string():
    table = pa.table({"a": [1, 2], "t": ["x", "x"]})
    with pytest.raises(ValueError, match="target 't': expected at least two classes, got 'x' only"):
        TableSchema.fit(table, "t")
    with pytest.raises(TypeError, match="ignore: expected a list of column names, got 't'"):
        TableSchema.fit(table, ignore="t")
    with pytest.raises(ValueError, match="target: expected a schema with a target"):
        TableSchema.fit(table).targets(table)


def test_new_tables(flowers, tmp_path):
    schema = read_csv(flowers, "kind").schema
    new = tmp_path / "new.csv"
    new.write_text("more,wild,width,colour\n2020-01-01,0,7,white\n")  # other order, no target, one more
    table = read_csv(new, schema=schema)
    assert (table.x.tolist(), table.y) == ([[7, 0, 1, 0]], None)
    for text, message in (
        ("width,colour\n1,red\n", r"column 'wild': expected it once in the table, got columns width, colour"),
        ("width,colour,wild\n1,blue,true\n", r"column 'colour': expected one of 'red', 'white', got 'blue' in row 0"),
        ("width,colour,wild\n1,,true\n", r"column 'colour': expected a value in each row from 0 on, got none in 1 of 1"),
        ("width,colour,wild\nwide,red,true\n", r"new\.csv: column 'width': .*invalid value 'wide'"),
        ("width,colour,wild,kind\n1,red,true,tulip\n", r"target 'kind': expected one of 'daisy', 'rose', got 'tulip'"),
        ("width,colour,wild,kind\n1,red,true,\n", r"target 'kind': expected a value in each row"),
        ("width,colour,wild\n1,red\n", r"new\.csv: CSV parse error: Expected 3 columns, got 2"),
        ("", r"new\.csv: column 'width': expected it once"),
    ):
        new.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_csv(new, schema=schema)
    new.write_text("width,colour,wild\n1,blue,true\n")
    forgiving = read_csv(flowers, "kind", unknown="ignore").schema
    assert read_csv(new, schema=forgiving).x.tolist() == [[1, 0, 0, 1]]
    with pytest.raises(ValueError, match="missing: expected nothing beside schema"):
        read_csv(new, schema=schema, missing="mean")
    with pytest.raises(ValueError, match="column 'width': expected numbers, got text"):
        schema.features(pa.table({"width": ["x"], "colour": ["red"], "wild": [True]}))


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "a.parquet").write_text("a,b\n")
    with pytest.raises(ValueError, match=r"a\.parquet: "):
        read_parquet(tmp_path / "a.parquet")
    (tmp_path / "latin.csv").write_bytes(b"a,b\n\xe9,1\n\xe8,2\n")
    with pytest.raises(ValueError, match=r"latin\.csv: column 'a'"):
        read_csv(tmp_path / "latin.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv: "):
        read_csv(tmp_path / "empty.csv")
    with pytest.raises(ValueError, match="delimiter: expected one character, got ', '"):
        read_csv(tmp_path / "empty.csv", delimiter=", ")


def test_schema_as_json(flowers):
    schema = read_csv(flowers, "kind", missing="mean", unknown="ignore").schema
    assert TableSchema.from_json(schema.to_json()) == schema


@pytest.mark.parametrize(("old", "new"), [
    ('"version": 1', '"version": 2'),
    ('"version": 1', '"versions": 1'),
    ('"name": "width"', '"name": 3'),
    ('"name": "width"', '"name": "wild"'),
    ('"name": "width"', '"name": "kind"'),
    ('"kind": "number"', '"kind": "date"'),
    ('"categories": ["red", "white"]', '"categories": []'),
    ('"categories": ["red", "white"]', '"categories": ["red", "red"]'),
    ('"fill": 0.0', '"fill": NaN'),
    ('"fill": 0.0', '"fill": "x"'),
    ('"fill": "red"', '"fill": "blue"'),
    ('"classes": ["daisy", "rose"]', '"classes": ["rose"]'),
    ('"unknown": "error"', '"unknown": "no"'),
    ('"unknown": "error"', '"unknown": "error", "more": 1'),
    ("{", "["),
])  # fmt: skip
def test_other_json_is_refused(flowers, old, new):
    text = read_csv(flowers, "kind", missing="most_frequent").schema.to_json().replace('"fill": -3.0', '"fill": 0.0')
    assert old in text
    with pytest.raises(ValueError, match="expected a TableSchema as JSON, got"):
        TableSchema.from_json(text.replace(old, new, 1))


def test_a_file_in_pieces_is_the_file(tmp_path):
    rng = np.random.default_rng(1)
    table = pa.table({
        "a": rng.standard_normal(60_000),
        "whole": pa.array([1] * 30_000 + [None] * 30_000, pa.int64()),  # of which only the first megabyte is seen
        "text": rng.choice(["x", "y", "z"], 60_000),
        "t": rng.choice(["no", "yes"], 60_000),
    })  # fmt: skip
    from pyarrow import csv as arrow_csv

    arrow_csv.write_csv(table, tmp_path / "a.csv")
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=7000)
    for path, read in ((tmp_path / "a.csv", read_csv), (tmp_path / "a.parquet", read_parquet)):
        whole = read(path, "t", missing="mean")
        schema = learn_schema(path, "t", missing="mean")
        assert schema.feature_names == whole.schema.feature_names
        parts = list(stream_table(path, whole.schema))
        assert len(parts) > 1
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), whole.x)
        np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), whole.y)
    with pytest.raises(ValueError, match="for a file read in pieces, got 'median'"):
        learn_schema(tmp_path / "a.csv", "t", missing={"a": "median"})


# Text that no reader takes for a number, a bool, a date or a missing value; commas, quotes and line breaks included.
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from(",;\"'\n "), max_size=5
).map("w{}".format)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)


@given(
    st.lists(st.tuples(st.none() | NUMBERS, st.none() | WORDS, st.booleans(), WORDS), min_size=1, max_size=20), st.data()
)
def test_round_trip(tmp_path_factory, rows, data):
    """What Python's csv module or Arrow wrote: numbers are the same to the last bit, each row has its own category."""
    folder = tmp_path_factory.mktemp("round")
    names = ("number", "word", "flag", "class")
    fill = data.draw(NUMBERS)
    with (folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([names, *rows])
    columns = list(zip(*rows, strict=True))
    types = (pa.float64(), pa.string(), pa.bool_(), pa.string())
    arrays = [pa.array([None if v is None else float(v) for v in columns[0]]), *map(pa.array, columns[1:])]
    table = pa.table([array.cast(type_) for array, type_ in zip(arrays, types, strict=True)], names=names)
    parquet.write_table(table, folder / "a.parquet")
    options = {"missing": "constant", "fill_value": {"number": fill}, "ignore": ["class"]}
    schema = TableSchema.fit(table, **options)
    for read in (
        read_csv(folder / "a.csv", schema=schema, dtype="float64"),
        read_csv(folder / "a.csv", **options, categorical=["word"], dtype="float64"),
        read_parquet(folder / "a.parquet", schema=schema, dtype="float64"),
    ):
        assert read.schema == schema
        number, flag = read.x[:, 0], read.x[:, -1]
        assert number.tolist() == [float(fill if row[0] is None else row[0]) for row in rows]
        assert flag.tolist() == [float(row[2]) for row in rows]
        words = ["missing" if row[1] is None else row[1] for row in rows]
        assert (read.x[:, 1:-1].sum(1) == 1).all()
        categories = schema.columns[1].categories
        assert [categories[i] for i in read.x[:, 1:-1].argmax(1)] == words
