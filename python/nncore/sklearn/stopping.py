"""scikit-learn's rules after each epoch: when to stop, when to lower the learning rate, which weights were best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from nncore.arrays import Array
from nncore.callbacks.base import Callback, Logs
from nncore.optimizers import SGD
from nncore.sklearn.network import Network

__all__ = ["Rules"]

Validate = Callable[[], tuple[float, float]]  # score and loss


class Rules(Callback):
    """Keeps an estimator's attributes after each epoch, and says when to stop.

    Later callbacks find ``"val_loss"`` and ``"val_score"`` in the logs where there is a validation set.

    Args:
        estimator: whose attributes it keeps: loss_, loss_curve_, best_loss_, validation_scores_, n_iter_, t_, ...
        network: what is trained.
        samples: in an epoch.
        validate: gives score and loss on the validation set, where there is one.
        loss_of: scikit-learn's training loss from the logs.
    """

    def __init__(
        self,
        estimator: Any,
        network: Network,
        samples: int,
        validate: Validate | None,
        loss_of: Callable[[Mapping[str, float]], float],
    ) -> None:
        self._estimator, self._network = estimator, network
        self._samples, self._validate, self._loss_of = samples, validate, loss_of
        self.best: list[Array] | None = None  # weights with the best validation score

    def on_train_begin(self, logs: Logs) -> None:
        """Let callbacks know that there will be validation."""
        self.params = cast(dict[str, Any], self.params)
        self.params["validation"] = self._validate is not None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Take in an epoch."""
        e = self._estimator
        e.n_iter_ += 1
        e.t_ += self._samples
        e.loss_ = self._loss_of(logs)
        e.loss_curve_.append(e.loss_)
        if e.verbose:
            print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
        score = None
        if self._validate is not None:
            score, loss = self._validate()
            logs |= {"val_loss": loss, "val_score": score}
            e.validation_loss_curve_.append(loss)
            e.validation_scores_.append(score)
            if e.verbose:
                print(f"Validation score: {score:f}")
        self._count(score)
        if e.learning_rate == "invscaling":
            self._set_rate(e.learning_rate_init / (e.t_ + 1) ** e.power_t)
        if e._no_improvement_count > e.n_iter_no_change:
            self._settle()

    def _settle(self) -> None:
        """After enough epochs without improvement: stop, or go on with a lower learning rate."""
        e = self._estimator
        what = "Validation score" if e.early_stopping else "Training loss"
        message = f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} consecutive epochs."
        rate = self._rate()
        if e.learning_rate != "adaptive" or rate is None or rate <= 1e-6:
            if e.verbose:
                print(f"{message} Stopping.")
            self.model.stop_training = True
            return
        self._set_rate(rate / 5)
        if e.verbose:
            print(f"{message} Setting learning rate to {rate / 5:f}")
        e._no_improvement_count = 0

    def _count(self, score: float | None) -> None:
        """Count epochs without improvement; remember the best."""
        e = self._estimator
        if e.early_stopping:
            improved = not score < e.best_validation_score_ + e.tol  # so written, NaN is an improvement, as there
            if score > e.best_validation_score_:
                e.best_validation_score_ = score
                self.best = self._network.model.get_weights()
        else:
            improved = not e.loss_ > e.best_loss_ - e.tol
            e.best_loss_ = min(e.best_loss_, e.loss_)
        e._no_improvement_count = 0 if improved else e._no_improvement_count + 1

    def _rate(self) -> float | None:
        """scikit-learn's learning rate; None where the solver is not its SGD."""
        optimizer = self._network.optimizer
        if self._estimator.solver != "sgd" or not isinstance(optimizer, SGD):
            return None
        return float(np.asarray(optimizer.learning_rate)) / self._network.objective.factor

    def _set_rate(self, rate: float) -> None:
        before, optimizer = self._rate(), self._network.optimizer
        if before is None or optimizer is None or rate == before:
            return
        optimizer.learning_rate = rate * self._network.objective.factor
        if optimizer.rule == "momentum":
            self._network.scale_velocity(before / rate)
