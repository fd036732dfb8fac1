"""Progress of long work: one line per epoch, and on a terminal a bar while the epoch runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np

__all__ = ["Progress", "check_verbose", "duration", "number"]

_REFRESH = 0.1  # seconds between two drawings of a bar
_LONG = 10.0  # seconds left from which a plain line tells them


def number(value: float) -> str:
    """Four decimals, or four significant digits where that would hide the value.

    >>> number(0.12345), number(1.2e-5), number(0.0), number(123456.7)
    ('0.1235', '1.200e-05', '0.0000', '1.235e+05')
    """
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3e}"


def duration(seconds: float) -> str:
    """Seconds as people read them.

    >>> duration(0.04), duration(75.2), duration(7325)
    ('0.04 s', '1:15', '2:02:05')
    """
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def check_verbose(verbose: int) -> int:
    """`verbose`: 0 nothing, 1 a line per epoch and a bar where standard error is a terminal, 2 lines only."""
    given: Any = verbose  # Any: what users pass is checked here
    if isinstance(given, np.timedelta64) or not isinstance(given, (int, np.integer)) or verbose not in (0, 1, 2):
        raise ValueError(f"verbose: expected 0, 1 or 2, got {verbose!r}")
    return int(verbose)


class Progress:
    """Shows `epochs` passes over data; a context manager, so that a bar is closed whatever happens.

    Args:
        verbose: see `check_verbose`.
        epochs: the number of the last pass.
        title: the word before the pass's number; a single pass with a title other than ``"epoch"`` has no number.
        first: how many passes there have been before.
    """

    def __init__(self, verbose: int, epochs: int = 1, title: str = "epoch", first: int = 0) -> None:
        self._verbose = verbose
        self._epochs = epochs
        self._title = title
        self._bar: Any = None
        self._begin = time.perf_counter()
        self._first = self._epoch = first
        self._samples = 0
        self._total: int | None = None
        self._start = self._drawn = self._trained = self._begin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def start(self, total: int | None) -> None:
        """Begin the next pass, over `total` samples (``None``: unknown)."""
        self._epoch += 1
        self._samples = 0
        self._total = total
        self._start = self._drawn = time.perf_counter()
        if self._verbose == 1 and sys.stderr.isatty():
            self._bar = _bar(total, self._label())

    def advance(self, samples: int, logs: Callable[[], Mapping[str, float]]) -> None:
        """`samples` more are done; `logs` gives the means so far and is called only when they are drawn."""
        self._samples += samples
        now = time.perf_counter()
        if self._bar is not None and now - self._drawn >= _REFRESH:
            self._drawn = now
            part = self._samples / max(self._total, self._samples) if self._total else 0.0
            left = self._left(self._epoch - 1 + part)
            tail = [] if left is None else [f"{duration(left)} left"]
            self._bar.set_postfix_str("  ".join([*tail, *_pairs(logs())]), refresh=False)
            self._bar.update(self._samples - self._bar.n)

    def trained(self) -> None:
        """The samples of this pass are done: what follows (validation) does not count for samples/s."""
        self._trained = time.perf_counter()

    def end(self, logs: Mapping[str, float]) -> None:
        """End the pass with its final `logs`."""
        now = time.perf_counter()
        self._close()
        if self._verbose:
            speed = self._samples / max(self._trained - self._start, 1e-9)
            parts = [self._label(), *_pairs(logs), duration(now - self._start), f"{speed:.0f} samples/s"]
            left = self._left(self._epoch)
            if left is not None and left >= _LONG:
                parts.append(f"{duration(left)} left")
            print("  ".join(parts), flush=True)

    def _label(self) -> str:
        if self._title != "epoch" and self._epochs == 1:
            return self._title
        width = len(str(self._epochs))
        return f"{self._title} {self._epoch:{width}d}/{self._epochs}"

    def _left(self, done: float) -> float | None:
        """Seconds until the last pass ends, judged by the `done` passes; ``None`` before anything can be told."""
        if done <= self._first:
            return None
        return (time.perf_counter() - self._begin) / (done - self._first) * (self._epochs - done)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _pairs(logs: Mapping[str, float]) -> list[str]:
    return [f"{name} {number(value)}" for name, value in logs.items()]


def _bar(total: int | None, label: str) -> Any:  # noqa: ANN401 - tqdm has no stubs
    """A bar that draws whenever it is updated."""
    import shutil  # here, as tqdm: importing them takes longer than importing this module

    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc,unused-ignore]  # tqdm has stubs only where types-tqdm is installed
        monitor_interval = 0  # no watching thread, which a fork would not survive

    size = shutil.get_terminal_size()  # 80 x 24 where the terminal does not say; tqdm would draw nothing there
    return Bar(
        total=total,
        desc=label,
        unit=" samples",
        unit_scale=True,
        bar_format="{desc} {percentage:3.0f}%|{bar:6}| {rate_fmt}{postfix}",
        ncols=size.columns,
        nrows=size.lines,
        mininterval=0,
        miniters=1,
        leave=False,  # the pass's line takes its place
    )
