"""The command line: demo and info, what they print, and how they fail."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nncore as nn
import nncore.engines.native  # an editable install rebuilds itself now, which a captured stdout would not survive
from nncore import cli
from nncore.commands import demo


def test_demo_learns_and_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo"]) == 0
    out = capsys.readouterr().out
    found = re.search(r"^test accuracy: ([\d.]+) % \((\d+) of 359\)$", out, re.MULTILINE)
    assert found is not None
    assert float(found[1]) >= 97.0
    assert float(found[1]) == pytest.approx(100 * int(found[2]) / 359, abs=0.005)
    assert "model saved to nncore-demo.safetensors" in out
    curve = re.findall(r"^ +(\d+)( +[\d.]+){2} +([\d.]+) %", out, re.MULTILINE)
    assert [int(row[0]) for row in curve] == [1, 2, 3, 4, 5, 7, 10, 14, 20]
    assert curve[-1][2] == found[1]

    # The saved model is the one that was tested.
    x, y = nn.datasets.load_digits()
    _, x_test, _, y_test = nn.data.train_test_split(x, y, test_size=0.2, seed=0)
    predicted = nn.load("nncore-demo.safetensors").predict(x_test).argmax(axis=1)
    assert (predicted == y_test).sum() == int(found[2])


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_demo_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str) -> None:
    model, plot = tmp_path / "m.safetensors", tmp_path / "curve"
    command = ["demo", "--epochs", "1", "--seed", "5", "--engine", engine, "--out", str(model), "--plot", str(plot)]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert f"model saved to {model}" in out
    assert f"plot saved to {plot}" in out
    assert nn.load(model).output_shape == (10,)
    assert plot.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_demo_without_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as caught:
        cli.main(["demo", "--plot", str(tmp_path / "a.png")])
    assert caught.value.code == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    assert 'pip install "nncore[plot]"' in streams.err


@pytest.mark.parametrize(("argv", "message"), [
    ([], "required: COMMAND"),
    (["learn"], "invalid choice: 'learn'"),
    (["demo", "--epochs", "0"], "expected an integer from 1 to 100000, got '0'"),
    (["demo", "--epochs", "many"], "got 'many'"),
    (["demo", "--seed", "-1"], "from 0 to 18446744073709551615, got '-1'"),
    (["demo", "--engine", "gpu"], "invalid choice: 'gpu'"),
    (["demo", "--out", "no/such/folder/m.safetensors"], "expected a file in an existing folder"),
    (["demo", "--out", "."], "expected a file in an existing folder, got '.'"),
    (["info", "more"], "unrecognized arguments: more"),
])  # fmt: skip
def test_wrong_arguments(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("nncore")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("error", "status", "message"), [
    (PermissionError(13, "Permission denied", "/x"), 1, "nncore demo: error: [Errno 13] Permission denied: '/x'\n"),
    (ImportError("NNCORE_ISA: expected\none of ..."), 1, "nncore demo: error: NNCORE_ISA: expected one of ...\n"),
    (KeyboardInterrupt(), 130, "nncore demo: interrupted\n"),
])  # fmt: skip
def test_failures(
    error: BaseException, status: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(nn.Sequential, "fit", fail)
    assert cli.main(["demo"]) == status
    assert capsys.readouterr().err == message


def test_shifted_copies() -> None:
    image = np.arange(64).reshape(8, 8)
    x, y = demo._with_shifted(image.reshape(1, 64), np.array([3]))
    assert y.tolist() == [3] * 5
    same, down, up, right, left = x.reshape(5, 8, 8)
    assert (same == image).all()
    assert (down[1:] == image[:-1]).all()
    assert not down[0].any()
    assert (up[:-1] == image[1:]).all()
    assert not up[-1].any()
    assert (right[:, 1:] == image[:, :-1]).all()
    assert not right[:, 0].any()
    assert (left[:, :-1] == image[:, 1:]).all()
    assert not left[:, -1].any()


def test_curve_of_known_numbers() -> None:
    history = {"loss": [2.0, 1.0], "val_loss": [1.5, 0.25], "val_accuracy": [0.5, 0.75]}
    assert demo._curve(history).splitlines() == [
        "epoch  train loss  test loss  test accuracy  test error",
        "    1      2.0000     1.5000        50.00 %  ########################################",
        "    2      1.0000     0.2500        75.00 %  ####################",
    ]
    perfect = {"loss": [0.0], "val_loss": [0.0], "val_accuracy": [1.0]}
    assert demo._curve(perfect).splitlines()[1] == "    1      0.0000     0.0000       100.00 %"


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    info = {line[:14].strip(): line[15:] for line in capsys.readouterr().out.splitlines()}
    assert info["nncore"] == nn.__version__
    assert info["numpy"] == version("numpy")
    assert info["chosen isa"] in info["usable isas"].split()
    assert set(info["usable isas"].split()) <= set(info["compiled isas"].split())
    assert int(info["threads"]) == nn.get_num_threads()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and "flags\t" in (text := cpuinfo.read_text()):
        assert set(info["cpu features"].split()) <= set(text.split())
        assert info["cpu"] in text


def test_version_and_module() -> None:
    for command in (["-m", "nncore", "--version"], ["-c", "import sys, nncore.cli; nncore.cli.main(['--version'])"]):
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert done.stdout == f"nncore {nn.__version__}\n"
    done = subprocess.run([sys.executable, "-m", "nncore"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
