"""Penalties on weights, which are part of the loss, and bounds that hold after every update."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nncore.scalars import number

__all__ = ["L1", "L1L2", "L2", "MaxNorm", "get", "get_constraint"]


def _number(owner: str, name: str, value: float, positive: bool = False) -> float:
    checked = number(value, f"{name} of {owner}")
    if not (checked > 0 if positive else checked >= 0) or not math.isfinite(checked):
        raise ValueError(f"{name} of {owner}: expected a number {'above' if positive else 'from'} 0, got {value!r}")
    return checked


def _options(value: Mapping[str, float], known: set[str], what: str) -> dict[str, float]:
    if not value.keys() <= known:
        raise ValueError(f"{what}: expected some of {', '.join(sorted(known))} in a configuration, got {list(value)}")
    return dict(value)


class L1L2:
    """The penalty l1 * sum(|w|) + l2 * sum(w^2): elastic net.

    It is added to the loss that training and evaluation report, and its gradient l1 * sign(w) + 2 * l2 * w, with
    sign(0) = 0, to the loss's before the optimizer sees it. A frozen weight has no penalty.

    Source: Keras ``L1L2``; Zou and Hastie 2005, "Regularization and variable selection via the elastic net".

    >>> import nncore as nn
    >>> dense = nn.Dense(1, kernel_initializer=nn.Constant(3.0), kernel_regularizer=nn.L1L2(0.5, 2.0))
    >>> model = nn.Sequential([nn.Input((1,)), dense])
    >>> model.penalty()
    19.5
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _number(type(self).__name__, "l1", l1)
        self.l2 = _number(type(self).__name__, "l2", l2)

    def get_config(self) -> dict[str, Any]:
        """The options."""
        return {"l1": self.l1, "l2": self.l2}

    def __repr__(self) -> str:
        return f"L1L2(l1={self.l1}, l2={self.l2})"


class L1(L1L2):
    """The penalty l1 * sum(|w|), which makes weights zero. Source: Keras ``L1``; Tibshirani 1996, the lasso.

    >>> L1(0.1)
    L1L2(l1=0.1, l2=0.0)
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """The penalty l2 * sum(w^2), which makes weights small. Source: Keras ``L2``.

    >>> L2(0.1)
    L1L2(l1=0.0, l2=0.1)
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


class MaxNorm:
    """After every update, columns whose Euclidean norm is above `max_value` are scaled down to it.

    The columns of a matrix [inputs, units] are the weights of one unit each; a vector is one column.

    Source: Keras ``MaxNorm`` with axis 0; Srivastava et al. 2014, "Dropout", appendix A.1.

    >>> MaxNorm(3.0)
    MaxNorm(max_value=3.0)
    """

    def __init__(self, max_value: float = 2.0) -> None:
        self.max_value = _number("MaxNorm", "max_value", max_value, positive=True)

    def get_config(self) -> dict[str, Any]:
        """The options."""
        return {"max_value": self.max_value}

    def __repr__(self) -> str:
        return f"MaxNorm(max_value={self.max_value})"


_NAMES: Mapping[str, type[L1] | type[L2]] = {"l1": L1, "l2": L2}


def get(value: str | L1L2 | Mapping[str, float] | None, what: str = "regularizer") -> L1L2 | None:
    """`value` itself, that of a name with its default, or that of a configuration.

    >>> get("l2")
    L1L2(l1=0.0, l2=0.01)
    """
    if value is None or isinstance(value, L1L2):
        return value
    if isinstance(value, Mapping):
        return L1L2(**_options(value, {"l1", "l2"}, what))
    if not isinstance(value, str):
        raise TypeError(f"{what}: expected a name, a regularizer such as L2(0.01), or None, got {value!r}")
    if value not in _NAMES:
        raise ValueError(f"{what}: expected one of {', '.join(map(repr, _NAMES))}, got {value!r}")
    return _NAMES[value]()


def get_constraint(value: MaxNorm | Mapping[str, float] | None, what: str = "constraint") -> MaxNorm | None:
    """`value` itself, or that of a configuration."""
    if isinstance(value, Mapping):
        return MaxNorm(**_options(value, {"max_value"}, what))
    if value is not None and not isinstance(value, MaxNorm):
        raise TypeError(f"{what}: expected a MaxNorm or None, got {value!r}")
    return value
