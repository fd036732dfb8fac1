"""Classic learning rules, to learn from: how neurons were modelled and taught before backpropagation.

- 1943, McCulloch and Pitts: a neuron is a threshold on a sum (`MPNeuron`); nets of them compute any logical function
  (`xor_net`). Nobody says where the weights come from.
- 1949, Hebb: what fires together wires together (`hebb`): a rule that finds weights, without looking at the error.
- 1958, Rosenblatt: learn from mistakes only (`Perceptron`), which finds a separating plane wherever there is one.
- 1986, Rumelhart, Hinton and Williams: follow the gradient of the error through all layers. Without backpropagation that
  takes two passes for each weight (`finite_difference_descent`); with it one for all: ``Model.fit``.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, as_rows, check_finite, real
from nncore.differences import Trial, check_step
from nncore.foreign import as_array
from nncore.layers import Dense, Input
from nncore.model import Model
from nncore.sequential import Sequential

__all__ = ["MPNeuron", "Perceptron", "finite_difference_descent", "hebb", "xor_net"]

Float64 = npt.NDArray[np.float64]


def _matrix(value: npt.ArrayLike, what: str, columns: int | None = None) -> Float64:
    array = as_rows(value, what)
    if array.ndim != 2 or columns not in (None, array.shape[1]):
        raise ValueError(f"{what}: expected shape (n, {'features' if columns is None else columns}), got {array.shape}")
    check_finite(array, what)
    return array.astype(np.float64)


def _positive(value: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 2**1023:
        raise ValueError(f"{what}: expected a finite number > 0, got {value!r}")
    return float(value)


def _count(value: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{what}: expected an integer >= 1, got {value!r}")
    return value


class MPNeuron:
    """The McCulloch-Pitts neuron: y = 1 if sum_i w_i x_i >= threshold, else 0.

    In the paper all exciting inputs weigh the same, and an inhibiting one keeps the neuron silent whatever the others say;
    a weight of minus the number of exciting inputs does that here.

    Args:
        weights: one for each input, [k].
        threshold: what the sum must reach.

    Raises:
        TypeError, ValueError: no finite numbers, or another number of inputs when called.

    Source: McCulloch and Pitts 1943, "A logical calculus of the ideas immanent in nervous activity".

    >>> x = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> MPNeuron([1, 1], threshold=2)(x).tolist(), MPNeuron([1, 1], threshold=1)(x).tolist()  # and, or
    ([0, 0, 0, 1], [0, 1, 1, 1])
    >>> MPNeuron([-1], threshold=0)([[0], [1]]).tolist()  # not
    [1, 0]
    """

    def __init__(self, weights: npt.ArrayLike, threshold: float) -> None:
        array = real(weights, "weights")
        if array.ndim != 1 or not array.size:
            raise ValueError(f"weights: expected shape (inputs,), got {array.shape}")
        check_finite(array, "weights")
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not abs(threshold) < 2**1023:
            raise ValueError(f"threshold: expected a finite number, got {threshold!r}")
        self.weights, self.threshold = array.astype(np.float64), float(threshold)

    def __call__(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Outputs [n], 0 or 1, for inputs `x` [n, k]."""
        return (_matrix(x, "x", len(self.weights)) @ self.weights >= self.threshold).astype(np.int64)

    def __repr__(self) -> str:
        return f"MPNeuron(weights={self.weights.tolist()}, threshold={self.threshold})"


