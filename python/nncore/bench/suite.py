"""The suite: contenders side by side, each in a process of its own, timed in turns.

Each contender has one process for a number of threads, with the environment and the CPUs that make its libraries use just
so many. Processes that are not being timed are stopped, so that none burns a neighbour's time, however long its threads
would spin. A repetition times every contender once; of the repetitions the median counts. Before anything is timed, all
contenders' results are compared.
"""

from __future__ import annotations

import os
import pickle
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import nncore as nn
from nncore.bench import contenders, machine
from nncore.bench.case import mnist
from nncore.bench.machine import Peaks
from nncore.bench.workloads import Workload

__all__ = ["Report", "Result", "Settings", "run"]

SCHEMA = 1
_PEAK_SECONDS = 0.02


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        peers: names of contenders to compare with, installed or not.
        threads: numbers of threads.
        seconds: how long one timing takes, at least.
        repeats: how many timings the median is taken of.
        quick: only the quick part of the table.
        only: only workloads with this in their names.
    """

    peers: Sequence[str] = contenders.PEERS
    threads: Sequence[int] = ()
    seconds: float = 0.1
    repeats: int = 5
    quick: bool = False
    only: str = ""


@dataclass
class Result:
    """One workload on one number of threads.

    Attributes:
        samples: for each contender, seconds of each repetition (of a memory workload, bytes).
        failures: for each contender that could not be measured, why.
    """

    workload: Workload
    threads: int
    samples: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, float]:
        """For each contender."""
        return {name: statistics.median(samples) for name, samples in self.samples.items()}

    @property
    def unit(self) -> str:
        """Of the samples."""
        return "bytes" if self.workload.group == "memory" else "seconds"

    @property
    def ratios(self) -> dict[str, float]:
        """How many times nncore's result each other contender has: above 1, nncore is ahead."""
        medians = self.medians
        own = medians.get(contenders.OWN[0])
        return {} if own is None else {name: m / own for name, m in medians.items() if name != contenders.OWN[0]}

    @property
    def best_peer(self) -> str | None:
        """The foremost of the others' contenders."""
        medians = {name: median for name, median in self.medians.items() if name in contenders.PEERS}
        return min(medians, key=medians.__getitem__, default=None)


@dataclass
class Report:
    """All that a run has found."""

    machine: dict[str, str | int]
    versions: dict[str, str]
    settings: dict[str, Any]
    notes: list[str]
    sizes: dict[str, dict[str, int]]
    peaks: dict[int, Peaks] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)

    def roofline(self, result: Result) -> float | None:
        """The least time that the machine allows the workload, where that makes sense."""
        work, peaks = result.workload, self.peaks.get(result.threads)
        if peaks is None or result.unit == "bytes" or not (work.flops or work.bytes):
            return None
        return peaks.seconds(work.flops, work.bytes, work.footprint)

    @property
    def failures(self) -> list[str]:
        """One line for each contender that failed at a workload."""
        return [
            f"{result.workload.name}, {result.threads} threads, {name}: {why.strip().splitlines()[-1]}"
            for result in self.results
            for name, why in result.failures.items()
        ]


def run(settings: Settings, workloads: Iterable[Workload], tell: Callable[[Report, Result], None]) -> Report:
    """Measure the workloads that the settings choose; `tell` gets each result when it is there.

    Raises:
        ValueError: the settings choose no workload, or name no peer.
    """
    for name in settings.peers:
        if name not in contenders.PEERS:
            raise ValueError(f"peers: expected some of {', '.join(contenders.PEERS)}, got {name!r}")
    chosen = [work for work in workloads if settings.only in work.name and (work.quick or not settings.quick)]
    if not chosen:
        raise ValueError(f"only: expected a part of a workload's name, got {settings.only!r}")
    kinds = {work.kind for work in chosen}
    takes_part = (*contenders.OWN[:1], *(name for name in contenders.CONTENDERS if kinds & {*contenders.kinds(name)}))
    wanted = (*contenders.OWN, *filter(contenders.installed, settings.peers))
    names = [name for name in dict.fromkeys(takes_part) if name in wanted]
    modules = {name: contenders.modules(name) for name in names}
    everywhere = nn.get_num_threads()
    report = Report(
        machine.describe(),
        machine.versions(tuple(dict.fromkeys(module for parts in modules.values() for module in parts))),
        {"quick": settings.quick, "only": settings.only, "seconds": settings.seconds, "repeats": settings.repeats},
        [f"The epoch's data: {mnist()[2]}."] if any(work.kind == "epoch" for work in chosen) else [],
        {parts[0]: {"installed": machine.installed_size(parts)} for parts in modules.values()},
    )
    report.sizes["nncore"]["zipped"] = machine.zipped_size("nncore")
    for threads in _thread_counts(settings, chosen, everywhere):
        _measure(settings, [w for w in chosen if _wanted(settings, w, threads, everywhere)], names, threads, report, tell)
    return report


