"""The op table: one row for each op, loss and optimizer rule that a graph or an engine may name.

A row says what is true of the op in every engine: name, number of inputs, attributes with defaults and bounds, parameter
slots and shape rule. The C++ implementation, the NumPy reference and the test cases are held to it by
``tests/test_contract.py``. Adding an op means one row here, one C++ functor, one reference pair and one case row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TypeVar

__all__ = [
    "EXTRA_STATES",
    "LOSSES",
    "OPS",
    "RULES",
    "Attr",
    "AttrValue",
    "EncodedRule",
    "GroupSpec",
    "Loss",
    "LossSpec",
    "Op",
    "Rule",
    "RuleSpec",
    "Shape",
    "state_index",
]

Shape = tuple[int, ...]
AttrValue = float | int | bool | str
Attrs = Mapping[str, AttrValue]
# Name, hyper-parameters, those and the learning-rate factor of each group, each parameter's group, bounds for clipping,
# accumulation, momentum and overwriting of the average.
EncodedRule = tuple[
    str, list[float], list[tuple[list[float], float]], list[int], tuple[float, float, float], int, tuple[float, int] | None
]


# The rows have only the methods that are called: making each takes part of a millisecond at import.
@dataclass(eq=False, repr=False)
class Attr:
    """One attribute: its default (``None``: must be given), and the values it may take.

    Attributes:
        default: the value when none is given; its type is the attribute's type.
        low, high: bounds of a number; inclusive unless `open_low` / `open_high`.
        choices: the allowed strings of a string attribute; an engine receives the position in this tuple.
        pattern: instead, what a string attribute must look like; an engine receives 0, as it needs no such attribute.
    """

    type: type
    default: AttrValue | None = None
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""

    def check(self, owner: str, name: str, value: AttrValue) -> AttrValue:
        """`value` as this attribute's type, or an error that names `owner` and `name`."""
        if self.pattern:
            if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
                raise ValueError(f"{name} of {owner}: expected text like {self.pattern}, got {value!r}")
            return value
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
        if self.pattern:
            return 0.0
        return float(self.choices.index(str(value))) if self.type is str else float(value)


@dataclass(eq=False, repr=False)
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


@dataclass(eq=False, repr=False)
class Op(Row):
    """A node's op.

    Attributes:
        arity: smallest and largest number of inputs (``None``: no limit).
        shape: the shape rule, from the inputs' per-sample shapes and the attributes to the result's.
        parameters: the parameter slots in order, with their shapes.
        activation: an elementwise or row-wise function of one input that a layer may name as its ``activation``.
        stochastic: draws random numbers while training.
        mixes_rows: in training a row of the result depends on the other rows of the batch.
        learns: a training pass changes parameters of the op that no optimizer does, such as running averages.
    """

    arity: tuple[int, int | None] = (1, 1)
    shape: Callable[[tuple[Shape, ...], Attrs], Shape] = _same
    parameters: Callable[[tuple[Shape, ...], Attrs], Mapping[str, Shape]] = _none
    activation: bool = False
    stochastic: bool = False
    mixes_rows: bool = False
    learns: bool = False

    def check_arity(self, count: int) -> None:
        """Raise ValueError unless the op takes `count` inputs."""
        low, high = self.arity
        if count < low or (high is not None and count > high):
            expected = f"{low}" if low == high else f"at least {low}" if high is None else f"{low} to {high}"
            raise ValueError(f"inputs of {self.name!r}: expected {expected}, got {count}")


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


@dataclass(eq=False, repr=False)
class Rule(Row):
    """An optimizer's update rule.

    Attributes:
        states: names of the arrays, shaped like the parameter and zero at first, that the rule carries along.
    """

    states: tuple[str, ...] = ()


def _dense_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return (*_last_axis("dense", shapes[0])[:-1], int(attrs["units"]))


