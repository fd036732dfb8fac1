"""Attributes that are computed once, when they are first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

__all__ = ["cached_property"]

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:

    class cached_property:
        """As in `functools`, but without Python 3.11's lock: a process forked while a thread holds it would wait for ever.

        Threads that ask at once compute twice, and keep one result.
        """

        def __init__(self, function: Callable[[Any], Any]) -> None:
            self._function, self.__doc__ = function, function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, instance: object, owner: type | None = None) -> Any:  # noqa: ANN401 - what the function returns
            return self if instance is None else instance.__dict__.setdefault(self._name, self._function(instance))
