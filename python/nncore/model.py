"""Model: a graph, the engine that runs it, and the training loop around both."""

from __future__ import annotations

import math
import operator
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from nncore import engines, initializers, optimizers
from nncore.arrays import Array, as_rows, check_sample_shape, real
from nncore.engines.base import Engine, RunResult
from nncore.feeds import ArrayFeed, BatchFeed, Feed, LoaderFeed, Order, Totals
from nncore.functional import Connections, Slots, Structured
from nncore.graph import Graph, GraphBuilder, Owner, freeze
from nncore.history import History
from nncore.layers import Layer
from nncore.layers.base import as_tensors
from nncore.lbfgs import LBFGS, Memory
from nncore.metrics import METRICS
from nncore.objectives import Columns, Objective, objectives
from nncore.optable import Shape
from nncore.optimizers import Optimizer
from nncore.progress import Progress, check_verbose
from nncore.summary import lines
from nncore.weighting import ClassWeight, check_class_weight, check_sample_weight, combine

if TYPE_CHECKING:
    from nncore.evaluation import Evaluation
    from nncore.steps import StepResult, Steps

__all__ = ["Model"]

_DEADLINE = 0.1  # seconds after which a native call comes back to let Ctrl-C in and the progress bar move
_FIRST_SLICE = 1024  # samples of a long predict before the first look at the clock
_EPOCH_KEY = 2**63  # shuffles draw from keys above this, parameters from keys below


def _generator(seed: int, key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, key], dtype=np.uint64)))


def _positive(value: int, what: str) -> int:
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"{what}: expected an integer >= 1, got {value!r}")
    return number


