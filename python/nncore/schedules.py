"""Learning-rate schedules: functions of how many updates, or epochs, have been made.

``Adam(learning_rate=Cosine(0.1, 1000))``: an optimizer takes a schedule, or a function of the update's number, in place of
a number. All schedules count from 0 and take ``per="step"`` (optimizer updates, the default) or ``per="epoch"`` (passes of
``fit`` since compilation). A schedule computes many values at once, so that an epoch stays one call of the engine.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from nncore.scalars import number

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "Function",
    "InverseTime",
    "MultiStep",
    "OneCycle",
    "Polynomial",
    "Schedule",
    "Step",
    "Warmup",
]

Values = npt.NDArray[np.float64]
Unit = Literal["step", "epoch"]


class Schedule(ABC):
    """A learning rate for each update or each epoch; called with its number, it gives the value.

    Attributes:
        per: what is counted: ``"step"`` or ``"epoch"``.
    """

    def __init__(self, per: Unit = "step") -> None:
        if not isinstance(per, str) or per not in get_args(Unit):
            raise ValueError(f"per: expected 'step' or 'epoch', got {per!r}")
        self.per = per

    @abstractmethod
    def values(self, steps: Values) -> Values:
        """The learning rates for the numbers `steps`."""

    def rates(self, steps: npt.ArrayLike) -> Values:
        """The learning rates for the numbers `steps`, each checked to be finite and not negative.

        Raises:
            ValueError: one is not.
        """
        numbers = np.atleast_1d(np.asarray(steps, np.float64))
        rates = self.values(numbers)
        bad = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if bad.size:
            raise ValueError(
                f"learning_rate: expected a finite number >= 0, got {rates[bad[0]]} for {self.per} {numbers[bad[0]]:.0f} "
                f"of {self!r}"
            )
        return rates

    def __call__(self, step: float) -> float:
        """The learning rate for number `step`."""
        return float(self.rates(step)[0])

    def __repr__(self) -> str:
        """The options, each of which is an attribute of its name."""
        options = {name: getattr(self, name, None) for name in inspect.signature(type(self)).parameters}
        shown = {name: value for name, value in options.items() if (name, value) != ("per", "step")}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


class Constant(Schedule):
    """The same learning rate always; as a part of another schedule.

    >>> Warmup(Constant(0.5), 2)(1), Constant(0.5)(7)
    (0.25, 0.5)
    """

    def __init__(self, learning_rate: float, per: Unit = "step") -> None:
        super().__init__(per)
        self.learning_rate = _rate("learning_rate", learning_rate)

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        return np.full_like(steps, self.learning_rate)


class Step(Schedule):
    """``initial_learning_rate * gamma^floor(step / step_size)``. Source: ``torch.optim.lr_scheduler.StepLR``.

    >>> [Step(1.0, 2, gamma=0.5)(i) for i in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, initial_learning_rate: float, step_size: int, gamma: float = 0.1, per: Unit = "step") -> None:
        super().__init__(per)
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.step_size, self.gamma = _count("step_size", step_size), _rate("gamma", gamma)

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        return self.initial_learning_rate * np.power(self.gamma, np.floor(steps / self.step_size))


class MultiStep(Schedule):
    """``initial_learning_rate`` times `gamma` for each milestone reached. Source: ``torch.optim.lr_scheduler.MultiStepLR``.

    >>> [MultiStep(1.0, [2, 3], gamma=0.5)(i) for i in range(5)]
    [1.0, 1.0, 0.5, 0.25, 0.25]
    """

    def __init__(
        self, initial_learning_rate: float, milestones: Sequence[int], gamma: float = 0.1, per: Unit = "step"
    ) -> None:
        super().__init__(per)
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        if not isinstance(milestones, Sequence) or isinstance(milestones, (str, bytes)):
            raise TypeError(f"milestones: expected a sequence of integers, got {milestones!r}")
        self.milestones = [_count("milestones", m) for m in milestones]
        if self.milestones != sorted(self.milestones):
            raise ValueError(f"milestones: expected ascending numbers, got {self.milestones}")
        self.gamma = _rate("gamma", gamma)

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        reached = np.searchsorted(np.asarray(self.milestones, np.float64), steps, side="right")
        return self.initial_learning_rate * np.power(self.gamma, reached.astype(np.float64))


