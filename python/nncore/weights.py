"""Weights of several models, averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, real
from nncore.model import Model

__all__ = ["average_weights"]


def average_weights(
    models: Sequence[Model | Mapping[str, npt.ArrayLike]], weights: Sequence[float] | None = None
) -> dict[str, Array]:
    """The mean of the parameters of several models, by name; `Model.set_parameters` takes it.

    sum_i weights_i * p_i / sum_i weights_i, in float64, then in the first model's type.

    Args:
        models: models of one architecture, or parameters by name as `Model.parameters` gives them.
        weights: what each counts; by default all alike.

    Raises:
        TypeError: something else, or no real numbers.
        ValueError: no models, other names or shapes than the first's, or weights that are negative or all zero.

    Source: Wortsman et al. 2022, "Model soups", arXiv:2203.05482; McMahan et al. 2017 (federated averaging).

    >>> import nncore as nn
    >>> models = [nn.Sequential([nn.Input((1,)), nn.Dense(1, use_bias=False)]) for _ in range(2)]
    >>> for model, value in zip(models, (1.0, 4.0)):
    ...     model.set_weights([[[value]]])
    >>> nn.average_weights(models, weights=[2, 1])["dense.kernel"].tolist()
    [[2.0]]
    """
    if not isinstance(models, Sequence):
        raise TypeError(f"models: expected a list of models, got {type(models).__name__}")
    if not models:
        raise ValueError("models: expected at least one, got none")
    given = []
    for i, model in enumerate(models):
        if not isinstance(model, (Model, Mapping)):
            raise TypeError(f"models[{i}]: expected a model or arrays by name, got {type(model).__name__}")
        values = model.parameters() if isinstance(model, Model) else model
        given.append({name: real(value, f"models[{i}][{name!r}]") for name, value in values.items()})
    for i, values in enumerate(given):
        shapes, expected = ({name: a.shape for name, a in arrays.items()} for arrays in (values, given[0]))
        if shapes != expected:
            raise ValueError(f"models[{i}]: expected the parameters {expected} of the first, got {shapes}")
    shares = np.ones(len(given)) if weights is None else real(weights, "weights").astype(np.float64)
    if shares.shape != (len(given),):
        raise ValueError(f"weights: expected one for each of {len(given)} models, got shape {shares.shape}")
    if not (np.isfinite(shares) & (shares >= 0)).all() or not shares.any():
        raise ValueError(f"weights: expected finite numbers that are not negative, not all zero, got {weights!r}")
    means = {}
    for name, first in given[0].items():
        total = sum(share * values[name].astype(np.float64) for share, values in zip(shares, given, strict=True))
        means[name] = np.asarray(total / shares.sum(), first.dtype if first.dtype.kind == "f" else np.float64)
    return means
