"""Understanding a model: which inputs, and which features of a data set, its outputs depend on.

`input_gradients` and `integrated_gradients` explain an output for one sample; `permutation_importance` tells what a whole
model relies on. None of them changes the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from nncore import engines, metrics
from nncore.arrays import Array, check_finite, real
from nncore.evaluation import probabilities
from nncore.graph import Node
from nncore.metrics import Metric
from nncore.model import Model
from nncore.optable import OPS, AttrValue, Shape

__all__ = ["Importances", "input_gradients", "integrated_gradients", "permutation_importance"]

Float64 = npt.NDArray[np.float64]

_BLOCK = 256  # samples that go through the network at a time

# What a stochastic op is in inference, where it is not the identity.
_INFERENCE: Mapping[str, Callable[[Mapping[str, AttrValue]], tuple[str, dict[str, AttrValue]]]] = {}


def _in_inference(node: Node) -> Node:
    if node.op not in OPS or not OPS[node.op].stochastic:
        return node
    op, attrs = _INFERENCE[node.op](node.attrs) if node.op in _INFERENCE else ("identity", {})
    return dataclasses.replace(node, op=op, attrs=MappingProxyType(OPS[op].fill(attrs)))


class _Probe:
    """A model's network as it is in inference, in an engine of its own and float64: one output of it, and its gradient."""

    def __init__(self, model: Model) -> None:
        graph = dataclasses.replace(model.graph, nodes=tuple(map(_in_inference, model.graph.nodes)))
        self._shape: Shape = graph.output_shapes[0]
        self.engine = engines.create(model._engine_name, graph, "float64", seed=0)
        for i, weight in enumerate(model.get_weights()):
            self.engine.set_parameter(i, weight)

    def outputs(self, x: Array) -> Float64:
        """All outputs [n, k] of `x`."""
        return self.engine.forward([x], training=False)[0].reshape(len(x), -1)

    def gradients(self, x: Array, chosen: npt.NDArray[np.int64]) -> Float64:
        """The gradient with respect to each sample of its output number `chosen`, shaped like `x`."""
        self.engine.forward([x], training=True)
        dy = np.zeros((len(x), int(np.prod(self._shape))))
        dy[np.arange(len(x)), chosen] = 1.0
        return self.engine.backward([dy.reshape(len(x), *self._shape)])[0]

    def choice(self, x: Array, output: int | npt.ArrayLike | None) -> npt.NDArray[np.int64]:
        """Which output of each sample is meant."""
        size = int(np.prod(self._shape))
        if output is None:
            return np.concatenate([self.outputs(block).argmax(axis=1) for block in _blocks(x)])
        chosen = np.asarray(output)
        if chosen.dtype.kind not in "iu" or chosen.shape not in ((), (len(x),)):
            raise TypeError(f"output: expected an integer, one for each of the {len(x)} samples, or None, got {output!r}")
        if chosen.min() < 0 or chosen.max() >= size:
            raise ValueError(f"output: expected indices of the {size} outputs, got {chosen.min()} to {chosen.max()}")
        return np.broadcast_to(chosen.astype(np.int64), (len(x),))


def _blocks(x: Array) -> list[Array]:
    return [x[start : start + _BLOCK] for start in range(0, len(x), _BLOCK)]


def input_gradients(model: Model, x: npt.ArrayLike, output: int | npt.ArrayLike | None = None) -> Float64:
    """Gradient of an output with respect to the input: d y_c / d x, in inference mode, computed in float64.

    Its absolute value is the saliency map of Simonyan et al.: how much the output reacts to a small change of each input.

    Args:
        model: any model; it need not be compiled.
        x: samples [n, ...].
        output: which output c (counted along the flattened output), one for all samples or one for each, [n]; ``None``: the
            largest of each sample.

    Returns:
        [n, ...], shaped like `x`.

    Raises:
        TypeError, ValueError: samples or outputs that do not fit the model.

    Source: Simonyan et al. 2014, "Deep inside convolutional networks: visualising image classification models and saliency
    maps".

    >>> import numpy as np, nncore as nn
    >>> kernel = lambda shape, rng: np.array([[1.0, -2.0], [3.0, 4.0]])
    >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(2, kernel_initializer=kernel)])
    >>> nn.explain.input_gradients(model, [[1.0, 1.0]], output=1).tolist()
    [[-2.0, 4.0]]
    """
    samples = model._samples(x)
    probe = _Probe(model)
    chosen = probe.choice(samples, output)
    pieces = zip(_blocks(samples), _blocks(chosen), strict=True)
    return np.concatenate([probe.gradients(block, which) for block, which in pieces])


