"""What a callback is, and the list of them that the training loop calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nncore.model import Model

__all__ = ["Callback", "CallbackList", "Logs"]

Logs = dict[str, float]


class Callback:
    """A part of training: a subclass overrides the hooks that it wants.

    An epoch is one call of the engine; only where a callback overrides `on_train_batch_begin` or `on_train_batch_end` it is
    one call for each step. Setting ``self.model.stop_training = True`` ends training after the step or the epoch.

    Attributes:
        model: the model, from the beginning of training on.
        params: ``"epochs"``, where training ends; ``"initial_epoch"``, where it begins; ``"validation"``, whether there is
            validation data; ``"verbose"``.

    Source: ``keras.callbacks.Callback``.

    >>> import nncore as nn
    >>> class Enough(nn.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.model.stop_training = logs["loss"] < 1e-3
    >>> model = nn.Sequential([nn.Dense(1)])
    >>> model.compile(nn.SGD(0.5), "mse")
    >>> history = model.fit([[0.0], [1.0]], [[0.0], [1.0]], epochs=1000, verbose=0, callbacks=[Enough()])
    >>> history.history["loss"][-1] < 1e-3
    True
    """

    model: Model
    params: Mapping[str, Any]

    def on_train_begin(self, logs: Logs) -> None:
        """Training begins."""

    def on_train_end(self, logs: Logs) -> None:
        """Training has ended as it should; `logs` are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Epoch number `epoch`, from 0, begins."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """An epoch and its validation are done; what is put into `logs` here goes to the history."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Step number `batch` of the epoch, from 0, begins."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """A step is done; `logs` are the means over the epoch so far."""

    def on_nonfinite_loss(self, error: FloatingPointError) -> bool:
        """Whether training ends here as it should, and not by `error`: a loss became NaN or infinite."""
        return False

    def close(self) -> None:
        """Training has ended, in whatever way: release what the callback holds, such as files."""

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: JSON-like data, and NumPy arrays anywhere within."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave; called after `on_train_begin`."""


class CallbackList:
    """Some callbacks of one `fit`, called one after the other.

    Raises:
        TypeError: something that is no callback.
    """

    def __init__(self, callbacks: Callback | Sequence[Callback], model: Model, params: Mapping[str, Any]) -> None:
        given: Any = [callbacks] if isinstance(callbacks, Callback) else callbacks  # Any: it is checked here
        if not isinstance(given, Sequence) and given is not None:
            raise TypeError(f"callbacks: expected a Callback or a list of them, got {given!r}")
        self.callbacks: list[Any] = list(given or ())
        for place, callback in enumerate(self.callbacks):
            if not isinstance(callback, Callback):
                hint = " (the class; make an object of it)" if isinstance(callback, type) else ""
                raise TypeError(f"callbacks: expected a Callback at position {place}, got {callback!r}{hint}")
        for callback in self.callbacks:
            callback.model, callback.params = model, params
        self.wants_batches = any(
            getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)
            for callback in self.callbacks
            for hook in ("on_train_batch_begin", "on_train_batch_end")
        )

    def call(self, hook: str, *arguments: object) -> None:
        """Call one hook of all."""
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)

    def accept(self, error: FloatingPointError) -> bool:
        """Whether one of them takes a loss that is not finite as an end of training."""
        answers = [callback.on_nonfinite_loss(error) for callback in self.callbacks]  # all of them are asked
        return any(answers)

    def get_state(self) -> list[dict[str, Any]]:
        """The states of all that have one, each with its class's name."""
        states = [(type(callback).__name__, callback.get_state()) for callback in self.callbacks]
        return [{"class": name, "state": state} for name, state in states if state]

    def set_state(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Give each callback its state back: those of one class in their order. Others begin anew."""
        waiting = list(states)
        for callback in self.callbacks:
            found = next((state for state in waiting if state["class"] == type(callback).__name__), None)
            if found is not None:
                waiting.remove(found)
                callback.set_state(found["state"])
