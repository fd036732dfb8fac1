"""Every example runs on small input and does what it says."""

from __future__ import annotations

import gzip
import struct
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import nncore as nn

FOLDER = Path(__file__).parents[1] / "examples"
TESTED = {
    "finite_differences",
    "mnist",
    "mnist_best",
    "own_loop",
    "tabular",
    "tune_halving",
    "tune_optuna",
    "two_outputs",
    "xor",
}


def example(name: str) -> ModuleType:
    spec = spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == TESTED


@pytest.mark.parametrize("outputs", ["1", "2"])
def test_xor_from_twenty_seeds(outputs: str, engine_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    solved = example("xor").main(["--outputs", outputs, "--seeds", "20", "--engine", engine_name])
    assert solved >= 18
    out = capsys.readouterr().out
    assert out.count("right\n") == solved
    assert f"all four rows right from {solved} of 20 seeds" in out


def test_xor_says_what_is_wrong(engine_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert example("xor").main(["--epochs", "1", "--engine", engine_name]) == 0
    assert "wrong\n" in capsys.readouterr().out


def test_finite_differences_agree(engine_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert example("finite_differences").main(["--engine", engine_name]) < 1e-9
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 3 * 4 + 4 + 4 * 2 + 2 + 1  # head, two layers of kernel and bias, foot
    assert len({line.split("]")[0] for line in lines[1:-1]}) == 26


def test_finite_differences_leave_the_model_as_it_was() -> None:
    module = example("finite_differences")
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1, kernel_initializer=nn.Constant(3.0))])
    model.compile(loss="mse", dtype="float64", engine="reference")
    x, t = np.array([[2.0]]), np.array([[1.0]])
    # L = (3 * 2 + 0 - 1)^2 = 25, dL/dw = 2 * 5 * 2, dL/db = 2 * 5.
    for gradients in (module.backpropagation(model, x, t), module.finite_differences(model, x, t, 1e-5)):
        assert gradients["dense.kernel"].item() == pytest.approx(20.0, rel=1e-8)
        assert gradients["dense.bias"].item() == pytest.approx(10.0, rel=1e-8)
    assert [weight.item() for weight in model.get_weights()] == [3.0, 0.0]


def test_own_loop_learns_iris(engine_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert example("own_loop").main(["--epochs", "40", "--engine", engine_name]) >= 0.9
    losses = [float(line.split()[3]) for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(losses) == 3  # epochs 1, 20, 40
    assert losses == sorted(losses, reverse=True)
    assert losses[0] < 1.5  # about log 3 before anything is learnt
    assert losses[-1] < 0.2


@pytest.fixture
def tiny_mnist(tmp_path: Path) -> Path:
    """200 + 50 images in MNIST's files: a bright square whose place tells the digit, on noise."""
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 200), ("t10k", 50)):
        labels = np.arange(n) % 10
        images = rng.integers(0, 60, (n, 28, 28))
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 5)
            image[row * 14 + 4 : row * 14 + 9, column * 5 + 2 : column * 5 + 6] = 255
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (tmp_path / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))
    return tmp_path


