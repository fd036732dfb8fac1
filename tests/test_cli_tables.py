"""Training, evaluating and predicting from the command line, beside scikit-learn's scores of what is predicted."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from sklearn import datasets, metrics

import nncore as nn
from nncore.cli import main


def write(path: Path, rows: list[Any]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    return head, rows


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's wines with their kinds by name, every third to test on."""
    folder = tmp_path_factory.mktemp("wine")
    data = datasets.load_wine()
    rows = [[*x, ("Barolo", "Grignolino", "Barbera")[y]] for x, y in zip(data.data.tolist(), data.target, strict=True)]
    head = [*data.feature_names, "kind"]
    write(folder / "train.csv", [head, *(row for i, row in enumerate(rows) if i % 3)])
    write(folder / "test.csv", [head, *rows[::3]])
    command = ["train", str(folder / "train.csv"), "--target", "kind", "--task", "classification", "--hidden", "16,8"]
    assert main([*command, "--epochs", "60", "--out", str(folder / "m.safetensors"), "--quiet"]) == 0
    return folder


def scores(out: str, prefix: str = "") -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(rf"^{prefix}(\w+) +([-\d.e]+)$", out, re.MULTILINE)}


def test_classification_from_csv_to_csv(wine, tmp_path, capsys):
    out = tmp_path / "predictions.csv"
    assert main(["predict", str(wine / "m.safetensors"), str(wine / "test.csv"), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"predictions saved to {out}\n"
    assert list(tmp_path.iterdir()) == [out]
    head, rows = read(out)
    assert head == ["kind", "p_Barbera", "p_Barolo", "p_Grignolino"]
    kinds = [row[-1] for row in read(wine / "test.csv")[1]]
    predicted, p = [row[0] for row in rows], np.array([row[1:] for row in rows], float)
    assert [head[1 + i][2:] for i in p.argmax(1)] == predicted
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
    assert metrics.accuracy_score(kinds, predicted) >= 0.95

    assert main(["evaluate", str(wine / "m.safetensors"), str(wine / "test.csv")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{len(rows)} rows\n")
    assert scores(printed) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(kinds, predicted),
            "f1_macro": metrics.f1_score(kinds, predicted, average="macro"),
            "log_loss": metrics.log_loss(kinds, p, labels=["Barbera", "Barolo", "Grignolino"]),
        },
        rel=1e-5,
    )


def test_the_schema_travels_in_the_file(wine):
    table = nn.data.read_csv(wine / "train.csv", "kind", task="classification")
    model = nn.load(wine / "m.safetensors")
    with safe_open(wine / "m.safetensors", framework="np") as file:
        metadata = json.loads(file.metadata()["metadata"])
    assert metadata == model.metadata
    assert nn.data.TableSchema.from_json(model.metadata["schema"]) == table.schema
    normalization = model.layers[1]
    assert isinstance(normalization, nn.Normalization)
    np.testing.assert_allclose(model.parameters()["normalization.moving_mean"], table.x.mean(0, np.float64), rtol=1e-5)
    assert [w.shape for n, w in model.parameters().items() if n.endswith("kernel")] == [(13, 16), (16, 8), (8, 3)]


def test_predictions_need_no_target_and_no_order(wine, tmp_path, capsys):
    head, rows = read(wine / "test.csv")
    plain = write(tmp_path / "new.csv", [head[:-1][::-1], *(row[:-1][::-1] for row in rows)])
    unknown = write(tmp_path / "unknown.csv", [head, *([*row[:-1], "?"] for row in rows)])
    outputs = []
    for path in (wine / "test.csv", plain, unknown):
        assert main(["predict", str(wine / "m.safetensors"), str(path), "--out", str(tmp_path / "p.csv")]) == 0
        outputs.append((tmp_path / "p.csv").read_text())
    assert outputs[0] == outputs[1] == outputs[2]
    done = subprocess.run(
        [sys.executable, "-m", "nncore", "predict", wine / "m.safetensors", plain, "--threads", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == outputs[0]
    write(tmp_path / "none.csv", [head])
    assert main(["predict", str(wine / "m.safetensors"), str(tmp_path / "none.csv"), "--out", str(tmp_path / "p.csv")]) == 0
    assert (tmp_path / "p.csv").read_text() == outputs[0].splitlines()[0] + "\n"


def test_regression(tmp_path, capsys):
    """A target far from zero, with categories, missing values and a column to ignore."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(400):
        size, city = rng.uniform(1, 5), ("Rome", "Bari")[i % 2]
        price = 1e6 + 1e5 * size + (2e5 if city == "Rome" else 0.0) + rng.normal(0, 1e4)
        rows.append([round(size, 3) if i % 10 else "", city, f"2026-01-{i % 28 + 1:02d}", price])
    path = write(tmp_path / "prices.csv", [["size", "city", "sold", "price"], *rows])
    model = tmp_path / "m.safetensors"
    command = ["train", str(path), "--target", "price", "--task", "regression", "--ignore", "sold", "--missing", "mean"]
    command += [
        "--hidden",
        "32",
        "--epochs",
        "60",
        "--learning-rate",
        "0.01",
        "--validation-split",
        "0.25",
        "--out",
        str(model),
    ]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith("300 rows to train on, 100 to validate; 3 features\n")
    assert len(re.findall(r"^epoch +\d+/60  loss .*val_loss", out, re.MULTILINE)) == 60
    validation = scores(out, "validation ")
    assert validation["r2"] > 0.85  # what the missing tenth allows: 0.9

    assert main(["predict", str(model), str(path), "--out", str(tmp_path / "p.csv")]) == 0
    assert main(["evaluate", str(model), str(path)]) == 0
    head, predicted = read(tmp_path / "p.csv")
    prices, values = np.array([row[-1] for row in rows]), np.array(predicted, float)[:, 0]
    assert head == ["price"]
    assert scores(capsys.readouterr().out) == pytest.approx(
        {
            "rmse": metrics.root_mean_squared_error(prices, values),
            "mae": metrics.mean_absolute_error(prices, values),
            "r2": metrics.r2_score(prices, values),
        },
        rel=1e-4,
    )


def test_regression_without_validation(tmp_path, capsys):
    path = write(tmp_path / "line.csv", [["x", "y"], *([x, 3 * x + 7] for x in range(40))])
    command = ["train", str(path), "--target", "y", "--task", "regression", "--hidden", "8", "--learning-rate", "0.02"]
    assert main([*command, "--epochs", "60", "--out", str(tmp_path / "m"), "--quiet"]) == 0
    assert main(["evaluate", str(tmp_path / "m"), str(path)]) == 0
    assert scores(capsys.readouterr().out)["r2"] > 0.99


def test_one_seed_one_model(wine, tmp_path):
    command = ["train", str(wine / "train.csv"), "--target", "kind", "--task", "classification", "--hidden", "8"]
    command += ["--epochs", "2", "--dropout", "0.1", "--validation-split", "0.2", "--quiet", "--batch-size", "16"]
    weights = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert main([*command, "--seed", seed, "--out", str(tmp_path / name)]) == 0
        weights.append(nn.load(tmp_path / name).parameters()["dense.kernel"])
    assert (weights[0] == weights[1]).all()
    assert (weights[0] != weights[2]).any()
    assert [type(layer).__name__ for layer in nn.load(tmp_path / "a").layers].count("Dropout") == 1


def test_patience_keeps_the_best_epoch(wine, tmp_path, capsys):
    command = ["train", str(wine / "train.csv"), "--target", "kind", "--task", "classification", "--hidden", "64"]
    command += ["--validation-split", "0.2", "--learning-rate", "0.01", "--out", str(tmp_path / "m")]
    assert main([*command, "--epochs", "500", "--patience", "4"]) == 0
    out = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"val_loss ([\d.e-]+)", out)]
    best = len(losses) - 1 - 4  # the last that was as low as any, as printed
    assert len(losses) < 500
    assert losses[best] == min(losses)
    assert f"the best validation loss was that of epoch {best + 1}, whose weights are kept" in out
    assert scores(out, "validation ")["log_loss"] == pytest.approx(losses[best], abs=1e-4)


def test_a_feature_that_was_constant_does_no_harm(tmp_path, capsys):
    rows = [[i / 10, 1.0, "a" if i < 20 else "b"] for i in range(40)]
    path = write(tmp_path / "train.csv", [["x", "constant", "y"], *rows])
    command = ["train", str(path), "--target", "y", "--task", "classification", "--hidden", "8", "--quiet"]
    assert main([*command, "--epochs", "40", "--learning-rate", "0.05", "--out", str(tmp_path / "m")]) == 0
    new = write(tmp_path / "new.csv", [["x", "constant"], [0.0, 1.1], [3.9, 1.1]])
    assert main(["predict", str(tmp_path / "m"), str(new), "--out", str(tmp_path / "p.csv")]) == 0
    assert [row[0] for row in read(tmp_path / "p.csv")[1]] == ["a", "b"]


def test_parquet_and_other_delimiters(wine, tmp_path, capsys):
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    parquet.write_table(arrow_csv.read_csv(wine / "test.csv"), tmp_path / "test.parquet")
    (tmp_path / "test.txt").write_text((wine / "test.csv").read_text().replace(",", ";"))
    for arguments in (["test.parquet"], ["test.txt", "--delimiter", ";"]):
        assert main(["evaluate", str(wine / "m.safetensors"), str(tmp_path / arguments[0]), *arguments[1:]]) == 0
    one, other = capsys.readouterr().out.split("60 rows\n")[1:]
    assert one == other


TRAIN = ["train", "{wine}/train.csv", "--target", "kind", "--task", "classification", "--out", "{here}/m", "--quiet"]


@pytest.mark.parametrize(("argv", "message"), [
    (TRAIN[:-3], "the following arguments are required: --out"),
    ([*TRAIN, "--hidden", "8,"], "argument --hidden: expected an integer from 1 to 1000000, got ''"),
    ([*TRAIN, "--learning-rate", "0"], "argument --learning-rate: expected a number above 0, got '0'"),
    ([*TRAIN, "--dropout", "1"], "argument --dropout: expected a number from 0 and below 1, got '1'"),
    ([*TRAIN, "--validation-split", "x"], "expected a number from 0 and below 1, got 'x'"),
    ([*TRAIN, "--missing", "zero"], "argument --missing: invalid choice: 'zero'"),
    ([*TRAIN, "--delimiter", ",,"], "argument --delimiter: expected one character, got ',,'"),
    ([*TRAIN, "--patience", "3"], "argument --patience: expected --validation-split beside it"),
    (["predict", "{wine}/m.safetensors"], "required: CSV"),
])  # fmt: skip
def test_wrong_arguments(argv, message, wine, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main([text.format(wine=wine, here=tmp_path) for text in argv])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("argv", "message"), [
    ([TRAIN[0], "{here}/none.csv", *TRAIN[2:]], "No such file or directory: '.*none.csv'"),
    ([*TRAIN, "--target", "colour"], r"train\.csv: target: expected columns out of alcohol, .*, \.\.\., got 'colour'"),
    ([*TRAIN, "--task", "regression"], r"target 'kind': expected numbers for a regression, got text"),
    ([*TRAIN, "--categorical", "alcohol", "--ignore", "hue,age"], "ignore: expected columns out of .* got 'age'"),
    ([*TRAIN, "--validation-split", "0.001"], "test_size: 0.001 of 118 samples leaves one part empty"),
    (["evaluate", "{wine}/train.csv", "{wine}/test.csv"], r"train\.csv: not a model saved by nncore"),
    (["evaluate", "{here}/plain", "{wine}/test.csv"], r"plain: expected a model of a table, .*no metadata 'schema'"),
    (["evaluate", "{here}/odd", "{wine}/test.csv"], r"odd: expected a model of a table, .*expected a TableSchema as JSON"),
    (["evaluate", "{here}/other", "{wine}/test.csv"], r"other: expected a model of a table, .*expected shapes"),
    (["evaluate", "{wine}/m.safetensors", "{here}/new.csv"], r"new\.csv: column 'alcohol': expected it once"),
    (["predict", "{wine}/m.safetensors", "{here}/new.csv"], r"new\.csv: column 'alcohol'"),
    (["predict", "{wine}/m.safetensors", "{here}/new.csv", "--out", "{here}/p.csv"], r"new\.csv: column 'alcohol'"),
])  # fmt: skip
def test_failures_are_one_line(argv, message, wine, tmp_path, capsys):
    write(tmp_path / "new.csv", [["hue"], [1.0]])
    model = nn.Sequential([nn.Input((2,)), nn.Dense(3)])
    model.save(tmp_path / "plain")
    model.metadata["schema"] = "{}"
    model.save(tmp_path / "odd")
    model.metadata = nn.load(wine / "m.safetensors").metadata
    model.save(tmp_path / "other")
    before = sorted(os.listdir(tmp_path))
    assert main([text.format(wine=wine, here=tmp_path) for text in argv]) == 1
    out, err = capsys.readouterr()
    assert argv[0] == "train" or out == ""
    assert re.match(rf"nncore {argv[0]}: error: .*{message}", err), err
    assert err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == before


def test_evaluate_needs_targets(wine, tmp_path, capsys):
    head, rows = read(wine / "test.csv")
    plain = write(tmp_path / "new.csv", [head[:-1], *(row[:-1] for row in rows)])
    empty = write(tmp_path / "empty.csv", [head])
    for path, message in ((plain, "expected a column 'kind' to compare with"), (empty, "expected at least one row")):
        assert main(["evaluate", str(wine / "m.safetensors"), str(path)]) == 1
        assert message in capsys.readouterr().err


def test_without_pyarrow(wine, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for argv in (
        TRAIN,
        ["evaluate", "{wine}/m.safetensors", "{wine}/test.csv"],
        ["predict", "{wine}/m.safetensors", "{wine}/test.csv"],
    ):
        assert main([text.format(wine=wine, here=tmp_path) for text in argv]) == 1
        assert 'pyarrow is not installed; get it with: pip install "nncore[data]"' in capsys.readouterr().err
