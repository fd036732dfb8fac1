"""The training loop: epochs over a feed, validation after each, callbacks, checkpoints; and evaluation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncore.arrays import positive
from nncore.callbacks.base import Callback, CallbackList, Logs
from nncore.feeds import ArrayFeed, Feed, LoaderFeed, Totals
from nncore.history import History
from nncore.inputs import make_feed, split, validation_feed
from nncore.interrupts import Interrupts
from nncore.lbfgs import LBFGS
from nncore.network import generator
from nncore.objectives import Columns
from nncore.progress import Progress, check_verbose
from nncore.scalars import flag, number
from nncore.weighting import ClassWeight, check_class_weight

if TYPE_CHECKING:
    from nncore.checkpoints import Folder
    from nncore.evaluation import Evaluation
    from nncore.model import Model

__all__ = ["evaluate", "fit", "partial_fit"]

_EPOCH_KEY = 2**63  # shuffles draw from keys above this, parameters from keys below


@dataclass(eq=False, repr=False)
class Plan:
    """What one `fit` does.

    Attributes:
        feed: the data to train on.
        validation: the data to evaluate on after each epoch, if any.
        shuffle: whether each epoch draws an order of the samples.
        epochs: the number of the epoch at which training ends.
        first: that of the epoch at which it begins.
        folder: where checkpoints go, if any.
        found: the checkpoint from which it goes on, if any.
    """

    feed: Feed
    validation: Feed | None
    shuffle: bool
    epochs: int
    first: int
    folder: Folder | None
    found: Mapping[str, Any] | None

    @property
    def feeds(self) -> list[Feed]:
        """All data."""
        return [self.feed] if self.validation is None else [self.feed, self.validation]


def fit(
    model: Model,
    x: npt.ArrayLike | Iterable[Any],
    y: npt.ArrayLike | None,
    *,
    batch_size: int,
    epochs: int,
    validation_data: tuple[npt.ArrayLike, ...] | Iterable[Any] | None,
    validation_split: float,
    stratify: bool,
    shuffle: bool,
    verbose: int,
    class_weight: ClassWeight | None,
    sample_weight: npt.ArrayLike | None,
    callbacks: Callback | Sequence[Callback],
    initial_epoch: int,
    steps_per_epoch: int | None,
    checkpoint: str | os.PathLike[str] | None,
    resume: bool,
) -> History:
    """See `Model.fit`."""
    batch_size, epochs = positive(batch_size, "batch_size"), positive(epochs, "epochs")
    verbose = check_verbose(verbose)
    shuffle, stratify = flag(shuffle, "shuffle"), flag(stratify, "stratify")
    validation_split = number(validation_split, "validation_split")
    if stratify and not validation_split:
        raise ValueError("stratify: expected a validation_split beside it, got none")
    whole = isinstance(initial_epoch, (int, np.integer)) and not isinstance(initial_epoch, (bool, np.timedelta64))
    if not whole or not 0 <= initial_epoch < epochs:
        raise ValueError(f"initial_epoch: expected an integer from 0 to {epochs - 1}, got {initial_epoch!r}")
    steps = None if steps_per_epoch is None else positive(steps_per_epoch, "steps_per_epoch")
    passes, weights = epochs - initial_epoch, None if validation_split else class_weight
    feed = make_feed(model, x, y, sample_weight, batch_size, passes, weights, steps=steps)
    validation: Feed | None = None
    if validation_split:
        if validation_data is not None:
            raise ValueError("validation_split: expected 0 beside validation_data")
        check_class_weight(class_weight)
        feed, validation = split(feed, validation_split, stratify, model._seed)
        feed.sample_weight = model._weights_of(feed.target, feed.sample_weight, class_weight)
    elif validation_data is not None:
        validation = validation_feed(model, validation_data, batch_size, passes)

    if isinstance(model.optimizer, LBFGS):
        if not isinstance(feed, ArrayFeed) or isinstance(feed, LoaderFeed):
            raise ValueError("x: expected arrays x and y with LBFGS, got an iterable of batches")
        feed = feed.whole()
    if isinstance(validation, ArrayFeed):
        _check_metrics(model, validation)

    params = {"epochs": epochs, "initial_epoch": initial_epoch, "validation": validation is not None, "verbose": verbose}
    called = CallbackList(callbacks, model, params)
    folder, found = _checkpoints(model, checkpoint, resume)
    if found is not None:
        params["initial_epoch"] = found["epoch"]
    plan = Plan(feed, validation, shuffle, epochs, params["initial_epoch"], folder, found)
    model.history, model.stop_training = History(), False
    try:
        with Progress(verbose, epochs, first=plan.first) as progress, Interrupts() as interrupts:
            _train(model, plan, called, progress, interrupts)
    finally:
        called.call("close")
    return model.history


def _train(model: Model, plan: Plan, callbacks: CallbackList, progress: Progress, interrupts: Interrupts) -> None:
    """The epochs of a plan."""
    logs: Logs = {}
    callbacks.call("on_train_begin", logs)
    if plan.found is not None:
        from nncore import checkpoints  # here: most training needs none

        checkpoints.resume(model, plan.found, callbacks, plan.feeds)
    for epoch in range(plan.first, plan.epochs):
        if model.stop_training:
            break
        began, weights = time.perf_counter(), "those before that step. Is the learning rate too high?"
        callbacks.call("on_epoch_begin", epoch, {})
        training = _Epoch(model, plan.feed, progress, interrupts, callbacks)
        try:
            logs = training.run(_order(model) if plan.shuffle else None)
            rate = _learning_rate(model)
            model._epochs += 1
            weights = "those after this epoch, whose validation it was"
            progress.trained()
            if plan.validation is not None:
                logs |= {f"val_{k}": v for k, v in _evaluate(model, plan.validation, Progress(0)).items()}
        except BaseException as error:
            model.history.unfinished = training.so_far()
            if not isinstance(error, FloatingPointError):
                raise
            if callbacks.accept(error):
                break
            error.add_note(f"in epoch {epoch + 1}; the weights are {weights}")
            raise
        progress.end(logs)
        interrupts.hold(model.history.append, epoch, logs, rate, time.perf_counter() - began)
        interrupts.release()
        callbacks.call("on_epoch_end", epoch, logs)
        interrupts.hold(model.history.amend, logs)
        interrupts.release()
        if plan.folder is not None:
            plan.folder.save(model, epoch + 1, callbacks, plan.feeds)
    callbacks.call("on_train_end", logs)


def _checkpoints(
    model: Model, path: str | os.PathLike[str] | None, resume: bool
) -> tuple[Folder | None, Mapping[str, Any] | None]:
    """The folder for checkpoints, and the one to go on from, if any."""
    resume = flag(resume, "resume")
    if path is None:
        if resume:
            raise ValueError("resume: expected a folder as checkpoint beside it, got None")
        return None, None
    from nncore.checkpoints import Folder  # here, as above

    folder = Folder(path, resume)
    return folder, folder.latest(model)


def partial_fit(
    model: Model,
    x: npt.ArrayLike | Iterable[Any],
    y: npt.ArrayLike | None,
    batch_size: int,
    shuffle: bool,
    class_weight: ClassWeight | None,
    sample_weight: npt.ArrayLike | None,
) -> Logs:
    """See `Model.partial_fit`."""
    shuffle = flag(shuffle, "shuffle")
    feed = make_feed(model, x, y, sample_weight, positive(batch_size, "batch_size"), 1, class_weight)
    if isinstance(model.optimizer, LBFGS):
        raise ValueError("optimizer: expected one of steps, which has no use for all samples at once, got LBFGS")
    with Interrupts() as interrupts:
        logs = _Epoch(model, feed, Progress(0), interrupts).run(_order(model) if shuffle else None)
    model._epochs += 1
    return logs


def evaluate(
    model: Model,
    x: npt.ArrayLike | Iterable[Any],
    y: npt.ArrayLike | None,
    batch_size: int,
    verbose: int,
    class_weight: ClassWeight | None,
    sample_weight: npt.ArrayLike | None,
) -> Logs:
    """See `Model.evaluate`."""
    feed = make_feed(model, x, y, sample_weight, positive(batch_size, "batch_size"), 1, class_weight)
    with Progress(check_verbose(verbose), title="evaluate") as progress:
        logs = _evaluate(model, feed, progress)
        progress.trained()
        progress.end(logs)
    return logs


def _order(model: Model) -> np.random.Generator:
    """What the next epoch's order of samples is drawn from."""
    return generator(model._seed, _EPOCH_KEY + model._epochs)


