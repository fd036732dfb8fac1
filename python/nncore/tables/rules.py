"""The optimizers' update rules: a row for each, and a row with what surrounds it as engines take it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from nncore.caching import cached_property
from nncore.tables.rows import Attr, Attrs, AttrValue, Row, row_of, table

__all__ = ["EXTRA_STATES", "RULES", "EncodedRule", "GroupSpec", "Rule", "RuleSpec", "state_index"]

# Name, hyper-parameters, those and the learning-rate factor of each group, each parameter's group, bounds for clipping,
# accumulation, momentum and overwriting of the average.
EncodedRule = tuple[
    str, list[float], list[tuple[list[float], float]], list[int], tuple[float, float, float], int, tuple[float, int] | None
]


@dataclass(eq=False, repr=False)
class Rule(Row):
    """An optimizer's update rule.

    Attributes:
        states: names of the arrays, shaped like the parameter and zero at first, that the rule carries along.
    """

    states: tuple[str, ...] = ()


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

RULES = table(
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
        return row_of(RULES, "rule", self.name).fill(self.attrs)

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
        row = row_of(RULES, "rule", self.name)
        groups = [(row.encode(self.of_group(i)), g.learning_rate_factor) for i, g in enumerate(self.groups, start=1)]
        clips = (self.clipvalue or 0.0, self.clipnorm or 0.0, self.global_clipnorm or 0.0)
        average = None if self.ema_momentum is None else (self.ema_momentum, self.ema_overwrite_frequency or 0)
        return self.name, row.encode(self.filled), groups, [], clips, self.gradient_accumulation_steps, average

    def encode_for(self, names: Sequence[str]) -> EncodedRule:
        """As the native core takes it, for parameters of these names."""
        name, hyper, groups, _, clips, steps, average = self.encoded
        return name, hyper, groups, self.groups_of(names), clips, steps, average
