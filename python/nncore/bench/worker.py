"""A contender's process: prepares workloads and times them when asked to, through pickles on its standard streams."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import re
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nncore.bench import contenders
from nncore.bench.case import Array, Case
from nncore.bench.machine import measure_peaks
from nncore.bench.workloads import Workload

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_SAMPLES = 4096  # elements of a result that are sent for comparison


def main() -> None:
    """Serve until the input ends. Arguments: the contender's name, and how many threads it may use."""
    name, threads = sys.argv[1], int(sys.argv[2])
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is none of the replies
    _die_with_parent()
    if hasattr(os, "sched_setaffinity"):  # some libraries count CPUs and nothing else
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    contender = contenders.create(name, threads)
    case: Case | None = None

    def prepare(workload: Workload) -> Array | None:
        """The result to compare, or None where the contender takes no part."""
        nonlocal case
        case = contender.prepare(workload)
        return None if case is None else _digest(case.check())

    def runs(seconds: float) -> int:
        """How many runs of what was prepared take that long."""
        assert case is not None
        return case.runs(seconds)

    def time(runs: int) -> float:
        """Seconds of one unit."""
        assert case is not None
        return case.seconds(runs)

    def ready() -> None:
        """Answered when the library has been imported."""

    def forget() -> None:
        """Free what was prepared."""
        nonlocal case
        case = None
        gc.collect()

    def memory(workload: Workload) -> tuple[int, int] | None:
        """Bytes resident before the workload was prepared, and at most while it ran."""
        before = _status("VmRSS")
        made = contender.prepare(workload)
        if made is None:
            return None
        made.seconds(1)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
        made.seconds(2)
        return before, _status("VmHWM")

    requests: dict[str, Callable[..., object]] = {
        "ready": ready,
        "peaks": measure_peaks,
        "prepare": prepare,
        "runs": runs,
        "time": time,
        "forget": forget,
        "memory": memory,
    }
    while True:
        try:
            what, *arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        reply: tuple[bool, Any]
        try:
            reply = True, requests[what](*arguments)
        except Exception:
            reply = False, traceback.format_exc()
        pickle.dump(reply, replies)
        replies.flush()


def _die_with_parent() -> None:
    """Have the system end this process with its parent: a stopped process would not notice that its input has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _digest(result: Array) -> Array:
    """Some of the result's elements, evenly spread."""
    flat = np.asarray(result, np.float64).ravel()
    return flat[:: max(1, flat.size // _SAMPLES)]


def _status(name: str) -> int:
    """A size from the system's account of this process, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status: expected a line {name}")
    return 1024 * int(found[1])


if __name__ == "__main__":
    main()
