"""Where data and models come from and go to: loaders, readers, files, ONNX, explanations, classic networks, estimators."""

from __future__ import annotations

import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np

import nncore as nn
from nncore import classic, data, datasets, explain, io, onnx, plots
from nncore import sklearn as estimators
from robustness.hostile import Entry, copied
from robustness.models import X, Y, constructor, fresh, state

TARGETS = X[:, :1]
FILES = (OSError,)


@cache
def folder() -> Path:
    """Good files of every kind, for as long as the process lives."""
    place = tempfile.TemporaryDirectory()
    KEPT.append(place)
    path = Path(place.name)
    np.savez(path / "a.npz", x=X, y=Y)
    (path / "a.idx").write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9]))
    (path / "a.csv").write_text("width,kind\n1.5,rose\n2.5,daisy\n3,rose\n")
    np.save(path / "a.npy", X)
    for part in ("train", "t10k"):
        (path / f"{part}-images-idx3-ubyte").write_bytes(
            bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28, *bytes(784)])
        )
        (path / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
    schema = data.learn_schema(path / "a.csv", "kind")
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"width": [1.5, 2.5], "kind": ["rose", "daisy"]}), path / "a.parquet")
    model = fresh()
    model.save(path / "a.safetensors")
    io.save_state_dict(model, path / "weights.safetensors")
    onnx.export(model, path / "a.onnx")
    SCHEMAS.append(schema)
    return path


KEPT: list[Any] = []
SCHEMAS: list[Any] = []


def _of_files(place: Any, name: str, /, **good: Any) -> Entry:
    """An entry that reads or writes a file: a text with a suffix stands for one of the good files."""
    entry = constructor(place, name)

    def make() -> dict[str, Any]:
        given = entry.good() | {k: v() if callable(v) else v for k, v in good.items()}
        return {k: str(folder() / v) if isinstance(v, str) and "." in v else v for k, v in given.items()}

    def call(**given: Any) -> Any:
        if name == "load_mnist" and given["root"] is None:
            return None  # the real files, where the machine has them
        made = entry.call(**given)
        if name.endswith("Loader"):
            next(iter(made))
        return made

    return Entry(
        entry.name,
        call,
        make,
        FILES,
        state,
        aliases=("output", "layer", "module", "not an", "not a model", "another file", "columns?"),
    )


def _estimator(name: str, y: Any, /, **good: Any) -> Entry:
    """An estimator with options, and data to fit."""
    thing = getattr(estimators, name)
    options = {"max_iter": 2, **good} if name == "Perceptron" else {"hidden_layer_sizes": (2,), "max_iter": 2, **good}

    def call(x: Any, y: Any, sample_weight: Any, **given: Any) -> Any:
        if isinstance(given.get("max_iter"), int) and given["max_iter"] > 100:
            return
        if any(isinstance(array, np.ndarray) and array.size > 2**30 for array in (x, y, sample_weight)):
            return  # scikit-learn adds up all elements before it takes memory for them, which is a matter of seconds
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            thing(**given).fit(x, y, sample_weight=sample_weight).predict(X)

    arguments = copied({"x": X, "y": y, "sample_weight": None, **options})
    raises = (FloatingPointError, OverflowError, RuntimeError)  # the last two by scikit-learn's checks of arrays
    return Entry(f"sklearn.{name}", call, arguments, raises, aliases=(".*",))  # whose words are its own


def _schema() -> Any:
    folder()
    return SCHEMAS[0]


def _explained(name: str, /, **good: Any) -> Entry:
    entry = constructor(explain, name)
    model = {"model": lambda: fresh()}

    def make() -> dict[str, Any]:
        return {**{k: v() for k, v in model.items()}, **entry.good(), **good}

    def call(**given: Any) -> Any:
        for key in ("steps", "n_repeats"):
            if isinstance(given.get(key), int) and given[key] > 1000:
                given[key] = 3
        return entry.call(**given)

    return Entry(entry.name, call, make, (RuntimeError, FloatingPointError), state, aliases=("samples", "metric", "batch"))


@cache
def _of_two() -> nn.Model:
    model = nn.Sequential([nn.Input((2,)), nn.Dense(2)])
    model.compile(loss="cross_entropy")
    return model


