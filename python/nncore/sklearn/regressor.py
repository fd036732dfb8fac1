"""MLPRegressor: numbers as targets, their losses and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from nncore import losses
from nncore.arrays import Array
from nncore.callbacks import Callback
from nncore.loss_base import ClassLoss, Loss
from nncore.optable import LOSSES
from nncore.optimizers import Optimizer
from nncore.sklearn.base import BasePerceptron
from nncore.sklearn.network import Objective
from nncore.value_losses import HuberLoss, PoissonLoss

__all__ = ["MLPRegressor"]

# Half of the squared error: the parabola in the middle of Huber's loss, with ends that no number reaches.
_HALF_SQUARES = HuberLoss(delta=1e30)


class MLPRegressor(RegressorMixin, BasePerceptron):
    """scikit-learn's ``MLPRegressor`` on nncore: the same parameters, attributes and numbers, and more of each.

    Args:
        loss: "squared_error" (half of it), "poisson" (half its deviance; predictions are exp(output)), or any of nncore's
            losses of numbers, by name or as an object with options: "mae", ``nn.QuantileLoss(0.9)``, ...
        hidden_layer_sizes: units of each hidden layer.

    Everything else is as in `MLPClassifier`.

    Attributes:
        coefs_, intercepts_, loss_, loss_curve_, best_loss_, validation_scores_, validation_loss_curve_,
            best_validation_score_, n_iter_, t_, n_features_in_, feature_names_in_, n_layers_, n_outputs_,
            out_activation_: as in `MLPClassifier`; scores are R2.

    Source: scikit-learn ``MLPRegressor``.

    >>> x = np.linspace(-2, 2, 200).reshape(-1, 1)
    >>> model = MLPRegressor(hidden_layer_sizes=32, activation="tanh", solver="lbfgs", random_state=0, max_iter=500)
    >>> bool(model.fit(x, np.sin(3 * x[:, 0])).score(x, np.sin(3 * x[:, 0])) > 0.99)
    True
    """

    _y_numeric = True

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        callbacks: Callback | Sequence[Callback] | None = None,
        dtype: str = "auto",
        n_threads: int | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.callbacks = callbacks
        self.dtype = dtype
        self.n_threads = n_threads

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: npt.ArrayLike | None = None,
    ) -> Self:
        """Learn from samples `X` [n, features], dense or sparse, with numbers `y` [n] or [n, outputs].

        Arguments and errors as `MLPClassifier.fit`.
        """
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), incremental=False)

    @available_if(lambda self: self._has_partial_fit())
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """One epoch over these samples, from where the last call stopped; arguments as in `fit`."""
        return self._fit(X, y, sample_weight, (None, None, None), incremental=True)

    def predict(self, X: Any) -> Array:
        """Numbers [n], or [n, outputs], for samples `X`."""
        values = self._values(self._outputs(X))
        return values[:, 0] if values.shape[1] == 1 else values

    def _values(self, outputs: Array) -> Array:
        return np.exp(outputs) if self.out_activation_ == "exp" else outputs

    def _targets(self, y: Array, first: bool, classes: Any) -> Array:
        columns = y[:, None] if y.ndim == 1 else y
        if not first and columns.shape[1] != self.n_outputs_:
            raise ValueError(f"y: expected {self.n_outputs_} numbers for each sample as before, got {columns.shape[1]}")
        self.n_outputs_ = columns.shape[1]
        self.out_activation_ = "exp" if self._objective().loss.name == "poisson" else "identity"
        return columns

    def _objective(self) -> Objective:
        outputs = float(self.n_outputs_)
        if isinstance(self.loss, str) and self.loss == "squared_error":
            return Objective(_HALF_SQUARES, outputs)
        if isinstance(self.loss, str) and self.loss == "poisson":
            return Objective(PoissonLoss(), outputs)
        loss = losses.get(self.loss)
        if not loss.own and LOSSES[loss.name].halves:
            raise ValueError(f"loss: expected one with one output for each number, got {loss.name!r}")
        if isinstance(loss, ClassLoss):
            raise ValueError(f"loss: expected one of numbers, got {loss.name!r}, which is of classes")
        return Objective(loss)

    def _head(self) -> str | None:
        return None

    def _training_loss(self, logs: Mapping[str, float], t: Array, weights: Array | None) -> float:
        loss, outputs = logs["loss"], self.n_outputs_
        if isinstance(self.loss, str) and self.loss == "poisson":
            return loss * outputs + float(np.average((xlogy(t, t) - t).sum(axis=1), weights=weights))
        if isinstance(self.loss, str) and self.loss == "squared_error" and outputs > 1:
            return 0.5 * logs["mse"] + (loss - 0.5 * logs["mse"]) * outputs
        return loss

    def _score_of(self, outputs: Array, t: Array, weights: Array | None) -> float:
        values = self._values(outputs).astype(np.float64)
        if not np.isfinite(values).all():
            return float("nan")
        mean = np.average(t, axis=0, weights=weights)
        errors, spread = (np.average(np.square(t - m), axis=0, weights=weights) for m in (values, mean))
        known = np.where(spread > 0, 1 - errors / np.where(spread > 0, spread, 1), np.where(errors > 0, 0.0, 1.0))
        return float(known.mean())
