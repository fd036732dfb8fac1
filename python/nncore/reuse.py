"""What is made of a network that is there: copies and pickles, clones, frozen layers, weights taken over by name."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Self

import numpy.typing as npt

from nncore import engines, state
from nncore.arrays import real
from nncore.graph import freeze
from nncore.history import History
from nncore.layers import Layer
from nncore.lbfgs import LBFGS, Memory
from nncore.network import ANY_GRAPH, Network, frozen
from nncore.scalars import flag
from nncore.turns import ForkAwareLock, Turns

__all__ = ["Reusable"]


class Reusable(Network):
    """A network that can be copied and pickled, cloned, frozen in parts, and given weights by name."""

    # What a copy makes anew, from what it has of the rest.
    _REBUILT: ClassVar = {"_graph", "_thawed", "_owners", "_parts", "_engine", "_weights", "_memory"}
    _DROPPED: ClassVar = {"_steps", "_short", "_forward_rows", "_has_gradients", "_shows_average", "_turns", "_making"}

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: layers, compilation, and all that training has changed, the optimizer's state too."""
        self._need_own_weights("copy")
        kept = {key: value for key, value in vars(self).items() if key not in self._REBUILT | self._DROPPED}
        if self._graph is not None and self._thawed is not None:
            pairs = enumerate(zip(self._graph.parameters, self._thawed.parameters, strict=True))
            kept["_input_shape"] = self._graph.input_shapes[0]
            kept["_frozen_parameters"] = {i for i, (now, thawed) in pairs if now.trainable != thawed.trainable}
            kept["_weights"] = self._weights
        if self._engine is not None:
            kept["_state"] = state.capture(self)
        return kept

    def __setstate__(self, kept: dict[str, Any]) -> None:
        """See `__getstate__`."""
        kept = dict(kept)
        shape, frozen = kept.pop("_input_shape", None), kept.pop("_frozen_parameters", set())
        weights, trained = kept.pop("_weights", None), kept.pop("_state", None)
        self.__dict__.update(kept)
        self._graph = self._thawed = self._engine = self._weights = self._memory = None
        self._parts, self._owners, self._shows_average = {}, (), False
        self._turns, self._making = Turns(), ForkAwareLock()
        self._forget()
        if shape is not None:
            self._set_graph(shape)
            self._graph, self._weights = freeze(self._thawed or self.graph, frozen), weights
        if trained is not None:
            self._weights = list(trained["parameters"].values())
            state.restore(self, trained)

    def clone(self, seed: int | None = None) -> Self:
        """A model of copies of the layers, compiled alike, that has seen no data: its weights are drawn anew.

        For a copy with its weights, use `copy.deepcopy`.

        Args:
            seed: of the clone; by default this model's, with which it has the same weights to begin from.

        Raises:
            ValueError: the seed is out of range.

        Source: Keras ``clone_model``; scikit-learn ``clone``, which keeps hyper-parameters too.

        >>> import nncore as nn
        >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
        >>> ensemble = [model.clone(seed=seed) for seed in range(3)]
        >>> len({other.get_weights()[0].tobytes() for other in ensemble})
        3
        """
        engines.create(self._engine_name, ANY_GRAPH, self._dtype, self._seed if seed is None else seed)  # checks the seed
        twin = copy.deepcopy(self)
        twin._begin_anew(self._seed if seed is None else int(seed))
        return twin

    def _begin_anew(self, seed: int) -> None:
        """Forget all training."""
        self._seed, self._epochs, self.history, self.stop_training = seed, 0, History(), False
        self._engine = self._weights = self._memory = None
        self._forget()
        for owner in self._parts.values():
            if isinstance(owner.thing, Reusable):
                owner.thing._begin_anew(seed)

    def freeze(self, *layers: str | Layer) -> None:
        """Keep training from changing some layers, from now on; all that it has changed so far stays.

        Args:
            layers: layers of this model, or patterns of their names in the sense of `fnmatch`, such as ``"encoder*"``;
                without any, all. Layers of a model that is a part are ``"<part>.<layer>"``.

        Raises:
            TypeError, ValueError: no such layer; nothing has changed.
            RuntimeError: the model is being trained in another thread.

        >>> import nncore as nn
        >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(8, name="features"), nn.Dense(2, name="head")])
        >>> model.freeze("features")
        >>> [parameter.name for parameter in model.graph.parameters if parameter.trainable]
        ['head.kernel', 'head.bias']
        """
        with self._turns.take("freeze", within=True):
            self._set_trainable(False, layers)

    def unfreeze(self, *layers: str | Layer) -> None:
        """Let training change layers again; arguments and errors as in `freeze`."""
        with self._turns.take("unfreeze", within=True):
            self._set_trainable(True, layers)

    def _set_trainable(self, trainable: bool, layers: Sequence[str | Layer]) -> None:
        self._need_own_weights("freeze")
        known = {owner.name: owner.thing for owner in self._owners if isinstance(owner.thing, Layer)} or self._layers
        chosen: list[Layer] = []
        for wanted in layers or ("*",):
            if not isinstance(wanted, (str, Layer)):
                raise TypeError(f"layers: expected names or layers of the model, got {wanted!r}")
            pattern = wanted if isinstance(wanted, str) else ""
            names = [name for name, layer in known.items() if layer is wanted or fnmatchcase(name, pattern)]
            if not names:
                raise ValueError(f"layers: expected some of {', '.join(known)}, got {wanted!r}")
            chosen += [known[name] for name in names]
        before = [(layer, layer.trainable) for layer in chosen]
        kept = self._graph, self._engine, self._memory, self._weights
        try:
            self._retrain(chosen, trainable)
        except BaseException:  # there is no memory for another engine
            self._graph, self._engine, self._memory, self._weights = kept
            for layer, value in before:
                layer.trainable = value
            raise

    def _retrain(self, chosen: Sequence[Layer], trainable: bool) -> None:
        for layer in chosen:
            layer.trainable = trainable
        if self._thawed is None or self._graph is None:
            return
        graph = frozen(self._thawed, self._owners)
        if [spec.trainable for spec in graph.parameters] == [spec.trainable for spec in self._graph.parameters]:
            return
        trained = None if self._engine is None else state.capture(self)
        self._graph, self._engine, self._memory = graph, None, None
        if trained is not None:
            if isinstance(self._optimizer, LBFGS):  # it is about other parameters than those that are left
                trained["optimizer"]["memory"] = Memory().arrays()
            self._weights = list(trained["parameters"].values())
            state.restore(self, trained)

    def set_parameters(self, values: Mapping[str, npt.ArrayLike], strict: bool = True) -> list[str]:
        """Overwrite parameters by name, as `parameters` of another model or `nncore.average_weights` gives them.

        Args:
            values: arrays by name.
            strict: whether there must be one for each parameter, and no others. Otherwise those are taken whose name and
                shape fit.

        Returns:
            The names of those that were taken.

        Raises:
            TypeError, ValueError: no real numbers, or with `strict` other names or shapes; nothing has changed.

        Source: PyTorch ``Module.load_state_dict``.

        >>> import nncore as nn
        >>> small = nn.Sequential([nn.Input((4,)), nn.Dense(8, name="features"), nn.Dense(2, name="two")])
        >>> large = nn.Sequential([nn.Input((4,)), nn.Dense(8, name="features"), nn.Dense(5, name="five")])
        >>> large.set_parameters(small.parameters(), strict=False)
        ['features.kernel', 'features.bias']
        """
        self._need_own_weights("set_parameters")
        if not isinstance(values, Mapping):
            raise TypeError(f"values: expected arrays by name, got {type(values).__name__}")
        places = {spec.name: (i, spec.shape) for i, spec in enumerate(self.graph.parameters)}
        if flag(strict, "strict") and set(values) != set(places):
            missing = [name for name in places if name not in values] or [name for name in values if name not in places]
            word = "a value for" if missing[0] in places else "no value for"
            raise ValueError(f"values: expected {word} {missing[0]!r} with strict=True; the model has {', '.join(places)}")
        taken = {}
        for name, value in values.items():
            if name not in places:
                continue
            array = real(value, f"values[{name!r}]")
            if array.shape == places[name][1]:
                taken[name] = array
            elif strict:
                raise ValueError(f"values[{name!r}]: expected shape {places[name][1]}, got {array.shape}")
        self.engine.assign({places[name][0]: array for name, array in taken.items()})
        return list(taken)