def _plotted(name: str, /, **good: Any) -> Entry:
    def make() -> dict[str, Any]:
        return {**good, "model": good["model"]()} if "model" in good else dict(good)

    def call(**given: Any) -> Any:
        return getattr(plots, name)(**given, ax=MagicMock())  # drawing takes longer than all else

    return Entry(f"plots.{name}", call, make)


ENTRIES = [
    constructor(data, "DataLoader", x=X, y=Y, batch_size=2, sample_weight=np.ones(6), drop_last=True),
    _of_files(data, "MappedLoader", x="a.npy", y=lambda: Y, memory=2**20, block_size=2),
    _of_files(data, "TableLoader", path="a.csv", schema=_schema),
    _of_files(data, "stream_table", path="a.csv", schema=_schema),
    _of_files(data, "learn_schema", path="a.csv", target="kind"),
    _of_files(data, "read_csv", path="a.csv", target="kind"),
    _of_files(data, "read_parquet", path="a.parquet", target="kind"),
    _of_files(data, "read_idx", path="a.idx"),
    _of_files(data, "read_npz", path="a.npz"),
    constructor(data, "train_test_split", x=X, y=Y),
    _of_files(datasets, "read_idx", path="a.idx"),
    _of_files(datasets, "load_mnist", root=lambda: str(folder())),
    _of_files(io, "load", path="a.safetensors"),
    _of_files(io, "save", model=fresh, path="b.safetensors"),
    _of_files(io, "save_state_dict", model=fresh, path="c.safetensors"),
    _of_files(io, "load_state_dict", model=fresh, weights="weights.safetensors"),
    Entry(
        "io.load_state_dict: arrays",
        io.load_state_dict,
        lambda: {"model": (m := fresh()), "weights": _as_pytorch(m), "mapping": None},
        (OSError,),
        state,
        aliases=("module",),
    ),
    _of_files(onnx, "export", model=fresh, path="b.onnx"),
    _of_files(onnx, "load", path="a.onnx"),
    Entry(
        "gradcheck",
        nn.gradcheck,
        lambda: {"model": _double(), "x": X, "y": Y, "step": 1e-5},
        (RuntimeError,),
        state,
    ),
    _explained("input_gradients", x=X),
    _explained("integrated_gradients", x=X, steps=3),
    _explained("permutation_importance", x=X, y=Y, n_repeats=2),
    constructor(classic, "MPNeuron", weights=[1.0, 1.0], threshold=2.0),
    Entry("classic.MPNeuron.__call__", classic.MPNeuron([1.0, 1.0, 1.0], 2.0), lambda: {"x": X > 0}),
    constructor(classic, "Perceptron"),
    Entry("classic.Perceptron.fit", lambda x, y: classic.Perceptron(epochs=5).fit(x, y), copied({"x": X, "y": Y})),
    constructor(classic, "hebb", x=X, y=TARGETS),
    Entry(
        "classic.finite_difference_descent",
        lambda model, x, y, learning_rate, step: classic.finite_difference_descent(model, x, y, learning_rate, 1, step),
        lambda: {"model": fresh("regression"), "x": X, "y": TARGETS, "learning_rate": 0.1, "step": 1e-3},
        (FloatingPointError, RuntimeError),
        state,
    ),
    _plotted("plot_confusion_matrix", y_true=Y, y_pred=Y, labels=["a", "b"], normalize=None),
    _plotted("plot_decision_boundary", model=_of_two, x=X[:, :2], y=Y, labels=["a", "b"], resolution=5),
    _plotted("plot_weights", model=fresh, name=None, image_shape=None),
    _estimator("MLPClassifier", Y, activation="relu", solver="adam", batch_size="auto", validation_fraction=0.1),
    _estimator("MLPRegressor", TARGETS[:, 0], loss="squared_error", alpha=0.1, learning_rate_init=0.1),
    _estimator("Perceptron", Y, eta0=1.0, tol=None, penalty=None),
]


def _as_pytorch(model: nn.Model) -> Any:
    from safetensors.numpy import load_file

    folder()
    return load_file(folder() / "weights.safetensors")


def _double() -> nn.Model:
    model = fresh("regression", reuse=False)
    model.compile("adam", "mse", dtype="float64")
    return model
