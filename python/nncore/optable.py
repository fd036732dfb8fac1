"""The op table: one row for each op, loss and optimizer rule that a graph or an engine may name.

A row says what is true of the op in every engine: name, number of inputs, attributes with defaults and bounds, parameter
slots and shape rule. The C++ implementation, the NumPy reference and the test cases are held to it by
``tests/test_contract.py``. Adding an op means one row here, one C++ functor, one reference pair and one case row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

__all__ = ["LOSSES", "OPS", "RULES", "Attr", "AttrValue", "Loss", "LossSpec", "Op", "Rule", "RuleSpec", "Shape"]

Shape = tuple[int, ...]
AttrValue = float | int | bool | str
Attrs = Mapping[str, AttrValue]


@dataclass(frozen=True)
class Attr:
    """One attribute: its default (``None``: must be given), and the values it may take.

    Attributes:
        default: the value when none is given; its type is the attribute's type.
        low, high: bounds of a number; inclusive unless `open_low` / `open_high`.
        choices: the allowed strings of a string attribute; an engine receives the position in this tuple.
    """

    type: type
    default: AttrValue | None = None
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()

    def check(self, owner: str, name: str, value: AttrValue) -> AttrValue:
        """`value` as this attribute's type, or an error that names `owner` and `name`."""
        if self.type is str:
            if value not in self.choices:
                raise ValueError(f"{name} of {owner}: expected one of {', '.join(map(repr, self.choices))}, got {value!r}")
            return value
        if self.type is bool:
            if not isinstance(value, bool):
                raise TypeError(f"{name} of {owner}: expected True or False, got {value!r}")
            return value
        if isinstance(value, (bool, str)):
            raise TypeError(f"{name} of {owner}: expected a number, got {value!r}")
        try:
            number: float = self.type(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"{name} of {owner}: expected {self.type.__name__}, got {value!r}") from None
        if number != value and not math.isnan(value):
            raise TypeError(f"{name} of {owner}: expected {self.type.__name__}, got {value!r}")
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        if not (above and below):
            left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
            raise ValueError(f"{name} of {owner}: expected a value in {left}{self.low}, {self.high}{right}, got {value!r}")
        return number

    def encode(self, value: AttrValue) -> float:
        """The number by which an engine receives `value`."""
        return float(self.choices.index(str(value))) if self.type is str else float(value)


@dataclass(frozen=True)
class Row:
    """What rows of all three tables share: a name and attributes.

    Attributes:
        ordered: pairs of attributes of which the first may not exceed the second.
    """

    name: str
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    ordered: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)

    def fill(self, given: Attrs) -> dict[str, AttrValue]:
        """`given` checked and completed by the defaults, in the row's order."""
        unknown = sorted(set(given) - set(self.attrs))
        if unknown:
            raise ValueError(f"{self.name!r} has no attribute {unknown[0]!r}: expected some of {list(self.attrs)}")
        filled: dict[str, AttrValue] = {}
        for key, attr in self.attrs.items():
            value = given.get(key, attr.default)
            if value is None:
                raise ValueError(f"{key} of {self.name!r}: expected a value, got none")
            filled[key] = attr.check(repr(self.name), key, value)
        for low, high in self.ordered:
            if filled[low] > filled[high]:  # type: ignore[operator]  # both are numbers
                raise ValueError(f"{low} of {self.name!r}: expected at most {high}, {filled[high]}, got {filled[low]}")
        return filled

    def encode(self, filled: Attrs) -> list[float]:
        """The attributes as the engine receives them: one number each, in the row's order."""
        return [attr.encode(filled[key]) for key, attr in self.attrs.items()]


