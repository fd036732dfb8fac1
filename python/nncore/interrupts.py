"""Ctrl-C during training: it waits until a call of the engine is done and counted, so that every step made is known."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Interrupts"]

_Result = TypeVar("_Result")


class Interrupts:
    """Keeps KeyboardInterrupt back for a short time, where Python's own handler would raise it.

    Without this it would be raised between a native call and the use of what the call returned. A second Ctrl-C is not kept
    back: it ends a layer written in Python that does not end.
    """

    def __init__(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        self._active = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._holding = self._pressed = False

    def hold(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """``function(*arguments)``; from its beginning until `release`, Ctrl-C is kept back."""
        if self._active:
            self._holding = True
            signal.signal(signal.SIGINT, self._press)
        return function(*arguments)

    def _press(self, *_: object) -> None:
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True

    def release(self) -> None:
        """Let Ctrl-C through again; a KeyboardInterrupt if there was one meanwhile."""
        if self._holding:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._holding = False
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt
