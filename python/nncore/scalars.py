"""Numbers and switches that come from users."""

from __future__ import annotations

import numpy as np

__all__ = ["flag", "number"]


def number(value: float, what: str) -> float:
    """`value` as a float.

    Raises:
        TypeError: no number; messages call it `what`.
        ValueError: an integer that is too large for one.
    """
    if isinstance(value, (bool, np.timedelta64)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{what}: expected a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{what}: expected a number that fits float64, got {value!r}") from None


def flag(value: bool, what: str) -> bool:
    """`value` as a bool; a TypeError that calls it `what` unless it is one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{what}: expected True or False, got {value!r}")
    return bool(value)