def _same(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return shapes[0]


def _none(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    return {}


@dataclass(frozen=True)
class Op(Row):
    """A node's op.

    Attributes:
        arity: smallest and largest number of inputs (``None``: no limit).
        shape: the shape rule, from the inputs' per-sample shapes and the attributes to the result's.
        parameters: the parameter slots in order, with their shapes.
        activation: an elementwise or row-wise function of one input that a layer may name as its ``activation``.
        stochastic: draws random numbers while training.
    """

    arity: tuple[int, int | None] = (1, 1)
    shape: Callable[[tuple[Shape, ...], Attrs], Shape] = _same
    parameters: Callable[[tuple[Shape, ...], Attrs], Mapping[str, Shape]] = _none
    activation: bool = False
    stochastic: bool = False

    def check_arity(self, count: int) -> None:
        """Raise ValueError unless the op takes `count` inputs."""
        low, high = self.arity
        if count < low or (high is not None and count > high):
            expected = f"{low}" if low == high else f"at least {low}" if high is None else f"{low} to {high}"
            raise ValueError(f"inputs of {self.name!r}: expected {expected}, got {count}")


@dataclass(frozen=True)
class Loss(Row):
    """A loss on predictions and targets.

    Attributes:
        targets: which targets it takes: ``"values"`` (an array of the prediction's shape), ``"indices"`` (an integer class
            for each row).
    """

    targets: tuple[str, ...] = ("values",)


@dataclass(frozen=True)
class Rule(Row):
    """An optimizer's elementwise update rule.

    Attributes:
        states: names of the arrays, shaped like the parameter and zero at first, that the rule carries along.
    """

    states: tuple[str, ...] = ()


def _dense_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    if len(shapes[0]) != 1:
        raise ValueError(f"input of 'dense': expected a vector per sample, got shape {shapes[0]} (put a Flatten before it)")
    return (int(attrs["units"]),)


def _dense_parameters(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    units = int(attrs["units"])
    return {"kernel": (shapes[0][0], units)} | ({"bias": (units,)} if attrs["use_bias"] else {})


def _flatten_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return (math.prod(shapes[0]),)


def _equal_shapes(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    if len(set(shapes)) != 1:
        raise ValueError(f"inputs: expected equal shapes, got {', '.join(map(str, shapes))}")
    return shapes[0]


def concatenation_axis(axis: int, rank: int) -> int:
    """The axis of samples of `rank` axes that `axis` means, which counts the batch axis or comes from the end."""
    if not (1 <= axis <= rank or -rank <= axis <= -1):
        raise ValueError(f"axis of 'concatenate': expected 1 to {rank} or {-rank} to -1, got {axis}")
    return axis - 1 if axis > 0 else axis + rank


def _joined_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    first = shapes[0]
    at = concatenation_axis(int(attrs["axis"]), len(first))
    if any(len(s) != len(first) or s[:at] + s[at + 1 :] != first[:at] + first[at + 1 :] for s in shapes):
        raise ValueError(f"inputs: expected equal shapes but for axis {attrs['axis']}, got {', '.join(map(str, shapes))}")
    return (*first[:at], sum(s[at] for s in shapes), *first[at + 1 :])


def _no_empty_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    if not shapes[0]:
        raise ValueError("input of a softmax: expected at least one axis per sample, got a scalar")
    return shapes[0]


_RowT = TypeVar("_RowT", bound=Row)


def _table(*rows: _RowT) -> Mapping[str, _RowT]:
    return {row.name: row for row in rows}


_POSITIVE = Attr(float, 1.0, low=0.0, high=math.inf, open_low=True, open_high=True)

OPS = _table(
    Op("identity", activation=True),
    Op("step", activation=True),
    Op("relu", activation=True),
    Op("relu6", activation=True),
    Op("leaky_relu", {"negative_slope": Attr(float, 0.01, low=0.0)}, activation=True),
    Op(
        "hard_tanh",
        {"min_val": Attr(float, -1.0), "max_val": Attr(float, 1.0)},
        ordered=(("min_val", "max_val"),),
        activation=True,
    ),
    Op("hard_sigmoid", activation=True),
    Op("hard_swish", activation=True),
    Op("softsign", activation=True),
    Op("elu", {"alpha": Attr(float, 1.0, low=0.0)}, activation=True),
    Op("selu", activation=True),
    Op("celu", {"alpha": _POSITIVE}, activation=True),
    Op("gelu", {"approximate": Attr(str, "none", choices=("none", "tanh"))}, activation=True),
    Op("silu", activation=True),
    Op("mish", activation=True),
    Op("softplus", {"beta": _POSITIVE, "threshold": Attr(float, 20.0)}, activation=True),
    Op("sigmoid", activation=True),
    Op("log_sigmoid", activation=True),
    Op("tanh", activation=True),
    Op("softmax", shape=_no_empty_shape, activation=True),
    Op("log_softmax", shape=_no_empty_shape, activation=True),
    Op("rescaling", {"scale": Attr(float), "offset": Attr(float, 0.0)}),
    Op("dropout", {"rate": Attr(float, low=0.0, high=1.0, open_high=True)}, stochastic=True),
    Op("flatten", shape=_flatten_shape),
    Op("add", arity=(2, None), shape=_equal_shapes),
    Op("multiply", arity=(2, None), shape=_equal_shapes),
    Op("average", arity=(2, None), shape=_equal_shapes),
    Op("concatenate", {"axis": Attr(int, -1)}, arity=(2, None), shape=_joined_shape),
    Op(
        "dense",
        {"units": Attr(int, low=1, high=2**31 - 1), "use_bias": Attr(bool, True)},
        shape=_dense_shape,
        parameters=_dense_parameters,
    ),
)

_REDUCTION = Attr(str, "mean", choices=("none", "sum", "mean"))

LOSSES = _table(
    Loss("mse", {"reduction": _REDUCTION}),
    Loss("cross_entropy", {"reduction": _REDUCTION}, targets=("indices", "values")),
    Loss("bce_with_logits", {"reduction": _REDUCTION}),
)

_LEARNING_RATE = Attr(float, 1e-3, low=0.0, high=math.inf, open_high=True)
_WEIGHT_DECAY = Attr(float, 0.0, low=0.0, high=math.inf, open_high=True)
_EPSILON = Attr(float, 1e-8, low=0.0, high=math.inf, open_high=True)
_BETA_1 = Attr(float, 0.9, low=0.0, high=1.0, open_high=True)
_BETA_2 = Attr(float, 0.999, low=0.0, high=1.0, open_high=True)
_ADAM = {"learning_rate": _LEARNING_RATE, "beta_1": _BETA_1, "beta_2": _BETA_2, "epsilon": _EPSILON}

RULES = _table(
    Rule("sgd", {"learning_rate": _LEARNING_RATE, "weight_decay": _WEIGHT_DECAY}),
    Rule(
        "momentum",
        {
            "learning_rate": _LEARNING_RATE,
            "momentum": Attr(float, 0.9, low=0.0, high=1.0, open_high=True),
            "nesterov": Attr(bool, False),
            "weight_decay": _WEIGHT_DECAY,
        },
        states=("velocity",),
    ),
    Rule("adam", {**_ADAM, "weight_decay": _WEIGHT_DECAY}, states=("m", "v")),
    Rule(
        "adamw",
        {**_ADAM, "weight_decay": Attr(float, 0.01, low=0.0, high=math.inf, open_high=True)},
        states=("m", "v"),
    ),
    Rule(
        "rmsprop",
        {
            "learning_rate": Attr(float, 1e-2, low=0.0, high=math.inf, open_high=True),
            "rho": Attr(float, 0.99, low=0.0, high=1.0, open_high=True),
            "epsilon": _EPSILON,
            "weight_decay": _WEIGHT_DECAY,
        },
        states=("v",),
    ),
)


def _row(table: Mapping[str, _RowT], what: str, name: str) -> _RowT:
    if name not in table:
        raise ValueError(f"{what}: expected one of {', '.join(map(repr, table))}, got {name!r}")
    return table[name]


@dataclass(frozen=True)
class LossSpec:
    """A row of `LOSSES` and its attributes."""

    name: str
    attrs: Attrs = field(default_factory=dict)

    @cached_property
    def filled(self) -> dict[str, AttrValue]:
        """All attributes, checked; a ValueError for an unknown loss or a value out of bounds."""
        return _row(LOSSES, "loss", self.name).fill(self.attrs)


@dataclass(frozen=True)
class RuleSpec:
    """A row of `RULES` and its hyper-parameters."""

    name: str
    attrs: Attrs = field(default_factory=dict)

    @cached_property
    def filled(self) -> dict[str, AttrValue]:
        """All hyper-parameters, checked; a ValueError for an unknown rule or a value out of bounds."""
        return _row(RULES, "rule", self.name).fill(self.attrs)

    @cached_property
    def encoded(self) -> tuple[str, list[float]]:
        """Name and hyper-parameters as the native core takes them."""
        return self.name, _row(RULES, "rule", self.name).encode(self.filled)
