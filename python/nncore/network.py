"""Network: layers between inputs and outputs as a graph, the engine that runs it, and its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncore import engines, initializers, optimizers
from nncore.arrays import Array, real
from nncore.engines.base import Engine
from nncore.functional import Connections, Slots, Structured
from nncore.graph import Graph, GraphBuilder, Owner, freeze
from nncore.history import History
from nncore.layers import Layer
from nncore.layers.base import as_tensors
from nncore.lbfgs import LBFGS, Memory
from nncore.objectives import Objective, objectives
from nncore.optable import Shape
from nncore.optimizers import Optimizer
from nncore.summary import lines
from nncore.turns import ForkAwareLock, Turns

if TYPE_CHECKING:
    from nncore.steps import Steps

__all__ = ["ANY_GRAPH", "Network", "check_groups", "check_model", "generator"]


def check_model(model: object) -> None:
    """Raise TypeError unless `model` is one."""
    if not isinstance(model, Network):
        raise TypeError(f"model: expected a Model, got {type(model).__name__}")


class _Key(np.random.bit_generator.ISeedSequence):
    """A key as it is: ``Philox(key=...)`` would ask the system for entropy first, which takes longer than a short epoch."""

    def __init__(self, *words: int) -> None:
        self._words = np.array(words, np.uint64)

    def generate_state(self, n_words: int, dtype: npt.DTypeLike = np.uint32) -> Array:
        return self._words


def generator(seed: int, key: int) -> np.random.Generator:
    """Random numbers of their own for each `key` beside one `seed`: those of ``Philox(key=[seed, key])``."""
    seeds: Any = _Key(seed, key)  # NumPy's stubs know SeedSequence only
    return np.random.Generator(np.random.Philox(seeds))


class Network(Layer):
    """What a model is apart from its training: layers, the graph that they build, an engine for it, and weights."""

    _connections: Connections
    history: History
    stop_training: bool

    def _begin(self, name: str | None, layers: Mapping[str, Layer], inputs: Slots, outputs: Slots) -> None:
        """What a model of any kind starts from."""
        Layer.__init__(self, name)
        self.metadata: dict[str, str] = {}
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
        self._short: Callable[[object, object], dict[str, float] | None] | None = None  # for train_on_batch
        self._epochs = 0  # of training so far: each has its own order of samples
        self.history, self.stop_training = History(), False
        self._forward_rows: int | None = None  # of the outputs, where backward may follow
        self._has_gradients = False
        self._turns, self._making = Turns(), ForkAwareLock()

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
            RuntimeError: the model is being trained in another thread.
        """
        with self._turns.take("compile", within=True):
            self._need_own_weights("compile")
            chosen = optimizers.get(optimizer)
            wanted = objectives(loss, loss_weights, metrics, self._outputs)
            graph = None if self._thawed is None else frozen(self._thawed, self._owners)
            made = engines.create(engine, ANY_GRAPH if graph is None else graph, dtype, seed)
            if graph is not None:
                wanted = _fitted(wanted, graph)
                check_groups(chosen, graph)
                weights = self._weights if self._engine is None else self.get_weights()
                _initialize(made, weights)
            self._optimizer, self._objectives, self._steps = chosen, wanted, None
            self._short = None
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
        engine = self._engine
        if engine is None:
            with self._making.held():  # one engine, whoever is first
                engine = self._engine
                if engine is None:
                    engine = engines.create(self._engine_name, self.graph, self._dtype, self._seed)
                    _initialize(engine, self._weights)
                    self._engine = engine
        return engine

    def _forget(self) -> None:
        """Drop what was prepared for, or is left of, steps with the weights of before."""
        self._steps = self._short = None
        self._forward_rows, self._has_gradients = None, False

    def _set_graph(self, input_shape: Shape) -> None:
        builder = GraphBuilder()
        nodes, layers = self._assemble(builder, input_shape)
        for i, node in enumerate(nodes):
            if node in nodes[:i]:  # each output has a node of its own
                nodes[i] = builder.node("identity", [node])
        graph = builder.build(outputs=nodes)
        fitted = _fitted(self._objectives, graph)
        check_groups(self._optimizer, graph)
        owners = {id(owner.thing): owner for owner in builder.owners}
        parts = {name: owners[id(layer)] for name, layer in layers.items()}
        weights, visible = _weights_of_parts(builder), frozen(graph, builder.owners)
        self._objectives, self._owners, self._parts, self._weights = fitted, builder.owners, parts, weights
        self._graph, self._thawed, self._layers = visible, graph, layers

    def _restore(self, weights: Sequence[Array | None], dtype: str) -> None:
        """Start from `weights` in `dtype`, as do the models that are parts: what loading a file does."""
        self._weights, self._dtype = list(weights), dtype
        for owner in self._parts.values():
            if isinstance(owner.thing, Network) and owner.thing._graph is not None:
                owner.thing._restore([weights[i] for i in owner.parameters], dtype)

    def _known_weights(self) -> Sequence[Array | None]:
        """The weights, or what of them is decided before the engine is made."""
        return self.get_weights() if self._engine is not None else self._weights or []

    # -- weights -------------------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, Array]:
        """Copies of the parameters by name, such as ``"dense.kernel"``."""
        engine = self.engine
        with engine.held():
            return {spec.name: engine.get_parameter(i) for i, spec in enumerate(engine.graph.parameters)}

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
        engine = self.engine
        with engine.held():
            return [engine.get_parameter(i) for i in owner.parameters]

    def set_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Overwrite all parameters, in the order of `get_weights`.

        Raises:
            TypeError, ValueError: not that many arrays, not of these shapes, or not real numbers; nothing has changed.
        """
        specs = self.graph.parameters
        given: Any = weights  # Any: what users pass is checked here
        if not isinstance(given, (list, tuple)) and not (isinstance(given, np.ndarray) and given.ndim):
            raise TypeError(f"weights: expected a list of {len(specs)} arrays, got {type(weights).__name__}")
        if len(weights) != len(specs):
            raise ValueError(f"weights: expected {len(specs)} arrays, got {len(weights)}")
        arrays = [real(weight, f"weights[{i}]") for i, weight in enumerate(weights)]
        for i, (array, spec) in enumerate(zip(arrays, specs, strict=True)):
            if array.shape != spec.shape:
                raise ValueError(f"weights[{i}] ({spec.name}): expected shape {spec.shape}, got {array.shape}")
        self.engine.assign(dict(enumerate(arrays)))

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
        with self._turns.take("averaged_weights", within=True):
            own = {i: self.engine.get_parameter(i) for i in trainable}
            average = {i: self.engine.get_state("ema", "average", i) for i in trainable}
            try:
                self._shows_average = True
                self.engine.assign(average)
                yield
            finally:
                del average
                try:
                    self.engine.assign(own)
                except MemoryError:  # some has been freed now, and without these weights training is lost
                    self.engine.assign(own)
                finally:
                    self._shows_average = False

    def _need_own_weights(self, what: str) -> None:
        if self._shows_average:
            raise RuntimeError(f"{what}: expected not to be called inside averaged_weights()")


def check_groups(optimizer: Optimizer | LBFGS | None, graph: Graph) -> None:
    """Raise ValueError where the optimizer's groups name parameters that the graph does not have."""
    if isinstance(optimizer, Optimizer) and optimizer.spec.groups:
        optimizer.check_names([parameter.name for parameter in graph.parameters])


