"""Paths that come from users."""

from __future__ import annotations

import os

__all__ = ["as_path"]


def as_path(value: str | os.PathLike[str], what: str = "path") -> str:
    """`value` as text.

    Raises:
        TypeError: no text and no path; messages call it `what`.
        ValueError: it is empty, or has a null character, which no system takes in a path.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{what}: expected a path, got {value!r} of type {type(value).__name__}")
    path = os.fspath(value)
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError(f"{what}: expected a path of text that is not empty and without null characters, got {path!r}")
    return path
