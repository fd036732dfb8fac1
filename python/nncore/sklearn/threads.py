"""How many threads estimators use, also where several of them run at once in threads of one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from nncore.threads import set_num_threads, thread_setting

__all__ = ["thread_limit", "threads_for"]

_WORTH_THREADS = 2e6  # multiply-adds between two barriers: some 50 us

_lock = Lock()
_running: list[int] = []  # what each estimator that runs now asked for
_before = 1  # the setting outside


def threads_for(threads: int | None, multiply_adds: float) -> int | None:
    """What `thread_limit` is given where `threads` were asked for and a batch has that many multiply-adds.

    The engine uses several threads sooner than this. But estimators often run beside others, and a thread that waits for
    one that has no core waits for milliseconds; where the gain is small, one thread is the better choice.
    """
    return 1 if threads is None and multiply_adds < _WORTH_THREADS else threads


@contextmanager
def thread_limit(threads: int | None) -> Iterator[None]:
    """Inside a ``with``, native calls use `threads` threads (``None``: as set), shared among all that are inside one.

    So a search with joblib's threading backend has as many threads as one fit, and not a multiple of them.
    """
    global _before
    with _lock:
        if not _running:
            _before = thread_setting()
        wanted = _before if threads is None else threads
        _running.append(wanted)
        _share()
    try:
        yield
    finally:
        with _lock:
            _running.remove(wanted)
            _share()


def _share() -> None:
    threads = max(1, max(_running) // len(_running)) if _running else _before
    if threads != thread_setting():
        set_num_threads(threads)