def _any_graph() -> Graph:
    """The smallest graph, for checking an engine's options before the model's own graph is known."""
    builder = GraphBuilder()
    return builder.build(outputs=[builder.input((1,))])


ANY_GRAPH = _any_graph()


def _initialize(engine: Engine, weights: Sequence[Array | None] | None) -> None:
    """Set the parameters: to `weights`, or drawn by their initialisers."""
    for i, spec in enumerate(engine.graph.parameters):  # one by one: an initialiser's array is as large as the parameter
        given = None if weights is None else weights[i]
        engine.set_parameter(i, initializers.draw(spec, generator(engine.seed, i)) if given is None else given)


def frozen(graph: Graph, owners: Sequence[Owner]) -> Graph:
    """The graph with the parameters of those layers frozen that are not trainable now."""
    still = (owner for owner in owners if isinstance(owner.thing, Layer) and not owner.thing.trainable)
    return freeze(graph, {p for owner in still for p in owner.parameters})


def _weights_of_parts(builder: GraphBuilder) -> list[Array | None] | None:
    """For each parameter the value that a model which is a part has for it; what encloses a part goes before it."""
    values: dict[int, Array] = {}
    for owner in reversed(builder.owners):
        if isinstance(owner.thing, Network):
            known = owner.thing._known_weights()
            pairs = zip(owner.parameters, known, strict=bool(known))
            values |= {index: value for index, value in pairs if value is not None}
    return [values.get(i) for i in range(builder.parameter_count)] if values else None


def _fitted(wanted: Sequence[Objective], graph: Graph) -> tuple[Objective, ...]:
    """The objectives for the graph's outputs; a ValueError where a loss or a metric cannot follow one."""
    return tuple(objective.fitted(graph.output_shapes[objective.output]) for objective in wanted)