def _thread_counts(settings: Settings, chosen: Iterable[Workload], everywhere: int) -> list[int]:
    counts = set(settings.threads or (1, everywhere))
    if not settings.threads and any(work.sweep for work in chosen):
        counts |= {2**exponent for exponent in range(everywhere.bit_length())}
    return sorted(counts)


def _wanted(settings: Settings, work: Workload, threads: int, everywhere: int) -> bool:
    if settings.threads or threads == everywhere:
        return True
    return work.sweep or (threads == 1 and not (settings.quick and work.quick == "all"))


def _measure(
    settings: Settings,
    chosen: Sequence[Workload],
    names: Sequence[str],
    threads: int,
    report: Report,
    tell: Callable[[Report, Result], None],
) -> None:
    """Add the results on so many threads to the report."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, threads)) for name in names}
        for worker in workers.values():
            worker.ask("ready")
        measure_peaks = partial(workers[names[0]].ask, "peaks", threads, min(_PEAK_SECONDS, settings.seconds))
        report.peaks[threads] = measure_peaks()
        for work in chosen:
            result = Result(work, threads)
            if work.group == "memory":
                _weigh(result, names)
            else:
                _time(settings, result, workers)
            report.results.append(result)
            tell(report, result)
        report.peaks[threads] = report.peaks[threads].best(measure_peaks())


def _time(settings: Settings, result: Result, workers: dict[str, Worker]) -> None:
    """Time every contender in turns."""
    right: np.ndarray[Any, Any] | None = None
    runs: dict[str, int] = {}
    for name, worker in workers.items():
        try:
            digest = worker.ask("prepare", result.workload)
            if digest is None:
                continue
            right = digest if right is None else right
            _compare(right, digest, result.workload.tolerance)
            runs[name] = worker.ask("runs", settings.seconds)
        except (WorkerError, ArithmeticError) as error:
            result.failures[name] = str(error)
    for _ in range(settings.repeats):
        for name, count in runs.items():
            result.samples.setdefault(name, []).append(workers[name].ask("time", count))
    for name in runs:
        workers[name].ask("forget")


def _compare(right: np.ndarray[Any, Any], other: np.ndarray[Any, Any], tolerance: float) -> None:
    """Raise ArithmeticError unless two contenders have computed the same."""
    if right.shape != other.shape:
        raise ArithmeticError(f"wrong result: expected {right.size} elements, got {other.size}")
    distance = np.linalg.norm(other - right) / (np.linalg.norm(right) or 1.0)
    if not distance <= tolerance:
        raise ArithmeticError(f"wrong result: off by {distance:.2g} of its norm, expected at most {tolerance:g}")


def _weigh(result: Result, names: Sequence[str]) -> None:
    """Peak memory of training beyond what the library itself takes, in a fresh process for each contender."""
    for name in names:
        try:
            with Worker(name, result.threads) as worker:
                found = worker.ask("memory", result.workload)
            if found is not None:
                before, peak = found
                result.samples[name] = [peak - before]
        except WorkerError as error:
            result.failures[name] = str(error)


class WorkerError(RuntimeError):
    """A contender's process failed; the message is its traceback."""


class Worker:
    """A contender's process. It is stopped but for the time in which it is asked something."""

    def __init__(self, name: str, threads: int) -> None:
        """Start the process."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nncore.bench.worker", name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | _environment(threads),
        )
        self._running = True

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._errors, suppress(BrokenPipeError), self._process:
            pass  # waits for it, and closes the pipes, one of which may hold what nobody has read

    def ask(self, *request: object) -> Any:  # noqa: ANN401 - whatever the request gives
        """The answer to a request of `nncore.bench.worker`.

        Raises:
            WorkerError: the process could not answer.
        """
        pipe, answers = self._process.stdin, self._process.stdout
        assert pipe is not None
        assert answers is not None
        if not self._running:
            self._process.send_signal(signal.SIGCONT)
        try:
            pickle.dump(request, pipe)
            pipe.flush()
            done, answer = pickle.load(answers)
        except (EOFError, BrokenPipeError):
            self._errors.seek(0)
            raise WorkerError(self._errors.read().decode(errors="replace") or "the process ended") from None
        self._process.send_signal(signal.SIGSTOP)
        self._running = False
        if not done:
            raise WorkerError(answer)
        return answer


def _environment(threads: int) -> dict[str, str]:
    """What the libraries below the contenders read."""
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")
    return {"PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3"} | dict.fromkeys(counts, str(threads))