def integrated_gradients(
    model: Model,
    x: npt.ArrayLike,
    output: int | npt.ArrayLike | None = None,
    baseline: npt.ArrayLike = 0.0,
    steps: int = 64,
) -> Float64:
    """How much each input contributed to an output, compared with a baseline: integrated gradients.

    a_i = (x_i - b_i) * integral over t from 0 to 1 of d y_c / d x_i at b + t (x - b)

    The contributions of a sample add up to y_c(x) - y_c(b) (completeness), up to the error of the integral, which is taken
    by Gauss-Legendre quadrature; in a smooth network it vanishes quickly with more steps, with kinks such as relu's slowly.

    Args:
        model: any model; it need not be compiled.
        x: samples [n, ...].
        output: which output c, as in `input_gradients`; with ``None`` the largest at x.
        baseline: b, the input that says nothing: a number, or an array that broadcasts to `x`.
        steps: points of the integral; each takes a forward and a backward pass.

    Returns:
        [n, ...], shaped like `x`.

    Raises:
        TypeError, ValueError: arguments that do not fit.

    Source: Sundararajan et al. 2017, "Axiomatic attribution for deep networks".

    >>> import numpy as np, nncore as nn
    >>> model = nn.Sequential([nn.Input((3,)), nn.Dense(8, activation="tanh"), nn.Dense(2)])
    >>> model.compile(dtype="float64")
    >>> x = np.array([[1.0, -2.0, 0.5]])
    >>> a = nn.explain.integrated_gradients(model, x, output=0)
    >>> difference = model.predict(x)[0, 0] - model.predict(0 * x)[0, 0]
    >>> bool(abs(a.sum() - difference) < 1e-9)
    True
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps: expected an integer >= 1, got {steps!r}")
    start = real(baseline, "baseline")
    check_finite(np.atleast_1d(start), "baseline")
    samples = model._samples(x)
    try:
        start = np.broadcast_to(start.astype(np.float64), samples.shape)
    except ValueError:
        raise ValueError(f"baseline: expected a shape that broadcasts to {samples.shape}, got {start.shape}") from None
    probe = _Probe(model)
    points, weights = np.polynomial.legendre.leggauss(steps)
    chosen = probe.choice(samples, output)
    pieces = []
    for block, from_block, which in zip(_blocks(samples), _blocks(start), _blocks(chosen), strict=True):
        way = block.astype(np.float64) - from_block
        mean = np.zeros(way.shape)
        for point, weight in zip((points + 1.0) / 2.0, weights / 2.0, strict=True):
            mean += weight * probe.gradients(from_block + point * way, which)
        pieces.append(way * mean)
    return np.concatenate(pieces)


@dataclass(frozen=True)
class Importances:
    """What `permutation_importance` found.

    Attributes:
        importances: by feature, [..., n_repeats], the feature's place in a sample first.
    """

    importances: Float64

    @property
    def importances_mean(self) -> Float64:
        """Mean over the repeats, shaped like a sample."""
        return np.asarray(self.importances.mean(axis=-1))

    @property
    def importances_std(self) -> Float64:
        """Standard deviation over the repeats, shaped like a sample."""
        return np.asarray(self.importances.std(axis=-1))


def permutation_importance(
    model: Model,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    metric: str | Metric | None = None,
    n_repeats: int = 5,
    seed: int = 0,
) -> Importances:
    """How much worse the model becomes when one feature is shuffled among the samples, feature by feature.

    Positive: the model relies on the feature; about zero: it does not. Two features that tell the same may both seem
    unimportant. Takes ``n_repeats`` predictions of all samples for each feature.

    Args:
        model: compiled with a loss, at least where `metric` is ``None``.
        x: samples [n, ...], each element of a sample a feature; best not those that the model was trained on.
        y: targets [n, ...].
        metric: what is measured, a name or object of `nncore.metrics`; ``None``: the compiled loss.
        n_repeats: how often each feature is shuffled.
        seed: of the shuffles.

    Returns:
        By how much the loss grows, or the metric falls (grows, where less is better).

    Raises:
        RuntimeError: neither a metric nor a compiled loss.
        TypeError, ValueError: arguments that do not fit.

    Source: Breiman 2001, "Random forests"; scikit-learn ``permutation_importance``.

    >>> import numpy as np, nncore as nn
    >>> kernel = lambda shape, rng: np.array([[2.0], [0.0]])  # it looks at the first feature only
    >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(1, kernel_initializer=kernel)])
    >>> model.compile(loss="mse")
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> found = nn.explain.permutation_importance(model, x, 2 * x[:, 0], metric="r2")
    >>> bool(found.importances_mean[0] > 1), bool(found.importances_mean[1] == 0)
    (True, True)
    """
    for value, what, low in ((n_repeats, "n_repeats", 1), (seed, "seed", 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"{what}: expected an integer >= {low}, got {value!r}")
    measure = _loss_of(model, y) if metric is None else _metric_of(model, metrics.get(metric), y)
    samples = model._samples(x).copy()
    best = measure(samples)
    generator = np.random.Generator(np.random.Philox(key=seed))
    features = samples.reshape(len(samples), -1)  # a view: what changes here changes in the samples
    found = np.empty((features.shape[1], n_repeats))
    for feature, column in enumerate(features.T.copy()):
        for repeat in range(n_repeats):
            features[:, feature] = generator.permutation(column)
            found[feature, repeat] = best - measure(samples)
        features[:, feature] = column
    return Importances(found.reshape(*samples.shape[1:], n_repeats))


def _loss_of(model: Model, y: npt.ArrayLike) -> Callable[[Array], float]:
    """Minus the loss: more is better."""
    _ = model.loss
    return lambda samples: -model.evaluate(samples, y)["loss"]


def _metric_of(model: Model, metric: Metric, y: npt.ArrayLike) -> Callable[[Array], float]:
    """The metric, or minus it where less is better."""
    sign = 1.0 if metric.greater_is_better else -1.0
    loss = "" if model._loss is None else model._loss.name

    def measure(samples: Array) -> float:
        one = metric.fresh()
        outputs = model.predict(samples)
        one.update(y, probabilities(outputs, loss) if metric.probabilities else outputs)
        return sign * float(one.result())

    return measure
