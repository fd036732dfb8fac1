"""Frames and tables of other packages, and other kinds of data that fit takes, against arrays of the same numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.model_selection import StratifiedShuffleSplit

import nncore as nn
from nncore.frames import table_as_array

RNG = np.random.default_rng(2)
COLUMNS = {
    "a": RNG.standard_normal(40),
    "b": RNG.integers(-5, 5, 40),
    "c": RNG.random(40) < 0.5,
    "d": RNG.standard_normal(40).astype(np.float32),
}
X = np.column_stack([column.astype(np.float64) for column in COLUMNS.values()])
Y = RNG.integers(0, 3, 40)

TABLES = {
    "pandas": lambda: (pd.DataFrame(COLUMNS), pd.Series(Y)),
    "pandas, nullable": lambda: (pd.DataFrame(COLUMNS).convert_dtypes(), pd.Series(Y, dtype="Int64")),
    "pandas, arrow": lambda: (
        pd.DataFrame(COLUMNS).convert_dtypes(dtype_backend="pyarrow"),
        pd.Series(Y, dtype="int32[pyarrow]"),
    ),
    "pandas, shuffled index": lambda: (pd.DataFrame(COLUMNS, index=range(40)[::-1]), pd.Series(Y, index=range(40)[::-1])),
    "pandas, equal names": lambda: (pd.DataFrame(X, columns=["a", "a", "b", "b"]), pd.DataFrame({"y": Y})),
    "polars": lambda: (pl.DataFrame(COLUMNS), pl.Series("y", Y)),
    "polars, frame of targets": lambda: (pl.DataFrame(COLUMNS), pl.DataFrame({"y": Y})),
    "arrow": lambda: (pa.table(COLUMNS), pa.array(Y)),
    "arrow, chunks": lambda: (
        pa.concat_tables([pa.table(COLUMNS).slice(0, 15), pa.table(COLUMNS).slice(15)]),
        pa.chunked_array([Y[:20], Y[20:]]),
    ),
    "arrow, batch": lambda: (pa.RecordBatch.from_pydict({k: pa.array(v) for k, v in COLUMNS.items()}), pa.array(Y)),
}


def make(engine="native", units=3):
    model = nn.Sequential([nn.Dense(6, activation="tanh"), nn.Dense(units)])
    model.compile("adam", "cross_entropy", ["accuracy"], engine=engine, dtype="float64", seed=5)
    return model


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_the_array_of_its_columns(kind):
    x, y = TABLES[kind]()
    np.testing.assert_array_equal(table_as_array(x, "x"), X)
    by_table, by_array = make(), make()
    first = by_table.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), sample_weight=pd.Series(np.arange(40)))
    second = by_array.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), sample_weight=np.arange(40))
    assert first.history == second.history
    assert by_table.predict(x).tobytes() == by_array.predict(X).tobytes()
    assert by_table.evaluate(x, y) == by_array.evaluate(X, Y)
    assert by_table.train_on_batch(x, y) == by_array.train_on_batch(X, Y)


def test_the_type_holds_all_columns():
    assert table_as_array(pl.DataFrame({"a": [1, 2], "b": [3, 4]}), "x").dtype == np.int64
    assert table_as_array(pd.DataFrame({"a": np.zeros(2, np.float32), "b": [True, False]}), "x").dtype == np.float32
    assert table_as_array(pa.table({"a": pa.array([1, 2], pa.uint8())}), "x").dtype == np.uint8


FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize(
    ("column", "error", "words"),
    [
        (["x", "y", "z"], TypeError, "x: expected numbers, got .*in column 'bad'"),
        ([1.0, None, 2.0], ValueError, "x: expected numbers, got 1 missing values in column 'bad'; fill or drop them"),
        ([1, None, None], ValueError, "x: expected numbers, got 2 missing values in column 'bad'"),
        ([True, None, False], ValueError, "x: expected numbers, got 1 missing values in column 'bad'"),
        ([1.0, float("nan"), 2.0], ValueError, "x: expected numbers, got 1 missing values in column 'bad'"),
        (np.array(["2020-01-01"] * 3, "M8[ms]"), TypeError, "x: expected numbers, got .*in column 'bad'"),
    ],
)
def test_other_columns_are_named(kind, column, error, words):
    if kind == "pandas" and column[0] is True:
        column = pd.array(column, dtype="boolean")
    table = FRAMES[kind]({"good": [1.0, 2.0, 3.0], "bad": column})
    model = make()
    for call in (lambda: model.fit(table, [0, 1, 2], verbose=0), lambda: model.predict(table)):
        with pytest.raises(error, match=words):
            call()


def test_other_bad_tables():
    model = make()
    with pytest.raises(ValueError, match="y: expected numbers, got 1 missing values in column 'target'"):
        model.fit(X[:2], pl.Series("target", [0, None]), verbose=0)
    with pytest.raises(TypeError, match="y: expected numbers, got"):
        model.fit(X[:2], pd.Series(["a", "b"]), verbose=0)
    with pytest.raises(TypeError, match="expected numbers, got category in column 'c'"):
        model.predict(pd.DataFrame({"c": pd.Categorical(["a", "b"])}))
    for table in (
        pl.DataFrame({"c": [[1, 2], [3, 4]]}),
        pl.DataFrame({"c": [[1, 2], [3, 4]]}, schema={"c": pl.Array(pl.Int64, 2)}),
        pa.table({"c": [[1, 2], [3, 4]]}),
        pd.DataFrame({"c": [np.zeros(2), np.zeros(2)]}),
    ):
        with pytest.raises(TypeError, match=r"x: expected .*number.*in column 'c'"):
            model.predict(table)
    with pytest.raises(TypeError, match="x: expected real numbers, got dtype object"):
        model.predict(pl.DataFrame({"c": [1.0]}).lazy())
    with pytest.raises(ValueError, match="x: expected a table with at least one column, got none"):
        model.predict(pd.DataFrame(index=[0, 1]))
    for kind in TABLES:
        with pytest.raises(ValueError, match="y: expected targets for the samples x, got None"):
            model.fit(TABLES[kind]()[0], verbose=0)


def test_memory_mapped_arrays(tmp_path, engine_name):
    for name, array in (("x", X.astype(np.float32)), ("y", Y)):
        np.save(tmp_path / f"{name}.npy", array)
    x, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy")
    mapped, plain = make(engine_name), make(engine_name)
    first = mapped.fit(x, y, epochs=2, verbose=0, validation_split=0.25, stratify=True)
    second = plain.fit(np.array(x), np.array(y), epochs=2, verbose=0, validation_split=0.25, stratify=True)
    assert first.history == second.history
    assert mapped.predict(x).tobytes() == plain.predict(np.array(x)).tobytes()


# -- several inputs and outputs ----------------------------------------------------------------------------------------


def two(engine):
    a, b = nn.Input((4,), name="a"), nn.Input((1,), name="b")
    h = nn.Dense(5, activation="tanh")(nn.Concatenate()([a, b]))
    model = nn.Model({"a": a, "b": b}, [nn.Dense(3, name="u")(h), nn.Dense(1, name="v")(h)])
    model.compile("adam", ["cross_entropy", "mse"], engine=engine, dtype="float64", seed=3)
    return model


def test_every_structure_gives_the_same(engine_name):
    frame, series = pd.DataFrame(X), pd.Series(X[:, 1])
    given = [
        ({"a": X, "b": X[:, :1]}, [Y, X[:, 1]]),
        ((X, X[:, :1]), (Y, X[:, 1])),
        ([X, X[:, :1]], {"v": X[:, 1], "u": Y}),
        ({"b": frame[[0]], "a": frame}, {"u": pl.Series(Y), "v": series}),
    ]
    results = []
    for x, y in given:
        model = two(engine_name)
        history = model.fit(x, y, batch_size=16, epochs=2, verbose=0, validation_data=(x, y))
        results.append((history.history, [w.tobytes() for w in model.get_weights()]))
    for result in results[1:]:
        assert result == results[0]
    model = two(engine_name)
    loader = nn.data.DataLoader({"a": X, "b": X[:, :1]}, (Y, X[:, 1:2]), batch_size=16)
    plain = two(engine_name)
    assert model.fit(loader, verbose=0).history == plain.fit(*given[0], batch_size=16, shuffle=False, verbose=0).history


# -- stratified validation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["indices", "one-hot", "one column"])
def test_a_stratified_split_is_that_of_train_test_split(engine_name, kind):
    y = np.repeat([0, 1, 2], [24, 12, 4])
    target = {"indices": y, "one-hot": np.eye(3)[y], "one column": y.astype(float)[:, None]}[kind]
    units, loss = (1, "mse") if kind == "one column" else (3, "cross_entropy")
    split, by_hand = make(engine_name, units), make(engine_name, units)
    for model in (split, by_hand):
        model.compile(nn.SGD(0.1), loss, engine=engine_name, dtype="float64", seed=7)
    first = split.fit(X, target, validation_split=0.25, stratify=True, epochs=2, batch_size=8, shuffle=False, verbose=0)
    rows = np.arange(40)
    train, held, _, _ = nn.data.train_test_split(rows, y, test_size=0.25, seed=7)
    train, held = np.sort(train), np.sort(held)
    assert np.bincount(y[held]).tolist() == [6, 3, 1]  # their shares of 10, as scikit-learn's
    _, of_sklearn = next(StratifiedShuffleSplit(1, test_size=10, random_state=0).split(X, y))
    assert np.bincount(y[of_sklearn]).tolist() == [6, 3, 1]
    options = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0}
    second = by_hand.fit(X[train], target[train], validation_data=(X[held], target[held]), **options)
    assert first.history == second.history


def test_a_stratified_split_with_weights_shuffles_and_metrics(engine_name):
    y = np.repeat([0, 1, 2], [24, 12, 4])
    weights = np.arange(40) / 40
    split, by_hand = make(engine_name), make(engine_name)
    for model in (split, by_hand):
        model.compile("adam", "cross_entropy", ["accuracy", "f1_macro"], engine=engine_name, dtype="float64", seed=7)
    options = {"epochs": 2, "batch_size": 8, "class_weight": "balanced", "verbose": 0}
    first = split.fit(X, y, sample_weight=weights, validation_split=0.25, stratify=True, **options)
    train, held = (np.sort(part) for part in nn.data.train_test_split(np.arange(40), y, test_size=0.25, seed=7)[:2])
    validation = (X[held], y[held], weights[held])
    second = by_hand.fit(X[train], y[train], sample_weight=weights[train], validation_data=validation, **options)
    assert first.history == second.history
    for a, b in zip(split.get_weights(), by_hand.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


def test_a_stratified_split_for_all_samples_at_once(engine_name):
    split, by_hand = make(engine_name), make(engine_name)
    for model in (split, by_hand):
        model.compile(nn.LBFGS(max_iter=3), "cross_entropy", engine=engine_name, dtype="float64", seed=7)
    split.fit(X, Y, validation_split=0.25, stratify=True, verbose=0)
    train = np.sort(nn.data.train_test_split(np.arange(40), Y, test_size=0.25, seed=7)[0])
    by_hand.fit(X[train], Y[train], verbose=0)
    assert split.get_weights()[0].tobytes() == by_hand.get_weights()[0].tobytes()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"stratify": True}, ValueError, "stratify: expected a validation_split beside it"),
        ({"stratify": "y", "validation_split": 0.5}, TypeError, "stratify: expected True or False"),
        ({"steps_per_epoch": 2}, ValueError, "steps_per_epoch: expected None beside arrays"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch: expected an integer >= 1"),
        ({"initial_epoch": 1}, ValueError, "initial_epoch: expected an integer from 0 to 0, got 1"),
        ({"initial_epoch": True}, ValueError, "initial_epoch"),
    ],
)
def test_bad_options_change_nothing(options, error, words):
    model = make()
    with pytest.raises(error, match=words):
        model.fit(X, Y, verbose=0, **options)
    assert model.history.epoch == []


def test_values_cannot_be_stratified():
    model = make(units=1)
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="stratify: expected y of whole numbers, got"):
        model.fit(X, X[:, 0], validation_split=0.5, stratify=True, verbose=0)
    with pytest.raises(ValueError, match="stratify: expected False for a model with several outputs"):
        two("native").fit([X, X[:, :1]], [Y, X[:, 1]], validation_split=0.5, stratify=True, verbose=0)


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_stream_is_cut_into_epochs(engine_name):
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 40, 8)]
    seen = []

    def endless():
        while True:
            for number, batch in enumerate(batches):
                seen.append(number)
                yield batch

    streamed, listed, by_hand = make(engine_name), make(engine_name), make(engine_name)
    first = streamed.fit(endless(), steps_per_epoch=3, epochs=4, verbose=0)
    assert seen == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    second = listed.fit(batches, steps_per_epoch=3, epochs=4, verbose=0)
    means = []
    for epoch in range(4):
        logs = [by_hand.train_on_batch(*batches[(3 * epoch + step) % 5]) for step in range(3)]
        means.append(np.mean([log["loss"] for log in logs]))
    assert first.history == second.history
    assert first.history["loss"] == pytest.approx(means, rel=1e-12)


def test_a_stream_that_ends():
    model = make()
    with pytest.raises(ValueError, match="x: expected 3 batches for every epoch, got an end after 1 of them"):
        model.fit(((X, Y) for _ in range(4)), steps_per_epoch=3, epochs=2, verbose=0)
    assert model.history.epoch == [0]
    with pytest.raises(ValueError, match="got an end after 0 of them"):
        make().fit([], steps_per_epoch=1, verbose=0)


def test_a_stream_for_validation_is_named():
    with pytest.raises(ValueError, match="x of validation_data: expected an iterable that can be repeated for 2 epochs"):
        make().fit(X, Y, epochs=2, validation_data=(batch for batch in [(X, Y)]), verbose=0)
    with pytest.raises(ValueError, match=r"x of validation_data: .* got a 3 at position 0"):
        make().fit(X, Y, validation_data=[3], verbose=0)


def test_partial_fit_is_fit_of_one_epoch(engine_name):
    parts, fits = make(engine_name), make(engine_name)
    for i in range(0, 40, 10):
        logs = parts.partial_fit(X[i : i + 10], Y[i : i + 10], batch_size=4, class_weight={0: 2.0})
        history = fits.fit(X[i : i + 10], Y[i : i + 10], batch_size=4, class_weight={0: 2.0}, verbose=0)
        assert logs == {name: values[0] for name, values in history.history.items()}
    assert parts.history.epoch == []
    for a, b in zip(parts.get_weights(), fits.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    assert parts.partial_fit([(X, Y)]) == fits.partial_fit(X, Y, batch_size=40, shuffle=False)
    parts.compile("lbfgs", "cross_entropy")
    with pytest.raises(ValueError, match="optimizer: expected one of steps"):
        parts.partial_fit(X, Y)


def test_accumulated_gradients_are_those_of_larger_batches(engine_name):
    small, large = make(engine_name), make(engine_name)
    small.compile(
        nn.Adam(0.01, gradient_accumulation_steps=4), "cross_entropy", engine=engine_name, dtype="float64", seed=5
    )
    large.compile(nn.Adam(0.01), "cross_entropy", engine=engine_name, dtype="float64", seed=5)
    small.fit(X, Y, batch_size=5, epochs=3, verbose=0)
    large.fit(X, Y, batch_size=20, epochs=3, verbose=0)
    for a, b in zip(small.get_weights(), large.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
