"""What the soak test does to nncore that nobody should: each fault must end in the documented exception, or in none."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from cases import EPOCHS, Case, bits, digest
from jobs import Context, Job, finish, in_child, same

import nncore as nn
from nncore.callbacks import LambdaCallback

__all__ = ["FAULTS", "MAIN_THREAD"]

FAULTS: dict[str, Job] = {}
MAIN_THREAD = "interrupt"  # Python handles signals there


def fault(function: Job) -> Job:
    """Enter `function` into the table."""
    FAULTS[function.__name__] = function
    return function


def refused(work: Callable[[], object], kinds: tuple[type[BaseException], ...], what: str) -> None:
    """Raise AssertionError unless `work` raises one of `kinds`."""
    try:
        work()
    except kinds:
        return
    except BaseException as error:
        raise AssertionError(f"{what}: expected {kinds}, got {error!r}") from error
    raise AssertionError(f"{what}: expected {kinds}, got no exception")


@fault
def bad_input(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """Arguments that do not fit leave the model as it was."""
    model, (x, y) = case.make(), case.data
    before = digest(model)
    calls: list[Callable[[], object]] = [
        lambda: model.fit(x[:, :-1], y, verbose=0),
        lambda: model.fit(x, y[:-1], verbose=0),
        lambda: model.fit(x, np.full(len(x), 10**9) if case.is_classes else np.full((len(x), 1), np.nan), verbose=0),
        lambda: model.fit(x, y, batch_size=0, verbose=0),
        lambda: model.fit(x.astype(str), y, verbose=0),
        lambda: model.predict(x[:, None]),
        lambda: model.predict(np.array([object()] * 3)),
        lambda: model.train_on_batch(x[:0], y[:1]),
        lambda: model.set_weights([np.zeros(3)]),
        lambda: model.compile("nothing"),
        lambda: nn.set_num_threads(-1),
    ]
    refused(calls[int(rng.integers(len(calls)))], (TypeError, ValueError, FloatingPointError), "bad input")
    same(digest(model), before, "the model after bad input")


@fault
def diverging(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """Samples that are not numbers are noticed, and nothing is learnt from them."""
    model, (x, y) = case.make(), case.data
    model.train_on_batch(x[:8], y[:8])
    weights, bad = model.get_weights(), x.copy()
    bad[:, int(rng.integers(x.shape[1]))] = np.nan
    refused(lambda: model.train_on_batch(bad, y), (FloatingPointError,), "samples that are NaN")
    same(bits(*model.get_weights()), bits(*weights), "the weights after a step that was refused")
    model.train_on_batch(x[:8], y[:8])
    same(all(np.isfinite(w).all() for w in model.get_weights()), True, "finite weights afterwards")


@fault
def damaged_file(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """A file that was cut or changed is refused, or is a model."""
    model = context.model(case)
    with context.scratch() as folder:
        path, kind = folder / "file", int(rng.integers(3))
        (model.save, model.save_checkpoint, lambda p: nn.onnx.export(model, p))[kind](path)
        data = bytearray(path.read_bytes())
        if rng.random() < 0.4:
            del data[int(rng.integers(len(data))) :]
        for _ in range(int(rng.integers(1, 8)) if data else 0):
            place = int(rng.integers(len(data) if rng.random() < 0.3 else min(len(data), 3000)))
            data[place] = int(rng.integers(256))
        path.write_bytes(data)
        try:
            if kind == 1:
                case.make().load_checkpoint(path)
            else:
                found = (nn.load if kind == 0 else nn.onnx.load)(path)
                with np.errstate(all="ignore"):
                    found.predict(np.zeros((2, *found.input_shape), "float32"))
        except (ValueError, MemoryError):
            tally["damaged files refused"] += 1


@fault
def no_folder(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """Saving where nothing can be saved."""
    model = context.model(case)
    with context.scratch() as folder:
        (folder / "file").touch()
        for path in (folder / "none" / "x", folder / "file" / "x"):
            refused(lambda path=path: model.save(path), (OSError,), "saving into no folder")
            refused(lambda path=path: model.save_checkpoint(path), (OSError,), "a checkpoint into no folder")
        same([p.name for p in folder.iterdir()], ["file"], "the folder afterwards")


@fault
def disk_full(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """Where a file cannot grow, an error, and the old file as it was. In a child: the limit is the process's."""
    model = context.model(case)
    with context.scratch() as folder:
        path = folder / "model.safetensors"
        model.save(path)
        before, limit = path.read_bytes(), int(rng.integers(1, sum(w.nbytes for w in model.get_weights())))

        def fill() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            fresh = case.make()
            _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
            try:
                refused(lambda: fresh.save(path), (OSError,), "saving")
                refused(lambda: fresh.save_checkpoint(path), (OSError,), "a checkpoint")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # what failed can be written

        child = in_child(context, fill)
        same(finish(child, "saving to a full disk"), 0, "the child's status")
        same(path.read_bytes() == before, True, "the old file intact")
        same([p.name for p in folder.iterdir()], [path.name], "the folder afterwards")


