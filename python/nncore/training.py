"""The training loop: epochs over a feed, validation after each; and evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncore.arrays import positive
from nncore.feeds import ArrayFeed, Feed, LoaderFeed, Totals
from nncore.history import History
from nncore.inputs import make_feed, split, validation_feed
from nncore.lbfgs import LBFGS
from nncore.network import generator
from nncore.objectives import Columns
from nncore.progress import Progress, check_verbose
from nncore.weighting import ClassWeight, check_class_weight

if TYPE_CHECKING:
    from nncore.evaluation import Evaluation
    from nncore.model import Model

__all__ = ["evaluate", "fit"]

_EPOCH_KEY = 2**63  # shuffles draw from keys above this, parameters from keys below


def fit(
    model: Model,
    x: npt.ArrayLike | Iterable[Any],
    y: npt.ArrayLike | None,
    *,
    batch_size: int,
    epochs: int,
    validation_data: tuple[npt.ArrayLike, ...] | Iterable[Any] | None,
    validation_split: float,
    shuffle: bool,
    verbose: int,
    class_weight: ClassWeight | None,
    sample_weight: npt.ArrayLike | None,
) -> History:
    """See `Model.fit`."""
    batch_size, epochs = positive(batch_size, "batch_size"), positive(epochs, "epochs")
    verbose = check_verbose(verbose)
    if not isinstance(shuffle, (bool, np.bool_)):
        raise TypeError(f"shuffle: expected True or False, got {shuffle!r}")
    feed = make_feed(model, x, y, sample_weight, batch_size, epochs, None if validation_split else class_weight)
    validation: Feed | None = None
    if validation_split:
        if validation_data is not None:
            raise ValueError("validation_split: expected 0 beside validation_data")
        check_class_weight(class_weight)
        feed, validation = split(feed, validation_split)
        feed.sample_weight = model._weights_of(feed.target, feed.sample_weight, class_weight)
    elif validation_data is not None:
        validation = validation_feed(model, validation_data, batch_size, epochs)

    if isinstance(model.optimizer, LBFGS):
        if not isinstance(feed, ArrayFeed) or isinstance(feed, LoaderFeed):
            raise ValueError("x: expected arrays x and y with LBFGS, got an iterable of batches")
        feed = feed.whole()
    if isinstance(validation, ArrayFeed):
        _check_metrics(model, validation)

    history = History()
    with Progress(verbose, epochs) as progress:
        for epoch in range(epochs):
            order = generator(model._seed, _EPOCH_KEY + model._epochs) if shuffle else None
            try:
                logs = _pass(model, feed, True, progress, order)
            except FloatingPointError as error:
                error.add_note(
                    f"in epoch {epoch + 1}; the weights are those before that step. Is the learning rate too high?"
                )
                raise
            model._epochs += 1
            progress.trained()
            if validation is not None:
                logs |= {f"val_{k}": v for k, v in _pass(model, validation, False, Progress(0)).items()}
            progress.end(logs)
            history.append(logs)
    return history


def evaluate(
    model: Model,
    x: npt.ArrayLike | Iterable[Any],
    y: npt.ArrayLike | None,
    batch_size: int,
    verbose: int,
    class_weight: ClassWeight | None,
    sample_weight: npt.ArrayLike | None,
) -> dict[str, float]:
    """See `Model.evaluate`."""
    feed = make_feed(model, x, y, sample_weight, positive(batch_size, "batch_size"), 1, class_weight)
    with Progress(check_verbose(verbose), title="evaluate") as progress:
        logs = _pass(model, feed, False, progress)
        progress.trained()
        progress.end(logs)
    return logs


def _pass(
    model: Model, feed: Feed, train: bool, progress: Progress, shuffle: np.random.Generator | None = None
) -> dict[str, float]:
    """One pass over the data: its losses and metrics."""
    progress.start(feed.samples)
    if model._stepwise:
        return _pass_in_steps(model, feed, train, progress, shuffle)
    objective = model._objectives[0]
    totals = Totals(("loss", *objective.names))
    evaluation = None if train or not objective.others else _evaluation(model)
    for result in feed.results(partial(model._run, train) if evaluation is None else evaluation.run, shuffle):
        totals.add(result)
        progress.advance(result.samples, totals.means)
    return totals.means() if evaluation is None else totals.means() | evaluation.results()


def _pass_in_steps(
    model: Model, feed: Feed, train: bool, progress: Progress, shuffle: np.random.Generator | None
) -> dict[str, float]:
    logs: dict[str, float] = {}
    for objective in model._objectives:
        for metric in () if train else objective.others:
            metric.reset()
    run: Any = partial(model._step, train)
    results: Iterator[Any] = feed.results(run, shuffle)
    for result in results:
        progress.advance(result.samples, result.means)
        logs = result.means()
    return logs if train or model._steps is None else logs | model._steps.results()


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