def _learning_rate(model: Model) -> float:
    """That of the last update."""
    optimizer = model.optimizer
    if isinstance(optimizer, LBFGS):
        return optimizer.learning_rate
    rates = optimizer.rates(max(model.engine.iterations - 1, 0), model._epochs, 1)
    return float(rates[0] if len(rates) else optimizer.attrs["learning_rate"])


class _Epoch:
    """One pass of training: as few calls of the engine as there can be, or one for each step if a callback asks for it."""

    def __init__(
        self, model: Model, feed: Feed, progress: Progress, interrupts: Interrupts, callbacks: CallbackList | None = None
    ) -> None:
        self._model, self._feed, self._progress, self._callbacks = model, feed, progress, callbacks
        self._interrupts = interrupts
        self._means: Callable[[], Logs] = dict
        self._samples = self._batch = 0

    def run(self, shuffle: np.random.Generator | None) -> Logs:
        """Train; the means of loss and metrics."""
        model, totals = self._model, Totals(("loss", *self._model._objectives[0].names))
        by_step = self._callbacks is not None and self._callbacks.wants_batches
        step: Any = partial(model._step if model._stepwise else model._run, True)
        interrupts = self._interrupts
        if not isinstance(model.optimizer, LBFGS):  # a call of which takes its time, and changes nothing if it is ended
            step = partial(interrupts.hold, step)
        self._progress.start(self._feed.samples)
        run: Any = partial(self._with_hooks, step) if by_step else step
        results: Iterator[Any] = self._feed.results(run, shuffle, by_step)
        try:
            for result in results:
                self._count(result, totals)
                interrupts.release()
                if by_step and self._callbacks is not None:
                    self._callbacks.call("on_train_batch_end", self._batch, self._means())
                    self._batch += 1
                    if model.stop_training:
                        break
        finally:
            interrupts.release()
        return self._means()

    def _count(self, result: Any, totals: Totals) -> None:  # noqa: ANN401 - a RunResult or a StepResult
        self._samples += result.samples
        if self._model._stepwise:
            self._means = result.means
        else:
            totals.add(result)
            self._means = totals.means
        self._progress.advance(result.samples, self._means)

    def _with_hooks(self, step: Callable[..., object], *data: object) -> object:
        if self._callbacks is not None:
            self._callbacks.call("on_train_batch_begin", self._batch, {})
        return step(*data)

    def so_far(self) -> Logs:
        """How many samples there were, and the means over these; nothing before the first."""
        return {"samples": self._samples, **self._means()} if self._samples else {}