class _Decay(Schedule):
    """A decay whose exponent or divisor is ``step / decay_steps``, rounded down if `staircase`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_rate: float,
        decay_steps: int = 1,
        staircase: bool = False,
        per: Unit = "step",
    ) -> None:
        super().__init__(per)
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.decay_rate, self.decay_steps = _rate("decay_rate", decay_rate), _count("decay_steps", decay_steps)
        self.staircase = _flag("staircase", staircase)

    def _passed(self, steps: Values) -> Values:
        passed = steps / self.decay_steps
        return np.floor(passed) if self.staircase else passed


class Exponential(_Decay):
    """``initial_learning_rate * decay_rate^(step / decay_steps)``, the exponent rounded down if `staircase`.

    Source: ``keras.optimizers.schedules.ExponentialDecay``; PyTorch's ``ExponentialLR`` with ``decay_steps=1``.

    >>> [Exponential(1.0, 0.25, decay_steps=2)(i) for i in range(3)]
    [1.0, 0.5, 0.25]
    """

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        return self.initial_learning_rate * np.power(self.decay_rate, self._passed(steps))


class InverseTime(_Decay):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``, the quotient rounded down if `staircase`.

    Source: ``keras.optimizers.schedules.InverseTimeDecay``; the ``lr_decay`` of PyTorch's Adagrad.

    >>> [InverseTime(1.0, 1.0)(i) for i in range(4)]
    [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        return self.initial_learning_rate / (1 + self.decay_rate * self._passed(steps))


class Polynomial(Schedule):
    """From the initial to the end learning rate by ``(1 - step / decay_steps)^power``, and constant from there.

    With `cycle` it starts anew instead, every time over `decay_steps` more.

    Source: ``keras.optimizers.schedules.PolynomialDecay``; PyTorch's ``PolynomialLR`` with ``end_learning_rate=0``.

    >>> [Polynomial(1.0, 4)(i) for i in (0, 1, 2, 4, 9)]
    [1.0, 0.75, 0.5, 0.0, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0,
        power: float = 1.0,
        cycle: bool = False,
        per: Unit = "step",
    ) -> None:
        super().__init__(per)
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _count("decay_steps", decay_steps)
        self.end_learning_rate, self.power = _rate("end_learning_rate", end_learning_rate), _rate("power", power)
        self.cycle = _flag("cycle", cycle)

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        length = self.decay_steps * np.maximum(1, np.ceil(steps / self.decay_steps)) if self.cycle else self.decay_steps
        left = 1 - np.minimum(steps, length) / length
        return (self.initial_learning_rate - self.end_learning_rate) * np.power(left, self.power) + self.end_learning_rate


class Cosine(Schedule):
    """Half a cosine wave from the initial learning rate down to `alpha` times it, and constant from there.

    ``initial_learning_rate * (alpha + (1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2)``

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983; ``keras.optimizers.schedules.CosineDecay``; PyTorch's
    ``CosineAnnealingLR`` up to `decay_steps`.

    >>> [round(Cosine(1.0, 4)(i), 4) for i in (0, 1, 2, 4, 9)]
    [1.0, 0.8536, 0.5, 0.0, 0.0]
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, alpha: float = 0.0, per: Unit = "step") -> None:
        super().__init__(per)
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps, self.alpha = _count("decay_steps", decay_steps), _fraction("alpha", alpha)

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        return self.initial_learning_rate * _half_wave(np.minimum(steps / self.decay_steps, 1), self.alpha)


class CosineRestarts(Schedule):
    """`Cosine` over and over; each time `t_mul` as long, from `m_mul` times the learning rate.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983; ``keras.optimizers.schedules.CosineDecayRestarts``; PyTorch's
    ``CosineAnnealingWarmRestarts``.

    >>> [round(CosineRestarts(1.0, 2, t_mul=2.0)(i), 4) for i in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        per: Unit = "step",
    ) -> None:
        super().__init__(per)
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = _count("first_decay_steps", first_decay_steps)
        self.t_mul, self.m_mul, self.alpha = _rate("t_mul", t_mul), _rate("m_mul", m_mul), _fraction("alpha", alpha)
        if self.t_mul < 1:
            raise ValueError(f"t_mul: expected a number >= 1, got {t_mul!r}")

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        # The first step of each period, up to beyond the last step that is asked for.
        starts, length = [0.0], float(self.first_decay_steps)
        while starts[-1] <= steps.max(initial=0):
            starts.append(starts[-1] + length)
            length *= self.t_mul
        edges = np.asarray(starts)
        period = np.searchsorted(edges, steps, side="right") - 1
        passed = (steps - edges[period]) / (edges[period + 1] - edges[period])
        return self.initial_learning_rate * np.power(self.m_mul, period.astype(np.float64)) * _half_wave(passed, self.alpha)