class Model(Layer):
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

    def _begin(self, name: str | None, layers: Mapping[str, Layer], inputs: Slots, outputs: Slots) -> None:
        """What a model of any kind starts from."""
        Layer.__init__(self, name)
        self._layers = dict(layers)
        self._inputs, self._outputs = inputs, outputs
        self._parts: dict[str, Owner] = {}  # by layer
        self._owners: tuple[Owner, ...] = ()  # of parameters: layers, models, and their layers
        self._graph: Graph | None = None
        self._thawed: Graph | None = None  # the graph as if no layer were frozen
        self._engine: Engine | None = None
        self._engine_name, self._dtype, self._seed = "native", "float32", 0
        self._weights: list[Array | None] | None = None  # for the engine to start from, instead of drawn ones
        self._optimizer: Optimizer | LBFGS | None = None
        self._memory: Memory | None = None  # of L-BFGS
        self._shows_average = False  # the engine has the moving average in place of the weights
        self._objectives: tuple[Objective, ...] = ()
        self._steps: Steps | None = None
        self._epochs = 0  # of training so far: each has its own order of samples
        self._forward_rows: int | None = None  # of the outputs, where backward may follow
        self._has_gradients = False

    # -- description ---------------------------------------------------------------------------------------------------

    def _assemble(self, builder: GraphBuilder, input_shape: Shape) -> tuple[list[int], dict[str, Layer]]:
        """Add the whole network, for samples of `input_shape` where it is open; returns outputs, and all layers by name."""
        ends = [tensor.add_to(builder, [], self._connections.names[id(tensor)])[0] for tensor in self._connections.inputs]
        return self._connections.build(builder, ends), self._connections.layers

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add the network as a part of another, after the nodes `inputs`; returns its output.

        Raises:
            ValueError: the inputs' shapes do not fit, or there are several outputs.
        """
        nodes = self._results(builder, inputs, name)
        if len(nodes) != 1:
            raise ValueError(f"expected a model with one output, got {len(nodes)}")
        return nodes[0]

    def _results(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> tuple[int, ...]:
        return tuple(self._connections.build(builder, inputs, f"{name}."))

    def __call__(self, inputs: Structured) -> Structured:
        """This model as a layer: the outputs, structured as its own, that it makes of symbolic tensors.

        Raises:
            TypeError, ValueError: something that is not a tensor, or that does not fit the model's inputs.
        """
        tensors = self._inputs.split(inputs, "inputs") if isinstance(inputs, dict) else inputs
        return self._outputs.join(self._call(as_tensors(tensors, f"inputs of {self.label}")))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in order."""
        return tuple(self._layers.values())

    @property
    def graph(self) -> Graph:
        """The network's graph.

        Raises:
            RuntimeError: the input shape is not known yet.
        """
        if self._graph is None:
            raise RuntimeError("the input shape is not known yet: begin the model with nn.Input, or use it on data first")
        return self._graph

    @property
    def input_shape(self) -> Structured:
        """Shape of one sample; of several inputs a list or dict of shapes."""
        return self._inputs.join(self.graph.input_shapes)

    @property
    def output_shape(self) -> Structured:
        """Shape of the output for one sample; of several outputs a list or dict of shapes."""
        return self._outputs.join(self.graph.output_shapes)

    @property
    def dtype(self) -> str:
        """The type of parameters and outputs: ``"float32"`` or ``"float64"``."""
        return self._dtype

    @property
    def optimizer(self) -> Optimizer | LBFGS:
        """The compiled optimizer.

        Raises:
            RuntimeError: the model is not compiled.
        """
        if self._optimizer is None:
            raise RuntimeError("the model has no optimizer: call compile first")
        return self._optimizer

    @property
    def loss(self) -> Any:  # noqa: ANN401 - of several outputs there are several
        """The compiled loss; of several outputs a list or dict, with None where there is none.

        Raises:
            RuntimeError: the model is not compiled with a loss.
        """
        if not self._objectives:
            raise RuntimeError("the model has no loss: call compile(loss=...) first")
        by_output = {objective.output: objective.loss for objective in self._objectives}
        return self._outputs.join([by_output.get(i) for i in range(len(self._outputs.names))])

    @property
    def _stepwise(self) -> bool:
        """Whether the engine needs Python between forward and backward."""
        return self._outputs.kind != "one" or self._objectives[0].loss.own

    def summary(self, print_fn: Callable[[str], object] = print) -> None:
        """Print a table of the layers, with totals of parameters and memory; `print_fn` gets it line by line."""
        states = len(self._optimizer.states) if isinstance(self._optimizer, Optimizer) else None
        for line in lines(self._layers, self._graph, self._parts, self._sources(), self._dtype, states):
            print_fn(line)

    def _sources(self) -> dict[str, str] | None:
        """What each layer is connected to, where that is not just the one before it."""
        return self._connections.sources()

    def compile(
        self,
        optimizer: str | Optimizer | LBFGS = "adam",
        loss: Structured = None,
        metrics: Structured = (),
        engine: str = "native",
        dtype: npt.DTypeLike = "float32",
        seed: int = 0,
        loss_weights: Structured = None,
    ) -> None:
        """Choose how the model is trained and run.

        Compiling again keeps the weights (in the new `dtype`) and starts with a fresh optimizer state.

        Args:
            optimizer: a name or object of `nncore.optimizers`. Its schedule, if any, starts anew.
            loss: a name or object of `nncore.losses`, averaged; ``None`` for a model that is not trained by `fit`. For
                several outputs one for all, a list, or a dict by output; an output may have none.
            metrics: names and objects of `nncore.metrics`; ``"accuracy"`` is that of the task. Those that the engine does
                not compute (all objects, and names such as ``"f1"``) are reported by `evaluate` and for validation only.
                For several outputs a list of lists, or a dict by output.
            engine: ``"native"`` or ``"reference"``.
            dtype: ``"float32"`` or ``"float64"``.
            seed: of first weights, shuffles and dropout; 0 .. 2**64 - 1. One seed gives the same bits every time.
            loss_weights: what each output's loss counts in the total, as a list, or a dict by output: 1 where it says
                nothing. Logs then are ``"loss"``, and ``"<output>_loss"`` and ``"<output>_<metric>"`` for each output.

        Raises:
            TypeError, ValueError: an argument is none of these, or does not fit the output; the model is unchanged.
        """
        self._need_own_weights("compile")
        chosen = optimizers.get(optimizer)
        wanted = objectives(loss, loss_weights, metrics, self._outputs)
        graph = None if self._thawed is None else self._frozen(self._thawed)
        made = engines.create(engine, _ANY_GRAPH if graph is None else graph, dtype, seed)
        if graph is not None:
            wanted = _fitted(wanted, graph)
            _check_groups(chosen, graph)
            weights = self._weights if self._engine is None else self.get_weights()
            _initialize(made, weights)
        self._optimizer, self._objectives, self._steps = chosen, wanted, None
        self._engine_name, self._dtype, self._seed = engine, made.dtype.name, made.seed
        self._engine, self._graph = None if graph is None else made, graph
        self._epochs, self._forward_rows, self._has_gradients = 0, None, False
        self._memory = None

    @property
    def engine(self) -> Engine:
        """The engine, made at first use.

        Raises:
            RuntimeError: the input shape is not known yet.
        """
        if self._engine is None:
            made = engines.create(self._engine_name, self.graph, self._dtype, self._seed)
            _initialize(made, self._weights)
            self._engine = made
        return self._engine

    def _set_graph(self, input_shape: Shape) -> None:
        builder = GraphBuilder()
        nodes, layers = self._assemble(builder, input_shape)
        for i, node in enumerate(nodes):
            if node in nodes[:i]:  # each output has a node of its own
                nodes[i] = builder.node("identity", [node])
        graph = builder.build(outputs=nodes)
        fitted = _fitted(self._objectives, graph)
        _check_groups(self._optimizer, graph)
        self._objectives = fitted
        self._owners = builder.owners
        self._graph, self._thawed, self._layers = self._frozen(graph), graph, layers
        owners = {id(owner.thing): owner for owner in builder.owners}
        self._parts = {name: owners[id(layer)] for name, layer in layers.items()}
        self._weights = _weights_of_parts(builder)

    def _frozen(self, graph: Graph) -> Graph:
        """The graph with the parameters of those layers frozen that are not trainable now."""
        frozen = (owner for owner in self._owners if isinstance(owner.thing, Layer) and not owner.thing.trainable)
        return freeze(graph, {p for owner in frozen for p in owner.parameters})

    def _restore(self, weights: Sequence[Array | None], dtype: str) -> None:
        """Start from `weights` in `dtype`, as do the models that are parts: what loading a file does."""
        self._weights, self._dtype = list(weights), dtype
        for owner in self._parts.values():
            if isinstance(owner.thing, Model) and owner.thing._graph is not None:
                owner.thing._restore([weights[i] for i in owner.parameters], dtype)

    def _known_weights(self) -> Sequence[Array | None]:
        """The weights, or what of them is decided before the engine is made."""
        return self.get_weights() if self._engine is not None else self._weights or []

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
    ) -> History:
        """Train for `epochs` passes over the data.

        Args:
            x: samples [n, ...] of any real dtype, or (without `y`) an iterable of batches (x, y) or (x, y, sample_weight),
                such as a `nncore.data.DataLoader`, that can be repeated for each epoch and does its own batching and
                shuffling.
            y: targets [n, ...], as the loss takes them.
            batch_size: samples per step; the last batch may be smaller.
            epochs: how many passes.
            validation_data: a tuple (x, y) or (x, y, sample_weight) of arrays, or an iterable of batches, evaluated after
                each epoch.
            validation_split: fraction of the arrays, taken from their end, to evaluate on instead of training.
            shuffle: draw a new order of the arrays for each epoch.
            verbose: 0 silent, 1 a line per epoch and a bar on a terminal, 2 lines only.
            class_weight: what samples of each class count in training, as a dict (classes that it does not name: 1) or
                ``"balanced"``: n / (classes * count), all classes alike (arrays only). It multiplies `sample_weight`.
            sample_weight: what each sample counts, [n], not negative. Losses and metrics, and the loss of each batch,
                become weighted means, sum(w * value) / sum(w). A batch that weighs nothing changes nothing.

        Returns:
            Losses and metrics of each epoch (means over its samples while training), those of validation with ``val_``.

        Raises:
            RuntimeError: the model is not compiled with a loss.
            TypeError, ValueError: arrays or options that do not fit; nothing has changed (with an iterable: since the
                batch before the bad one).
            FloatingPointError: the loss became NaN or infinite; the weights are those before the failing step.

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
        batch_size, epochs, verbose = (
            _positive(batch_size, "batch_size"),
            _positive(epochs, "epochs"),
            check_verbose(verbose),
        )
        if not isinstance(shuffle, (bool, np.bool_)):
            raise TypeError(f"shuffle: expected True or False, got {shuffle!r}")
        feed = self._feed(x, y, sample_weight, batch_size, epochs, None if validation_split else class_weight)
        validation: Feed | None = None
        where = " of validation_data"
        if validation_split:
            if validation_data is not None:
                raise ValueError("validation_split: expected 0 beside validation_data")
            check_class_weight(class_weight)
            feed, validation = _split(feed, validation_split)
            feed.sample_weight = self._weights_of(feed.target, feed.sample_weight, class_weight)
        elif isinstance(validation_data, tuple):
            if len(validation_data) not in (2, 3):
                raise ValueError(
                    "validation_data: expected (x, y) or (x, y, sample_weight), got a tuple of length "
                    f"{len(validation_data)}"
                )
            held_x, held_y, *weights = validation_data
            held_weight = weights[0] if weights else None
            validation = self._feed(held_x, held_y, held_weight, batch_size, epochs, where=where)
        elif validation_data is not None:
            validation = self._feed(validation_data, None, None, batch_size, epochs, where=where)

        if isinstance(self.optimizer, LBFGS):
            if not isinstance(feed, ArrayFeed) or isinstance(feed, LoaderFeed):
                raise ValueError("x: expected arrays x and y with LBFGS, got an iterable of batches")
            if self._stepwise or self._inputs.kind != "one":
                raise ValueError("optimizer: expected one of steps for several inputs or outputs or one's own loss")
            feed = feed.whole()

        if isinstance(validation, ArrayFeed):
            self._check_metrics(validation)

        history = History()
        with Progress(verbose, epochs) as progress:
            for epoch in range(epochs):
                generator = _generator(self._seed, _EPOCH_KEY + self._epochs) if shuffle else None
                try:
                    logs = self._pass(feed, True, progress, generator)
                except FloatingPointError as error:
                    error.add_note(
                        f"in epoch {epoch + 1}; the weights are those before that step. Is the learning rate too high?"
                    )
                    raise
                self._epochs += 1
                progress.trained()
                if validation is not None:
                    logs |= {f"val_{k}": v for k, v in self._pass(validation, False, Progress(0)).items()}
                progress.end(logs)
                history.append(logs)
        return history

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
        feed = self._feed(x, y, sample_weight, _positive(batch_size, "batch_size"), 1, class_weight)
        with Progress(check_verbose(verbose), title="evaluate") as progress:
            logs = self._pass(feed, False, progress)
            progress.trained()
            progress.end(logs)
        return logs

    def train_on_batch(
        self, x: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> dict[str, float]:
        """One optimizer step on the batch `x` [n, ...], `y`; returns its loss and metrics. Errors as in `fit`."""
        samples, target, weights = self._batch(x, y, sample_weight)
        if self._stepwise:
            return self._step(True, samples, target, weights, None, 0, len(samples)).means()
        totals = Totals(("loss", *self._objectives[0].names))
        totals.add(self._run(True, samples, target, weights, None, 0, len(samples)))
        return totals.means()

    def predict(self, x: Structured, batch_size: int = 256) -> Structured:
        """Outputs [n, ...] for samples `x` [n, ...] in inference mode; the same bits for any `batch_size`.

        Several inputs or outputs come as lists or dicts, as the model was made.

        Raises:
            TypeError, ValueError: `x` is no array of samples of the model's input shape.
        """
        arrays, batch_size = self._samples(x), _positive(batch_size, "batch_size")
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
        except (TypeError, ValueError):
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

    def _feed(
        self,
        x: npt.ArrayLike | Iterable[Any],
        y: npt.ArrayLike | None,
        sample_weight: npt.ArrayLike | None,
        batch_size: int,
        passes: int,
        class_weight: ClassWeight | None = None,
        where: str = "",
    ) -> Feed:
        check_class_weight(class_weight)
        if y is not None:
            samples: Any = x
            return ArrayFeed(*self._batch(samples, y, sample_weight, class_weight, where), batch_size)
        if sample_weight is not None:
            raise ValueError(
                f"sample_weight{where}: expected none beside batches, which are (x, y, sample_weight) themselves"
            )
        if hasattr(x, "__array__"):
            raise ValueError(f"y{where}: expected targets for the samples x, got None")
        _ = self.loss  # its absence is an error now, not at the first batch
        from nncore.data import DataLoader  # here: importing nncore must not load it

        if type(x) is DataLoader and x.y is not None:
            group, targets = cast(Any, x.x), cast(Any, x.y)
            return LoaderFeed(*self._batch(group, targets, x.sample_weight, class_weight, where), x)
        check_class_weight(class_weight, in_memory=False)
        batches: Any = x
        return BatchFeed(batches, partial(self._batch, class_weight=class_weight, where=where), passes)

    def _pass(
        self, feed: Feed, train: bool, progress: Progress, shuffle: np.random.Generator | None = None
    ) -> dict[str, float]:
        progress.start(feed.samples)
        if self._stepwise:
            return self._pass_in_steps(feed, train, progress, shuffle)
        totals = Totals(("loss", *self._objectives[0].names))
        evaluation = None if train or not self._objectives[0].others else self._evaluation()
        for result in feed.results(partial(self._run, train) if evaluation is None else evaluation.run, shuffle):
            totals.add(result)
            progress.advance(result.samples, totals.means)
        return totals.means() if evaluation is None else totals.means() | evaluation.results()

    def _check_metrics(self, feed: ArrayFeed) -> None:
        """Raise TypeError or ValueError unless the metrics that see the outputs take the targets and weights of `feed`."""
        if not self._stepwise:
            if self._objectives[0].others:
                self._evaluation().check(feed.target, feed.sample_weight)
            return
        targets: Any = feed.target
        for objective in self._objectives:
            target: Any = targets.arrays[objective.output] if isinstance(targets, Columns) else targets
            for metric in objective.others:
                metric.check_target(target, self.graph.output_shapes[objective.output])

    def _evaluation(self) -> Evaluation:
        from nncore.evaluation import Evaluation  # here: most models need none

        (objective,) = self._objectives
        spec, metrics = objective.loss.spec, objective.engine_metrics
        return Evaluation(self.engine, self._engine_name, spec, metrics, objective.others)

    def _pass_in_steps(
        self, feed: Feed, train: bool, progress: Progress, shuffle: np.random.Generator | None
    ) -> dict[str, float]:
        logs: dict[str, float] = {}
        for objective in self._objectives:
            for metric in () if train else objective.others:
                metric.reset()
        run: Any = partial(self._step, train)
        results: Iterator[Any] = feed.results(run, shuffle)
        for result in results:
            progress.advance(result.samples, result.means)
            logs = result.means()
        return logs if train or self._steps is None else logs | self._steps.results()

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
            raise ValueError("optimizer: expected one of steps for several outputs or one's own loss")
        return self._steps.run((optimizer.spec, optimizer.rates(self.engine.iterations, self._epochs, 1)), *data)

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
                self._memory = optimizer.train(self, cast(Any, x), target, sample_weight, self._memory)
                return result
            batches = math.ceil(((len(x) if order is None else len(order)) - start) / batch_size)
            rule, rates = optimizer.spec, optimizer.rates(self.engine.iterations, self._epochs, batches)
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

    # -- one's own loops -----------------------------------------------------------------------------------------------

    def forward(self, x: Structured, training: bool = False) -> Structured:
        """Outputs [n, ...] for a batch `x` [n, ...]; with `training`, dropout is active and `backward` may follow."""
        arrays = self._samples(x)
        outputs = self.engine.forward(arrays, bool(training))
        if training:
            self._forward_rows = len(arrays[0])
        return self._outputs.join(outputs)

    def backward(self, dy: Structured) -> Structured:
        """Gradient of the loss with respect to the input, from that with respect to the output; sets `gradients`.

        Args:
            dy: gradient [n, ...] of the output that the last ``forward(x, training=True)`` gave; for several outputs a
                list or dict of them, as the model was made.

        Returns:
            dx, shaped like that x.

        Raises:
            RuntimeError: there was no such forward, or a backward or training by `fit` or `train_on_batch` since.
            TypeError, ValueError: `dy` is no array of real numbers of the output's shape.

        >>> import numpy as np, nncore as nn
        >>> model = nn.Sequential([nn.Dense(1, kernel_initializer=nn.Constant(2.0))])
        >>> y = model.forward([[1.0, 3.0]], training=True)
        >>> model.backward(np.ones_like(y)).tolist(), model.gradients()["dense.kernel"].tolist()
        ([[2.0, 2.0]], [[1.0], [3.0]])
        """
        if self._forward_rows is None:
            raise RuntimeError("backward: expected a forward(x, training=True) first, and no training since")
        arrays = []
        for i, (value, shape) in enumerate(zip(self._outputs.split(dy, "dy"), self.graph.output_shapes, strict=True)):
            array, wanted = real(value, label := self._outputs.label(i, "dy")), (self._forward_rows, *shape)
            if array.shape != wanted:
                raise ValueError(f"{label}: expected the output's shape {wanted}, got {array.shape}")
            arrays.append(np.asarray(array, self._dtype))
        self._forward_rows = None
        gradients = self.engine.backward(arrays)
        self._has_gradients = True
        return self._inputs.join(gradients)

    def apply_gradients(self, optimizer: Optimizer) -> None:
        """Update the parameters from the last backward's gradients; the same as ``optimizer.step(model)``.

        Raises:
            RuntimeError: there was no backward, or training by `fit` or `train_on_batch` since.
        """
        self._need_gradients()
        self._need_own_weights("apply_gradients")
        _check_groups(optimizer, self.graph)
        self.engine.update(optimizer.spec, optimizer.rates(self.engine.iterations, self._epochs, 1))

    def parameters(self) -> dict[str, Array]:
        """Copies of the parameters by name, such as ``"dense.kernel"``."""
        return {spec.name: self.engine.get_parameter(i) for i, spec in enumerate(self.graph.parameters)}

    def gradients(self) -> dict[str, Array]:
        """Copies of the gradients that the last backward left, by parameter name.

        Raises:
            RuntimeError: there was no backward, or training by `fit` or `train_on_batch` since.
        """
        self._need_gradients()
        return {spec.name: self.engine.get_gradient(i) for i, spec in enumerate(self.graph.parameters)}

    def penalty(self) -> float:
        """What the weights cost by their regularizers: the part of the loss that does not depend on data.

        `fit`, `train_on_batch` and `evaluate` add it to the loss that they report, and `backward` its gradient to that of
        the weights; in a loop of one's own, the loss is that of the data plus this.
        """
        return self.engine.penalty()

    def _need_gradients(self) -> None:
        if not self._has_gradients:
            raise RuntimeError("there are no gradients: expected a forward(x, training=True) and a backward(dy) before")

    # -- weights -------------------------------------------------------------------------------------------------------

    def get_weights(self, part: Layer | None = None) -> list[Array]:
        """Copies of all parameters, in the graph's order, or of those of one layer.

        With a model that is a layer of this one, this is how to bring what it has learned here back to it.

        Raises:
            ValueError: `part` is no layer of this model.

        >>> import nncore as nn
        >>> encoder = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
        >>> whole = nn.Sequential([nn.Input((4,)), encoder, nn.Dense(4)])
        >>> encoder.set_weights(whole.get_weights(encoder))
        """
        if part is None:
            return list(self.parameters().values())
        owner = next((owner for owner in self._parts.values() if owner.thing is part), None)
        if owner is None:
            raise ValueError(f"part: expected a layer of this model, got {part!r}")
        return [self.engine.get_parameter(i) for i in owner.parameters]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Overwrite all parameters, in the order of `get_weights`.

        Raises:
            TypeError, ValueError: not that many arrays, not of these shapes, or not real numbers; nothing has changed.
        """
        specs = self.graph.parameters
        if len(weights) != len(specs):
            raise ValueError(f"weights: expected {len(specs)} arrays, got {len(weights)}")
        arrays = [real(weight, f"weights[{i}]") for i, weight in enumerate(weights)]
        for i, (array, spec) in enumerate(zip(arrays, specs, strict=True)):
            if array.shape != spec.shape:
                raise ValueError(f"weights[{i}] ({spec.name}): expected shape {spec.shape}, got {array.shape}")
        for i, array in enumerate(arrays):
            self.engine.set_parameter(i, array)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Inside a ``with``, the trainable weights are the moving average that an optimizer with ``use_ema=True`` keeps.

        For `evaluate`, `predict`, `get_weights` and `save`; training there is refused. Afterwards the weights are again
        those of before.

        Raises:
            RuntimeError: the optimizer keeps no average, or has made no update yet.

        >>> import numpy as np, nncore as nn
        >>> model = nn.Sequential([nn.Input((1,)), nn.Dense(1, kernel_initializer="zeros")])
        >>> model.compile(nn.SGD(0.5, use_ema=True, ema_momentum=0.5), "mse", dtype="float64")
        >>> for _ in range(2):
        ...     logs = model.train_on_batch([[1.0]], [[1.0]])
        >>> with model.averaged_weights():
        ...     average = model.get_weights()[0]
        >>> model.get_weights()[0].tolist(), average.tolist()
        ([[0.0]], [[0.5]])
        """
        self._need_own_weights("averaged_weights")
        optimizer = self.optimizer
        if isinstance(optimizer, LBFGS) or optimizer.spec.ema_momentum is None or not self.engine.iterations:
            raise RuntimeError("averaged_weights: expected an optimizer with use_ema=True, and an update by it before")
        trainable = [i for i, spec in enumerate(self.graph.parameters) if spec.trainable]
        own = {i: self.engine.get_parameter(i) for i in trainable}
        self._shows_average = True
        try:
            for i in trainable:
                self.engine.set_parameter(i, self.engine.get_state("ema", "average", i))
            yield
        finally:
            for i, value in own.items():
                self.engine.set_parameter(i, value)
            self._shows_average = False

    def _need_own_weights(self, what: str) -> None:
        if self._shows_average:
            raise RuntimeError(f"{what}: expected not to be called inside averaged_weights()")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the architecture and the weights to one safetensors file; `nncore.load` reads it.

        The file at `path` is replaced at once and as a whole, or not at all. Compilation and optimizer state are not kept.

        Raises:
            ValueError: a layer of a class that a file cannot name.
            OSError: the file cannot be written.
        """
        from nncore.io import save  # here: io imports the models it can read

        save(self, path)


