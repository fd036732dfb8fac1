"""Small callbacks: a learning rate for each epoch, an end on NaN, and hooks that are functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from nncore.callbacks.base import Callback, Logs
from nncore.callbacks.monitors import learning_rate, number

__all__ = ["LambdaCallback", "LearningRateScheduler", "TerminateOnNaN"]


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    Args:
        schedule: a function of the epoch's number, from 0, or of that and the learning rate before. For a rate that changes
            with every step, give the optimizer one of `nncore.schedules`.
        verbose: 1 prints a line for each epoch.

    Source: ``keras.callbacks.LearningRateScheduler``.

    >>> import numpy as np, nncore as nn
    >>> model = nn.Sequential([nn.Dense(1)])
    >>> model.compile(nn.SGD(0.1), "mse")
    >>> halve = nn.callbacks.LearningRateScheduler(lambda epoch, rate: rate if epoch < 2 else rate / 2)
    >>> model.fit(np.ones((8, 1)), np.ones(8), epochs=4, verbose=0, callbacks=[halve]).learning_rate
    [0.1, 0.1, 0.05, 0.025]
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose
        self._takes_rate = callable(schedule) and _takes(schedule, 0, 0.1)
        if not callable(schedule) or not (self._takes_rate or _takes(schedule, 0)):
            raise TypeError(f"schedule of LearningRateScheduler: expected a function of the epoch, got {schedule!r}")

    def on_train_begin(self, logs: Logs) -> None:
        """Raise ValueError if the learning rate is a schedule already."""
        learning_rate(self)

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Set the learning rate."""
        given = self.schedule(epoch, learning_rate(self)) if self._takes_rate else self.schedule(epoch)
        rate = number(self, f"schedule({epoch})", given)
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"epoch {epoch + 1}: learning rate {rate:g}", flush=True)


def _takes(function: Callable[..., object], *arguments: object) -> bool:
    """Whether a function can be called with these arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    return True


class TerminateOnNaN(Callback):
    """End training when a loss is NaN or infinite, where `Model.fit` would raise FloatingPointError.

    The step that found it has not been made: the model keeps the weights of the last finite step, and the history says in
    `unfinished` how far the epoch went.

    Source: ``keras.callbacks.TerminateOnNaN``, which keeps the weights that the failing step has made.

    >>> import numpy as np, nncore as nn
    >>> model = nn.Sequential([nn.Dense(1)])
    >>> model.compile(nn.SGD(1e30), "mse")
    >>> stop = nn.callbacks.TerminateOnNaN(verbose=0)
    >>> history = model.fit(np.ones((8, 1)), np.ones(8), epochs=9, verbose=0, callbacks=[stop])
    >>> len(history.epoch) < 9, bool(np.isfinite(model.get_weights()[0]).all())
    (True, True)
    """

    def __init__(self, verbose: int = 1) -> None:
        self.verbose = verbose

    def on_nonfinite_loss(self, error: FloatingPointError) -> bool:
        """End training."""
        if self.verbose:
            print(f"training ended: {error}", flush=True)
        return True


class LambdaCallback(Callback):
    """Hooks that are functions, with the arguments of those of `Callback`.

    Source: ``keras.callbacks.LambdaCallback``.

    >>> import numpy as np, nncore as nn
    >>> model = nn.Sequential([nn.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> tell = nn.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)))
    >>> history = model.fit(np.ones((8, 1)), np.ones(8), verbose=0, callbacks=[tell])
    0 ['loss']
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs], object] | None = None,
        on_epoch_end: Callable[[int, Logs], object] | None = None,
        on_train_begin: Callable[[Logs], object] | None = None,
        on_train_end: Callable[[Logs], object] | None = None,
        on_train_batch_begin: Callable[[int, Logs], object] | None = None,
        on_train_batch_end: Callable[[int, Logs], object] | None = None,
    ) -> None:
        hooks: dict[str, Any] = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in hooks.items():
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{name} of LambdaCallback: expected a function, got {function!r}")
            setattr(self, name, function)  # an attribute of this object, in place of the method