class Warmup(Schedule):
    """Linear from `start` times the first value of another schedule up to it, then that schedule.

    The other schedule begins when the warm-up is over: it counts from 0 there. PyTorch: ``LinearLR`` and the other in a
    ``SequentialLR``.

    Source: Goyal et al. 2017, arXiv:1706.02677.

    >>> [Warmup(Step(1.0, 2, gamma=0.5), 2)(i) for i in range(6)]
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, schedule: Schedule, warmup_steps: int, start: float = 0.0) -> None:
        if not isinstance(schedule, Schedule):
            raise TypeError(f"schedule: expected one to warm up into, got {schedule!r}")
        super().__init__(schedule.per)
        self.schedule, self.warmup_steps = schedule, _count("warmup_steps", warmup_steps)
        self.start = _fraction("start", start)

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        after = self.schedule.values(np.maximum(steps - self.warmup_steps, 0))
        passed = np.minimum(steps / self.warmup_steps, 1)
        return after * (self.start + (1 - self.start) * passed)


class OneCycle(Schedule):
    """Up from ``max_learning_rate / div_factor``, and down to ``1 / final_div_factor`` of where it started.

    The way up takes the fraction `pct_start` of `total_steps`. Both are half waves of a cosine, or straight with
    ``anneal="linear"``. The learning rate stays at its end afterwards. The momentum does not change.

    Source: Smith and Topin 2018, arXiv:1708.07120; ``torch.optim.lr_scheduler.OneCycleLR``.

    >>> [round(OneCycle(1.0, 11, anneal="linear")(i), 4) for i in (0, 1, 2.3, 10, 12)]
    [0.04, 0.4574, 1.0, 0.0, 0.0]
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal: Literal["cos", "linear"] = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        per: Unit = "step",
    ) -> None:
        super().__init__(per)
        self.max_learning_rate = _rate("max_learning_rate", max_learning_rate)
        self.total_steps, self.pct_start = _count("total_steps", total_steps), _fraction("pct_start", pct_start)
        if not isinstance(anneal, str) or anneal not in ("cos", "linear"):
            raise ValueError(f"anneal: expected 'cos' or 'linear', got {anneal!r}")
        self.anneal = anneal
        for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            if _rate(name, factor) == 0:
                raise ValueError(f"{name}: expected a number > 0, got {factor!r}")
        self.div_factor, self.final_div_factor = float(div_factor), float(final_div_factor)

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        first = self.max_learning_rate / self.div_factor
        last = first / self.final_div_factor
        end, peak = self.total_steps - 1, self.pct_start * self.total_steps - 1
        rising = steps <= peak
        begin, span = np.where(rising, 0.0, peak), np.where(rising, peak, end - peak)
        passed = np.clip((steps - begin) / np.where(span > 0, span, 1), 0, 1)
        left = _half_wave(passed, 0.0) if self.anneal == "cos" else 1 - passed
        return np.where(
            rising,
            self.max_learning_rate + (first - self.max_learning_rate) * left,
            last + (self.max_learning_rate - last) * left,
        )


class Function(Schedule):
    """A function of the number of the step or epoch, one call for each.

    >>> [Function(lambda epoch: 1.0 / (1 + epoch), per="epoch")(i) for i in range(2)]
    [1.0, 0.5]
    """

    def __init__(self, function: Callable[[int], float], per: Unit = "step") -> None:
        super().__init__(per)
        if not callable(function):
            raise TypeError(f"function: expected a function of the step's number, got {function!r}")
        self.function = function

    def values(self, steps: Values) -> Values:
        """See `Schedule.values`."""
        return np.array([float(self.function(int(step))) for step in steps])


def _half_wave(passed: Values, alpha: float) -> Values:
    """From 1 at 0 down to `alpha` at 1."""
    wave: Values = alpha + (1 - alpha) * 0.5 * (1 + np.cos(math.pi * passed))
    return wave


def _rate(name: str, value: float) -> float:
    rate = number(value, name)
    if not 0 <= rate < math.inf:
        raise ValueError(f"{name}: expected a finite number >= 0, got {value!r}")
    return rate


def _fraction(name: str, value: float) -> float:
    fraction = number(value, name)
    if not 0 <= fraction <= 1:
        raise ValueError(f"{name}: expected a number in [0, 1], got {value!r}")
    return fraction


def _count(name: str, value: int) -> int:
    count = number(value, name)
    if not 1 <= count < math.inf or count != int(count):
        raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")
    return int(count)


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return value