def _evaluate(model: Model, feed: Feed, progress: Progress) -> Logs:
    """One pass of evaluation: losses and metrics."""
    progress.start(feed.samples)
    if model._stepwise:
        return _evaluate_in_steps(model, feed, progress)
    objective = model._objectives[0]
    totals = Totals(("loss", *objective.names))
    evaluation = _evaluation(model) if objective.others else None
    for result in feed.results(partial(model._run, False) if evaluation is None else evaluation.run, None):
        totals.add(result)
        progress.advance(result.samples, totals.means)
    return totals.means() if evaluation is None else totals.means() | evaluation.results()


def _evaluate_in_steps(model: Model, feed: Feed, progress: Progress) -> Logs:
    logs: Logs = {}
    for objective in model._objectives:
        for metric in objective.others:
            metric.reset()
    run: Any = partial(model._step, False)
    results: Iterator[Any] = feed.results(run, None)
    for result in results:
        progress.advance(result.samples, result.means)
        logs = result.means()
    return logs if model._steps is None else logs | model._steps.results()


def _check_metrics(model: Model, feed: ArrayFeed) -> None:
    """Raise TypeError or ValueError unless the metrics that see the outputs take the targets and weights of `feed`."""
    if not model._stepwise:
        if model._objectives[0].others:
            _evaluation(model).check(feed.target, feed.sample_weight)
        return
    targets: Any = feed.target
    for objective in model._objectives:
        target: Any = targets.arrays[objective.output] if isinstance(targets, Columns) else targets
        for metric in objective.others:
            metric.check_target(target, model.graph.output_shapes[objective.output])


def _evaluation(model: Model) -> Evaluation:
    from nncore.evaluation import Evaluation  # here: most models need none

    (objective,) = model._objectives
    spec, metrics = objective.loss.spec, objective.engine_metrics
    return Evaluation(model.engine, model._engine_name, spec, metrics, objective.others)