def xor_net() -> Sequential:
    """Exclusive or: a net of three threshold neurons whose weights were set by hand.

    ::

        either = H(x1 + x2 - 0.5)          H the Heaviside step
        both   = H(x1 + x2 - 1.5)
        y      = H(either - both - 0.5)    either, but not both

    No single neuron can do this (Minsky and Papert 1969): no line separates (0, 1) and (1, 0) from (0, 0) and (1, 1). In
    the plane of `either` and `both` one does: that is what a hidden layer is for. And as the step has slope 0 wherever it
    has one, no gradient leads to these weights: nets that learn have smooth steps, such as the sigmoid.

    Returns:
        A model of samples [n, 2], zeros and ones, with outputs [n, 1].

    >>> net = xor_net()
    >>> net.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).ravel().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    net = Sequential([Input((2,)), Dense(2, activation="step", name="either_both"), Dense(1, activation="step", name="y")])
    net.set_weights([[[1, 1], [1, 1]], [-0.5, -1.5], [[1], [-1]], [-0.5]])
    return net


def hebb(x: npt.ArrayLike, y: npt.ArrayLike, learning_rate: float = 1.0) -> Float64:
    """Weights by Hebb's rule: each sample adds learning_rate * x_i * y_j to the weight between input i and output j.

    W = learning_rate * x^T y: a weight grows where its two ends are active together. The order of the samples does not
    matter, nor does what the net would have answered. It is right where the inputs are orthogonal, and the beginning of
    associative memories; it does not correct itself: see `Perceptron` for that.

    Args:
        x: inputs [n, k]; best bipolar, -1 and 1. A column of ones gives a bias.
        y: wanted outputs [n, m], or [n] for one; best bipolar.
        learning_rate: the factor.

    Returns:
        [k, m]; outputs are the signs of ``x @ W``.

    Raises:
        TypeError, ValueError: arrays that do not fit each other, not finite, or a learning rate that is not positive.

    Source: Hebb 1949, "The organization of behavior".

    >>> x = np.array([[1, -1, -1], [1, -1, 1], [1, 1, -1], [1, 1, 1]])  # bias, and the two inputs of a logical and
    >>> w = hebb(x, [-1, -1, -1, 1])
    >>> w.ravel().tolist(), np.sign(x @ w).ravel().tolist()
    ([-2.0, 2.0, 2.0], [-1.0, -1.0, -1.0, 1.0])
    """
    x = _matrix(x, "x")
    wanted = as_rows(y, "y")
    wanted = _matrix(wanted[:, None] if wanted.ndim == 1 else wanted, "y")
    if len(wanted) != len(x):
        raise ValueError(f"y: expected as many rows as x ({len(x)}), got {len(wanted)}")
    return np.asarray(_positive(learning_rate, "learning_rate") * (x.T @ wanted))


class Perceptron:
    """Rosenblatt's perceptron: after each mistake, move the plane by the sample that was misjudged.

    With t = 1 for the class and -1 for the others, sample after sample::

        if t (w . x + b) <= 0:  w += learning_rate * t * x;  b += learning_rate * t

    If a plane separates the class, this stops after finitely many mistakes (Novikoff 1962); if not, it never settles. Of
    more than two classes each has a plane of its own, and the largest w . x + b wins.

    Args:
        learning_rate: scales the weights, and changes nothing else, as they begin at zero.
        epochs: passes over the samples at most; an epoch without mistakes is the last.

    Attributes:
        classes_: the classes [c], sorted.
        coef_: w, [1, k] for two classes (that of the second), else [c, k].
        intercept_: b, [1] or [c].
        mistakes_: by plane, how many there were in each epoch.

    Source: Rosenblatt 1958, "The perceptron: a probabilistic model for information storage and organization in the brain";
    weights and names equal those of scikit-learn's ``Perceptron`` with ``shuffle=False``.

    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    >>> perceptron = Perceptron().fit(x, y)
    >>> perceptron.coef_.tolist(), perceptron.intercept_.tolist(), perceptron.predict(x).tolist()
    ([[3.0, 2.0]], [-4.0], [0, 0, 0, 1])
    >>> perceptron.mistakes_  # then none
    [[2, 3, 3, 2, 2, 3, 2, 1, 0]]
    """

    def __init__(self, learning_rate: float = 1.0, epochs: int = 1000) -> None:
        self.learning_rate, self.epochs = _positive(learning_rate, "learning_rate"), _count(epochs, "epochs")

    def fit(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Learn from samples `x` [n, k] of classes `y` [n], in the order given, starting from zero.

        Raises:
            TypeError, ValueError: arrays that do not fit each other, or fewer than two classes; nothing has changed.
        """
        samples, labels = _matrix(x, "x"), as_array(y, "y")
        if labels.shape != (len(samples),):
            raise ValueError(f"y: expected one class for each of the {len(samples)} samples, got shape {labels.shape}")
        try:
            classes = np.unique(labels)
        except (TypeError, ValueError) as error:
            raise type(error)(f"y: expected classes that have an order, got {labels.tolist()!r:.80}") from error
        if len(classes) < 2:
            raise ValueError(f"y: expected at least two classes, got {classes.tolist()}")
        planes = [self._plane(samples, labels == c) for c in (classes[1:] if len(classes) == 2 else classes)]
        self.classes_ = classes
        self.coef_: Float64 = np.array([w for w, _, _ in planes])
        self.intercept_: Float64 = np.array([b for _, b, _ in planes])
        self.mistakes_ = [mistakes for _, _, mistakes in planes]
        return self

    def _plane(self, x: Float64, positive: npt.NDArray[np.bool_]) -> tuple[Float64, float, list[int]]:
        w, b, mistakes = np.zeros(x.shape[1]), 0.0, []
        for _ in range(self.epochs):
            wrong = 0
            for row, is_positive in zip(x, positive, strict=True):
                t = 1.0 if is_positive else -1.0
                if t * (float(row @ w) + b) <= 0.0:
                    w, b, wrong = w + self.learning_rate * t * row, b + self.learning_rate * t, wrong + 1
            mistakes.append(wrong)
            if not wrong:
                break
        return w, b, mistakes

    def decision_function(self, x: npt.ArrayLike) -> Float64:
        """W . x + b for samples `x` [n, k]: [n] for two classes, else [n, c].

        Raises:
            RuntimeError: nothing was learned yet.
        """
        if not hasattr(self, "coef_"):
            raise RuntimeError("the perceptron has learned nothing: call fit first")
        values = _matrix(x, "x", self.coef_.shape[1]) @ self.coef_.T + self.intercept_
        return values[:, 0] if len(self.classes_) == 2 else values

    def predict(self, x: npt.ArrayLike) -> npt.NDArray[Any]:
        """Classes [n] of samples `x` [n, k]; errors as in `decision_function`."""
        values = self.decision_function(x)
        return np.asarray(self.classes_[values.argmax(axis=1) if values.ndim == 2 else (values > 0).astype(np.int64)])


