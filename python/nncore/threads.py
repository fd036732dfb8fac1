"""How many threads the native engine uses."""

from __future__ import annotations

import _thread
import importlib
import operator
import os
import sys
from typing import Any

__all__ = ["get_num_threads", "set_num_threads"]

_LIMIT = 4096

forked = False
"""Whether this process was forked from one that had imported nncore; the core, when it loads, wants to know."""


def _note_fork() -> None:
    global forked
    forked = True
    core = sys.modules.get("nncore._core")
    if core is not None:
        core.note_fork()


def _finish_imports() -> None:
    """Wait for other threads' imports of what training imports late: in a child such an import would never end.

    Python renews its locks in a forked child, but not those of single modules.
    """
    bootstrap: Any = importlib._bootstrap
    while late := [name for name in list(bootstrap._module_locks) if _is_late(name, bootstrap)]:
        for name in late:
            bootstrap._lock_unlock_module(name)


def _is_late(name: str, bootstrap: Any) -> bool:  # noqa: ANN401 - a module of Python's own
    """Whether another thread imports the module `name`, of those that training imports late."""
    if not name.startswith(("nncore", "safetensors", "tqdm")):
        return False
    lock = bootstrap._module_locks.get(name, lambda: None)()
    return lock is not None and lock.owner not in (None, _thread.get_ident())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_finish_imports, after_in_child=_note_fork)


def set_num_threads(n: int) -> None:
    """Let every later native call use `n` threads (1 .. 4096). Results do not depend on `n`.

    No more than 64, or four for each CPU, are ever started.
    A process forked from one that had imported nncore uses one thread whatever `n` is: OpenMP's threads do not survive a
    fork.

    Raises:
        ValueError: `n` is not such an integer.
    """
    try:
        count = 0 if isinstance(n, bool) else operator.index(n)
    except TypeError:
        count = 0
    if not 1 <= count <= _LIMIT:
        raise ValueError(f"n: expected an integer from 1 to {_LIMIT}, got {n!r}")
    from nncore import _core  # here: importing nncore must not load the compiled module

    _core.set_num_threads(count)


def get_num_threads() -> int:
    """The number of threads that native calls use.

    Unless set, the smallest of the affinity mask, the control group's CPU quota and ``OMP_NUM_THREADS``. Inside
    ``threadpoolctl.threadpool_limits``, and in a thread that has told OpenMP otherwise, no more than that.
    """
    from nncore import _core  # here: importing nncore must not load the compiled module

    return int(_core.get_num_threads())


def thread_setting() -> int:
    """What was set, whatever limits there are beside it."""
    from nncore import _core  # here, as above

    return int(_core.thread_setting())
