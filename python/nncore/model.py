"""Model: a network that can be trained and used."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, as_rows, check_sample_shape, positive
from nncore.engines.base import RunResult
from nncore.feeds import Order, Totals
from nncore.functional import Connections, Structured
from nncore.lbfgs import LBFGS
from nncore.manual import Steppable
from nncore.metrics import METRICS
from nncore.objectives import Columns, Objective, columns, total_loss
from nncore.weighting import ClassWeight, check_sample_weight, combine

if TYPE_CHECKING:
    from nncore.callbacks import Callback
    from nncore.history import History
    from nncore.steps import StepResult

__all__ = ["Model"]

_DEADLINE = 0.1  # seconds after which a native call comes back to let Ctrl-C in and the progress bar move
_FIRST_SLICE = 1024  # samples of a long predict before the first look at the clock


class Model(Steppable):
    """A network that can be trained and used: the layers between symbolic inputs and outputs.

    A model works from the start with the native engine in float32 and seed 0; `compile` chooses otherwise and prepares
    training. Every call checks its arguments before it changes anything.

    Called on symbolic tensors, a model is a layer of another one. That one has weights of its own; they begin as this
    model's are when the other one is made, if it has been used by then.

    Args:
        inputs: an `nncore.Input`, a list of them, or a dict by name. Samples then come as an array, a list or tuple of
            arrays, or a dict by name.
        outputs: what layers made of them: a tensor, a list, or a dict by name; results and targets come likewise. In a list
            each is called after its layer.
        name: what the model is called as a part of another.

    Attributes:
        metadata: text by name that goes with the model into its file; empty to begin with, and yours to fill.
        history: the `nncore.History` of the last `fit`, also while it runs and where it was interrupted.
        stop_training: what a callback sets to end `fit`.

    Raises:
        TypeError: something that is not a symbolic tensor.
        ValueError: an output that depends on other inputs, layers of one name, or shapes that do not fit.

    Source: Keras ``Model``.

    >>> import nncore as nn
    >>> a = nn.Input((8,))
    >>> h = nn.Dense(16, activation="relu")(a)
    >>> model = nn.Model(a, nn.Add()([nn.Dense(8)(h), a]))
    >>> model.output_shape
    (8,)
    """

    def __init__(self, inputs: Structured, outputs: Structured, name: str | None = None) -> None:
        self._connections = Connections(inputs, outputs)
        self._begin(name, self._connections.layers, self._connections.input_slots, self._connections.output_slots)
        self._set_graph(())

    @property
    def _stepwise(self) -> bool:
        """Whether the engine needs Python between forward and backward."""
        first = self._objectives[0]
        return self._outputs.kind != "one" or first.loss.own or first.weight != 1.0

    # -- training ------------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: npt.ArrayLike | Iterable[Any],
        y: npt.ArrayLike | None = None,
        batch_size: int = 32,
        epochs: int = 1,
        validation_data: tuple[npt.ArrayLike, ...] | Iterable[Any] | None = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        verbose: int = 1,
        class_weight: ClassWeight | None = None,
        sample_weight: npt.ArrayLike | None = None,
        callbacks: Callback | Sequence[Callback] = (),
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        stratify: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> History:
        """Train for `epochs` passes over the data.

        Ctrl-C ends it by KeyboardInterrupt after a whole step; `history` then has what was done.

        Args:
            x: samples [n, ...] of any real dtype, or (without `y`) an iterable of batches (x, y) or (x, y, sample_weight),
                such as a `nncore.data.DataLoader`, that can be repeated for each epoch and does its own batching and
                shuffling. Samples may be memory-mapped, and frames of pandas or polars or tables of Arrow with columns of
                numbers; those of several inputs come in a list, a tuple or a dict by name.
            y: targets [n, ...], as the loss takes them.
            batch_size: samples per step; the last batch may be smaller.
            epochs: how many passes, counted from epoch 0 also where `initial_epoch` says that training begins later.
            validation_data: a tuple (x, y) or (x, y, sample_weight) of arrays, or an iterable of batches, evaluated after
                each epoch.
            validation_split: fraction of the arrays, taken from their end, to evaluate on instead of training.
            shuffle: draw a new order of the arrays for each epoch.
            verbose: 0 silent, 1 a line per epoch and a bar on a terminal, 2 lines only.
            class_weight: what samples of each class count in training, as a dict (classes that it does not name: 1) or
                ``"balanced"``: n / (classes * count), all classes alike (arrays only). It multiplies `sample_weight`.
            sample_weight: what each sample counts, [n], not negative. Losses and metrics, and the loss of each batch,
                become weighted means, sum(w * value) / sum(w). A batch that weighs nothing changes nothing.
            callbacks: one of `nncore.callbacks`, or a list of them, called in this order.
            initial_epoch: the number of the epoch at which training begins, for callbacks and the history.
            steps_per_epoch: how many batches of an iterable are an epoch. The next epoch goes on where it ended, so that a
                generator may have no end; an iterable that has one begins anew there.
            stratify: whether the samples of `validation_split` are not the last ones, but drawn so that every class has its
                share, as `nncore.data.train_test_split` draws them with the model's seed.
            checkpoint: a folder in which a checkpoint is kept after every epoch: all of the model's and the optimizer's
                state, of the callbacks', the loader's place, and the history.
            resume: whether to go on from the last complete checkpoint there, if there is one, up to `epochs` in all: bit
                for bit as if training had never been interrupted. The model must be compiled as it was then.

        Returns:
            `history`: losses and metrics of each epoch (means over its samples while training), those of validation with
            ``val_``.

        Raises:
            RuntimeError: the model is not compiled with a loss, or is being trained already, as by another thread.
            TypeError, ValueError: arrays or options that do not fit; nothing has changed (with an iterable: since the
                batch before the bad one).
            FloatingPointError: the loss became NaN or infinite; the weights are those before the failing step. The message
                names the step, and the first layer whose output was not finite.
            OSError: a checkpoint cannot be written or read.

        Source: Keras ``Model.fit`` (which divides by the number of samples, not by their weights);
        ``"balanced"``: scikit-learn ``compute_class_weight``.

        >>> import numpy as np, nncore as nn
        >>> model = nn.Sequential([nn.Dense(1)])
        >>> model.compile(optimizer=nn.SGD(0.1), loss="mse")
        >>> x = np.linspace(-1, 1, 64).reshape(64, 1)
        >>> history = model.fit(x, 2 * x + 1, epochs=100, verbose=0)
        >>> model.predict([[0.5]]).round(3).tolist()
        [[2.0]]
        """
        from nncore import training  # here: a model that only predicts needs none of it

        with self._turns.take("fit"):
            return training.fit(
                self,
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                validation_data=validation_data,
                validation_split=validation_split,
                shuffle=shuffle,
                verbose=verbose,
                class_weight=class_weight,
                sample_weight=sample_weight,
                callbacks=callbacks,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                stratify=stratify,
                checkpoint=checkpoint,
                resume=resume,
            )

    def evaluate(
        self,
        x: npt.ArrayLike | Iterable[Any],
        y: npt.ArrayLike | None = None,
        batch_size: int = 32,
        verbose: int = 0,
        class_weight: ClassWeight | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> dict[str, float]:
        """Loss and metrics, as means over the samples, in inference mode. Arguments and errors as in `fit`."""
        from nncore import training  # here, as in fit

        return training.evaluate(self, x, y, batch_size, verbose, class_weight, sample_weight)

    def partial_fit(
        self,
        x: npt.ArrayLike | Iterable[Any],
        y: npt.ArrayLike | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        class_weight: ClassWeight | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> dict[str, float]:
        """One pass over a part of an endless stream; returns its losses and metrics.

        Like ``fit(..., epochs=1)`` it counts as an epoch for shuffles and schedules, but it leaves `history` alone.
        Arguments and errors as in `fit`.

        Source: scikit-learn ``MLPClassifier.partial_fit``.

        >>> import numpy as np, nncore as nn
        >>> model = nn.Sequential([nn.Dense(1)])
        >>> model.compile(nn.SGD(0.1), "mse")
        >>> for part in range(50):
        ...     x = np.random.default_rng(part).uniform(-1, 1, (64, 1))
        ...     logs = model.partial_fit(x, 2 * x + 1)
        >>> logs["loss"] < 1e-3
        True
        """
        from nncore import training  # here, as in fit

        with self._turns.take("partial_fit"):
            return training.partial_fit(self, x, y, batch_size, shuffle, class_weight, sample_weight)

    def train_on_batch(
        self, x: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> dict[str, float]:
        """One optimizer step on the batch `x` [n, ...], `y`; returns its loss and metrics. Errors as in `fit`."""
        if sample_weight is None and self._short is not None and (logs := self._short(x, y)) is not None:
            return logs
        self._turns.check("train_on_batch")
        samples, target, weights = self._batch(x, y, sample_weight)
        if self._stepwise:
            return self._step(True, samples, target, weights, None, 0, len(samples)).means()
        totals = Totals(("loss", *self._objectives[0].names))
        self._short = self._short_way()  # before the step: it needs memory
        totals.add(self._run(True, samples, target, weights, None, 0, len(samples)))
        return totals.means()

    def _short_way(self) -> Callable[[object, object], dict[str, float] | None] | None:
        """`train_on_batch` for arrays that need no conversion, prepared; None where there is no such way.

        It gives None, and has done nothing, if it does not take the arrays or the model has changed.
        """
        objective, optimizer = self._objectives[0], self.optimizer
        plain = None if objective.loss.own else objective.loss.plain_targets
        if plain is None or self._inputs.kind != "one" or isinstance(optimizer, LBFGS):
            return None
        rule, engine, turns, names = optimizer.spec, self.engine, self._turns, ("loss", *objective.names)
        indices = plain.indices and all("indices" in METRICS[metric].targets for metric in objective.engine_metrics)
        step = engine.step(objective.loss.spec, objective.engine_metrics, rule, indices, plain.low, plain.high)
        if step is None:
            return None

        def short(x: object, y: object) -> dict[str, float] | None:
            if optimizer.spec is not rule or self._engine is not engine or turns or self._shows_average:
                return None
            self._forward_rows, self._has_gradients = None, False
            rates = optimizer.rates(engine.iterations, self._epochs, 1) if optimizer.scheduled else _NO_RATES
            try:
                means = step(x, y, rates)
            except FloatingPointError as error:
                self._tell_origin(error, x)
                raise
            return None if means is None else dict(zip(names, means, strict=True))

        return short

    def predict(self, x: Structured, batch_size: int = 256) -> Structured:
        """Outputs [n, ...] for samples `x` [n, ...] in inference mode; the same bits for any `batch_size`.

        Several inputs or outputs come as lists or dicts, as the model was made.

        Raises:
            TypeError, ValueError: `x` is no array of samples of the model's input shape.
        """
        if self._engine is not None and type(batch_size) is int and batch_size > 0:
            plain = self._engine.predict_plain(x, batch_size)
            if plain is not None:
                return self._outputs.join([plain])
        arrays, batch_size = self._samples(x), positive(batch_size, "batch_size")
        rows = len(arrays[0])
        if rows <= _FIRST_SLICE:
            return self._outputs.join(self.engine.predict(arrays, batch_size))
        # Slices that take about the deadline each let Ctrl-C in; no sample's bits depend on its neighbours.
        outputs = [np.empty((rows, *shape), self._dtype) for shape in self.graph.output_shapes]
        position, length = 0, _FIRST_SLICE
        while position < rows:
            began = time.monotonic()
            part = slice(position, min(position + length, rows))
            for output, values in zip(outputs, self.engine.predict([a[part] for a in arrays], batch_size), strict=True):
                output[part] = values
            position = part.stop
            if time.monotonic() - began < _DEADLINE / 2:
                length *= 2
        return self._outputs.join(outputs)

    def _samples(self, x: Structured, what: str = "x") -> list[Array]:
        """`x` as the arrays that the engine takes; decides the input shape where it is still open."""
        labels = [self._inputs.label(i, what) for i in range(len(self._inputs.names))]
        arrays = [as_rows(value, label) for value, label in zip(self._inputs.split(x, what), labels, strict=True)]
        if self._graph is None:
            with self._making.held():
                if self._graph is None:
                    self._set_graph(arrays[0].shape[1:])
        for array, shape, label in zip(arrays, self.graph.input_shapes, labels, strict=True):
            check_sample_shape(array, shape, label)
            if len(array) != len(arrays[0]):
                raise ValueError(f"{label}: expected {len(arrays[0])} samples as in {labels[0]}, got {len(array)}")
        return arrays

    def _batch(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        class_weight: ClassWeight | None = None,
        where: str = "",
    ) -> tuple[Any, Any, Any]:
        """`x`, `y` and weights as the engine takes them: arrays, or of several inputs or outputs `Columns`.

        The input shape stays open if they do not fit together.
        """
        _, shape_was_open, layers = self.loss, self._graph is None, self._layers
        try:
            inputs = self._samples(x, f"x{where}")
            samples: Any = inputs[0] if self._inputs.kind == "one" else Columns(inputs)
            if self._outputs.kind != "one":
                if class_weight is not None:
                    raise ValueError("class_weight: expected None for a model with several outputs")
                return samples, *self._columns(y, sample_weight, len(samples), where)
            target = self._target(self._objectives[0], self._outputs.split(y, f"y{where}")[0], len(samples), f"y{where}")
            weights = check_sample_weight(sample_weight, len(samples), f"sample_weight{where}")
            return samples, target, self._weights_of(target, weights, class_weight, where)
        except Exception:
            if shape_was_open:
                self._graph, self._thawed, self._layers = None, None, layers
            raise

    def _target(self, objective: Objective, y: npt.ArrayLike, rows: int, what: str) -> Array:
        shape = self.graph.output_shapes[objective.output]
        target: Array = objective.loss.check_target(y, rows, shape, self._dtype, what)
        if target.dtype.kind == "i" and not objective.loss.own:
            for name, metric in zip(objective.names, objective.engine_metrics, strict=True):
                if "indices" not in METRICS[metric].targets:
                    raise ValueError(f"{what}: expected values for metric {name!r}, got class indices")
        return target

    def _columns(self, y: Structured, sample_weight: Structured, rows: int, where: str) -> tuple[Columns, Columns | None]:
        """Targets and weights of several outputs; of those without a loss there are none."""
        names, wanted = self._outputs.names, {objective.output: objective for objective in self._objectives}
        if isinstance(y, Mapping):
            y = {name: None for i, name in enumerate(names) if i not in wanted} | dict(y)
        targets: list[Array | None] = []
        for i, value in enumerate(self._outputs.split(y, f"y{where}")):
            label = self._outputs.label(i, f"y{where}")
            if (value is None) == (i in wanted):
                expected = "targets for its loss" if i in wanted else "None for an output without a loss"
                raise ValueError(f"{label}: expected {expected}, got {type(value).__name__}")
            targets.append(None if value is None else self._target(wanted[i], value, rows, label))
        if sample_weight is None:
            return Columns(targets), None
        structured = isinstance(sample_weight, (Mapping, list, tuple))
        each = self._outputs.split(sample_weight, "sample_weight") if structured else [sample_weight] * len(names)
        labels = [self._outputs.label(i, f"sample_weight{where}") for i in range(len(names))]
        weights = [check_sample_weight(value, rows, label) for value, label in zip(each, labels, strict=True)]
        return Columns(targets), Columns(weights)

    def _weights_of(
        self, target: Array, sample_weight: Array | None, class_weight: ClassWeight | None, where: str = ""
    ) -> Array | None:
        if class_weight is None:
            return sample_weight
        classes = self.output_shape[-1] if self.output_shape != (1,) else None
        return combine(target, sample_weight, class_weight, self.loss.attrs.get("ignore_index"), classes, f"y{where}")

    def _step(self, train: bool, *data: Structured) -> StepResult:
        if self._steps is None:
            from nncore.steps import Steps  # here: most models need none

            self._steps = Steps(self.engine, self._engine_name, self._objectives)
        if not train:
            return self._steps.run(None, *data)
        self._need_own_weights("training")
        self._forward_rows, self._has_gradients = None, False
        optimizer = self.optimizer
        if isinstance(optimizer, LBFGS):
            result = self._steps.run(None, *data)
            self._minimize(optimizer, *data[:3])
            return result
        try:
            return self._steps.run((optimizer.spec, optimizer.rates(self.engine.iterations, self._epochs, 1)), *data)
        except FloatingPointError as error:
            self._tell_origin(error, data[0], *data[3:6])
            raise

    def _tell_origin(self, error: FloatingPointError, *batch: Any) -> None:  # noqa: ANN401 - as divergence.tell takes it
        from nncore import divergence  # here: most training needs none of it

        divergence.tell(error, self.engine, *batch)

    def _run(
        self,
        train: bool,
        x: Array | Columns,
        target: Array,
        sample_weight: Array | None,
        order: Order | None,
        start: int,
        batch_size: int,
        sums: Sequence[float] = (),
    ) -> RunResult:
        objective, optimizer = self._objectives[0], self.optimizer
        rule, rates = None, _NO_RATES
        if train:
            self._need_own_weights("training")
            self._forward_rows, self._has_gradients = None, False  # the engine's buffers serve the run
            if isinstance(optimizer, LBFGS):
                result = self._run(False, x, target, sample_weight, order, start, batch_size, sums)
                self._minimize(optimizer, x, target, sample_weight)
                return result
            batches = math.ceil(((len(x) if order is None else len(order)) - start) / batch_size)
            rule, rates = optimizer.spec, optimizer.rates(self.engine.iterations, self._epochs, batches)
        draws = self.engine.draws
        try:
            return self.engine.run(
                [x] if isinstance(x, np.ndarray) else x.present,
                target,
                order=order,
                start=start,
                batch_size=batch_size,
                loss=objective.loss.spec,
                metrics=objective.engine_metrics,
                rule=rule,
                rates=rates,
                deadline=_DEADLINE,
                sums=sums,
                sample_weight=sample_weight,
            )
        except FloatingPointError as error:
            if train:  # the steps before the one that failed were whole
                self._tell_origin(error, x, order, start + (self.engine.draws - draws) * batch_size, batch_size)
            raise

    def _minimize(self, optimizer: LBFGS, x: Structured, target: Structured, sample_weight: Structured) -> None:
        targets, weights = columns(target), None if sample_weight is None else columns(sample_weight)
        inputs = [array for array in columns(x) if array is not None]
        loss = partial(total_loss, self._objectives, targets=targets, weights=weights)
        self._memory = optimizer.train(self.engine, inputs, loss, self._memory)


_NO_RATES: Sequence[float] = ()
