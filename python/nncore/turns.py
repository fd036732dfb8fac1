"""Who trains a model, one at a time, and locks that a forked child never waits for in vain."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

__all__ = ["ForkAwareLock", "Turns"]


@dataclass(frozen=True, eq=False)
class _Turn:
    what: str
    thread: int
    process: int


class Turns:
    """Lets one call at a time train a model or change what it is, and refuses others instead of letting them wait."""

    def __init__(self) -> None:
        self._now: dict[str, _Turn] = {}

    def __bool__(self) -> bool:
        """Whether somebody has the turn."""
        return bool(self._now)

    @contextmanager
    def take(self, what: str, within: bool = False) -> Iterator[None]:
        """Inside a ``with``, have the turn for `what`; `within` another of the same thread only where that is said.

        Raises:
            RuntimeError: somebody else has it.
        """
        turn = _Turn(what, threading.get_ident(), os.getpid())
        try:
            # One operation that no other thread and no Ctrl-C can divide: who has the turn is never in doubt.
            now = self._now.setdefault("turn", turn)
            if now is not turn and not (within and now.thread == turn.thread):
                raise self._refusal(what, now)
            yield
        finally:
            if self._now.get("turn") is turn:
                del self._now["turn"]

    def check(self, what: str) -> None:
        """Raise RuntimeError if another thread has the turn."""
        now = self._now.get("turn")
        if now is not None and now.thread != threading.get_ident():
            raise self._refusal(what, now)

    @staticmethod
    def _refusal(what: str, now: _Turn) -> RuntimeError:
        if now.process != os.getpid():
            return RuntimeError(f"{what}: this model was in {now.what} when the process forked; make a new one")
        where = "this thread" if now.thread == threading.get_ident() else "another thread"
        return RuntimeError(
            f"{what}: expected a model that is not being trained, got one in {now.what} in {where}; wait for that, or use a"
            " copy of the model"
        )


class ForkAwareLock:
    """A lock for a thread and what it calls. Held by a thread of the parent, it is refused in a forked child."""

    def __init__(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()

    def held(self) -> AbstractContextManager[object]:
        """For a ``with``.

        Raises:
            RuntimeError: the thread that held it does not exist in this process.
        """
        if self._process != os.getpid():
            if not self._lock.acquire(blocking=False):
                raise RuntimeError("this model was in use by another thread when the process forked; make a new one")
            self._lock.release()
            self._process = os.getpid()
        return self._lock
