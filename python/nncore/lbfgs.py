"""L-BFGS: a quasi-Newton method on all samples at once, driven from Python over the parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, real
from nncore.scalars import number

if TYPE_CHECKING:
    from nncore.engines.base import Engine
    from nncore.model import Model

__all__ = ["LBFGS", "Memory"]

Vector = npt.NDArray[np.float64]
Function = Callable[[Vector], tuple[float, Vector]]

_ARMIJO, _CURVATURE = 1e-4, 0.9  # how much the value, and how much the slope must fall; as usual for quasi-Newton methods


@dataclass(eq=False, repr=False)
class Memory:
    """What L-BFGS keeps between calls.

    Attributes:
        iterations: made so far.
        step: the last change of x.
        gradient: at the point that the last step began from.
        pairs: changes of x, changes of the gradient they made, and 1 over their product, oldest first.
        scale: of the first guess at the inverse Hessian.
    """

    iterations: int = 0
    step: Vector | None = None
    gradient: Vector | None = None
    pairs: list[tuple[Vector, Vector, float]] = field(default_factory=list)
    scale: float = 1.0

    def arrays(self) -> dict[str, Array]:
        """All of it as arrays by name."""
        found = {"iterations": np.array(self.iterations), "scale": np.array(self.scale)}
        if self.step is not None and self.gradient is not None:
            found |= {"step": self.step.copy(), "gradient": self.gradient.copy()}
        if self.pairs:
            steps, changes, inverses = zip(*self.pairs, strict=True)
            found |= {"steps": np.stack(steps), "changes": np.stack(changes), "inverses": np.array(inverses)}
        return found

    @classmethod
    def of(cls, arrays: Mapping[str, npt.ArrayLike], size: int) -> Memory:
        """The memory that `arrays` described, for `size` parameters.

        Raises:
            TypeError, ValueError: other names or shapes, or no real numbers.
        """
        names, vectors, rows = {"iterations", "scale"}, {"step", "gradient"}, {"steps", "changes", "inverses"}
        if set(arrays) not in (names, names | vectors, names | vectors | rows):
            raise ValueError(f"arrays: expected those of LBFGS.get_state, got {sorted(arrays)}")
        given = {name: np.array(real(value, name), np.float64) for name, value in arrays.items()}
        kept = len(np.atleast_1d(given["inverses"])) if "inverses" in given else 0
        shapes = {**dict.fromkeys(names, ()), **dict.fromkeys(vectors, (size,)), **dict.fromkeys(rows, (kept, size))}
        shapes["inverses"] = (kept,)
        for name, array in given.items():
            if array.shape != shapes[name]:
                raise ValueError(f"{name}: expected shape {shapes[name]}, got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: expected finite numbers, got some that are not")
        pairs = zip(given["steps"], given["changes"], given["inverses"].tolist(), strict=True) if kept else ()
        iterations, scale = int(given["iterations"]), float(given["scale"])
        return cls(iterations, given.get("step"), given.get("gradient"), list(pairs), scale)


@dataclass(eq=False, repr=False)
class _Point:
    """A point on the line of a search: where, value, gradient and slope along the line."""

    t: float
    value: float
    gradient: Vector
    slope: float


class LBFGS:
    """Limited-memory BFGS: steps along -H g, where H approximates the inverse Hessian from past steps and gradients.

    `Model.fit` takes it with arrays; each epoch is one call on all of them, up to `max_iter` iterations from where the last
    one stopped, whatever the batch size. Dropout masks stay the same during a call. The reported loss and metrics are those
    before it, in inference mode. `get_state` and `set_state` move what it has learnt about the loss from one model to
    another of the same shapes, or to a file and back.

    Args:
        learning_rate: length of a step in units of -H g; with a line search that of the first trial.
        max_iter: iterations in a call.
        max_eval: evaluations of loss and gradient in a call; ``None`` for 1.25 times `max_iter`.
        tolerance_grad: stop when no element of the gradient is larger.
        tolerance_change: stop when neither loss nor parameters change more.
        history_size: how many past steps are kept.
        line_search: ``"strong_wolfe"``, or ``None`` for steps of fixed length. (PyTorch's default is ``None``.)

    Source: Nocedal and Wright 2006, "Numerical optimization", algorithms 7.4, 7.5, 3.5 and 3.6; in the form of minFunc and
    ``torch.optim.LBFGS``.

    >>> x, value, memory = LBFGS().minimize(lambda x: (float(x @ x), 2 * x), np.array([3.0, -4.0]))
    >>> bool(abs(x).max() < 1e-6)
    True
    """

    def __init__(
        self,
        learning_rate: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search: Literal["strong_wolfe"] | None = "strong_wolfe",
    ) -> None:
        self.learning_rate = _number("learning_rate", learning_rate)
        self.max_iter, self.history_size = _count("max_iter", max_iter), _count("history_size", history_size)
        self.max_eval = self.max_iter * 5 // 4 if max_eval is None else _count("max_eval", max_eval)
        self.tolerance_grad = _number("tolerance_grad", tolerance_grad)
        self.tolerance_change = _number("tolerance_change", tolerance_change)
        if line_search is not None and not (isinstance(line_search, str) and line_search == "strong_wolfe"):
            raise ValueError(f"line_search: expected 'strong_wolfe' or None, got {line_search!r}")
        self.line_search = line_search

    def __repr__(self) -> str:
        return f"LBFGS({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"

    def minimize(self, function: Function, start: Vector, memory: Memory | None = None) -> tuple[Vector, float, Memory]:
        """Go down from `start`.

        Args:
            function: value and gradient at a vector.
            start: where to begin.
            memory: of an earlier call that this one goes on from; it is changed.

        Returns:
            Where it ended, the last value that it saw, and the memory.

        Raises:
            FloatingPointError: a value is NaN or infinite.
        """
        memory = Memory() if memory is None else memory
        x = np.array(start, np.float64)
        value, gradient = _finite(function, x)
        evaluations = 1
        if _largest(gradient) <= self.tolerance_grad:
            return x, value, memory
        for iteration in range(1, self.max_iter + 1):
            memory.iterations += 1
            direction = self._direction(memory, gradient)
            memory.gradient, before = gradient, value
            length = self.learning_rate
            if memory.iterations == 1:
                length *= min(1.0, 1.0 / float(np.abs(gradient).sum()))
            slope = float(gradient @ direction)
            if slope > -self.tolerance_change:
                memory.step = np.zeros_like(x)
                break

            last = iteration == self.max_iter
            if self.line_search is None:
                memory.step = length * direction
                x = x + memory.step
                if not last:
                    value, gradient = _finite(function, x)
                    evaluations += 1
            else:
                origin = _Point(0.0, value, gradient, slope)
                found, used = _strong_wolfe(
                    function, x, direction, origin, length, self.max_eval - evaluations, self.tolerance_change
                )
                memory.step = found.t * direction
                x, value, gradient = x + memory.step, found.value, found.gradient
                evaluations += used
            if (
                last
                or evaluations >= self.max_eval
                or _largest(gradient) <= self.tolerance_grad
                or _largest(memory.step) <= self.tolerance_change
                or abs(value - before) < self.tolerance_change
            ):
                break
        return x, value, memory

    def _direction(self, memory: Memory, gradient: Vector) -> Vector:
        """-H g by the two loops over past steps, after the last one has been taken in."""
        if memory.step is None or memory.gradient is None:
            return -gradient
        change = gradient - memory.gradient
        product = float(change @ memory.step)
        if product > 1e-10:
            memory.pairs.append((memory.step, change, 1 / product))
            del memory.pairs[: -self.history_size]
            memory.scale = product / float(change @ change)
        direction = -gradient
        factors = []
        for step, change, inverse in reversed(memory.pairs):
            factors.append(float(step @ direction) * inverse)
            direction = direction - factors[-1] * change
        direction = direction * memory.scale
        for (step, change, inverse), factor in zip(memory.pairs, reversed(factors), strict=True):
            direction = direction + (factor - float(change @ direction) * inverse) * step
        return direction

    def get_state(self, model: Model) -> dict[str, Array]:
        """What has been learnt while `model` was trained, as arrays by name; `set_state` takes them.

        The names are those of `Memory`: ``iterations`` and ``scale``, after the first call ``step`` and ``gradient``, then
        ``steps``, ``changes`` and ``inverses``, a row for each of the past steps.

        >>> import nncore as nn
        >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
        >>> model.compile(nn.LBFGS(), "mse")
        >>> sorted(model.optimizer.get_state(model))
        ['iterations', 'scale']
        """
        return (model._memory or Memory()).arrays()

    def set_state(self, model: Model, arrays: Mapping[str, npt.ArrayLike]) -> None:
        """Go on, in the next training of `model`, from the state that `get_state` gave.

        Raises:
            TypeError, ValueError: not such arrays, or of another model's size; nothing has changed.
        """
        model._memory = Memory.of(arrays, sum(math.prod(spec.shape) for spec in model.graph.parameters if spec.trainable))

    def train(
        self,
        engine: Engine,
        inputs: Sequence[Array],
        loss: Callable[[list[Array]], tuple[float, list[Array]]],
        memory: Memory | None,
    ) -> Memory:
        """One call on the samples `inputs`, changing what `engine` trains; `loss` is value and gradient of its outputs.

        Raises:
            FloatingPointError: the loss became NaN or infinite; the parameters are those before the call.
        """
        memory = Memory() if memory is None else replace(memory, pairs=[*memory.pairs])
        places = [(i, spec.shape) for i, spec in enumerate(engine.graph.parameters) if spec.trainable]
        ends = np.cumsum([math.prod(shape) for _, shape in places])[:-1]
        draws = engine.draws

        def put(vector: Vector) -> None:
            parts = zip(places, np.split(vector, ends), strict=True)
            engine.assign({i: part.reshape(shape) for (i, shape), part in parts})

        def take(get: Callable[[int], Array]) -> Vector:
            return np.concatenate([np.asarray(get(i), np.float64).ravel() for i, _ in places])

        def evaluate(vector: Vector) -> tuple[float, Vector]:
            with engine.held():
                put(vector)
                engine.draws = draws
                value, gradients = loss(engine.forward(inputs, training=True))
                engine.backward(gradients)
                return value + engine.penalty(), take(engine.get_gradient)

        start = take(engine.get_parameter)
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                end, _, memory = self.minimize(evaluate, start, memory)
        except BaseException:
            put(start)
            raise
        put(end)
        engine.iterations += 1
        return memory


def _strong_wolfe(
    function: Function, x: Vector, direction: Vector, origin: _Point, length: float, most: int, tolerance: float
) -> tuple[_Point, int]:
    """A point x + t * direction with the strong Wolfe conditions, or the best of `most` tries; and how many it took."""

    def at(t: float) -> _Point:
        value, gradient = _finite(function, x + t * direction)
        return _Point(t, value, gradient, float(gradient @ direction))

    def too_high(point: _Point) -> bool:
        return point.value > origin.value + _ARMIJO * point.t * origin.slope

    def flat_enough(point: _Point) -> bool:
        return abs(point.slope) <= -_CURVATURE * origin.slope

    # Go out until two points have a good one between them.
    before, point, tries, rounds = origin, at(length), 1, 0
    while rounds < most:
        if too_high(point) or (rounds > 1 and point.value >= before.value):
            break
        if flat_enough(point):
            return point, tries
        if point.slope >= 0:
            break
        far = _cubic_minimum(before, point, (point.t + 0.01 * (point.t - before.t), point.t * 10))
        before, point = point, at(far)
        tries, rounds = tries + 1, rounds + 1
    ends = [origin if rounds == most else before, point]

    # Narrow the interval; `low` is the place of its better end.
    stuck, size = False, _largest(direction)
    low = 0 if ends[0].value <= ends[1].value else 1
    while rounds < most and abs(ends[1].t - ends[0].t) * size >= tolerance:
        left, right = sorted((ends[0].t, ends[1].t))
        t = _cubic_minimum(ends[0], ends[1], (left, right))
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:  # too close to an end; twice in a row is no progress
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = at(t)
        tries, rounds = tries + 1, rounds + 1
        if too_high(point) or point.value >= ends[low].value:
            ends[1 - low] = point
            low = 0 if ends[0].value <= ends[1].value else 1
            continue
        if flat_enough(point):
            return point, tries
        if point.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = point
    return ends[low], tries


def _cubic_minimum(a: _Point, b: _Point, bounds: tuple[float, float]) -> float:
    """Where the cubic with the values and slopes of two points is lowest, within `bounds`; their middle if nowhere.

    Source: Nocedal and Wright 2006, equation 3.59.
    """
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square < 0:
        return (bounds[0] + bounds[1]) / 2
    d2 = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, bounds[0]), bounds[1])


def _finite(function: Function, x: Vector) -> tuple[float, Vector]:
    value, gradient = function(x)
    if not math.isfinite(value):
        raise FloatingPointError(f"the loss is {value}")
    return value, gradient


def _largest(vector: Vector) -> float:
    return float(np.abs(vector).max(initial=0.0))


def _number(name: str, value: float) -> float:
    checked = number(value, f"{name} of LBFGS")
    if not 0 <= checked < math.inf:
        raise ValueError(f"{name} of LBFGS: expected a finite number >= 0, got {value!r}")
    return checked


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} of LBFGS: expected an integer >= 1, got {value!r}")
    return value
