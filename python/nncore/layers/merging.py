"""Layers that make one value of several: Add, Multiply, Average, Concatenate."""

from __future__ import annotations

from nncore.layers.core import _OneOp

__all__ = ["Add", "Average", "Concatenate", "Multiply"]


class Add(_OneOp):
    """y = x[0] + x[1] + ..., of two inputs or more of one shape.

    Source: Keras ``Add``.

    >>> import nncore as nn
    >>> x = nn.Input((4,))
    >>> nn.Add()([x, nn.Dense(4)(x)]).shape
    (4,)
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__("add", {}, name)


class Multiply(_OneOp):
    """y = x[0] * x[1] * ..., elementwise, of two inputs or more of one shape.

    Source: Keras ``Multiply``.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__("multiply", {}, name)


class Average(_OneOp):
    """y = (x[0] + x[1] + ...) / count, of two inputs or more of one shape.

    Source: Keras ``Average``.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__("average", {}, name)


class Concatenate(_OneOp):
    """The inputs one after the other along `axis`; in the other axes their shapes are equal.

    Args:
        axis: counted with the batch axis, as in Keras: 1 .. rank, or negative from the last, -1.
        name: see `Layer`.

    Source: Keras ``Concatenate``.

    >>> import nncore as nn
    >>> nn.Concatenate()([nn.Input((2, 3)), nn.Input((2, 5))]).shape
    (2, 8)
    """

    def __init__(self, axis: int = -1, name: str | None = None) -> None:
        super().__init__("concatenate", {"axis": axis}, name)
