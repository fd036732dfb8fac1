"""Callbacks that watch one value over the epochs: early stopping, and a smaller learning rate on a plateau."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from nncore import scalars
from nncore.arrays import positive
from nncore.callbacks.base import Callback, Logs

__all__ = ["EarlyStopping", "Monitor", "ReduceLROnPlateau", "learning_rate"]

# Words of names, between underscores.
_GROWS = {"accuracy", "precision", "recall", "f1", "auc", "r2", "cosine"}
_FALLS = {"loss", "mse", "mae", "rmse", "mape"}


class Monitor(Callback):
    """A callback that compares a value of the logs with the best one so far.

    Args:
        monitor: the value's name, such as ``"val_loss"``.
        mode: ``"min"`` or ``"max"``; ``"auto"`` knows it for losses and nncore's own metrics by their names.
        min_delta: what an improvement must exceed.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor of {type(self).__name__}: expected a name, got {monitor!r}")
        if not isinstance(mode, str) or mode not in ("auto", "min", "max"):
            raise ValueError(f"mode of {type(self).__name__}: expected 'auto', 'min' or 'max', got {mode!r}")
        if mode == "auto":
            words = set(monitor.split("_"))
            mode = "min" if words & _FALLS else "max" if words & _GROWS else mode
        if mode == "auto":
            raise ValueError(f"mode of {type(self).__name__}: expected 'min' or 'max' for {monitor!r}, got 'auto'")
        self.monitor, self.mode = monitor, mode
        self.min_delta = number(self, "min_delta", min_delta)
        self.best: float | None = None

    def on_train_begin(self, logs: Logs) -> None:
        """Forget the best value.

        Raises:
            ValueError: the value is one of validation, and there is none.
        """
        if self.monitor.startswith("val_") and not self.params["validation"]:
            raise ValueError(f"monitor of {type(self).__name__}: expected validation data for {self.monitor!r}, got none")
        self.best = None

    def value(self, logs: Logs) -> float:
        """The value now; a ValueError if it is not there."""
        if self.monitor not in logs:
            raise ValueError(f"monitor of {type(self).__name__}: expected one of {', '.join(logs)}, got {self.monitor!r}")
        return logs[self.monitor]

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`."""
        if reference is None:
            return not math.isnan(value)
        return value < reference - self.min_delta if self.mode == "min" else value > reference + self.min_delta


class EarlyStopping(Monitor):
    """Stop when a value has not improved for `patience` epochs.

    Args:
        monitor: the value's name in the logs.
        min_delta: what an improvement must exceed.
        patience: how many epochs without one are waited for; 0 stops at the first.
        verbose: 1 prints a line.
        mode: ``"min"`` or ``"max"``; ``"auto"`` goes by the name.
        baseline: a value that must be beaten for the waiting to begin anew.
        restore_best_weights: whether the weights at the end are those of the best epoch, and not of the last.
        start_from_epoch: how many epochs go by before anything is watched.

    Attributes:
        stopped_epoch: the number of the last epoch if training was stopped, else 0.
        best_epoch: that of the best epoch.
        best: the best value, ``None`` before there is one.

    Source: ``keras.callbacks.EarlyStopping``.

    >>> import numpy as np, nncore as nn
    >>> model = nn.Sequential([nn.Dense(1, kernel_initializer="zeros")])
    >>> model.compile(nn.SGD(0.0), "mse")  # which learns nothing
    >>> stop = nn.callbacks.EarlyStopping("loss", patience=2)
    >>> model.fit(np.ones((8, 1)), np.ones(8), epochs=100, verbose=0, callbacks=[stop]).epoch
    [0, 1, 2]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = count(self, "patience", patience)
        self.start_from_epoch = count(self, "start_from_epoch", start_from_epoch)
        self.baseline, self.verbose = reference(self, "baseline", baseline), verbose
        if not isinstance(restore_best_weights, bool):
            raise TypeError(f"restore_best_weights: expected True or False, got {restore_best_weights!r}")
        self.restore_best_weights = restore_best_weights
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self._best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs) -> None:
        """Begin anew."""
        super().on_train_begin(logs)
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self._best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare, and stop where it is time."""
        value = self.value(logs)
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self._best_weights is None:
            self._best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._best_weights = self.model.get_weights()
            if self.baseline is None or self.improves(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self, logs: Logs) -> None:
        """Bring the best weights back."""
        if self.stopped_epoch and self.verbose:
            print(f"epoch {self.stopped_epoch + 1}: early stopping; the best was epoch {self.best_epoch + 1}", flush=True)
        if self.restore_best_weights and self._best_weights is not None:
            self.model.set_weights(self._best_weights)

    def get_state(self) -> dict[str, Any]:
        """Best value and weights, and the waiting."""
        return {
            "wait": self.wait,
            "stopped_epoch": self.stopped_epoch,
            "best_epoch": self.best_epoch,
            "best": self.best,
            "best_weights": self._best_weights,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """See `Callback.set_state`."""
        counts = [count(self, name, state[name]) for name in ("wait", "stopped_epoch", "best_epoch")]
        best, weights = kept(self, state["best"]), state["best_weights"]
        if weights is not None:
            shapes = [spec.shape for spec in self.model.graph.parameters]
            got = [w.shape if isinstance(w, np.ndarray) and w.dtype.kind == "f" else None for w in weights]
            if got != shapes:
                raise ValueError(f"best_weights of EarlyStopping: expected arrays of shapes {shapes}, got {got}")
        self.wait, self.stopped_epoch, self.best_epoch = counts
        self.best, self._best_weights = best, weights


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when a value has not improved for `patience` epochs.

    Args:
        monitor: the value's name in the logs.
        factor: in (0, 1).
        patience: how many epochs without an improvement are waited for.
        verbose: 1 prints a line.
        mode: ``"min"`` or ``"max"``; ``"auto"`` goes by the name.
        min_delta: what an improvement must exceed.
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: the learning rate is never brought below.

    Source: ``keras.callbacks.ReduceLROnPlateau``.

    >>> import numpy as np, nncore as nn
    >>> model = nn.Sequential([nn.Dense(1)])
    >>> model.compile(nn.SGD(1e-3), "mse")
    >>> plateau = nn.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=100.0)
    >>> model.fit(np.ones((8, 1)), np.ones(8), epochs=6, verbose=0, callbacks=[plateau]).learning_rate
    [0.001, 0.001, 0.001, 0.0005, 0.0005, 0.00025]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor, self.min_lr = number(self, "factor", factor), number(self, "min_lr", min_lr)
        if not 0 < self.factor < 1:
            raise ValueError(f"factor of ReduceLROnPlateau: expected a number between 0 and 1, got {factor!r}")
        self.patience, self.cooldown = positive(patience, "patience"), count(self, "cooldown", cooldown)
        self.verbose = verbose
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs) -> None:
        """Begin anew.

        Raises:
            ValueError: the learning rate is a schedule.
        """
        super().on_train_begin(logs)
        learning_rate(self)
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare, and reduce where it is time."""
        value = self.value(logs)
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(value, self.best):
            self.best, self.wait = value, 0
            return
        if self.cooldown_counter:
            return
        self.wait += 1
        old = learning_rate(self)
        if self.wait >= self.patience and old > self.min_lr:
            new = max(old * self.factor, self.min_lr)
            self.model.optimizer.learning_rate = new
            self.cooldown_counter, self.wait = self.cooldown, 0
            if self.verbose:
                print(f"epoch {epoch + 1}: learning rate reduced to {new:g}", flush=True)

    def get_state(self) -> dict[str, Any]:
        """The best value, and the counters."""
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: dict[str, Any]) -> None:
        """See `Callback.set_state`."""
        best, counts = kept(self, state["best"]), [count(self, name, state[name]) for name in ("wait", "cooldown_counter")]
        self.best, (self.wait, self.cooldown_counter) = best, counts


def learning_rate(callback: Callback) -> float:
    """The learning rate of a callback's model, which it is going to change; a ValueError if that is a schedule."""
    rate = callback.model.optimizer.learning_rate
    if not isinstance(rate, (int, float)):
        raise ValueError(f"{type(callback).__name__}: expected a number as the optimizer's learning rate, got {rate!r}")
    return float(rate)


def number(callback: Callback, name: str, value: object) -> float:
    """An option as a finite number >= 0."""
    checked: float = scalars.number(cast(Any, value), f"{name} of {type(callback).__name__}")
    if not 0 <= checked < math.inf:
        raise ValueError(f"{name} of {type(callback).__name__}: expected a finite number >= 0, got {value!r}")
    return checked


def reference(callback: Callback, name: str, value: object) -> float | None:
    """An option as a finite number to compare with, or None."""
    if value is None:
        return None
    checked: float = scalars.number(cast(Any, value), f"{name} of {type(callback).__name__}")
    if not math.isfinite(checked):
        raise ValueError(f"{name} of {type(callback).__name__}: expected a finite number or None, got {value!r}")
    return checked


def kept(callback: Callback, best: object) -> float | None:
    """The best value that a checkpoint has kept, or None; it need not be finite."""
    return best if isinstance(best, float) and math.isinf(best) else reference(callback, "best", best)


def count(callback: Callback, name: str, value: object) -> int:
    """An option as an integer >= 0."""
    if isinstance(value, (bool, np.timedelta64)) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**63:
        raise ValueError(f"{name} of {type(callback).__name__}: expected an integer >= 0, got {value!r}")
    return int(value)