def test_mnist_classic_setting(tiny_mnist: Path, engine_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tiny_mnist / "m.safetensors"
    command = ["--data", str(tiny_mnist), "--epochs", "1", "--engine", engine_name, "--save", str(saved)]
    error = example("mnist").main(command)
    assert f"mean test error: {100 * error:.2f} % (epochs: 1, seeds: 1)" in capsys.readouterr().out
    shapes = {name: weight.shape for name, weight in nn.load(saved).parameters().items() if name.endswith("kernel")}
    assert list(shapes.values()) == [(784, 300), (300, 100), (100, 10)]


def test_mnist_options(tiny_mnist: Path, engine_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "--data",
        str(tiny_mnist),
        "--hidden",
        "32",
        "--dropout",
        "0.2",
        "--input-dropout",
        "0.1",
        "--engine",
        engine_name,
    ]
    error = example("mnist").main(
        [*command, "--optimizer", "adam", "--learning-rate", "0.01", "--epochs", "6", "--seeds", "2"]
    )
    assert error <= 0.02
    out = capsys.readouterr().out
    assert [out.count(f"seed {seed}: test error") for seed in range(3)] == [1, 1, 0]


def test_mnist_best_learns_and_draws(tiny_mnist: Path, engine_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tiny_mnist / "curve.png"
    command = ["--data", str(tiny_mnist), "--hidden", "40", "30", "--dropout", "0.2", "--batch-size", "20"]
    command += [
        "--epochs",
        "8",
        "--seeds",
        "2",
        "--learning-rate",
        "0.01",
        "--engine",
        engine_name,
        "--curve",
        str(picture),
    ]
    assert example("mnist_best").main(command) <= 0.05
    out = capsys.readouterr().out
    assert [out.count(f"seed {seed}: test error") for seed in range(3)] == [1, 1, 0]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_two_outputs_learn(engine_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = example("two_outputs").main(["--epochs", "6", "--engine", engine_name])
    assert found["digit_accuracy"] > 0.9
    assert found["sum_mae"] < 1.5  # always saying the mean is off by 3.2
    assert f"digits right: {100 * found['digit_accuracy']:.1f} %" in capsys.readouterr().out


@pytest.mark.parametrize(("sets", "folds"), [(["breast_cancer", "wine", "diabetes"], 5), (["digits"], 3)])
def test_tables_from_csv_to_model(sets: list[str], folds: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As good as scikit-learn's MLP within two standard errors of the difference, and faster, even on one thread."""
    command = ["--sets", *sets, "--folds", str(folds), "--epochs", "20", "--folder", str(tmp_path)]
    threads = nn.get_num_threads()
    nn.set_num_threads(1)
    try:
        results = example("tabular").main(command)
    finally:
        nn.set_num_threads(threads)
    assert list(results) == sets
    for name, (ours, theirs) in results.items():
        noise = np.sqrt((np.var(ours.scores) + np.var(theirs.scores)) / folds)
        assert np.mean(ours.scores) > np.mean(theirs.scores) - 2 * noise, name
        assert np.mean(ours.scores) > {"diabetes": 0.4}.get(name, 0.94), name
        assert 3 * min(ours.seconds) < min(theirs.seconds), name
        model = nn.load(tmp_path / f"{name}.safetensors")
        schema = nn.data.TableSchema.from_json(model.metadata["schema"])
        table = nn.data.read_csv(tmp_path / f"{name}.csv", schema=schema)
        assert table.y is not None
        outputs = model.predict(table.x)
        if name == "diabetes":
            assert np.corrcoef(outputs[:, 0], table.y)[0, 1] ** 2 > 0.4
        else:
            assert (outputs.argmax(1) == table.y).mean() > 0.95
    assert capsys.readouterr().out.count("times as fast") == len(sets)


def test_halving_keeps_the_better(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = example("tune_halving").main(["--candidates", "4", "--min-epochs", "4", "--max-epochs", "12"])
    assert accuracy > 0.9
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["4 settings for 4 epochs", "2 settings for 12 epochs"]
    assert "'mlpclassifier__max_iter': 12" in lines[2]


def test_optuna_with_workers_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import optuna

    storage = f"sqlite:///{tmp_path / 'tune.db'}"
    study = example("tune_optuna").main(["--storage", storage, "--workers", "2", "--trials", "5", "--epochs", "4"])
    assert len(study.trials) == 5
    finished = {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    assert {trial.state for trial in study.trials} <= finished
    assert study.best_value > 0.8
    assert f"best: {study.best_value:.4f}" in capsys.readouterr().out


def test_optuna_prunes_by_the_callback() -> None:
    import optuna

    module = example("tune_optuna")
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=2.0))
    study.optimize(lambda trial: module.objective(trial, epochs=5), n_trials=1)
    (trial,) = study.trials
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert list(trial.intermediate_values) == [0]  # after the first of five epochs
