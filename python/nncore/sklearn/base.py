"""What the perceptrons with hidden layers share: `fit` and `partial_fit` from checked data to attributes."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from nncore.arrays import Array
from nncore.callbacks import Callback
from nncore.data import DataLoader
from nncore.optimizers import SGD, Adam, Optimizer
from nncore.sklearn.lbfgs import minimize
from nncore.sklearn.network import Design, Network, Objective, initial_weights
from nncore.sklearn.parameters import all_or_nothing, check_parameters, each_layer, hidden_sizes
from nncore.sklearn.stopping import Rules
from nncore.sklearn.threads import thread_limit, threads_for
from nncore.weighting import check_sample_weight

__all__ = ["BasePerceptron"]

Held = tuple[Array, Array, Array | None]  # a validation set: samples, targets, weights

# Attributes of training by steps.
_CURVES = (
    *("loss_curve_", "best_loss_", "_no_improvement_count"),
    *("validation_scores_", "validation_loss_curve_", "best_validation_score_"),
)
_SMALL = 2_000  # values in X up to which dtype="auto" is as exact as scikit-learn


class BasePerceptron(BaseEstimator, ABC):
    """The common part of `MLPClassifier` and `MLPRegressor`, which say what their targets and outputs are."""

    classes_: Array
    n_outputs_: int
    out_activation_: str
    loss_curve_: list[float]
    best_loss_: float | None
    best_validation_score_: float | None
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    _dtype: str
    _seed: int
    _network: Network | None
    _multilabel: bool
    _y_numeric: bool

    # -- what the two kinds say ----------------------------------------------------------------------------------------

    @abstractmethod
    def _targets(self, y: Array, first: bool, classes: Any) -> Array:
        """Targets as the loss takes them, but for the dtype of values; sets n_outputs_, and classes_."""

    @abstractmethod
    def _objective(self) -> Objective:
        """The loss."""

    @abstractmethod
    def _head(self) -> str | None:
        """An activation of the output that the loss needs."""

    @abstractmethod
    def _training_loss(self, logs: Mapping[str, float], t: Array, weights: Array | None) -> float:
        """scikit-learn's training loss."""

    @abstractmethod
    def _score_of(self, outputs: Array, t: Array, weights: Array | None) -> float:
        """The score of outputs of the network."""

    # -- data ----------------------------------------------------------------------------------------------------------

    def _check_data(self, x: Any, y: Any, reset: bool, y_numeric: bool) -> tuple[Array, Array]:
        x, y = validate_data(self, x, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=y_numeric, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return x.toarray() if hasattr(x, "toarray") else x, y.toarray() if hasattr(y, "toarray") else y

    def _weights(self, sample_weight: Any, y: Array, incremental: bool) -> Array | None:
        """What each sample counts, by its weight and by its class."""
        weights = check_sample_weight(sample_weight, len(y))
        by_class = self._weights_by_class(y, incremental)
        if by_class is not None:
            weights = by_class if weights is None else weights * by_class
        if weights is not None and not weights.any():
            raise ValueError("sample_weight: expected some weights that are not zero, got only zeros")
        return weights

    def _weights_by_class(self, y: Array, incremental: bool) -> Array | None:
        """What each sample counts by its class."""
        return None

    def _as_numbers(self, x: Array) -> Array:
        """`x` as the network takes it: numbers of its dtype, or smaller integers as they are."""
        return x if x.dtype.kind in "iub" and x.dtype.itemsize <= 2 else np.asarray(x, self._dtype)

    # -- training ------------------------------------------------------------------------------------------------------

    def _fit(
        self, x: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any], incremental: bool, classes: Any = None
    ) -> Self:
        with all_or_nothing(self):
            design, data, held = self._ready(x, y, sample_weight, validation, incremental, classes)
            network = self._prepare(design, self._objective(), incremental)
        rows = len(data[0]) if self.solver == "lbfgs" else self._batch_rows(len(data[0]))
        with thread_limit(threads_for(self.n_threads, 3.0 * rows * design.weights)):
            try:
                if self.solver == "lbfgs":
                    self.loss_, self.n_iter_ = self._minimize(network, *data)
                else:
                    self._descend(network, *data, held, incremental)
            except FloatingPointError as error:
                raise ValueError(
                    f"Solver produced non-finite values: {error}. The input data may contain large values and need to be "
                    "preprocessed, or learning_rate_init is too large."
                ) from error
            finally:
                self.coefs_, self.intercepts_ = network.get()
        return self

    def _ready(
        self, x: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any], incremental: bool, classes: Any
    ) -> tuple[Design, tuple[Array, Array, Array | None], Held | None]:
        """Everything before training, all of it checked: the design, samples with targets and weights, a validation set."""
        check_parameters(self.get_params(deep=False))
        if self._callbacks() and self.solver == "lbfgs":
            raise ValueError("callbacks: expected None with solver 'lbfgs', which has no epochs")
        hidden = hidden_sizes(self.hidden_layer_sizes)
        activations = each_layer("activation", self.activation, len(hidden))
        dropout = each_layer("dropout", self.dropout, len(hidden))
        if incremental and self.early_stopping:
            raise ValueError("early_stopping: expected False with partial_fit, got True")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        x, y = self._check_data(x, y, first, self._y_numeric)
        t = self._targets(y, first, classes)
        weights = self._weights(sample_weight, y, incremental)
        self._random_state = check_random_state(self.random_state)
        if first:
            self._dtype = self._choose_dtype(x)
        design = Design(
            inputs=x.shape[1],
            outputs=int(self.n_outputs_),
            hidden=hidden,
            activations=activations,
            dropout=tuple(map(float, dropout)),
            batch_norm=bool(self.batch_norm),
            alpha=0.0 if self.solver == "lbfgs" else float(self.alpha),
            head=self._head(),
            dtype=self._dtype,
            seed=0,
        )
        if first:
            self._start(design)
        if any(dropout):
            if first or not hasattr(self, "_seed"):
                self._seed = int(self._random_state.randint(2**31))
            design = replace(design, seed=self._seed)
        return design, (self._as_numbers(x), self._as_targets(t), weights), self._held_out(validation)

    def _callbacks(self) -> list[Callback]:
        """The parameter, checked."""
        callbacks = [self.callbacks] if isinstance(self.callbacks, Callback) else list(self.callbacks or ())
        for place, callback in enumerate(callbacks):
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks: expected a Callback at position {place}, got {callback!r}")
        return callbacks

    def _as_targets(self, t: Array) -> Array:
        """`t` as the loss takes it: indices, or numbers of the network's dtype."""
        return t if t.dtype.kind == "i" and t.ndim == 1 else np.asarray(t, self._dtype)

    def _choose_dtype(self, x: Array) -> str:
        if self.dtype != "auto":
            return str(self.dtype)
        small = x.size <= _SMALL and x.dtype != np.float32
        return "float64" if small or (self.solver == "lbfgs" and x.dtype != np.float32) else "float32"

    def _start(self, design: Design) -> None:
        """First weights, and attributes as before any training."""
        self.n_iter_, self.t_ = 0, 0
        self.n_layers_ = len(design.hidden) + 2
        self.coefs_, self.intercepts_ = initial_weights(design, self._random_state)
        self._network = None
        for name in _CURVES:
            self.__dict__.pop(name, None)

    def _begin_curves(self, validates: bool) -> None:
        """What training by steps keeps, where it is not there yet; a warm start goes on with it."""
        fresh: dict[str, Any] = {"loss_curve_": [], "_no_improvement_count": 0}
        fresh |= dict.fromkeys(("best_loss_", "best_validation_score_", "validation_scores_", "validation_loss_curve_"))
        self.__dict__.update({name: value for name, value in fresh.items() if name not in vars(self)})
        if self.early_stopping and self.best_validation_score_ is None:
            self.best_validation_score_ = -np.inf
        if not self.early_stopping and self.best_loss_ is None:
            self.best_loss_ = np.inf
        if validates and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []

    def _prepare(self, design: Design, objective: Objective, incremental: bool) -> Network:
        """The network with the weights of coefs_ and intercepts_; that of the last time where partial_fit goes on."""
        last = self._network
        if incremental and last is not None and last.optimizer is not None:
            if last.design != design:
                again = Network(design, objective, last.optimizer)
                again.__dict__["_saved"] = last.__getstate__()["_saved"]
                last = again
            network = last
        else:
            network = Network(design, objective, self._optimizer(objective.factor))
            if last is not None and len(last.model.graph.parameters) == len(network.model.graph.parameters):
                network.model.set_weights(last.model.get_weights())
        network.set(self.coefs_, self.intercepts_)
        self._network = network
        return network

    def _optimizer(self, factor: float) -> Optimizer | None:
        if isinstance(self.solver, Optimizer):
            return copy.copy(self.solver)
        if self.solver == "sgd":
            nesterov = bool(self.nesterovs_momentum) and self.momentum > 0
            return SGD(float(self.learning_rate_init) * factor, float(self.momentum), nesterov)
        if self.solver == "adam":
            rate, epsilon = float(self.learning_rate_init), float(self.epsilon) / factor
            return Adam(rate, float(self.beta_1), float(self.beta_2), epsilon, epsilon_hat=True)
        return None

    def _held_out(self, validation: tuple[Any, Any, Any]) -> Held | None:
        """A validation set that was given, checked."""
        x, y, sample_weight = validation
        if x is None and y is None:
            return None
        if x is None or y is None:
            raise ValueError("X_val: expected y_val beside it" if y is None else "y_val: expected X_val beside it")
        x, y = self._check_data(x, y, False, self._y_numeric)
        t = self._targets(y, False, None)
        weights = check_sample_weight(sample_weight, len(x), "sample_weight_val")
        return self._as_numbers(x), self._as_targets(t), weights

    def _minimize(self, network: Network, x: Array, t: Array, weights: Array | None) -> tuple[float, int]:
        alpha, factor = float(self.alpha), network.objective.factor
        value, steps = minimize(network, x, t, weights, alpha, int(self.max_iter), int(self.max_fun), float(self.tol))
        logs = {"loss": value / factor}
        if factor != 1:
            logs["mse"] = float(np.average(np.square(network.model.predict(x) - t).mean(axis=1), weights=weights))
        return self._training_loss(logs, t, weights), steps

    def _descend(
        self,
        network: Network,
        x: Array,
        t: Array,
        weights: Array | None,
        held: Held | None,
        incremental: bool,
    ) -> None:
        """The solvers by steps: epochs of `Model.fit` until a rule or max_iter ends them."""
        model = network.model
        if self.early_stopping and held is None:
            (x, t, weights), held = self._split(x, t, weights)
        n = len(x)
        if self.batch_size != "auto" and self.batch_size > n:
            warnings.warn(f"batch_size: {self.batch_size} is more than the {n} samples, which make one batch", stacklevel=4)
        batch_size = self._batch_rows(n)
        order = np.arange(n)

        def sampler(_: int) -> Array:
            nonlocal order
            places = np.arange(n)
            self._random_state.shuffle(places)
            order = order[places]
            return order

        loader = DataLoader(x, t, batch_size=batch_size, sample_weight=weights, sampler=sampler if self.shuffle else None)
        self._begin_curves(held is not None)

        def validate() -> tuple[float, float]:
            assert held is not None
            outputs = model.predict(held[0])
            return self._score_of(outputs, held[1], held[2]), float(model.loss(outputs, held[1], held[2])[0])

        rules = Rules(
            self, network, n, None if held is None else validate, lambda logs: self._training_loss(logs, t, weights)
        )
        self.n_iter_ = 0
        epochs = 1 if incremental else int(self.max_iter)
        callbacks = self._callbacks()
        try:
            model.fit(loader, epochs=epochs, shuffle=False, verbose=0, callbacks=[rules, *callbacks])
            if not incremental and not model.stop_training:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                    stacklevel=4,
                )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        finally:
            for callback in (rules, *callbacks):
                vars(callback).pop("model", None)  # callbacks are parameters, and copied as such
        if rules.best is not None:
            model.set_weights(rules.best)

    def _batch_rows(self, samples: int) -> int:
        """How many samples a batch has."""
        return min(200 if self.batch_size == "auto" else int(self.batch_size), samples)

    def _split(self, x: Array, t: Array, weights: Array | None) -> Any:
        """Samples to train on, and a part to validate on, the same as scikit-learn takes."""
        stratify = t if self._stratified() else None
        rest, part = train_test_split(
            np.arange(len(x)), random_state=self._random_state, test_size=self.validation_fraction, stratify=stratify
        )
        if len(part) < 2:
            raise ValueError(f"validation_fraction: expected to hold out 2 samples at least, got {len(part)} of {len(x)}")
        return [(x[i], t[i], None if weights is None else weights[i]) for i in (rest, part)]

    def _stratified(self) -> bool:
        return False

    # -- use -----------------------------------------------------------------------------------------------------------

    def _outputs(self, x: Any) -> Array:
        """What the network makes of samples, before the last activation."""
        check_is_fitted(self)
        x = validate_data(self, x, accept_sparse=["csr", "csc"], reset=False)
        x = self._as_numbers(x.toarray() if hasattr(x, "toarray") else x)
        assert self._network is not None
        with thread_limit(threads_for(self.n_threads, float(len(x)) * self._network.design.weights)):
            self._network.set(self.coefs_, self.intercepts_)
            return np.asarray(self._network.model.predict(x))

    def _has_partial_fit(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(f"partial_fit: expected a solver that goes in steps, got {self.solver!r}")
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
