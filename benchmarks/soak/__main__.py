"""Soak test: models trained and used by many processes and threads, with faults, each result held to what it must be.

``python benchmarks/soak --seconds 3600 --json soak.json --markdown docs/reliability.md``. A failure prints how to
repeat it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case, Reference, reference
from jobs import Context
from report import markdown
from worker import THREADS, perform, work

import nncore as nn
from nncore import _core

HANG = 300.0  # seconds that a job, or the silence of a worker, may take
WARM = 60.0  # seconds until a process has all that it needs
GROWTH = 64.0  # MiB that the resident memory of a process may gain, beside a tenth of it


@dataclass
class Slot:
    """A place for workers, one after the other."""

    process: Any
    folder: Path
    kill_at: float  # monotonic; inf for one that may end by itself


@dataclass
class Soak:
    """A whole run."""

    seconds: float
    seed: int
    workers: int
    references: dict[int, Reference]
    folder: Path
    tally: Counter[str] = field(default_factory=Counter)
    started: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    rss_after: float = 0.0

    def run(self) -> None:
        """Keep all places taken until the time is over."""
        rng, began = np.random.default_rng(self.seed), time.monotonic()
        end = began + self.seconds
        slots = [self.start(place, rng, end) for place in range(self.workers)]
        elder = slots[0]
        while any(slot.process.is_alive() for slot in slots):
            time.sleep(0.2)
            now = time.monotonic()
            if now - began > max(WARM, 0.2 * self.seconds) and not self.rss and elder.process.is_alive():
                self.rss_after = now - began
                self.rss = [resident(elder.process.pid)] * 2
            elif self.rss and now < end and elder.process.is_alive():
                self.rss[1] = resident(elder.process.pid)
            for place, slot in enumerate(slots):
                if slot.process.is_alive() and now > slot.kill_at:
                    slot.process.kill()
                    self.tally["fault worker_killed"] += 1
                elif slot.process.is_alive():
                    self.watch(slot)
                if not slot.process.is_alive():
                    self.collect(slot)
                    if now < end - 1 and place:
                        slots[place] = self.start(place, rng, end)
        for slot in slots:
            self.collect(slot)
        if self.rss and self.rss[1] > 1.1 * self.rss[0] + GROWTH:
            self.fail("memory", f"resident memory grew, in MiB: {self.rss}")

    def fail(self, job: str, error: str) -> None:
        """Note a failure, and say how to repeat it."""
        self.failures.append({"job": job, "error": error})
        print(f"FAILED: python benchmarks/soak --repeat {job}\n{error}", file=sys.stderr, flush=True)

    def start(self, place: int, rng: np.random.Generator, end: float) -> Slot:
        """A new worker; that of place 0 lives until the end, a third of the others is killed."""
        left, number = end - time.monotonic(), sum(self.started.values())
        methods = sorted(multiprocessing.get_all_start_methods())
        method = "spawn" if place == 0 else methods[(number - 1) % len(methods)]
        life = left if place == 0 else min(left, float(rng.uniform(5, 40)))
        folder = self.folder / f"worker-{number}"
        folder.mkdir()
        arguments = (str(folder), place, [self.seed, number], life, self.references)
        process = multiprocessing.get_context(method).Process(target=work, args=arguments)
        process.start()
        self.started[method] += 1
        kill = place > 0 and rng.random() < 0.33
        return Slot(process, folder, time.monotonic() + float(rng.uniform(0.2, 1)) * life if kill else float("inf"))

    def watch(self, slot: Slot) -> None:
        """Notice a worker that hangs."""
        report = slot.folder / "report.json"
        if not report.exists():
            return
        seconds, job = json.loads(report.read_text())["slowest"]
        if max(seconds, time.time() - report.stat().st_mtime) > HANG:
            os.kill(slot.process.pid, signal.SIGUSR1)  # all its stacks into its log
            time.sleep(2)
            self.fail(job, "hung: " + (slot.folder / "log").read_text())
            slot.process.kill()
            slot.process.join()

    def collect(self, slot: Slot) -> None:
        """Add up what an ended worker has reported."""
        if not slot.folder.exists():
            return
        slot.process.join()
        report, killed = slot.folder / "report.json", time.monotonic() > slot.kill_at
        if report.exists():
            content = json.loads(report.read_text())
            self.tally.update(content["tally"])
            for failure in content["failures"]:
                self.fail(**failure)
            killed = killed or content["finished"]
        if not killed or slot.process.exitcode not in (0, -signal.SIGKILL):
            log = (slot.folder / "log").read_text() if (slot.folder / "log").exists() else ""
            self.fail("worker", f"ended with {slot.process.exitcode}: {log}")
        shutil.rmtree(slot.folder, ignore_errors=True)


def resident(pid: int) -> float:
    """MiB of a process in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def adopt() -> None:
    """Become the parent of what killed workers leave, so that none of it goes unseen."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def left_over(limit: float = 60.0) -> int:
    """Wait for the children of killed workers, which end by themselves; how many do not, or are not waited for."""
    end = time.monotonic() + limit
    while (left := children()) and time.monotonic() < end:
        for pid in left:
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.1)
    return len(left)


def children() -> list[int]:
    """Children of this process, but for multiprocessing's own servants."""
    found = []
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"forkserver" not in command and b"resource_tracker" not in command:
            found.append(int(pid))
    return found


def machine() -> dict[str, Any]:
    """What ran it."""
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "nncore": nn.__version__,
        "isa": _core.isa(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": names[0] if names else platform.machine(),
    }


def main() -> int:
    """Run, write, and say what failed."""
    parser = argparse.ArgumentParser(prog="benchmarks/soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=4, help="processes at a time")
    parser.add_argument("--cases", type=int, default=30, help="kinds of models")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--markdown", type=Path, help="where the page goes")
    parser.add_argument("--page-of", type=Path, metavar="JSON", help="run nothing: write the page of these figures")
    parser.add_argument("--repeat", metavar="JOB", help="do one job, as a failure names it, and nothing else")
    options = parser.parse_args()
    if options.page_of:
        options.markdown.write_text(markdown(json.loads(options.page_of.read_text())))
        return 0
    warnings.simplefilter("ignore")  # as in the workers
    threads = nn.get_num_threads()
    nn.set_num_threads(1)
    chosen = [int(options.repeat.split(":")[1])] if options.repeat else range(options.cases)
    references = {number: reference(Case(number)) for number in chosen}
    nn.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        if options.repeat:
            name, number, draw = options.repeat.split(":")
            print(dict(perform(name, int(number), int(draw), Context(references, Path(folder)))))
            return 0
        adopt()
        soak = Soak(options.seconds, options.seed, options.workers, references, Path(folder))
        soak.run()
        left = left_over()
    found = {
        "seconds": soak.seconds,
        "seed": soak.seed,
        "workers": soak.workers,
        "threads": THREADS,
        "cases": len(references),
        "tally": soak.tally,
        "started": soak.started,
        "failures": soak.failures,
        "left": left,
        "rss": soak.rss,
        "rss_after": soak.rss_after,
        "machine": machine(),
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    if options.markdown:
        options.markdown.write_text(markdown(found))
    print(f"{sum(soak.tally.values()):,} things counted, {len(soak.failures)} failures, {left} processes left over")
    return 1 if soak.failures or left else 0


if __name__ == "__main__":
    sys.exit(main())
