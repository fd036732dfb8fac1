"""Ctrl-C during training: it waits until a call of the engine is done and counted, so that every step made is known."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Self, TypeVar

__all__ = ["Interrupts"]

_Result = TypeVar("_Result")


class Interrupts:
    """Inside a ``with``, keeps KeyboardInterrupt back for short times, where Python's own handler would raise it.

    Without this it would be raised between a native call and the use of what the call returned. A second Ctrl-C is not kept
    back: it ends a layer written in Python that does not end.
    """

    def __init__(self) -> None:
        self._holding = self._pressed = False

    def __enter__(self) -> Self:
        handler = signal.getsignal(signal.SIGINT)
        ours = handler is signal.default_int_handler or isinstance(getattr(handler, "__self__", None), Interrupts)
        self._previous = handler if ours and threading.current_thread() is threading.main_thread() else None
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _restore(self) -> None:
        # A handler that the program has installed meanwhile stays.
        if self._previous is not None and signal.getsignal(signal.SIGINT) == self._press:
            signal.signal(signal.SIGINT, self._previous)

    def hold(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """``function(*arguments)``; from its beginning until `release`, Ctrl-C is kept back."""
        self._holding = True
        return function(*arguments)

    def _press(self, *_: object) -> None:
        if self._pressed or not self._holding:
            self._restore()  # here, as this may be raised in __enter__ and __exit__ too
            raise KeyboardInterrupt
        self._pressed = True

    def release(self) -> None:
        """Let Ctrl-C through again; a KeyboardInterrupt if there was one meanwhile."""
        self._holding = False
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt
