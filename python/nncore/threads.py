"""How many threads the native engine uses."""

from __future__ import annotations

__all__ = ["get_num_threads", "set_num_threads"]

_LIMIT = 4096


def set_num_threads(n: int) -> None:
    """Let every later native call use `n` threads (1 .. 4096). Results do not depend on `n`.

    Raises:
        ValueError: `n` is not such an integer.
    """
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= _LIMIT:
        raise ValueError(f"n: expected an integer from 1 to {_LIMIT}, got {n!r}")
    from nncore import _core  # here: importing nncore must not load the compiled module

    _core.set_num_threads(n)


def get_num_threads() -> int:
    """The number of threads that native calls use.

    Unless set, the smallest of the affinity mask, the control group's CPU quota and ``OMP_NUM_THREADS``.
    """
    from nncore import _core  # here: importing nncore must not load the compiled module

    return int(_core.get_num_threads())
