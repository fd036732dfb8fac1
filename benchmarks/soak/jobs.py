"""What the workers of the soak test do again and again; each job raises AssertionError where nncore breaks its word."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cases import EPOCHS, Case, Reference, bits, digest, estimate, step_through, through_onnx

import nncore as nn

__all__ = ["JOBS", "Context", "Job", "finish", "in_child", "same"]

ANSWER = 200.0  # seconds that a forked child may take


@dataclass
class Context:
    """What the jobs of a process share: the references, models that all its threads use, and a folder."""

    references: Mapping[int, Reference]
    folder: Path
    _models: dict[int, nn.Model] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def model(self, case: Case) -> nn.Model:
        """The trained model of `case`, the same for all threads."""
        with self._lock:
            if case.number not in self._models:
                model = case.make()
                case.fit(model, Counter())
                same(digest(model), self.references[case.number].trained, "a shared model")
                self._models[case.number] = model
            return self._models[case.number]

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder of its own."""
        with tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


Job = Callable[[Context, Case, np.random.Generator, Counter[str]], None]
JOBS: dict[str, Job] = {}


def job(function: Job) -> Job:
    """Enter `function` into the table."""
    JOBS[function.__name__] = function
    return function


def same(got: object, expected: object, what: str) -> None:
    """Raise AssertionError unless they are equal."""
    if got != expected:
        raise AssertionError(f"{what}: expected {str(expected)[:80]}, got {str(got)[:80]}")


def in_child(context: Context, work: Callable[[], object]) -> int:
    """Do `work` in a forked child, whose status is 1 if it fails; the log then says how."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException as error:
        with open(context.folder / "log", "a") as log:
            log.write("".join(traceback.format_exception(error)))
    finally:
        os._exit(status)


def finish(child: int, what: str, limit: float = ANSWER) -> int:
    """The status with which a forked child ends, which is killed where it does not."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGUSR1)  # its stacks into the log
    time.sleep(1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"{what}: the forked child hung for {limit:.0f} s")


@job
def train(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """A whole training has the reference's bits."""
    model = case.make()
    case.fit(model, tally)
    same(digest(model), context.references[case.number].trained, "training")


@job
def step(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """So have single steps."""
    same(step_through(case, case.make(), tally), context.references[case.number].stepped, "single steps")
    tally["models"] += 1


@job
def predict(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """One model answers all threads, in batches of any size, each sample with its bits."""
    model, (x, _), expected = context.model(case), case.data, context.references[case.number].outputs
    for _ in range(20):
        rows = rng.integers(0, len(x), int(rng.integers(1, len(x))))
        got = model.predict(x[rows], batch_size=int(rng.integers(1, 100)))
        same(bits(got), bits(expected[rows]), "predictions")
        tally["predictions"] += len(rows)


@job
def evaluate(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """So does evaluation."""
    same(context.model(case).evaluate(*case.data), context.references[case.number].evaluated, "evaluation")
    tally["predictions"] += len(case.data[0])


@job
def file(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """A model that was saved and loaded predicts the same bits."""
    with context.scratch() as folder:
        context.model(case).save(folder / "model.safetensors")
        loaded = nn.load(folder / "model.safetensors")
    tally["files saved"] += 1
    tally["files loaded"] += 1
    if case.engine == "native":
        same(bits(loaded.predict(case.data[0])), bits(context.references[case.number].outputs), "a loaded model")


@job
def onnx(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """Out to ONNX and in again."""
    with context.scratch() as folder:
        got = through_onnx(context.model(case), case.data[0], folder)
    same(got, context.references[case.number].onnx, "a model from ONNX")
    tally["files saved"] += 1
    tally["files loaded"] += 1


@job
def resume(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """Training that goes on from a checkpoint is training that was never stopped."""
    with context.scratch() as folder:
        for epochs in (int(rng.integers(1, EPOCHS)), EPOCHS):
            model = case.make()
            case.fit(model, tally, epochs, checkpoint=folder, resume=True)
    same(digest(model), context.references[case.number].trained, "resumed training")
    tally["files saved"] += EPOCHS
    tally["files loaded"] += 1


@job
def duplicate(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """A copy goes on as the model would have."""
    model, given = case.make(), case.given()
    case.fit(model, tally, 1, given=given)
    copied: nn.Model = copy.deepcopy(model) if rng.random() < 0.5 else pickle.loads(pickle.dumps(model))
    case.fit(copied, tally, EPOCHS - 1, given=given)
    same(digest(copied), context.references[case.number].trained, "a copy")


@job
def estimator(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """An estimator of scikit-learn's kind, fitted and pickled."""
    x, y = case.data
    fitted = pickle.loads(pickle.dumps(case.estimator().fit(x, y.ravel())))
    same(bits(estimate(fitted, x)), context.references[case.number].estimated, "an estimator")
    tally["models"] += 1
    tally["predictions"] += len(x)


@job
def fork(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """A child that is forked while other threads train gets the same bits."""

    def again() -> None:
        model = case.make()
        case.fit(model, Counter())
        same(digest(model), context.references[case.number].trained, "training in a forked child")

    same(finish(in_child(context, again), "training"), 0, "the forked child's status")
    tally["forks"] += 1
    tally["models"] += 1