_NO_RATES: Sequence[float] = ()


def _check_groups(optimizer: Optimizer | LBFGS | None, graph: Graph) -> None:
    """Raise ValueError where the optimizer's groups name parameters that the graph does not have."""
    if isinstance(optimizer, Optimizer) and optimizer.spec.groups:
        optimizer.check_names([parameter.name for parameter in graph.parameters])


def _any_graph() -> Graph:
    """The smallest graph, for checking an engine's options before the model's own graph is known."""
    builder = GraphBuilder()
    return builder.build(outputs=[builder.input((1,))])


_ANY_GRAPH = _any_graph()


def _initialize(engine: Engine, weights: Sequence[Array | None] | None) -> None:
    """Set the parameters: to `weights`, or drawn by their initialisers."""
    for i, spec in enumerate(engine.graph.parameters):
        given = None if weights is None else weights[i]
        engine.set_parameter(i, initializers.draw(spec, _generator(engine.seed, i)) if given is None else given)


def _weights_of_parts(builder: GraphBuilder) -> list[Array | None] | None:
    """For each parameter the value that a model which is a part has for it; what encloses a part goes before it."""
    values: dict[int, Array] = {}
    for owner in reversed(builder.owners):
        if isinstance(owner.thing, Model):
            known = owner.thing._known_weights()
            pairs = zip(owner.parameters, known, strict=bool(known))
            values |= {index: value for index, value in pairs if value is not None}
    return [values.get(i) for i in range(builder.parameter_count)] if values else None


def _fitted(wanted: Sequence[Objective], graph: Graph) -> tuple[Objective, ...]:
    """The objectives for the graph's outputs; a ValueError where a loss or a metric cannot follow one."""
    return tuple(objective.fitted(graph.output_shapes[objective.output]) for objective in wanted)


def _split(feed: Feed, fraction: float) -> tuple[ArrayFeed, ArrayFeed]:
    """All but the last `fraction` of an array feed, and that fraction; counted as Keras does."""
    if not isinstance(feed, ArrayFeed) or isinstance(feed, LoaderFeed):
        raise ValueError("validation_split: expected 0 beside an iterable of batches")
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split: expected a fraction in [0, 1), got {fraction!r}")
    count = math.floor(feed.samples * (1 - fraction))
    if not 0 < count < feed.samples:
        raise ValueError(f"validation_split: expected to leave samples on both sides, got {fraction!r} of {feed.samples}")
    return feed.part(0, count), feed.part(count, feed.samples)
