"""Optimizers: named hyper-parameters of an update rule. The engine holds the state and does the arithmetic.

Every optimizer but `LBFGS` takes `Options` beside its own hyper-parameters, and a number, a `nncore.schedules.Schedule` or
a function of the update's number as its learning rate. `weight_decay` is added to the gradient, as in PyTorch; with
`decoupled_weight_decay`, and always in `AdamW`, `Lion` and `LAMB`, it is taken off the parameter, apart from the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np

from nncore.lbfgs import LBFGS
from nncore.optable import RULES, AttrValue, GroupSpec, RuleSpec
from nncore.schedules import Function, Schedule

if TYPE_CHECKING:
    from nncore.model import Model

__all__ = [
    "LAMB",
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "Options",
    "RAdam",
    "RMSprop",
    "get",
]

LearningRate = float | Schedule | Callable[[int], float]

_MOST_RATES = 512  # learning rates computed at once: few beside an epoch of a small network, many beside a call


class Options(TypedDict, total=False):
    """What every optimizer but `LBFGS` takes.

    Attributes:
        groups: parameters with hyper-parameters of their own: mappings with a ``match``, a pattern of parameter names in
            the sense of `fnmatch`, and a ``learning_rate_factor`` (default 1) or a ``weight_decay`` (default: the
            optimizer's). A parameter belongs to the first group that matches.
        clipvalue: elements of the gradient are brought into [-clipvalue, clipvalue].
        clipnorm: each parameter's gradient is brought to this Euclidean norm where it has more.
        global_clipnorm: all gradients together are brought to this norm where they have more.
        gradient_accumulation_steps: batches whose mean gradient makes one update (default 1).
        use_ema: keep a moving average of the parameters, average = ema_momentum * average + (1 - ema_momentum) * p, which
            starts with the parameters after the first update; `Model.averaged_weights` puts it to use.
        ema_momentum: in [0, 1], default 0.99.
        ema_overwrite_frequency: after every so many updates the parameters become their average (default: never).

    At most one of the three kinds of clipping. Source: ``keras.optimizers.Optimizer``.
    """

    groups: Sequence[Mapping[str, str | float]]
    clipvalue: float | None
    clipnorm: float | None
    global_clipnorm: float | None
    gradient_accumulation_steps: int
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None


class Optimizer:
    """Hyper-parameters of one row of `nncore.optable.RULES`, and `Options`.

    Holds no state, so one object may serve several models. The learning rate may be set at any time.
    """

    def __init__(self, rule: str, attrs: Mapping[str, AttrValue], learning_rate: LearningRate, options: Options) -> None:
        for what, value in (("attrs", attrs), ("options", options)):
            if not isinstance(value, Mapping):
                raise TypeError(f"{what}: expected a mapping by name, got {type(value).__name__}")
        if not isinstance(options.get("groups", ()), (list, tuple)):
            raise TypeError(f"groups: expected a list of mappings, got {options['groups']!r}")
        unknown = [name for name in options if name not in Options.__annotations__]
        if unknown:
            raise TypeError(
                f"{unknown[0]}: expected some of {', '.join(Options.__annotations__)} as options of an optimizer"
            )
        use_ema = options.get("use_ema", False)
        if not isinstance(use_ema, bool):
            raise TypeError(f"use_ema: expected True or False, got {use_ema!r}")
        for name in ("ema_momentum", "ema_overwrite_frequency"):
            if options.get(name) is not None and not use_ema:
                raise ValueError(f"{name}: expected use_ema=True beside it")
        if not isinstance(rule, str) or rule not in RULES:
            raise ValueError(f"rule: expected one of {', '.join(map(repr, RULES))}, got {rule!r}")
        self._options = options
        self._schedule, rate = _schedule_and_rate(learning_rate)
        self._spec = RuleSpec(
            rule,
            RULES[rule].fill({**attrs, "learning_rate": rate}),
            groups=tuple(_group(group) for group in options.get("groups", ())),
            clipvalue=options.get("clipvalue"),
            clipnorm=options.get("clipnorm"),
            global_clipnorm=options.get("global_clipnorm"),
            gradient_accumulation_steps=options.get("gradient_accumulation_steps", 1),
            ema_momentum=options.get("ema_momentum", 0.99) if use_ema else None,
            ema_overwrite_frequency=options.get("ema_overwrite_frequency"),
        )

    @property
    def spec(self) -> RuleSpec:
        """The rule and its hyper-parameters as an engine takes them; of a schedule the first learning rate."""
        return self._spec

    @property
    def rule(self) -> str:
        """The row's name."""
        return self._spec.name

    @property
    def attrs(self) -> Mapping[str, AttrValue]:
        """The hyper-parameters."""
        return self._spec.attrs

    @property
    def states(self) -> list[tuple[str, str]]:
        """Owner and name of all that an engine keeps for each parameter, as its ``get_state`` takes them."""
        states = [(self.rule, state) for state in RULES[self.rule].states]
        if self._spec.gradient_accumulation_steps > 1:
            states.append(("accumulation", "gradient"))
        if self._spec.ema_momentum is not None:
            states.append(("ema", "average"))
        return states

    @property
    def learning_rate(self) -> float | Schedule:
        """The learning rate, a finite number >= 0, or its schedule. May be set to a function too."""
        return float(self.attrs["learning_rate"]) if self._schedule is None else self._schedule

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        schedule, rate = _schedule_and_rate(value)
        attrs = RULES[self.rule].fill({**self.attrs, "learning_rate": rate})
        self._spec = replace(self._spec, attrs=attrs)
        self._schedule = schedule

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate changes by a schedule."""
        return self._schedule is not None

    def rates(self, iterations: int, epoch: int, count: int) -> Sequence[float]:
        """Learning rates of up to `count` updates after `iterations`, in epoch `epoch`; none for one that never changes.

        Raises:
            ValueError: the schedule gives a number that is no learning rate.
        """
        if self._schedule is None:
            return ()
        count = min(count, _MOST_RATES)
        if self._schedule.per == "epoch":
            return [self._schedule(epoch)] * count
        rates: list[float] = self._schedule.rates(np.arange(iterations, iterations + count)).tolist()
        return rates

    def check_names(self, names: Sequence[str]) -> None:
        """Raise ValueError if a group of parameters matches none of `names`."""
        found = set(self._spec.groups_of(names))
        for i, group in enumerate(self._spec.groups, start=1):
            if i not in found:
                raise ValueError(f"groups: expected {group.match!r} to match one of {', '.join(names)}, or before others")

    def step(self, model: Model) -> None:
        """Update the parameters of `model` from the gradients that its last `backward` left."""
        model.apply_gradients(self)

    def __repr__(self) -> str:
        shown = {**self.attrs, "learning_rate": self.learning_rate, **self._options}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


def _schedule_and_rate(value: LearningRate) -> tuple[Schedule | None, float]:
    """The schedule, if it is one, and the first learning rate."""
    if isinstance(value, Schedule):
        return value, value(0)
    if callable(value):
        return _schedule_and_rate(Function(value))
    return None, value


def _group(group: Mapping[str, str | float]) -> GroupSpec:
    if not isinstance(group, Mapping) or "match" not in group:
        raise TypeError(f"groups: expected mappings with a 'match', got {group!r}")
    unknown = sorted(set(group) - {"match", "learning_rate_factor", "weight_decay"})
    if unknown:
        raise ValueError(f"groups: expected match, learning_rate_factor and weight_decay, got {unknown[0]!r}")
    fields: dict[str, object] = dict(group)
    return GroupSpec(**fields)  # type: ignore[arg-type]  # which checks them


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum where `momentum` > 0.

    v = momentum * v + (1 - dampening) * g, at first v = g;  p -= learning_rate * (g + momentum * v if nesterov else v)

    Source: Sutskever et al. 2013, in PyTorch's form.

    >>> SGD(0.1, momentum=0.9).rule
    'momentum'
    >>> SGD(0.1, groups=[{"match": "*.bias", "weight_decay": 0.0}], weight_decay=1e-4, clipnorm=1.0).spec.clipnorm
    1.0
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        attrs: dict[str, AttrValue] = {"weight_decay": weight_decay, "decoupled_weight_decay": decoupled_weight_decay}
        with_momentum = {**attrs, "momentum": momentum, "dampening": dampening, "nesterov": nesterov}
        RULES["momentum"].fill(with_momentum)  # checks them
        for name, value in (("nesterov", nesterov), ("dampening", dampening)):
            if value and not momentum:
                raise ValueError(f"{name} of SGD: expected momentum > 0 beside it, got {momentum!r}")
        if nesterov and dampening:
            raise ValueError(f"nesterov of SGD: expected dampening 0 beside it, got {dampening!r}")
        if momentum:
            super().__init__("momentum", with_momentum, learning_rate, options)
        else:
            super().__init__("sgd", attrs, learning_rate, options)


class RMSprop(Optimizer):
    """RMSprop: v = rho v + (1 - rho) g^2;  d = g / (sqrt(v) + epsilon);  p -= learning_rate * d.

    With `centered`, v minus the square of the running mean of g instead of v; with `momentum` > 0,
    u = momentum * u + d instead of d.

    Source: Hinton, "Neural networks for machine learning", lecture 6e; Graves 2013, arXiv:1308.0850; in PyTorch's form.

    >>> RMSprop(centered=True).states
    [('rmsprop_centered', 'v'), ('rmsprop_centered', 'mean')]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        rho: float = 0.99,
        momentum: float = 0.0,
        epsilon: float = 1e-8,
        centered: bool = False,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        if not isinstance(centered, bool):
            raise TypeError(f"centered of RMSprop: expected True or False, got {centered!r}")
        attrs: dict[str, AttrValue] = {
            "rho": rho,
            "epsilon": epsilon,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        RULES["rmsprop_momentum"].fill({**attrs, "momentum": momentum})  # checks them
        name = "rmsprop_centered" if centered else "rmsprop"
        if momentum:
            super().__init__(f"{name}_momentum", {**attrs, "momentum": momentum}, learning_rate, options)
        else:
            super().__init__(name, attrs, learning_rate, options)


class Adagrad(Optimizer):
    """Adagrad: v += g^2;  p -= learning_rate * g / (sqrt(v + initial_accumulator_value) + epsilon).

    Source: Duchi et al. 2011, JMLR 12; PyTorch, whose ``lr_decay`` is ``InverseTime`` of `nncore.schedules`.

    >>> Adagrad(0.1).rule
    'adagrad'
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-2,
        initial_accumulator_value: float = 0.0,
        epsilon: float = 1e-10,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        attrs: dict[str, AttrValue] = {
            "initial_accumulator_value": initial_accumulator_value,
            "epsilon": epsilon,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__("adagrad", attrs, learning_rate, options)


class Adadelta(Optimizer):
    """Adadelta: d = sqrt(u + epsilon) / sqrt(v + epsilon) * g;  p -= learning_rate * d; v, u running means of g^2, d^2.

    Source: Zeiler 2012, arXiv:1212.5701; defaults as in PyTorch.

    >>> Adadelta().learning_rate
    1.0
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1.0,
        rho: float = 0.9,
        epsilon: float = 1e-6,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        attrs: dict[str, AttrValue] = {
            "rho": rho,
            "epsilon": epsilon,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__("adadelta", attrs, learning_rate, options)


class Adam(Optimizer):
    """Adam; `weight_decay` is added to the gradient (L2).

    m = beta_1 m + (1 - beta_1) g;  v = beta_2 v + (1 - beta_2) g^2;
    p -= learning_rate / (1 - beta_1^t) * m / (sqrt(v / (1 - beta_2^t)) + epsilon), with `amsgrad` the largest v so far,
    with `epsilon_hat` (as in Keras and scikit-learn; not beside `amsgrad`) epsilon / sqrt(1 - beta_2^t) as epsilon

    Source: Kingma and Ba 2015, arXiv:1412.6980; Reddi et al. 2018, arXiv:1904.09237; epsilon as in PyTorch.

    >>> Adam(amsgrad=True).states
    [('amsgrad', 'm'), ('amsgrad', 'v'), ('amsgrad', 'largest')]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        epsilon_hat: bool = False,
        **options: Unpack[Options],
    ) -> None:
        attrs = _adam(beta_1, beta_2, epsilon, weight_decay)
        if not _check_amsgrad(amsgrad):
            super().__init__("adam", {**attrs, "epsilon_hat": epsilon_hat}, learning_rate, options)
        elif epsilon_hat:
            raise ValueError(f"epsilon_hat: expected False beside amsgrad, got {epsilon_hat!r}")
        else:
            super().__init__("amsgrad", attrs, learning_rate, options)


class AdamW(Optimizer):
    """`Adam` with decoupled weight decay: p is multiplied by 1 - learning_rate * weight_decay first.

    Source: Loshchilov and Hutter 2019, "Decoupled weight decay regularization", arXiv:1711.05101.

    >>> AdamW().attrs["weight_decay"]
    0.01
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        attrs = _adam(beta_1, beta_2, epsilon, weight_decay)
        if _check_amsgrad(amsgrad):
            super().__init__("amsgrad", {**attrs, "decoupled_weight_decay": True}, learning_rate, options)
        else:
            super().__init__("adamw", attrs, learning_rate, options)


class Adamax(Optimizer):
    """Adamax: m as in `Adam`;  u = max(beta_2 u, |g| + epsilon);  p -= learning_rate / (1 - beta_1^t) * m / u.

    Source: Kingma and Ba 2015, arXiv:1412.6980, section 7.1; epsilon as in PyTorch.

    >>> Adamax().learning_rate
    0.002
    """

    def __init__(
        self,
        learning_rate: LearningRate = 2e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        attrs = {**_adam(beta_1, beta_2, epsilon, weight_decay), "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__("adamax", attrs, learning_rate, options)


class NAdam(Optimizer):
    """`Adam` with Nesterov's momentum, which grows by `momentum_decay`; see `nncore.ops.nadam_step`.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam"; defaults as in PyTorch.

    >>> NAdam().attrs["momentum_decay"]
    0.004
    """

    def __init__(
        self,
        learning_rate: LearningRate = 2e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 4e-3,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        attrs = {
            **_adam(beta_1, beta_2, epsilon, weight_decay),
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__("nadam", attrs, learning_rate, options)


class RAdam(Optimizer):
    """`Adam` that divides by v only when it has seen enough gradients to trust it; see `nncore.ops.radam_step`.

    Source: Liu et al. 2020, arXiv:1908.03265; defaults as in PyTorch.

    >>> RAdam().rule
    'radam'
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        attrs = {**_adam(beta_1, beta_2, epsilon, weight_decay), "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__("radam", attrs, learning_rate, options)


class Lion(Optimizer):
    """Lion: p -= learning_rate * (sign(beta_1 m + (1 - beta_1) g) + weight_decay * p);  m = beta_2 m + (1 - beta_2) g.

    Source: Chen et al. 2023, "Symbolic discovery of optimization algorithms", arXiv:2302.06675, and its defaults.

    >>> Lion().states
    [('lion', 'm')]
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-4,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        attrs: dict[str, AttrValue] = {"beta_1": beta_1, "beta_2": beta_2, "weight_decay": weight_decay}
        super().__init__("lion", attrs, learning_rate, options)


class LAMB(Optimizer):
    """LAMB: d = Adam's direction + weight_decay * p;  p -= learning_rate * |p| / |d| * d, norms by parameter.

    See `nncore.ops.lamb_step`. Source: You et al. 2020, arXiv:1904.00962, and its defaults.

    >>> LAMB().attrs["epsilon"]
    1e-06
    """

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        weight_decay: float = 0.01,
        **options: Unpack[Options],
    ) -> None:
        super().__init__("lamb", _adam(beta_1, beta_2, epsilon, weight_decay), learning_rate, options)


def _adam(beta_1: float, beta_2: float, epsilon: float, weight_decay: float) -> dict[str, AttrValue]:
    return {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "weight_decay": weight_decay}


def _check_amsgrad(amsgrad: bool) -> bool:
    if not isinstance(amsgrad, bool):
        raise TypeError(f"amsgrad: expected True or False, got {amsgrad!r}")
    return amsgrad


OPTIMIZERS: Mapping[str, Callable[[], Optimizer | LBFGS]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "adam": Adam,
    "adamw": AdamW,
    "adamax": Adamax,
    "nadam": NAdam,
    "radam": RAdam,
    "lion": Lion,
    "lamb": LAMB,
    "lbfgs": LBFGS,
}


def get(value: str | Optimizer | LBFGS) -> Optimizer | LBFGS:
    """`value` itself, or the optimizer of that name with default hyper-parameters."""
    if isinstance(value, (Optimizer, LBFGS)):
        return value
    if not isinstance(value, str):
        raise TypeError(f"optimizer: expected a name or an Optimizer, got {value!r}")
    if value not in OPTIMIZERS:
        raise ValueError(f"optimizer: expected one of {', '.join(OPTIMIZERS)}, got {value!r}")
    return OPTIMIZERS[value]()
