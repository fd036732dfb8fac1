"""Finite differences: derivatives of the loss from the loss alone, and the check of an engine's gradients against them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nncore import engines
from nncore.arrays import Array
from nncore.functional import Structured
from nncore.model import Model
from nncore.network import check_model
from nncore.objectives import total_loss

__all__ = ["Trial", "check_step", "finite_differences", "gradcheck"]

_STEP = 1e-5  # of the order of the cube root of float64's precision: rounding and the neglected terms weigh about the same
_SMALL = 1e-3  # a gradient smaller than this part of the model's largest is measured against that part


class Trial:
    """A model's network and losses in an engine of their own, in float64, to move weights in without touching the model.

    Each pass draws the random numbers (of dropout, say) that the model's next training pass would draw.
    """

    def __init__(self, model: Model, x: Structured, y: Structured) -> None:
        check_model(model)
        model._batch(x, y)  # checks them; an input shape that is open stays so if they do not fit
        if isinstance(y, Mapping):  # outputs without a loss may be left out
            y = {**dict.fromkeys(model._outputs.names), **y}
        self._objectives, self._x, self._y = model._objectives, model._samples(x), model._outputs.split(y, "y")
        weights = model.get_weights()
        self._draws = model.engine.draws
        self.engine = engines.create(model._engine_name, model.graph, "float64", model.engine.seed)
        self.engine.assign(dict(enumerate(weights)))
        self.trainable = {i: spec.name for i, spec in enumerate(model.graph.parameters) if spec.trainable}

    def loss(self) -> tuple[float, list[Array]]:
        """The loss with the penalties on weights, and the gradient of the former with respect to each output."""
        self.engine.draws = self._draws
        value, gradients = total_loss(self._objectives, self.engine.forward(self._x, training=True), self._y)
        return value + self.engine.penalty(), gradients

    def gradient(self, parameter: int, step: float) -> Array:
        """(L(w + step) - L(w - step)) / (2 step) for each element w of a parameter."""
        values = self.engine.get_parameter(parameter)
        gradient = np.empty(values.shape)
        for place in np.ndindex(values.shape):
            middle = values[place]
            sides = []
            for moved in (middle + step, middle - step):
                values[place] = moved
                self.engine.set_parameter(parameter, values)
                sides.append((moved, self.loss()[0]))
            values[place] = middle
            (above, high), (below, low) = sides
            gradient[place] = (high - low) / (above - below)  # the step that was made, after rounding
        self.engine.set_parameter(parameter, values)
        return gradient


def check_step(step: float) -> float:
    """`step` as a float, or a ValueError unless it is a finite number > 0."""
    if isinstance(step, bool) or not isinstance(step, (int, float)) or not 0 < step < 2**1023:
        raise ValueError(f"step: expected a finite number > 0, got {step!r}")
    return float(step)


def finite_differences(model: Model, x: Structured, y: Structured, step: float = _STEP) -> dict[str, Array]:
    """Derivatives of the compiled loss on the batch `x`, `y`, by name of the trainable parameter, from the loss alone.

    dL/dw = (L(w + h) - L(w - h)) / 2h + O(h^2), in float64: two passes for each weight. The model stays as it was.

    Args:
        model: compiled with a loss.
        x: samples [n, ...]; of several inputs a list or dict, as the model was made.
        y: targets, as the loss takes them; of several outputs likewise.
        step: h.

    Raises:
        RuntimeError: the model is not compiled with a loss.
        TypeError, ValueError: arrays that do not fit the model, or a step that is not positive.

    >>> import nncore as nn
    >>> model = nn.Sequential([nn.Input((1,)), nn.Dense(1, kernel_initializer=nn.Constant(3.0))])
    >>> model.compile(loss="mse")  # (3 * 2 + 0 - 1)^2
    >>> {name: g.round(6).tolist() for name, g in finite_differences(model, [[2.0]], [[1.0]]).items()}
    {'dense.kernel': [[20.0]], 'dense.bias': [10.0]}
    """
    step = check_step(step)
    trial = Trial(model, x, y)
    return {name: trial.gradient(i, step) for i, name in trial.trainable.items()}


def gradcheck(model: Model, x: Structured, y: Structured, step: float = _STEP) -> dict[str, float]:
    """How far backpropagation is from finite differences: the largest relative error by name of the trainable parameter.

    |a - n| / max(|a|, |n|, g / 1000), a from the engine's backward and n from `finite_differences`, g the largest gradient
    in the model; so that rounding in gradients that all but vanish is no error. Of right gradients it is below about 1e-6.
    More may also come from a kink, as relu has one at 0, between w - step and w + step.

    Both are computed in float64 by an engine of the model's kind, in training mode; dropout draws the same numbers in every
    pass. The model stays as it was, to the bit. It takes two passes for each weight: make `x` and the model small.

    Args:
        model: compiled with a loss; any engine.
        x: samples [n, ...]; of several inputs a list or dict, as the model was made.
        y: targets, as the loss takes them; of several outputs likewise.
        step: h of the finite differences.

    Raises:
        RuntimeError: the model is not compiled with a loss.
        TypeError, ValueError: arrays that do not fit the model, or a step that is not positive.

    Source: PyTorch ``torch.autograd.gradcheck``.

    >>> import numpy as np, nncore as nn
    >>> model = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="tanh"), nn.Dropout(0.5), nn.Dense(2)])
    >>> model.compile(loss="cross_entropy")
    >>> errors = nn.gradcheck(model, np.linspace(-1, 1, 15).reshape(5, 3), [0, 1, 1, 0, 1])
    >>> list(errors), max(errors.values()) < 1e-7
    (['dense.kernel', 'dense.bias', 'dense_1.kernel', 'dense_1.bias'], True)
    """
    step = check_step(step)
    trial = Trial(model, x, y)
    trial.engine.backward(trial.loss()[1])
    exact = {i: trial.engine.get_gradient(i) for i in trial.trainable}
    measured = {i: trial.gradient(i, step) for i in trial.trainable}
    small = _SMALL * max((float(np.abs(gradient).max(initial=0.0)) for gradient in measured.values()), default=0.0)
    return {name: _largest_error(exact[i], measured[i], small) for i, name in trial.trainable.items()}


def _largest_error(a: Array, n: Array, small: float) -> float:
    size = np.maximum(np.maximum(np.abs(a), np.abs(n)), small)
    return float((np.abs(a - n) / np.where(size == 0.0, 1.0, size)).max(initial=0.0))