def finite_difference_descent(
    model: Model, x: npt.ArrayLike, y: npt.ArrayLike, learning_rate: float = 0.1, steps: int = 100, step: float = 1e-5
) -> list[float]:
    """Train `model` by gradient descent without backpropagation: w -= learning_rate * dL/dw, dL/dw from the loss alone.

    dL/dw = (L(w + h) - L(w - h)) / 2h for every trainable weight, all samples in one batch: two passes for each weight and
    step, where backpropagation needs about two in all. Works with any model and loss, of which it needs no derivative.

    Args:
        model: compiled with a loss; its optimizer is not used.
        x: samples [n, ...].
        y: targets, as the loss takes them.
        learning_rate: length of a step along the gradient.
        steps: how many.
        step: h.

    Returns:
        The loss before each step.

    Raises:
        RuntimeError: the model is not compiled with a loss.
        TypeError, ValueError: arrays or numbers that do not fit; the model is unchanged.
        FloatingPointError: the loss became NaN or infinite; the weights are those before that.

    >>> import nncore as nn
    >>> x, y = nn.datasets.xor()
    >>> model = nn.Sequential([nn.Dense(3, activation="tanh"), nn.Dense(1)])
    >>> model.compile(loss="mse", dtype="float64")
    >>> losses = finite_difference_descent(model, x, y, learning_rate=0.3, steps=200)
    >>> losses[0] > 0.1, losses[-1] < 0.01, model.predict(x).round().ravel().tolist()
    (True, True, [0.0, 1.0, 1.0, 0.0])
    """
    rate, count, h = _positive(learning_rate, "learning_rate"), _count(steps, "steps"), check_step(step)
    losses: list[float] = []
    for _ in range(count):
        trial = Trial(model, x, y)
        loss, _ = trial.loss()
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss before step {len(losses)} is {loss}. Is the learning rate too high?")
        losses.append(loss)
        weights: list[Array] = model.get_weights()
        for i in trial.trainable:
            weights[i] = weights[i] - rate * trial.gradient(i, h)
        model.set_weights(weights)
        model.engine.draws += 1  # dropout draws anew in each step
    return losses
