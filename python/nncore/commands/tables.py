"""``nncore train``, ``evaluate`` and ``predict``: models of tables, from CSV to CSV without a script."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import nncore as nn
from nncore.arrays import Array
from nncore.commands.arguments import Commands, bounded, character, name_list, number, output, whole_numbers
from nncore.data.arrow import need_pyarrow
from nncore.evaluation import probabilities
from nncore.files import replacing

__all__ = ["add"]

_SCHEMA = "schema"  # the model's metadata that describe the table
_rate = number(lambda value: 0 < value < math.inf, "a number above 0")
_share = number(lambda value: 0 <= value < 1, "a number from 0 and below 1")


def add(commands: Commands) -> None:
    """Tell the parser."""
    train = commands.add_parser("train", help="train a network on a table, and save it")
    train.add_argument("data", type=Path, metavar="CSV", help="the table, with names in its first row; or a .parquet file")
    train.add_argument("--target", required=True, metavar="NAME", help="the column to predict")
    train.add_argument("--task", required=True, choices=("classification", "regression"), help="classes or numbers")
    train.add_argument("--out", type=output, required=True, metavar="FILE", help="the model's file (safetensors)")
    train.add_argument(
        "--hidden", type=whole_numbers(1, 1_000_000), default=(128, 64), metavar="N,...", help="default: 128,64"
    )
    train.add_argument("--epochs", type=bounded(1, 1_000_000), default=50, metavar="N", help="default: %(default)s")
    train.add_argument("--batch-size", type=bounded(1, 2**31), default=32, metavar="N", help="default: %(default)s")
    train.add_argument("--learning-rate", type=_rate, default=1e-3, metavar="RATE", help="default: %(default)s")
    train.add_argument("--dropout", type=_share, default=0.0, metavar="RATE", help="default: none")
    train.add_argument("--seed", type=bounded(0, 2**64 - 1), default=0, metavar="N", help="default: %(default)s")
    train.add_argument(
        "--validation-split", type=_share, default=0.0, metavar="SHARE", help="rows to set aside (default: none)"
    )
    train.add_argument(
        "--patience", type=bounded(1, 1_000_000), metavar="N", help="stop after N epochs without a better validation loss"
    )
    train.add_argument(
        "--missing",
        choices=("error", "mean", "median", "most_frequent", "constant"),
        default="error",
        help="what to put in for missing values (default: error); of text mean and median are the most frequent, "
        "constants are 0 and 'missing'",
    )
    train.add_argument(
        "--categorical", type=name_list, default=(), metavar="NAME,...", help="numbers to take as categories"
    )
    train.add_argument("--ignore", type=name_list, default=(), metavar="NAME,...", help="columns to leave out")
    train.add_argument("--quiet", action="store_true", help="no line for each epoch")
    train.set_defaults(run=_train, error=train.error)

    evaluate = commands.add_parser("evaluate", help="measure a model of nncore train on a table")
    predict = commands.add_parser("predict", help="predictions of a model of nncore train as a table")
    for command, rows in ((evaluate, "rows with their targets"), (predict, "rows; a target in them does not matter")):
        command.add_argument("model", type=Path, metavar="MODEL", help="the model's file")
        command.add_argument("data", type=Path, metavar="CSV", help=rows)
    evaluate.set_defaults(run=_evaluate)
    predict.add_argument("--out", type=output, metavar="CSV", help="default: standard output")
    predict.set_defaults(run=_predict)
    for command in (train, evaluate, predict):
        command.add_argument(
            "--delimiter",
            type=character,
            default=",",
            metavar="CHARACTER",
            help="between two fields (default: %(default)s)",
        )
        command.add_argument("--threads", type=bounded(1, 4096), metavar="N", help="default: all")


def _train(args: argparse.Namespace) -> None:
    if args.patience is not None and not args.validation_split:
        args.error("argument --patience: expected --validation-split beside it")
    _set_threads(args)
    options: dict[str, Any] = {
        "task": args.task,
        "missing": args.missing,
        "categorical": args.categorical,
        "ignore": args.ignore,
    }
    table = _read(args, target=args.target, **options)
    assert table.y is not None
    x, y, held_x, held_y = _split(table.x, table.y, args.validation_split, args.seed, table.schema.classes is not None)
    classes = table.schema.classes
    print(f"{len(x)} rows to train on, {len(held_x)} to validate; {x.shape[1]} features")

    scale, offset = 1.0, 0.0
    if classes is None:  # values are learned in units of their deviation, whatever their own
        offset, scale = float(y.mean()), float(y.std()) or 1.0
    network = _network(x, args.hidden, args.dropout, 1 if classes is None else len(classes))
    loss, metrics = ("mse", []) if classes is None else ("cross_entropy", ["accuracy"])
    network.compile(nn.Adam(args.learning_rate), loss, metrics=metrics, seed=args.seed)
    held = (held_x, held_y if classes else (held_y - offset) / scale) if len(held_x) else None
    goal = y if classes else (y - offset) / scale
    stopping = nn.callbacks.EarlyStopping(patience=args.patience or 0, restore_best_weights=True)
    network.fit(
        x,
        goal,
        args.batch_size,
        args.epochs,
        validation_data=held,
        verbose=0 if args.quiet else 1,
        callbacks=[] if args.patience is None else [stopping],
    )
    if args.patience is not None:
        print(f"the best validation loss was that of epoch {stopping.best_epoch + 1}, whose weights are kept")

    model = network if classes else nn.Sequential([nn.Input(x.shape[1:]), network, nn.Rescaling(scale, offset)])
    model.metadata[_SCHEMA] = table.schema.to_json()
    if len(held_x):
        _report("validation", _scores(model, held_x, held_y, table.schema))
    model.save(args.out)
    print(f"model saved to {args.out}")


def _evaluate(args: argparse.Namespace) -> None:
    _set_threads(args)
    model, schema = _load(args.model)
    table = _read(args, schema=schema)
    if table.y is None:
        raise ValueError(f"{args.data}: expected a column {schema.target!r} to compare with")
    if not len(table.y):
        raise ValueError(f"{args.data}: expected at least one row, got none")
    print(f"{len(table.y)} rows")
    _report("", _scores(model, table.x, table.y, schema))


def _predict(args: argparse.Namespace) -> None:
    _set_threads(args)
    model, schema = _load(args.model)
    pa = need_pyarrow()
    from pyarrow import csv

    target = str(schema.target)
    names = [target, *(f"p_{name}" for name in schema.classes or ())]
    types = [pa.float64() if schema.classes is None else pa.string(), *[pa.float64()] * (len(names) - 1)]
    columns = pa.schema(list(zip(names, types, strict=True)))
    style = csv.WriteOptions(quoting_style="needed")
    parts = nn.data.stream_table(args.data, replace(schema, target=None, classes=None), delimiter=args.delimiter)
    begin = list(islice(parts, 1))  # a file that is no such table is told before anything is written
    with _whole_file(args.out) as file, csv.CSVWriter(file, columns, write_options=style) as writer:
        for x, _ in chain(begin, parts):
            outputs = _outputs(model, x, schema)
            if schema.classes is None:
                arrays = [outputs[:, 0]]
            else:
                arrays = [np.asarray(schema.classes, object)[outputs.argmax(1)], *outputs.T]
            writer.write(pa.record_batch([pa.array(a, t) for a, t in zip(arrays, types, strict=True)], schema=columns))
    if args.out is not None:
        print(f"predictions saved to {args.out}")


def _set_threads(args: argparse.Namespace) -> None:
    if args.threads is not None:
        nn.set_num_threads(args.threads)


def _read(args: argparse.Namespace, **options: Any) -> nn.data.Table:  # noqa: ANN401 - those of the readers
    if args.data.suffix in (".parquet", ".pq"):
        return nn.data.read_parquet(args.data, **options)
    return nn.data.read_csv(args.data, delimiter=args.delimiter, **options)


def _split(x: Array, y: Array, share: float, seed: int, stratified: bool) -> tuple[Array, Array, Array, Array]:
    """The rows to train on, and at random a share to validate on: of every class alike where there are classes."""
    if not share:
        return x, y, x[:0], y[:0]
    if stratified:
        x_train, x_held, y_train, y_held = nn.data.train_test_split(x, y, test_size=share, seed=seed)
        return x_train, y_train, x_held, y_held
    count = round(share * len(x))
    if not 0 < count < len(x):
        raise ValueError(f"--validation-split: {share!r} of {len(x)} rows leaves one part empty")
    order = np.random.default_rng(seed).permutation(len(x))
    held, rest = order[:count], order[count:]
    return x[rest], y[rest], x[held], y[held]


def _network(x: Array, hidden: Sequence[int], dropout: float, outputs: int) -> nn.Sequential:
    """Dense layers on features that are normalised as those of `x` [n, features]."""
    scaling = nn.Normalization()
    scaling.adapt(x)
    assert scaling.variance is not None
    scaling.variance[scaling.variance == 0] = 1  # what is constant here may not be so elsewhere
    layers: list[nn.Layer] = [nn.Input(x.shape[1:]), scaling]
    for units in hidden:
        layers.append(nn.Dense(units, activation="relu"))
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential([*layers, nn.Dense(outputs)])


def _load(path: Path) -> tuple[nn.Model, nn.data.TableSchema]:
    """A model and the schema of its table.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a model.
    """
    model = nn.load(path)
    try:
        if _SCHEMA not in model.metadata:
            raise ValueError("there is no metadata 'schema'")
        schema = nn.data.TableSchema.from_json(model.metadata[_SCHEMA])
        if schema.target is None:
            raise ValueError("the schema has no target")
        shapes = (len(schema.feature_names),), (len(schema.classes or "1"),)
        if (model.input_shape, model.output_shape) != shapes:
            raise ValueError(f"expected shapes {shapes} by its schema, got {(model.input_shape, model.output_shape)}")
    except ValueError as error:
        raise ValueError(f"{path}: expected a model of a table, as nncore train saves it: {error}") from None
    return model, schema


def _outputs(model: nn.Model, x: Array, schema: nn.data.TableSchema) -> Array:
    """Probabilities [n, classes] or values [n, 1], in float64."""
    if not len(x):
        return np.empty((0, len(schema.classes or "1")))
    return probabilities(np.asarray(model.predict(x)), "" if schema.classes is None else "cross_entropy")


def _scores(model: nn.Model, x: Array, y: Array, schema: nn.data.TableSchema) -> dict[str, float]:
    metrics: list[nn.metrics.Metric] = [nn.metrics.RMSE(), nn.metrics.MAE(), nn.metrics.R2()]
    if schema.classes is not None:
        metrics = [nn.metrics.Accuracy(), nn.metrics.F1("macro"), nn.metrics.LogLoss()]
    outputs = _outputs(model, x, schema)
    for metric in metrics:
        metric.update(y if schema.classes else y[:, None], outputs)
    return {metric.name: metric.result() for metric in metrics}


def _report(title: str, scores: Mapping[str, float]) -> None:
    for name, value in scores.items():
        print(f"{title} {name:<10} {value:.6g}".lstrip())


@contextmanager
def _whole_file(path: Path | None) -> Iterator[BinaryIO]:
    """A file to write that replaces `path` when all is done, or standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with replacing(path) as file:
        yield file
