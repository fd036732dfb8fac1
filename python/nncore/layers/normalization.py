"""Layers that normalise: over the batch, over the features, and by what was learnt from data before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.foreign import as_array, is_array
from nncore.graph import GraphBuilder
from nncore.layers.base import Layer
from nncore.layers.weighted import Constraint, Initial, Regularizer, Weighted
from nncore.optable import AttrValue

__all__ = ["BatchNorm", "LayerNorm", "Normalization", "RMSNorm"]


class BatchNorm(Weighted):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta for each channel, the last axis.

    x and y [n, ..., channels]; gamma, beta, moving_mean and moving_variance [channels]. In training mean and variance are
    those of the batch over all other axes, and running averages follow them with every training pass::

        moving = momentum * moving + (1 - momentum) * batch

    In inference the averages take their place, so that a sample's result does not depend on the others. The variance has
    the divisor n throughout, as in Keras; PyTorch puts n - 1 under its running variance, and its momentum is 1 - momentum.

    Args:
        momentum: of the averages, 0 to 1.
        epsilon: what keeps the division safe.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: names or objects of
            `nncore.initializers`, or functions ``(shape, rng) -> array``.
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: see `nncore.regularizers`.
        name, trainable: see `Layer`. The averages are parameters that no optimizer changes; they are saved and loaded with
            the others. A frozen layer uses them in training too, and they stand still.

    Source: Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift"; Keras ``BatchNormalization``.

    >>> import nncore as nn
    >>> model = nn.Sequential([nn.Input((2,)), nn.BatchNorm(momentum=0.5, epsilon=0.0)])
    >>> model.forward([[1.0, 0.0], [3.0, 4.0]], training=True).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    >>> model.parameters()["batch_norm.moving_mean"].tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Initial = "zeros",
        gamma_initializer: Initial = "ones",
        moving_mean_initializer: Initial = "zeros",
        moving_variance_initializer: Initial = "ones",
        beta_regularizer: Regularizer = None,
        gamma_regularizer: Regularizer = None,
        beta_constraint: Constraint = None,
        gamma_constraint: Constraint = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        attrs: dict[str, AttrValue] = {"momentum": momentum, "epsilon": epsilon, "center": center, "scale": scale}
        initial = {
            "beta": beta_initializer,
            "gamma": gamma_initializer,
            "moving_mean": moving_mean_initializer,
            "moving_variance": moving_variance_initializer,
        }
        super().__init__(
            "batch_norm",
            attrs,
            initial,
            {"beta": beta_regularizer, "gamma": gamma_regularizer},
            {"beta": beta_constraint, "gamma": gamma_constraint},
            name,
            trainable,
            state=("moving_mean", "moving_variance"),
        )


class LayerNorm(Weighted):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta with mean and variance of each vector along the last axis.

    x and y [n, ..., features]; gamma and beta [features]. The variance has the divisor of the number of features. Training
    and inference do the same.

    Args:
        epsilon: what keeps the division safe.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: as
            those of `Dense`.
        name, trainable: see `Layer`.

    Source: Ba, Kiros and Hinton 2016, "Layer normalization"; Keras ``LayerNormalization``, whose epsilon is 1e-3.

    >>> import nncore as nn
    >>> nn.Sequential([nn.LayerNorm(epsilon=0.0)]).predict([[1.0, 3.0]]).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Initial = "zeros",
        gamma_initializer: Initial = "ones",
        beta_regularizer: Regularizer = None,
        gamma_regularizer: Regularizer = None,
        beta_constraint: Constraint = None,
        gamma_constraint: Constraint = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            "layer_norm",
            {"epsilon": epsilon, "center": center, "scale": scale},
            {"beta": beta_initializer, "gamma": gamma_initializer},
            {"beta": beta_regularizer, "gamma": gamma_regularizer},
            {"beta": beta_constraint, "gamma": gamma_constraint},
            name,
            trainable,
        )


class RMSNorm(Weighted):
    """y = x / sqrt(mean(x^2) + epsilon) * gamma for each vector along the last axis.

    x and y [n, ..., features]; gamma [features]. Training and inference do the same.

    Args:
        epsilon: what keeps the division safe.
        scale: whether there is a gamma.
        gamma_initializer, gamma_regularizer, gamma_constraint: as those of `Dense`.
        name, trainable: see `Layer`.

    Source: Zhang and Sennrich 2019, "Root mean square layer normalization"; Keras ``RMSNormalization``.

    >>> import nncore as nn
    >>> nn.Sequential([nn.RMSNorm(epsilon=0.0)]).predict([[1.0, 7.0]]).round(3).tolist()
    [[0.20000000298023224, 1.399999976158142]]
    """

    def __init__(
        self,
        epsilon: float = 1e-6,
        scale: bool = True,
        gamma_initializer: Initial = "ones",
        gamma_regularizer: Regularizer = None,
        gamma_constraint: Constraint = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            "rms_norm",
            {"epsilon": epsilon, "scale": scale},
            {"gamma": gamma_initializer},
            {"gamma": gamma_regularizer},
            {"gamma": gamma_constraint},
            name,
            trainable,
        )


_CHUNK = 2**20  # elements of the data that `Normalization.adapt` has in double precision at once


class Normalization(Layer):
    """y = (x - mean) / sqrt(variance) with a mean and a variance for each feature, the last axis, that `adapt` learns.

    x and y [n, ..., features]. No training changes the two; they are saved and loaded with the model as
    ``<name>.moving_mean`` and ``<name>.moving_variance``. Before `adapt` they are 0 and 1. A feature that does not vary
    gives 0: 1e-14 is added to the variance, as Keras bounds the deviation by 1e-7.

    Args:
        name: see `Layer`.

    Source: Keras ``Normalization``.

    >>> import nncore as nn
    >>> scaling = nn.Normalization()
    >>> scaling.adapt([[1.0, 0.0], [3.0, 20.0]])
    >>> nn.Sequential([scaling]).predict([[2.0, 0.0]]).tolist()
    [[0.0, -1.0]]
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.mean: npt.NDArray[np.float64] | None = None
        self.variance: npt.NDArray[np.float64] | None = None

    def adapt(self, data: npt.ArrayLike | Iterable[npt.ArrayLike]) -> None:
        """Learn mean and variance (divisor n) of each feature, forgetting those learnt before.

        A model takes them over when it is first used or compiled, not later.

        Args:
            data: an array [n, ..., features] of any real dtype, read in pieces, so that it may be a memory map larger than
                memory; or an iterable of such arrays, all of which count as one.

        Raises:
            TypeError, ValueError: no real numbers, another number of features, no sample at all, or something that is not
                finite; nothing has changed.
        """
        whole = data if is_array(data) or isinstance(data, (list, tuple)) else None
        batches: Iterable[Any] = data if whole is None else [whole]  # type: ignore[assignment]
        count, mean, squares = 0, np.zeros(0), np.zeros(0)
        for batch in batches:
            for part in _parts(batch):
                if count and part.shape[1] != mean.size:
                    raise ValueError(f"data: expected {mean.size} features as before, got {part.shape[1]}")
                if not count:
                    mean, squares = np.zeros(part.shape[1]), np.zeros(part.shape[1])
                # Chan, Golub and LeVeque 1979: moments of two parts joined.
                total, own = count + len(part), part.mean(0)
                difference = own - mean
                squares = squares + np.square(part - own).sum(0) + np.square(difference) * (count * len(part) / total)
                mean = mean + difference * (len(part) / total)
                count = total
        if not count:
            raise ValueError("data: expected at least one sample, got none")
        if not np.isfinite(squares).all():
            raise ValueError("data: expected finite numbers, got some that are not")
        variance = squares / count
        variance[variance <= np.square(count * np.finfo(np.float64).eps * mean)] = 0  # rounding: the feature is constant
        self.mean, self.variance = mean, variance

    def build(self, builder: GraphBuilder, inputs: Sequence[int], name: str) -> int:
        """Add the node and its two parameters."""
        features = builder.shape(inputs[0])[-1:]
        if self.mean is not None and features != self.mean.shape:
            raise ValueError(f"input of Normalization: expected {self.mean.size} features as adapted to, got {features}")

        def learnt(which: str, default: float) -> int:
            def value(shape: tuple[int, ...], rng: object) -> npt.NDArray[np.float64]:
                found: npt.NDArray[np.float64] | None = getattr(self, which)
                return np.full(shape, default) if found is None else found

            return builder.parameter(f"{name}.moving_{which}", features, value, trainable=False)

        parameters = [learnt("mean", 0.0), learnt("variance", 1.0)] if features else []
        attrs: dict[str, AttrValue] = {"epsilon": 1e-14, "center": False, "scale": False, "frozen": True}
        return builder.node("batch_norm", inputs, attrs, parameters, name)


def _parts(batch: npt.ArrayLike) -> Iterable[npt.NDArray[np.float64]]:
    """Pieces [m, features] of an array, in double precision."""
    array: npt.NDArray[Any] = batch if isinstance(batch, np.ndarray) else as_array(batch, "data")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"data: expected real numbers, got dtype {array.dtype}")
    if array.ndim < 2:
        raise ValueError(f"data: expected the axes of samples and features, got shape {array.shape}")
    step = max(1, _CHUNK // max(1, array[0].size)) if len(array) else 1
    for start in range(0, len(array), step):
        yield np.asarray(array[start : start + step], np.float64).reshape(-1, array.shape[-1])
