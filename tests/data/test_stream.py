"""TableLoader: the rows of a file in windows and batches, and training on them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

import nncore as nn
from nncore.data import TableLoader, TableSchema, learn_schema, read_csv, read_parquet

ROWS = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(2)
    folder = tmp_path_factory.mktemp("stream")
    a = rng.standard_normal(ROWS)
    text = rng.choice(["x", "y", "z"], ROWS)
    table = pa.table(
        {"row": np.arange(ROWS), "a": a, "b": rng.standard_normal(ROWS), "text": text, "t": (a > 0) ^ (text == "x")}
    )
    arrow_csv.write_csv(table, folder / "a.csv")
    parquet.write_table(table, folder / "a.parquet", row_group_size=3000)
    return folder


@pytest.mark.parametrize(("name", "read"), [("a.csv", read_csv), ("a.parquet", read_parquet)])
@pytest.mark.parametrize(("batch", "window"), [(64, 5000), (7, 1), (1000, 10), (64, 10**9)])
def test_all_rows_in_order_and_in_whole_batches(folder, name, read, batch, window):
    whole = read(folder / name, "t")
    loader = TableLoader(folder / name, whole.schema, batch_size=batch, window_size=window)
    for _ in range(2):
        batches = list(loader)
        assert [len(y) for _, y in batches] == [batch] * (ROWS // batch) + [ROWS % batch] * (ROWS % batch > 0)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), whole.x)
        np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), whole.y)
    assert loader.samples == ROWS


def test_shuffled_within_windows(folder):
    schema = learn_schema(folder / "a.parquet", "t", ignore=["a", "b", "text"])
    loader = TableLoader(folder / "a.parquet", schema, batch_size=100, window_size=2000, shuffle=True, seed=4)
    epochs = [np.concatenate([x[:, 0] for x, _ in loader]).astype(int) for _ in range(2)]
    for order in epochs:
        assert sorted(order) == list(range(ROWS))
        assert (order[:100] != np.sort(order[:100])).any()
    assert (epochs[0] != epochs[1]).any()
    begin = 0
    loader.set_epoch(0)
    draw = np.random.Generator(np.random.Philox(key=np.array([4, 2**63], np.uint64)))
    for chunk in loader.chunks():  # each is a window of consecutive rows, in the promised order
        np.testing.assert_array_equal(chunk.order, draw.permutation(len(chunk.x)))
        np.testing.assert_array_equal(np.sort(chunk.x[:, 0]), np.arange(begin, begin + len(chunk.x)))
        begin += len(chunk.x)
    assert begin == ROWS


def test_training_on_a_file(folder):
    """As on the arrays that the file holds, to the last bit."""
    path = folder / "a.csv"
    schema = learn_schema(path, "t", ignore=["row"])
    table = read_csv(path, schema=schema)
    scaling = nn.Normalization()
    scaling.adapt(x for x, _ in nn.data.stream_table(path, schema))
    np.testing.assert_allclose(scaling.mean, table.x.mean(0, np.float64), rtol=1e-5)
    layers = lambda: [nn.Input((5,)), nn.Dense(16, activation="relu"), nn.Dense(2)]  # noqa: E731
    streamed, held = nn.Sequential(layers()), nn.Sequential(layers())
    for model in (streamed, held):
        model.compile(nn.Adam(0.01), "cross_entropy", metrics=["accuracy"], seed=1)
    loader = TableLoader(path, schema, batch_size=64, window_size=3000)
    history = streamed.fit(loader, epochs=2, validation_data=loader, verbose=0).history
    held.fit(table.x, table.y, 64, epochs=2, shuffle=False, verbose=0)
    assert history["val_accuracy"][-1] > 0.95
    for a, b in zip(streamed.get_weights(), held.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_stream_does_not_hold_the_file(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "large.parquet"
    columns = {f"a{i}": rng.random(200_000) for i in range(10)}
    parquet.write_table(pa.table(columns), path, row_group_size=10_000)
    assert path.stat().st_size > 14e6
    before, peak = pa.total_allocated_bytes(), 0
    schema = learn_schema(path)
    for x, _ in nn.data.stream_table(path, schema):
        peak = max(peak, pa.total_allocated_bytes() - before + x.nbytes)
    assert 0 < peak < 6e6


def test_mistakes(folder, tmp_path):
    schema = read_csv(folder / "a.csv", "t").schema
    with pytest.raises(ValueError, match="schema: expected one with a target"):
        TableLoader(folder / "a.csv", TableSchema(schema.columns))
    with pytest.raises(ValueError, match="window_size: expected an integer in"):
        TableLoader(folder / "a.csv", schema, window_size=0)
    model = nn.Sequential([nn.Input((6,)), nn.Dense(2)])
    model.compile(loss="cross_entropy")
    path = tmp_path / "b.csv"
    for text, message in (
        ("row,a,b,text\n1,2,3,x\n", r"b\.csv: expected the target column 't'"),
        (
            "row,a,b,text,t\n1,2,3,w,true\n",
            r"b\.csv: column 'text': expected one of 'x', 'y', 'z', got 'w' in row 0",
        ),
        ("row,a,b,text,t\n", "expected a loader with at least one chunk"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            model.fit(TableLoader(path, schema), verbose=0)
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        model.fit(TableLoader(tmp_path / "none.csv", schema), verbose=0)