def _dense_parameters(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    units = int(attrs["units"])
    return {"kernel": (shapes[0][-1], units)} | ({"bias": (units,)} if attrs["use_bias"] else {})


def _flatten_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return (math.prod(shapes[0]),)


def _equal_shapes(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    if len(set(shapes)) != 1:
        raise ValueError(f"inputs: expected equal shapes, got {', '.join(map(str, shapes))}")
    return shapes[0]


def sample_axis(axis: int, rank: int) -> int:
    """The axis of samples of `rank` axes that `axis` means, which counts the batch axis or comes from the end."""
    if rank == 0:
        raise ValueError("input: expected at least one axis per sample, got a scalar")
    if not (1 <= axis <= rank or -rank <= axis <= -1):
        raise ValueError(f"axis: expected 1 to {rank} or {-rank} to -1, got {axis}")
    return axis - 1 if axis > 0 else axis + rank


def _joined_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    first = shapes[0]
    at = sample_axis(int(attrs["axis"]), len(first))
    if any(len(s) != len(first) or s[:at] + s[at + 1 :] != first[:at] + first[at + 1 :] for s in shapes):
        raise ValueError(f"inputs: expected equal shapes but for axis {attrs['axis']}, got {', '.join(map(str, shapes))}")
    return (*first[:at], sum(s[at] for s in shapes), *first[at + 1 :])


def _along_axis(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    sample_axis(int(attrs["axis"]), len(shapes[0]))
    return shapes[0]


def _shared_out(shape: Shape, axis: int, parts: int) -> Shape:
    """`shape` with its axis cut into `parts`, of which one is left."""
    at = sample_axis(axis, len(shape))
    if shape[at] % parts:
        raise ValueError(f"input: expected a multiple of {parts} along axis {axis}, got {shape[at]}")
    return (*shape[:at], shape[at] // parts, *shape[at + 1 :])


def _halved(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return _shared_out(shapes[0], int(attrs["axis"]), 2)


def _one_of_groups(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return _shared_out(shapes[0], int(attrs["axis"]), int(attrs["groups"]))


def _slopes(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    if attrs["shared"]:
        return {"alpha": (1,)}
    sample_axis(-1, len(shapes[0]))
    return {"alpha": shapes[0][-1:]}


def _batch_norm_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return _last_axis("batch_norm", shapes[0])


def _batch_norm_parameters(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    names = ["gamma"] * bool(attrs["scale"]) + ["beta"] * bool(attrs["center"]) + ["moving_mean", "moving_variance"]
    return dict.fromkeys(names, shapes[0][-1:])


def _last_axis(op: str, shape: Shape) -> Shape:
    if not shape:
        raise ValueError(f"input of {op!r}: expected at least one axis per sample, got a scalar")
    return shape


def _vector_norm_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return _last_axis("layer_norm", shapes[0])


def _layer_norm_parameters(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    names = ["gamma"] * bool(attrs["scale"]) + ["beta"] * bool(attrs.get("center", False))
    return dict.fromkeys(names, shapes[0][-1:])


def _embedding_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return (*shapes[0], int(attrs["output_dim"]))


def _embedding_parameters(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    return {"embeddings": (int(attrs["input_dim"]), int(attrs["output_dim"]))}


def _one_hot_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return (*shapes[0], int(attrs["depth"]))


def target_shape(attrs: Attrs) -> Shape:
    """The ``target_shape`` of a reshape, which a graph has as text: ``"2,-1"``."""
    text = str(attrs["target_shape"])
    return tuple(int(n) for n in text.split(",")) if text else ()


def _reshape_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    target, size = target_shape(attrs), math.prod(shapes[0])
    known = math.prod(n for n in target if n != -1)
    filled = tuple(size // known if n == -1 else n for n in target)
    if math.prod(filled) != size:
        raise ValueError(f"input of 'reshape': expected a size that fits {target}, got shape {shapes[0]}")
    return filled


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
    Op("softmax", {"axis": Attr(int, -1)}, shape=_along_axis, activation=True),
    Op("log_softmax", {"axis": Attr(int, -1)}, shape=_along_axis, activation=True),
    Op("glu", {"axis": Attr(int, -1)}, shape=_halved, activation=True),
    Op("maxout", {"groups": Attr(int, 2, low=1), "axis": Attr(int, -1)}, shape=_one_of_groups, activation=True),
    Op("prelu", {"shared": Attr(bool, True)}, parameters=_slopes),
    Op(
        "rrelu",
        {
            "lower": Attr(float, 1 / 8, low=0.0, high=math.inf, open_high=True),
            "upper": Attr(float, 1 / 3, low=0.0, high=math.inf, open_high=True),
        },
        ordered=(("lower", "upper"),),
        activation=True,
        stochastic=True,
    ),
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
    Op(
        "batch_norm",
        {
            "momentum": Attr(float, 0.99, low=0.0, high=1.0),
            "epsilon": Attr(float, 1e-3, low=0.0, high=math.inf, open_high=True),
            "center": Attr(bool, True),
            "scale": Attr(bool, True),
            "frozen": Attr(bool, False),  # set by nncore.graph.freeze
        },
        shape=_batch_norm_shape,
        parameters=_batch_norm_parameters,
        mixes_rows=True,
        learns=True,
    ),
    Op(
        "layer_norm",
        {
            "epsilon": Attr(float, 1e-3, low=0.0, high=math.inf, open_high=True),
            "center": Attr(bool, True),
            "scale": Attr(bool, True),
        },
        shape=_vector_norm_shape,
        parameters=_layer_norm_parameters,
    ),
    Op(
        "rms_norm",
        {"epsilon": Attr(float, 1e-6, low=0.0, high=math.inf, open_high=True), "scale": Attr(bool, True)},
        shape=_vector_norm_shape,
        parameters=_layer_norm_parameters,
    ),
    Op("gaussian_noise", {"stddev": Attr(float, low=0.0, high=math.inf, open_high=True)}, stochastic=True),
    Op("alpha_dropout", {"rate": Attr(float, low=0.0, high=1.0, open_high=True)}, stochastic=True),
    Op(
        "reshape",
        {"target_shape": Attr(str, pattern=r"(-1|[1-9]\d*)?(,[1-9]\d*)*|([1-9]\d*,)+-1(,[1-9]\d*)*")},
        shape=_reshape_shape,
    ),
    Op(
        "embedding",
        {"input_dim": Attr(int, low=1, high=2**24), "output_dim": Attr(int, low=1, high=2**31 - 1)},
        shape=_embedding_shape,
        parameters=_embedding_parameters,
    ),
    Op("one_hot", {"depth": Attr(int, low=1, high=2**24)}, shape=_one_hot_shape),
)

_REDUCTION = Attr(str, "mean", choices=("none", "sum", "mean"))
_LENGTH = Attr(float, 1.0, low=0.0, high=math.inf, open_low=True, open_high=True)
_IGNORE_INDEX = Attr(int, -100, low=-(2**31), high=2**31 - 1)

LOSSES = _table(
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


def _rate(default: float) -> Attr:
    return Attr(float, default, low=0.0, high=math.inf, open_high=True)


def _fraction(default: float) -> Attr:
    return Attr(float, default, low=0.0, high=1.0, open_high=True)


# The learning rate is the first hyper-parameter of every rule.
_LEARNING_RATE = {"learning_rate": _rate(1e-3)}
_EPSILON = {"epsilon": _rate(1e-8)}
_DECAY = {"weight_decay": _rate(0.0)}
_EITHER_DECAY = {**_DECAY, "decoupled_weight_decay": Attr(bool, False)}
_BETAS = {"beta_1": _fraction(0.9), "beta_2": _fraction(0.999)}
_ADAM = {**_LEARNING_RATE, **_BETAS, **_EPSILON}
_RMSPROP = {"learning_rate": _rate(1e-2), "rho": _fraction(0.99)}
_MOMENTUM = {"momentum": _fraction(0.9)}

RULES = _table(
    Rule("sgd", {**_LEARNING_RATE, **_EITHER_DECAY}),
    Rule(
        "momentum",
        {
            **_LEARNING_RATE,
            **_MOMENTUM,
            "dampening": Attr(float, 0.0, low=0.0, high=1.0),
            "nesterov": Attr(bool, False),
            **_EITHER_DECAY,
        },
        states=("velocity",),
    ),
    Rule("rmsprop", {**_RMSPROP, **_EPSILON, **_EITHER_DECAY}, states=("v",)),
    Rule("rmsprop_momentum", {**_RMSPROP, **_MOMENTUM, **_EPSILON, **_EITHER_DECAY}, states=("v", "velocity")),
    Rule("rmsprop_centered", {**_RMSPROP, **_EPSILON, **_EITHER_DECAY}, states=("v", "mean")),
    Rule(
        "rmsprop_centered_momentum",
        {**_RMSPROP, **_MOMENTUM, **_EPSILON, **_EITHER_DECAY},
        states=("v", "mean", "velocity"),
    ),
    Rule(
        "adagrad",
        {
            "learning_rate": _rate(1e-2),
            "initial_accumulator_value": _rate(0.0),
            "epsilon": _rate(1e-10),
            **_EITHER_DECAY,
        },
        states=("v",),
    ),
    Rule(
        "adadelta",
        {"learning_rate": _rate(1.0), "rho": _fraction(0.9), "epsilon": _rate(1e-6), **_EITHER_DECAY},
        states=("v", "u"),
    ),
    Rule("adam", {**_ADAM, **_DECAY, "epsilon_hat": Attr(bool, False)}, states=("m", "v")),
    Rule("adamw", {**_ADAM, "weight_decay": _rate(0.01)}, states=("m", "v")),
    Rule("amsgrad", {**_ADAM, **_EITHER_DECAY}, states=("m", "v", "largest")),
    Rule("adamax", {**_ADAM, "learning_rate": _rate(2e-3), **_EITHER_DECAY}, states=("m", "u")),
    Rule(
        "nadam",
        {**_ADAM, "learning_rate": _rate(2e-3), "momentum_decay": _rate(4e-3), **_EITHER_DECAY},
        states=("m", "v"),
    ),
    Rule("radam", {**_ADAM, **_EITHER_DECAY}, states=("m", "v")),
    Rule(
        "lion",
        {"learning_rate": _rate(1e-4), "beta_1": _fraction(0.9), "beta_2": _fraction(0.99), **_DECAY},
        states=("m",),
    ),
    Rule(
        "lamb",
        {
            **_LEARNING_RATE,
            **_BETAS,
            # Not 0: where no gradient ever comes, 0 / 0 would spoil the norm of the whole parameter.
            "epsilon": Attr(float, 1e-6, low=0.0, high=math.inf, open_low=True, open_high=True),
            "weight_decay": _rate(0.01),
        },
        states=("m", "v"),
    ),
)

EXTRA_STATES: Mapping[str, tuple[str, ...]] = {"accumulation": ("gradient",), "ema": ("average",)}
"""What an optimizer may keep beside its rule's states, named as those are: by an owner in the rule's place, and a name."""


def state_index(rule: str, state: str) -> int:
    """The place of `state` among those of `rule`, or of an owner in `EXTRA_STATES`.

    Raises:
        ValueError: there is no such state.
    """
    states = {**{row.name: row.states for row in RULES.values()}, **EXTRA_STATES}
    if state not in states.get(rule, ()):
        known = [f"{owner}/{name}" for owner, names in states.items() for name in names]
        raise ValueError(f"optimizer state: expected one of {', '.join(known)}, got {rule}/{state}")
    return states[rule].index(state)


def _row(table: Mapping[str, _RowT], what: str, name: str) -> _RowT:
    if name not in table:
        raise ValueError(f"{what}: expected one of {', '.join(map(repr, table))}, got {name!r}")
    return table[name]


@dataclass(frozen=True)
class LossSpec:
    """A row of `LOSSES`, its attributes, and those of its array options that are given, as checked vectors."""

    name: str
    attrs: Attrs = field(default_factory=dict)
    arrays: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def row(self) -> Loss:
        """The row; a ValueError for an unknown loss."""
        return _row(LOSSES, "loss", self.name)

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


@dataclass(frozen=True)
class GroupSpec:
    """Parameters with hyper-parameters of their own.

    Attributes:
        match: the parameters' names, as a pattern in the sense of `fnmatch`: ``"*.bias"``.
        learning_rate_factor: their learning rate is the optimizer's times this.
        weight_decay: theirs, or ``None`` for the optimizer's.
    """

    match: str
    learning_rate_factor: float = 1.0
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.match, str):
            raise TypeError(f"match of groups: expected a pattern, got {self.match!r}")
        _rate(1.0).check("groups", "learning_rate_factor", self.learning_rate_factor)
        if self.weight_decay is not None:
            _rate(0.0).check("groups", "weight_decay", self.weight_decay)


@dataclass(frozen=True)
class RuleSpec:
    """A row of `RULES` with its hyper-parameters, and what surrounds the rule: groups, clipping, accumulation, averaging.

    Attributes:
        name: the row's.
        attrs: hyper-parameters; the row's defaults for the others.
        groups: a parameter belongs to the first whose pattern its name matches.
        clipvalue: bound of the elements of the gradient.
        clipnorm: bound of the Euclidean norm of each parameter's gradient.
        global_clipnorm: bound of the norm of all gradients together.
        gradient_accumulation_steps: batches whose mean gradient makes one update.
        ema_momentum: of a moving average of the parameters; ``None``: there is none.
        ema_overwrite_frequency: updates after each of which the parameters become their average; ``None``: never.
    """

    name: str
    attrs: Attrs = field(default_factory=dict)
    groups: tuple[GroupSpec, ...] = ()
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    gradient_accumulation_steps: int = 1
    ema_momentum: float | None = None
    ema_overwrite_frequency: int | None = None

    def __post_init__(self) -> None:
        bound = Attr(float, low=0.0, high=math.inf, open_low=True, open_high=True)
        clips = {name: getattr(self, name) for name in ("clipvalue", "clipnorm", "global_clipnorm")}
        given = {name: value for name, value in clips.items() if value is not None}
        for name, value in given.items():
            bound.check("the optimizer", name, value)
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} of the optimizer: expected one of them at most")
        Attr(int, low=1, high=2**31 - 1).check(
            "the optimizer", "gradient_accumulation_steps", self.gradient_accumulation_steps
        )
        if self.ema_momentum is not None:
            Attr(float, low=0.0, high=1.0).check("the optimizer", "ema_momentum", self.ema_momentum)
        if (frequency := self.ema_overwrite_frequency) is not None:
            Attr(int, low=1, high=2**31 - 1).check("the optimizer", "ema_overwrite_frequency", frequency)

    @cached_property
    def filled(self) -> dict[str, AttrValue]:
        """All hyper-parameters, checked; a ValueError for an unknown rule or a value out of bounds."""
        return _row(RULES, "rule", self.name).fill(self.attrs)

    def of_group(self, group: int) -> dict[str, AttrValue]:
        """All hyper-parameters of group 0, the parameters that match no pattern, or of ``groups[group - 1]``."""
        own = self.groups[group - 1] if group else None
        decay = {} if own is None or own.weight_decay is None else {"weight_decay": own.weight_decay}
        return {**self.filled, **decay}

    def groups_of(self, names: Sequence[str]) -> list[int]:
        """The group of each parameter: 0, or 1 + its place in `groups`."""
        return [
            next((i for i, group in enumerate(self.groups, start=1) if fnmatchcase(name, group.match)), 0) for name in names
        ]

    @cached_property
    def encoded(self) -> EncodedRule:
        """As the native core takes it, but for the groups of the parameters."""
        row = _row(RULES, "rule", self.name)
        groups = [(row.encode(self.of_group(i)), g.learning_rate_factor) for i, g in enumerate(self.groups, start=1)]
        clips = (self.clipvalue or 0.0, self.clipnorm or 0.0, self.global_clipnorm or 0.0)
        average = None if self.ema_momentum is None else (self.ema_momentum, self.ema_overwrite_frequency or 0)
        return self.name, row.encode(self.filled), groups, [], clips, self.gradient_accumulation_steps, average

    def encode_for(self, names: Sequence[str]) -> EncodedRule:
        """As the native core takes it, for parameters of these names."""
        name, hyper, groups, _, clips, steps, average = self.encoded
        return name, hyper, groups, self.groups_of(names), clips, steps, average
