"""Progress: lines, bars, and silence."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import nncore as nn
from nncore import progress as module
from nncore.progress import Progress

LINE = re.compile(r"epoch ([12])/2  loss \d\.\d{4}  accuracy \d\.\d{4}  [\d.]+ s  \d+ samples/s")


class Clock:
    """A time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "perf_counter", clock)
    return clock


def fit(verbose: int) -> None:
    model = nn.Sequential([nn.Dense(2)])
    model.compile(loss="cross_entropy", metrics=["accuracy"], engine="reference")
    model.fit(np.zeros((4, 3)), [0, 1, 0, 1], epochs=2, verbose=verbose)


def test_silence(capfd):
    fit(0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, 2])
def test_one_line_per_epoch(capfd, verbose):
    fit(verbose)
    out, err = capfd.readouterr()
    assert [LINE.fullmatch(line).group(1) for line in out.splitlines()] == ["1", "2"]
    assert err == ""


def test_a_bar_on_a_terminal_and_the_line_after_it(capsys, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(1, epochs=2) as progress:
        progress.start(100)
        clock.now += 1
        progress.advance(50, lambda: {"loss": 0.5})
        clock.now += 0.01  # too soon to draw
        progress.advance(25, lambda: pytest.fail("drawn too often"))
        clock.now += 1
        progress.advance(25, lambda: {"loss": 0.25})
        progress.trained()
        progress.end({"loss": 0.25, "val_loss": 0.5})
    out, err = capsys.readouterr()
    assert "epoch 1/2" in err
    assert "50%" in err
    assert "3.0 s left  loss 0.5000" in err
    assert out == "epoch 1/2  loss 0.2500  val_loss 0.5000  2.0 s  50 samples/s\n"


def test_no_bar_on_a_terminal_with_verbose_2(capsys, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(2) as progress:
        progress.start(None)
        clock.now += 1
        progress.advance(10, lambda: pytest.fail("nothing to draw"))
        progress.trained()
        clock.now += 1  # validation
        progress.end({"loss": 1e-5})
    assert capsys.readouterr() == ("epoch 1/1  loss 1.000e-05  2.0 s  10 samples/s\n", "")


def test_lines_tell_the_time_left_of_long_work(capsys, clock):
    with Progress(2, epochs=100) as progress:
        progress.start(10)
        clock.now += 60
        progress.trained()
        progress.end({"loss": 1.0})
    assert capsys.readouterr().out.endswith("  1:39:00 left\n")


def test_a_bar_is_closed_by_an_error(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(1)

    def interrupted():
        with progress:
            progress.start(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert progress._bar is None


def test_unknown_total_and_evaluation_title(capsys, monkeypatch, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(1, title="evaluate") as progress:
        progress.start(None)
        clock.now += 1
        progress.advance(10, lambda: {"loss": 0.5})
        progress.trained()
        progress.end({"loss": 0.5})
    assert capsys.readouterr().out == "evaluate  loss 0.5000  1.0 s  10 samples/s\n"


@pytest.mark.parametrize("verbose", [3, -1, "auto", None])
def test_bad_verbose(verbose):
    with pytest.raises(ValueError, match="verbose: expected 0, 1 or 2"):
        fit(verbose)
