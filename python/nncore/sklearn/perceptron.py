"""Perceptron: Rosenblatt's rule for all classes at once, with scikit-learn's parameters."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from nncore.arrays import Array
from nncore.callbacks.base import Callback, Logs
from nncore.data import DataLoader
from nncore.layers import Dense, Input
from nncore.optimizers import SGD
from nncore.regularizers import L1L2
from nncore.sequential import Sequential
from nncore.sklearn.parameters import PERCEPTRON_CHECKS, all_or_nothing, check_parameters
from nncore.weighting import check_sample_weight

__all__ = ["Perceptron"]

# The rule corrects a sample with t y <= 0, where t is 1 or -1; the hinge loss one with t y < 1. As eta0 only scales the
# weights, they are the same rule when steps are so large that nothing falls between 0 and 1. A power of 2 keeps all bits.
_SCALE = 2.0**40


class Perceptron(ClassifierMixin, BaseEstimator):
    """scikit-learn's ``Perceptron`` on nncore: after each mistake, move the plane by the sample that was misjudged.

    With t = 1 for a class and -1 for the others, one plane for each of more than two classes, sample after sample::

        if t (w . x + b) <= 0:  w += eta0 * weight * t * x;  b += eta0 * weight * t

    With ``shuffle=False`` the weights are those of scikit-learn: of two classes always, of more with ``tol=None``, as all
    planes are learned at once and stop together. Orders of samples are drawn otherwise than there.

    Args:
        penalty: None, "l2", "l1" or "elasticnet" on the weights w, by their gradient at each sample.
        alpha: its strength.
        l1_ratio: share of "l1" in "elasticnet".
        fit_intercept: whether there is a b.
        max_iter: epochs at most; reaching it is a ``ConvergenceWarning``.
        tol, n_iter_no_change: training ends when the sum of -t y over the mistakes, per sample, (with `early_stopping` the
            score) was not better by tol for that many epochs; None: never before `max_iter`.
        shuffle: take the samples in a new order each epoch.
        verbose: print the loss of each epoch.
        eta0: scales the weights.
        random_state: of orders and the validation set.
        early_stopping: hold out `validation_fraction` of the samples, stop by the score on them.
        validation_fraction: share of the samples.
        class_weight: None, "balanced", or a dict by class; not "balanced" with `partial_fit`.
        warm_start: `fit` goes on from the weights of the last one.

    Attributes:
        classes_: the classes.
        coef_, intercept_: w and b, [1, features] and [1] for two classes (of the second), else one row for each.
        n_iter_, t_: epochs, and samples seen plus 1.
        loss_curve_: of each epoch, the sum of -t y over the mistakes per sample and plane.
        n_features_in_, feature_names_in_: of the samples.

    Source: Rosenblatt 1958; scikit-learn ``Perceptron``. `nncore.classic.Perceptron` is the same to read.

    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    >>> perceptron = Perceptron(tol=None, max_iter=20, shuffle=False).fit(x, y)
    >>> perceptron.coef_.tolist(), perceptron.intercept_.tolist(), perceptron.predict(x).tolist()
    ([[3.0, 2.0]], [-4.0], [0, 0, 0, 1])
    """

    def __init__(
        self,
        *,
        penalty: str | None = None,
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: bool = False,
        eta0: float = 1.0,
        random_state: Any = 0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Mapping[Any, float] | str | None = None,
        warm_start: bool = False,
    ) -> None:
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.eta0 = eta0
        self.random_state = random_state
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Learn from samples `X` [n, features], dense or sparse, of classes `y` [n].

        Args:
            X, y: samples and classes of any type that sorts.
            sample_weight: how far each sample moves the planes, [n]; with a penalty, also how much that does.

        Raises:
            ValueError, TypeError: parameters or data that do not fit, or fewer than two classes.
        """
        check_parameters(self.get_params(deep=False), PERCEPTRON_CHECKS)
        goes_on = self.warm_start and hasattr(self, "coef_")
        with all_or_nothing(self):
            x, labels = self._check(X, y, not goes_on)
            if not goes_on:
                self.classes_ = np.unique(labels)
                self._start(x.shape[1])
            return self._learn(x, labels, sample_weight, int(self.max_iter), "fit")

    def partial_fit(
        self, X: Any, y: Any, classes: npt.ArrayLike | None = None, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """One epoch over these samples; `classes`, all there will be, are needed at the first call.

        Raises:
            ValueError, TypeError: as `fit`; classes that are missing, or others than before.
        """
        check_parameters(self.get_params(deep=False), PERCEPTRON_CHECKS)
        if self.early_stopping:
            raise ValueError("early_stopping: expected False with partial_fit, got True")
        first = not hasattr(self, "coef_")
        if first and classes is None:
            raise ValueError("classes: expected all classes at the first call to partial_fit, got None")
        with all_or_nothing(self):
            x, labels = self._check(X, y, first)
            if classes is not None:
                known = np.unique(np.asarray(classes))
                if not first and not np.array_equal(known, self.classes_):
                    raise ValueError(f"classes: expected {self.classes_} as before, got {known}")
                self.classes_ = known
            if first:
                self._start(x.shape[1])
            return self._learn(x, labels, sample_weight, 1, "partial_fit")

    def decision_function(self, X: Any) -> Array:
        """W . x + b for samples `X`: [n] for two classes, else [n, classes]."""
        check_is_fitted(self)
        x = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=np.float64, reset=False)
        values = np.asarray(x @ self.coef_.T + self.intercept_)
        return values[:, 0] if len(self.classes_) == 2 else values

    def predict(self, X: Any) -> Array:
        """Classes [n] of samples `X`."""
        values = self.decision_function(X)
        return np.asarray(self.classes_[values.argmax(axis=1) if values.ndim == 2 else (values > 0).astype(int)])

    def _check(self, x: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        x, y = validate_data(self, x, y, accept_sparse=["csr", "csc"], dtype=np.float64, reset=reset)
        check_classification_targets(y)
        return x.toarray() if hasattr(x, "toarray") else x, y

    def _start(self, features: int) -> None:
        if len(self.classes_) < 2:
            raise ValueError(f"y: expected at least two classes, got one class: {self.classes_}")
        planes = 1 if len(self.classes_) == 2 else len(self.classes_)
        self.coef_, self.intercept_ = np.zeros((planes, features)), np.zeros(planes)
        self.t_ = 1.0

    def _learn(self, x: Array, y: Array, sample_weight: Any, epochs: int, method: str) -> Self:
        places = np.searchsorted(self.classes_, y)
        known = np.minimum(places, len(self.classes_) - 1)
        strange = self.classes_[known] != y
        if strange.any():
            raise ValueError(f"`y` has classes not in `self.classes_`: {np.unique(y[strange])} not in {self.classes_}")
        planes = len(self.coef_)
        targets = np.equal(known[:, None], np.arange(1, 2) if planes == 1 else np.arange(planes)).astype(np.float64)
        weights = check_sample_weight(sample_weight, len(x))
        if self.class_weight is not None:
            if method == "partial_fit" and isinstance(self.class_weight, str):
                raise ValueError(f"class_weight: expected a dict with partial_fit, got {self.class_weight!r}")
            by_class = compute_sample_weight(self.class_weight, y)
            weights = by_class if weights is None else weights * by_class
        if weights is not None and not weights.any():
            raise ValueError("sample_weight: expected some weights that are not zero, got only zeros")

        random = check_random_state(self.random_state)
        held: tuple[Array, Array] | None = None
        if self.early_stopping:
            rest, part = train_test_split(
                np.arange(len(x)), test_size=self.validation_fraction, random_state=random, stratify=known
            )
            held = x[part], known[part]
            x, targets, weights = x[rest], targets[rest], None if weights is None else weights[rest]
        n = len(x)
        order = np.arange(n)

        def sampler(_: int) -> Array:
            if self.shuffle:
                order[:] = random.permutation(n)
            return order

        step = float(self.eta0) * _SCALE * planes  # the loss is a mean over the planes
        model = self._model(x.shape[1], planes, step)
        if weights is None:
            rate: Any = step
        else:
            first = model.engine.iterations
            factors = weights * step

            def rate(update: int) -> float:
                return float(factors[order[(update - first) % n]])

        model.compile(SGD(rate), "hinge", dtype="float64")
        model.set_weights(_scaled([self.coef_.T, self.intercept_] if self.fit_intercept else [self.coef_.T], _SCALE))
        stopping = _Stopping(self, held, n, planes)
        model.fit(
            DataLoader(x, targets, batch_size=1, sampler=sampler),
            epochs=epochs,
            shuffle=False,
            verbose=0,
            callbacks=[stopping],
        )
        kernel, *bias = _scaled(model.get_weights() if stopping.best is None else stopping.best, 1 / _SCALE)
        self.coef_ = np.ascontiguousarray(kernel.T)
        if bias:
            self.intercept_ = bias[0]
        self.n_iter_ = len(stopping.curve)
        self.loss_curve_ = stopping.curve
        self.t_ += float(self.n_iter_ * n)
        if method == "fit" and self.tol is not None and not model.stop_training:
            warnings.warn(
                f"Maximum number of iteration reached before convergence: max_iter={self.max_iter}.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _model(self, features: int, planes: int, step: float) -> Sequential:
        penalty = None
        if self.penalty is not None:
            share = {"l1": 1.0, "l2": 0.0, "elasticnet": float(self.l1_ratio)}[self.penalty]
            # A step of eta0 * alpha along the gradient of the penalty, whatever `step` is.
            strength = float(self.alpha) * float(self.eta0) / step
            penalty = L1L2(strength * share * _SCALE, strength * (1 - share) / 2)
        dense = Dense(planes, use_bias=bool(self.fit_intercept), kernel_initializer="zeros", kernel_regularizer=penalty)
        return Sequential([Input((features,)), dense])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _scaled(weights: list[Array], factor: float) -> list[Array]:
    return [weight * factor for weight in weights]


class _Stopping(Callback):
    """scikit-learn's rule for the end of training, and its loss."""

    def __init__(self, estimator: Perceptron, held: tuple[Array, Array] | None, samples: int, planes: int) -> None:
        self._estimator, self._held, self._samples, self._planes = estimator, held, samples, planes
        self.curve: list[float] = []
        self.best: list[Array] | None = None
        self._best_loss, self._best_score, self._waited = np.inf, -np.inf, 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Take in an epoch."""
        e = self._estimator
        loss = logs["loss"] / _SCALE
        self.curve.append(loss)
        if e.verbose:
            print(f"Epoch {epoch + 1}, loss = {loss:.6f}")
        tolerance = -np.inf if e.tol is None else float(e.tol)
        if self._held is not None:
            x, places = self._held
            values = np.asarray(self.model.predict(x))
            found = values.argmax(axis=1) if self._planes > 1 else values[:, 0] > 0
            score = float(np.mean(found == places))
            worse = score < self._best_score + tolerance
            if score > self._best_score:
                self._best_score, self.best = score, self.model.get_weights()
        else:
            worse = loss > self._best_loss - tolerance
            self._best_loss = min(self._best_loss, loss)
        self._waited = self._waited + 1 if worse else 0
        if self._waited >= e.n_iter_no_change:
            self.model.stop_training = True
