"""A worker process of the soak test: threads that do one job after the other, and a file of what they have done."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case, Reference
from faults import FAULTS, MAIN_THREAD
from jobs import JOBS, Context

__all__ = ["perform", "work"]

THREADS = 3
FAULT_SHARE = 0.3
MOST_FAILURES = 20  # of a process


def perform(name: str, number: int, draw: int, context: Context) -> Counter[str]:
    """Do the job or fault `name` on the case `number`, with random numbers from `draw`; what it counted."""
    tally: Counter[str] = Counter()
    (JOBS | FAULTS)[name](context, Case(number), np.random.default_rng(draw), tally)
    tally[("fault " if name in FAULTS else "job ") + name] += 1
    return tally


@dataclass
class _Worker:
    context: Context
    end: float
    tallies: list[Counter[str]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    busy: dict[int, tuple[str, float]] = field(default_factory=dict)

    def loop(self, seed: list[int], main: bool) -> None:
        """Jobs until the end."""
        rng, tally = np.random.default_rng(seed), Counter[str]()
        self.tallies.append(tally)
        faults = [name for name in FAULTS if main or name != MAIN_THREAD]
        while time.monotonic() < self.end:
            name = str(rng.choice(faults if rng.random() < FAULT_SHARE else list(JOBS)))
            number, draw = int(rng.choice(list(self.context.references))), int(rng.integers(2**32))
            self.busy[seed[-1]] = f"{name}:{number}:{draw}", time.monotonic()
            try:
                tally.update(perform(name, number, draw, self.context))
            except BaseException as error:
                text = "".join(traceback.format_exception(error))
                log = (self.context.folder / "log").read_text()[-3000:]
                self.failures.append({"job": f"{name}:{number}:{draw}", "error": text + log})
                if len(self.failures) >= MOST_FAILURES:
                    break
        self.busy.pop(seed[-1], None)

    def report(self, path: Path, finished: bool) -> None:
        """Write all that is known to `path`, as a whole."""
        now = time.monotonic()
        total: Counter[str] = sum((Counter(dict(tally)) for tally in list(self.tallies)), Counter())
        slowest = max(((now - since, job) for job, since in list(self.busy.values())), default=(0.0, ""))
        content = {"tally": total, "failures": self.failures, "slowest": slowest, "finished": finished}
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content))
        os.replace(temporary, path)


def work(folder: str, place: int, seed: list[int], seconds: float, references: Mapping[int, Reference]) -> None:
    """Work for some seconds; ``report.json`` in `folder` says what was done."""
    warnings.simplefilter("ignore")  # of few iterations, by estimators; of forks of processes with threads, by Python
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log: Any = open(Path(folder) / "log", "a")  # noqa: SIM115 - as long as the process lives
    faulthandler.enable(log)
    faulthandler.register(signal.SIGUSR1, log, all_threads=True)
    worker = _Worker(Context(references, Path(folder)), time.monotonic() + seconds)
    done = threading.Event()

    def reporter() -> None:
        while not done.wait(0.5):
            worker.report(Path(folder) / "report.json", finished=False)

    threads = [threading.Thread(target=worker.loop, args=([*seed, i], False)) for i in range(1, THREADS)]
    threads.append(threading.Thread(target=reporter, daemon=True))
    for thread in threads:
        thread.start()
    worker.loop([*seed, 0], main=True)
    for thread in threads[:-1]:
        thread.join()
    done.set()
    threads[-1].join()
    try:
        os.waitpid(-1, os.WNOHANG)
        worker.failures.append({"job": "zombie", "error": "a child of the worker was not waited for"})
    except ChildProcessError:
        pass
    worker.report(Path(folder) / "report.json", finished=True)
