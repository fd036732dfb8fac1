"""The losses: a row for each, and a row with its options as engines take it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nncore.caching import cached_property
from nncore.tables.rows import Attr, Attrs, AttrValue, Row, Shape, row_of, table

__all__ = ["LOSSES", "Loss", "LossSpec"]


@dataclass(eq=False, repr=False)
class Loss(Row):
    """A loss on predictions and targets.

    Attributes:
        targets: which targets it takes: ``"values"`` (an array of the prediction's shape), ``"indices"`` (an integer class
            for each row).
        arrays: names of the options that are vectors, a number for each column of the output's last axis.
        per_row: it has one value for each row instead of one for each element of the target.
        class_mean: over class indices, its mean is one weighted by the option ``weight`` of each row's class.
        halves: the output's last axis holds two numbers for each one of the target.
    """

    targets: tuple[str, ...] = ("values",)
    arrays: tuple[str, ...] = ()
    per_row: bool = False
    class_mean: bool = False
    halves: bool = False

    def target_shape(self, output: Shape) -> Shape:
        """Per-sample shape of target values for an output of per-sample shape `output`."""
        return (*output[:-1], output[-1] // 2) if self.halves else output


_REDUCTION = Attr(str, "mean", choices=("none", "sum", "mean"))
_LENGTH = Attr(float, 1.0, low=0.0, high=math.inf, open_low=True, open_high=True)
_IGNORE_INDEX = Attr(int, -100, low=-(2**31), high=2**31 - 1)

LOSSES = table(
    Loss("mse", {"reduction": _REDUCTION}),
    Loss(
        "cross_entropy",
        {
            "reduction": _REDUCTION,
            "ignore_index": _IGNORE_INDEX,
            "label_smoothing": Attr(float, 0.0, low=0.0, high=1.0),
        },
        targets=("indices", "values"),
        arrays=("weight",),
        per_row=True,
        class_mean=True,
    ),
    Loss("bce_with_logits", {"reduction": _REDUCTION}, arrays=("weight", "pos_weight")),
    Loss("mae", {"reduction": _REDUCTION}),
    Loss("huber", {"reduction": _REDUCTION, "delta": _LENGTH}),
    Loss("smooth_l1", {"reduction": _REDUCTION, "beta": Attr(float, 1.0, low=0.0, high=math.inf, open_high=True)}),
    Loss("log_cosh", {"reduction": _REDUCTION}),
    Loss("quantile", {"reduction": _REDUCTION}, arrays=("quantile",)),
    Loss(
        "poisson",
        {
            "reduction": _REDUCTION,
            "log_input": Attr(bool, True),
            "full": Attr(bool, False),
            "eps": Attr(float, 1e-8, low=0.0, high=math.inf, open_high=True),
        },
    ),
    Loss(
        "gaussian_nll",
        {
            "reduction": _REDUCTION,
            "full": Attr(bool, False),
            "eps": Attr(float, 1e-6, low=0.0, high=math.inf, open_low=True, open_high=True),
        },
        halves=True,
    ),
    Loss(
        "cosine",
        {"reduction": _REDUCTION, "eps": Attr(float, 1e-8, low=0.0, high=math.inf, open_low=True, open_high=True)},
        per_row=True,
    ),
    Loss("kl_div", {"reduction": _REDUCTION, "log_target": Attr(bool, False)}),
    Loss("hinge", {"reduction": _REDUCTION}),
    Loss("squared_hinge", {"reduction": _REDUCTION}),
    Loss(
        "multi_margin",
        {"reduction": _REDUCTION, "p": Attr(int, 1, low=1, high=2), "margin": Attr(float, 1.0)},
        targets=("indices",),
        arrays=("weight",),
        per_row=True,
    ),
    Loss("bce", {"reduction": _REDUCTION}, arrays=("weight",)),
    Loss(
        "nll",
        {"reduction": _REDUCTION, "ignore_index": _IGNORE_INDEX},
        targets=("indices",),
        arrays=("weight",),
        per_row=True,
        class_mean=True,
    ),
    Loss(
        "focal",
        {
            "reduction": _REDUCTION,
            "alpha": Attr(float, 0.25, low=-1.0, high=1.0),
            "gamma": Attr(float, 2.0, low=0.0, high=math.inf, open_high=True),
        },
    ),
)


@dataclass(frozen=True)
class LossSpec:
    """A row of `LOSSES`, its attributes, and those of its array options that are given, as checked vectors."""

    name: str
    attrs: Attrs = field(default_factory=dict)
    arrays: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def row(self) -> Loss:
        """The row; a ValueError for an unknown loss."""
        return row_of(LOSSES, "loss", self.name)

    @cached_property
    def filled(self) -> dict[str, AttrValue]:
        """All attributes, checked; a ValueError for an unknown loss or a value out of bounds."""
        return self.row.fill(self.attrs)

    @cached_property
    def options(self) -> dict[str, AttrValue | tuple[float, ...]]:
        """All that is given, as keyword arguments of the op."""
        return {**self.filled, **self.arrays}

    def encoded(self, output: Shape) -> tuple[str, list[float], list[list[float]], bool]:
        """Name, attributes, arrays and whether to take the mean, as the native core takes them.

        An array comes with a number for each element of an `output`'s sample; one that is not given is empty.

        Raises:
            ValueError: an array that is not as long as the output's last axis.
        """
        arrays = [_repeat(name, self.arrays[name], output) if name in self.arrays else [] for name in self.row.arrays]
        return self.name, self._numbers, arrays, self.filled["reduction"] == "mean"

    @cached_property
    def _numbers(self) -> list[float]:
        return self.row.encode(self.filled)


def _repeat(name: str, array: tuple[float, ...], output: Shape) -> list[float]:
    if len(array) not in (1, *output[-1:]):
        raise ValueError(f"{name}: expected one number for each of {output[-1]} columns, got {len(array)}")
    return list(array) * (math.prod(output) // len(array))
