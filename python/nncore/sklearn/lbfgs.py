"""The solver "lbfgs": SciPy's L-BFGS-B over all weights as one vector, on all samples at once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from nncore.arrays import Array
from nncore.sklearn.network import Network

__all__ = ["minimize"]


def minimize(
    network: Network, x: Array, t: Array, weights: Array | None, alpha: float, max_iter: int, max_fun: int, tol: float
) -> tuple[float, int]:
    """Train `network`, which has no penalty of its own; returns the last value and how many iterations there were.

    The value is that of the loss times the objective's factor, plus alpha / 2 times the sum of the kernels' squares, over
    the sum of the samples' weights. Dropout masks are the same throughout.
    """
    from scipy.optimize import minimize as scipy_minimize
    from sklearn.exceptions import ConvergenceWarning

    model, factor = network.model, network.objective.factor
    engine = model.engine
    specs = engine.graph.parameters
    places = [i for i, spec in enumerate(specs) if spec.trainable]
    kernels = [specs[i].name.endswith(".kernel") for i in places]
    ends = np.cumsum([int(np.prod(specs[i].shape)) for i in places])[:-1]
    total = float(len(x) if weights is None else weights.sum())
    draws = engine.draws

    def put(vector: Array) -> None:
        parts = zip(places, np.split(vector, ends), strict=True)
        engine.assign({i: part.reshape(specs[i].shape) for i, part in parts})

    def take(arrays: Sequence[Array]) -> Array:
        return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])

    def evaluate(vector: Array) -> tuple[float, Array]:
        put(vector)
        engine.draws = draws
        value, dy = model.loss(model.forward(x, training=True), t, weights)
        model.backward(dy * factor)
        gradients = take([engine.get_gradient(i) for i in places])
        penalty = 0.0
        for part, slope, is_kernel in zip(np.split(vector, ends), np.split(gradients, ends), kernels, strict=True):
            if is_kernel and alpha:
                penalty += float(part @ part)
                slope += alpha / total * part
        return float(value) * factor + 0.5 * alpha * penalty / total, gradients

    start = take([engine.get_parameter(i) for i in places])
    options = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
    result = scipy_minimize(evaluate, start, jac=True, method="L-BFGS-B", options=options)
    put(result.x)
    if result.status != 0:
        warnings.warn(
            f"lbfgs failed to converge after {result.nit} iteration(s) (status={result.status}): {result.message}. "
            f"Increase max_iter={max_iter} or max_fun={max_fun}, or scale the data.",
            ConvergenceWarning,
            stacklevel=5,
        )
    return float(result.fun), min(int(result.nit), max_iter)
