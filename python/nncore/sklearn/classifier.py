"""MLPClassifier: classes and labels as targets, their losses, probabilities and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from nncore import losses
from nncore.arrays import Array
from nncore.callbacks import Callback
from nncore.class_losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, KLDivLoss, NLLLoss
from nncore.loss_base import ClassLoss, Loss
from nncore.optimizers import Optimizer
from nncore.sklearn.base import BasePerceptron
from nncore.sklearn.network import Objective

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, BasePerceptron):
    """scikit-learn's ``MLPClassifier`` on nncore: the same parameters, attributes and numbers, and more of each.

    With one `random_state` and ``dtype="float64"`` the weights are those of scikit-learn up to rounding.

    Args:
        hidden_layer_sizes: units of each hidden layer.
        activation: "identity", "logistic", "tanh", "relu" or any activation of nncore; one for all hidden layers, or one
            for each.
        solver: "adam", "sgd", "lbfgs", or an optimizer such as ``nn.AdamW(1e-3)``.
        alpha: strength of the L2 penalty, alpha / 2 * |W|^2 over the number of samples in the batch.
        batch_size: samples in a step; "auto": 200, or all of fewer.
        learning_rate: "constant", "invscaling" (learning_rate_init / (t_ + 1)^power_t) or "adaptive" (a fifth after
            `n_iter_no_change` epochs without improvement, until it is below 1e-6); for "sgd".
        learning_rate_init, power_t, momentum, nesterovs_momentum, beta_1, beta_2, epsilon: of "sgd" and "adam".
        max_iter: epochs at most; for "lbfgs" iterations. Reaching it is a ``ConvergenceWarning``.
        shuffle: take the samples in a new order each epoch.
        random_state: of first weights, orders, the validation set, and dropout.
        tol, n_iter_no_change: training ends when the loss (with `early_stopping` the score) is not better by tol for more
            than that many epochs.
        verbose: print the loss of each epoch.
        warm_start: `fit` goes on from the weights of the last one.
        early_stopping: hold out a validation set, stop by its score, and keep the weights with the best.
        validation_fraction: its share of the samples, unless `fit` is given one.
        max_fun: evaluations of "lbfgs".
        loss: "log_loss", or any of nncore's for classes, by name or as an object with options: on indices
            ("cross_entropy", "multi_margin", "nll") or on columns of zeros and ones ("bce_with_logits", "focal", "hinge",
            "squared_hinge").
        dropout: share of units that are dropped in training, one for all hidden layers or one for each.
        batch_norm: normalise each hidden layer before its activation.
        callbacks: of `nncore.callbacks`, called between epochs; with a validation set logs have ``"val_loss"`` and
            ``"val_score"``. Not with "lbfgs".
        class_weight: None, "balanced", or a dict by class; not "balanced" with `partial_fit`.
        dtype: "float32", "float64", or "auto": float64 for up to 2,000 values in X and for "lbfgs" unless X is float32,
            else float32. Integers of up to 16 bits stay as they are in memory.
        n_threads: None: one for batches of little work, else as `nncore.set_num_threads` has it. Results are the same.

    Attributes:
        classes_: the classes; of labels (multilabel y) their numbers.
        coefs_, intercepts_: weights of each layer. What is written into them, prediction and further training use.
        loss_, loss_curve_, best_loss_: training loss of the last epoch, of each, and the smallest.
        validation_scores_, validation_loss_curve_, best_validation_score_: with a validation set, after each epoch.
        n_iter_, t_: epochs, and samples seen.
        n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_: of the network.

    Source: scikit-learn ``MLPClassifier`` (whose parameters and rules these are); the rest as in Keras.

    >>> import nncore as nn
    >>> x, y = nn.datasets.load_iris()
    >>> model = MLPClassifier((32, 16), activation=["tanh", "gelu"], dropout=0.1, max_iter=300, tol=0, random_state=0)
    >>> bool(model.set_params(solver=nn.AdamW(0.01), batch_size=50).fit(x, y).score(x, y) > 0.95)
    True
    """

    _y_numeric = False

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: str | Loss = "log_loss",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        callbacks: Callback | Sequence[Callback] | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        dtype: str = "auto",
        n_threads: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.callbacks = callbacks
        self.class_weight = class_weight
        self.dtype = dtype
        self.n_threads = n_threads

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: npt.ArrayLike | None = None,
    ) -> Self:
        """Learn from samples `X` [n, features] of classes `y` [n], or of labels [n, labels], zeros and ones.

        Args:
            X: samples; sparse ones are made dense.
            y: classes of any type that sorts, or an indicator matrix for several labels at once.
            sample_weight: what each sample counts, [n].
            X_val, y_val, sample_weight_val: a validation set, used by early stopping in place of a part of the samples.

        Raises:
            ValueError, TypeError: parameters or data that do not fit, or weights that became infinite.
        """
        self._check_one_class(y)
        return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), incremental=False)

    @available_if(lambda self: self._has_partial_fit())
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: npt.ArrayLike | None = None,
        classes: npt.ArrayLike | None = None,
    ) -> Self:
        """One epoch over these samples, from where the last call stopped; arguments as in `fit`.

        Args:
            X, y, sample_weight: as in `fit`.
            classes: all there will ever be; needed at the first call, but not for labels.

        Raises:
            ValueError, TypeError: as `fit`; classes that are missing, or others than before.
        """
        if classes is None and not hasattr(self, "coefs_") and not type_of_target(y).startswith("multilabel"):
            raise ValueError("classes: expected all classes at the first call to partial_fit, got None")
        return self._fit(X, y, sample_weight, (None, None, None), incremental=True, classes=classes)

    def predict(self, X: Any) -> Array:
        """Classes [n], or labels [n, labels], of samples `X`."""
        outputs = self._outputs(X)
        if self._multilabel:
            return (outputs > 0).astype(int)
        if outputs.shape[1] > 1:
            return np.asarray(self.classes_[outputs.argmax(axis=1)])
        return np.asarray(self.classes_[((outputs[:, 0] > 0) & (len(self.classes_) > 1)).astype(int)])

    def predict_proba(self, X: Any) -> Array:
        """Probabilities [n, classes] of samples `X`, in the order of classes_; of labels, that of each, [n, labels].

        Losses other than cross-entropies learn scores; these go through the same softmax or sigmoid.
        """
        outputs = self._outputs(X).astype(np.float64)
        if self.out_activation_ == "softmax":
            e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            return np.asarray(e / e.sum(axis=1, keepdims=True))
        p = expit(outputs)
        if self._multilabel:
            return np.asarray(p)
        if p.shape[1] == 1:
            return np.hstack([1 - p, p])
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    def _check_one_class(self, y: Any) -> None:
        """Warm starts need the classes of before."""
        if self.warm_start and hasattr(self, "classes_") and hasattr(self, "coefs_"):
            found = np.unique(np.asarray(y)) if not self._multilabel else self.classes_
            if not np.array_equal(found, self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {found}"
                )

    def _targets(self, y: Array, first: bool, classes: Any) -> Array:
        check_classification_targets(y)
        multilabel = type_of_target(y).startswith("multilabel")
        if first:
            self._multilabel = multilabel
            if multilabel:
                self.classes_ = np.arange(y.shape[1])
            else:
                self.classes_ = np.unique(y if classes is None else np.asarray(classes))
        elif classes is not None and not multilabel and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(f"classes: expected {self.classes_} as before, got {np.unique(np.asarray(classes))}")
        if multilabel != self._multilabel or (multilabel and y.shape[1] != len(self.classes_)):
            expected = f"an indicator matrix [n, {len(self.classes_)}]" if self._multilabel else "one class for each sample"
            raise ValueError(f"y: expected {expected} as before, got shape {y.shape}")
        indices = None if multilabel else self._indices(y)
        loss = self._loss()
        count = len(self.classes_)
        of_rows = isinstance(loss, (ClassLoss, KLDivLoss))
        self.n_outputs_ = max(2, count) if of_rows else 1 if count <= 2 and not multilabel else count
        self.out_activation_ = "softmax" if of_rows else "logistic"
        if indices is None:
            return np.not_equal(y, 0)
        if isinstance(loss, ClassLoss):
            return indices.astype(np.int32)
        columns = np.arange(1, 2) if self.n_outputs_ == 1 else np.arange(self.n_outputs_)
        return np.equal(indices[:, None], columns)

    def _weights_by_class(self, y: Array, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return None
        if self._multilabel:
            raise ValueError(f"class_weight: expected None for labels, got {self.class_weight!r}")
        if isinstance(self.class_weight, Mapping):
            weights = np.ones(len(y))
            for label, weight in self.class_weight.items():
                if label not in self.classes_:
                    raise ValueError(f"class_weight: expected classes of {self.classes_}, got {label!r}")
                weights[y == label] = weight
            return weights
        if incremental or self.class_weight != "balanced":
            expected = "a dict with partial_fit" if incremental else "'balanced', a dict or None"
            raise ValueError(f"class_weight: expected {expected}, got {self.class_weight!r}")
        return np.asarray(compute_sample_weight("balanced", y))

    def _indices(self, y: Array) -> Array:
        """The place of each class in classes_."""
        places = np.searchsorted(self.classes_, y)
        known = np.minimum(places, len(self.classes_) - 1)
        strange = self.classes_[known] != y
        if strange.any():
            raise ValueError(f"`y` has classes not in `self.classes_`: {np.unique(y[strange])} not in {self.classes_}")
        return np.asarray(known)

    def _loss(self) -> Loss:
        """The loss by name or object; that of scikit-learn by the kind of targets."""
        if isinstance(self.loss, str) and self.loss == "log_loss":
            several = len(self.classes_) > 2 and not self._multilabel
            return CrossEntropyLoss() if several else BCEWithLogitsLoss()
        loss = losses.get(self.loss)
        if isinstance(loss, BCELoss):
            raise ValueError("loss: expected one of scores such as 'bce_with_logits', got 'bce'")
        if isinstance(loss, (ClassLoss, KLDivLoss)) and self._multilabel:
            raise ValueError(f"loss: expected one of columns such as 'bce_with_logits' for labels, got {loss.name!r}")
        return loss

    def _objective(self) -> Objective:
        loss = self._loss()
        if self.loss == "log_loss" and self._multilabel:  # the sum over labels, not their mean
            loss = BCEWithLogitsLoss(weight=float(self.n_outputs_))
        return Objective(loss)

    def _head(self) -> str | None:
        return "log_softmax" if isinstance(self._loss(), (NLLLoss, KLDivLoss)) else None

    def _stratified(self) -> bool:
        return bool(self.n_outputs_ == 1)

    def _training_loss(self, logs: Mapping[str, float], t: Array, weights: Array | None) -> float:
        return logs["loss"]

    def _score_of(self, outputs: Array, t: Array, weights: Array | None) -> float:
        if self._multilabel:
            right = ((outputs > 0) == t).all(axis=1)
        elif outputs.shape[1] == 1:
            right = (outputs[:, 0] > 0) == (t[:, 0] > 0)
        else:
            right = outputs.argmax(axis=1) == (t if t.ndim == 1 else t.argmax(axis=1))
        return float(np.average(right, weights=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