@fault
def killed(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """SIGKILL in the midst of training with checkpoints: what goes on from there has the bits of the whole."""
    with context.scratch() as folder:
        worker = os.getpid()

        def endless() -> None:
            while os.getppid() == worker:  # over the same epochs, until it is killed, or the worker is
                case.fit(case.make(), Counter(), checkpoint=folder, resume=True)
                for path in folder.glob("checkpoint*"):
                    path.unlink()

        child = in_child(context, endless)
        time.sleep(float(rng.exponential(0.15)))
        os.kill(child, signal.SIGKILL)
        same(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), -signal.SIGKILL, "the killed child's status")
        model = case.make()
        case.fit(model, tally, checkpoint=folder, resume=True)
        same(digest(model), context.references[case.number].trained, "training resumed after SIGKILL")
        possible = {f"checkpoint-{epoch:05d}.safetensors" for epoch in range(EPOCHS + 1)}
        same({path.name for path in folder.iterdir()} - possible, set(), "other files in its folder")
    tally["files loaded"] += 1


@fault
def interrupt(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """Ctrl-C: whole steps, a model that goes on, and no trace in the handlers."""
    timer = threading.Timer(float(rng.uniform(0.001, 0.1)), os.kill, (os.getpid(), signal.SIGINT))
    interrupted, model = False, case.make()
    try:
        timer.start()
        while timer.is_alive():
            model = case.make()
            case.fit(model, tally)
        time.sleep(1)  # no longer than until the signal is there
    except KeyboardInterrupt:
        interrupted = True
    timer.join()
    same(interrupted, True, "a KeyboardInterrupt")
    same(signal.getsignal(signal.SIGINT) is signal.default_int_handler, True, "Python's own handler")
    case.fit(model, tally)
    same(all(np.isfinite(w).all() for w in model.get_weights()), True, "finite weights after Ctrl-C")


@fault
def thread_count(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """Another number of threads, while other threads train."""
    nn.set_num_threads(int(rng.choice([1, 1, 2, 2, 3, 4, 16])))


@fault
def second_fit(context: Context, case: Case, rng: np.random.Generator, tally: Counter[str]) -> None:
    """A model that is being trained refuses a second training, and answers predictions."""
    model, started, go_on = case.make(), threading.Event(), threading.Event()
    model.predict(case.data[0][:1])
    failures: list[BaseException] = []

    def begin(epoch: int, logs: object) -> None:
        started.set()
        go_on.wait(60)

    def first() -> None:
        try:
            case.fit(model, tally, callbacks=LambdaCallback(on_epoch_begin=begin))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        same(started.wait(60), True, "the first training, begun")
        refused(lambda: case.fit(model, Counter()), (RuntimeError,), "a second training")
        refused(lambda: model.compile("adam", "mse"), (RuntimeError,), "compile during training")
        go_on.set()
        while thread.is_alive():
            same(bool(np.isfinite(model.predict(case.data[0][:9])).all()), True, "predictions during training")
            tally["predictions"] += 9
    finally:
        go_on.set()
        thread.join()
    same(failures, [], "errors of the first training")
    same(digest(model), context.references[case.number].trained, "training beside a second one")
