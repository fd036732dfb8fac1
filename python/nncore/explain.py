"""Understanding a model: which inputs, and which features of a data set, its outputs depend on.

`input_gradients` and `integrated_gradients` explain an output for one sample; `permutation_importance` tells what a whole
model relies on. None of them changes the model.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from nncore import engines, metrics
from nncore.arrays import Array, check_finite, real
from nncore.evaluation import probabilities
from nncore.foreign import as_array
from nncore.functional import Structured
from nncore.graph import Node
from nncore.metrics import Metric
from nncore.model import Model
from nncore.network import check_model
from nncore.optable import OPS, AttrValue

__all__ = ["Importances", "input_gradients", "integrated_gradients", "permutation_importance"]

Float64 = npt.NDArray[np.float64]

_BLOCK = 256  # samples that go through the network at a time

# Stochastic ops that do nothing in inference, and those that are another op then.
_IDENTITIES = ("dropout", "alpha_dropout", "gaussian_noise")
_OTHERS: Mapping[str, Callable[[Mapping[str, AttrValue]], tuple[str, dict[str, AttrValue]]]] = {
    "rrelu": lambda attrs: ("leaky_relu", {"negative_slope": (float(attrs["lower"]) + float(attrs["upper"])) / 2}),
}


def _in_inference(node: Node) -> Node:
    """A node whose training pass does what `node` does in inference; an engine has a backward of training passes only."""
    if node.op in _IDENTITIES:
        return dataclasses.replace(node, op="identity", attrs=MappingProxyType({}))
    if node.op in _OTHERS:
        op, attrs = _OTHERS[node.op](node.attrs)
        return dataclasses.replace(node, op=op, attrs=MappingProxyType(OPS[op].fill(attrs)))
    if node.function is not None or "frozen" in node.attrs:  # as batch normalisation, which has running averages
        return dataclasses.replace(node, attrs=MappingProxyType({**node.attrs, "frozen": True}))
    return node


class _Probe:
    """A model's network as it is in inference, in an engine of its own and float64: output `of`, and its gradient."""

    def __init__(self, model: Model, of: int) -> None:
        graph = dataclasses.replace(model.graph, nodes=tuple(map(_in_inference, model.graph.nodes)))
        self._of, self._shapes = of, graph.output_shapes
        self._engine = engines.create(model._engine_name, graph, "float64", seed=0)
        self._engine.assign(dict(enumerate(model.get_weights())))

    def gradients(self, x: list[Array], chosen: npt.NDArray[np.int64]) -> list[Array]:
        """The gradient with respect to each sample of its output number `chosen`, one array for each of the inputs `x`."""
        self._engine.forward(x, training=True)
        dy = [np.zeros((len(chosen), *shape)) for shape in self._shapes]
        dy[self._of].reshape(len(chosen), -1)[np.arange(len(chosen)), chosen] = 1.0
        return self._engine.backward(dy)

    def choice(self, x: list[Array], output: int | npt.ArrayLike | None) -> npt.NDArray[np.int64]:
        """Which output of each sample is meant."""
        rows, size = len(x[0]), math.prod(self._shapes[self._of])
        if output is None:
            outputs = [self._engine.forward([a[part] for a in x], training=False)[self._of] for part in _parts(rows)]
            return np.concatenate([y.reshape(len(y), -1).argmax(axis=1) for y in outputs])
        chosen = as_array(output, "output")
        if chosen.dtype.kind not in "iu" or chosen.shape not in ((), (rows,)):
            raise TypeError(f"output: expected an integer, one for each of the {rows} samples, or None, got {output!r}")
        if chosen.min() < 0 or chosen.max() >= size:
            raise ValueError(f"output: expected indices of the {size} outputs, got {chosen.min()} to {chosen.max()}")
        return np.broadcast_to(chosen.astype(np.int64), (rows,))


def _which(model: Model, of: str | int | None) -> int:
    """The place of the model's output that `of` names."""
    names = model._outputs.names
    if of is None and len(names) == 1:
        return 0
    if isinstance(of, str) and of in names:
        return names.index(of)
    if isinstance(of, int) and not isinstance(of, bool) and 0 <= of < len(names):
        return of
    raise ValueError(f"of: expected one of the outputs {list(names)} or its place, got {of!r}")


def _parts(rows: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, rows, _BLOCK)]


def input_gradients(
    model: Model, x: Structured, output: int | npt.ArrayLike | None = None, of: str | int | None = None
) -> Structured:
    """Gradient of an output with respect to the input: d y_c / d x, in inference mode, computed in float64.

    Its absolute value is the saliency map of Simonyan et al.: how much the output reacts to a small change of each input.

    Args:
        model: any model; it need not be compiled.
        x: samples [n, ...]; of several inputs a list or dict, as the model was made.
        output: which output c (counted along the flattened output), one for all samples or one for each, [n]; ``None``: the
            largest of each sample.
        of: where the model has several outputs, which of them, by its name or place.

    Returns:
        [n, ...], shaped like `x`; of several inputs a list or dict.

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
    check_model(model)
    samples = model._samples(x)
    probe = _Probe(model, _which(model, of))
    chosen = probe.choice(samples, output)
    pieces = [probe.gradients([a[part] for a in samples], chosen[part]) for part in _parts(len(chosen))]
    return model._inputs.join([np.concatenate(arrays) for arrays in zip(*pieces, strict=True)])


def integrated_gradients(
    model: Model,
    x: Structured,
    output: int | npt.ArrayLike | None = None,
    baseline: Structured = 0.0,
    steps: int = 64,
    of: str | int | None = None,
) -> Structured:
    """How much each input contributed to an output, compared with a baseline: integrated gradients.

    a_i = (x_i - b_i) * integral over t from 0 to 1 of d y_c / d x_i at b + t (x - b)

    The contributions of a sample add up to y_c(x) - y_c(b) (completeness), up to the error of the integral, which is taken
    by Gauss-Legendre quadrature; in a smooth network it vanishes quickly with more steps, with kinks such as relu's slowly.

    Args:
        model: any model; it need not be compiled.
        x: samples [n, ...]; of several inputs a list or dict, as the model was made.
        output: which output c, as in `input_gradients`; with ``None`` the largest at x.
        baseline: b, the input that says nothing: a number, or an array that broadcasts to `x`; of several inputs a number,
            or a list or dict.
        steps: points of the integral; each takes a forward and a backward pass.
        of: as in `input_gradients`.

    Returns:
        [n, ...], shaped like `x`; of several inputs a list or dict.

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
    check_model(model)
    samples = model._samples(x)
    starts = _baselines(model, baseline, samples)
    probe = _Probe(model, _which(model, of))
    chosen = probe.choice(samples, output)
    points, weights = np.polynomial.legendre.leggauss(steps)
    pieces = []
    for part in _parts(len(chosen)):
        begin = [start[part] for start in starts]
        way = [a[part].astype(np.float64) - b for a, b in zip(samples, begin, strict=True)]
        means = [np.zeros(a.shape) for a in way]
        for point, weight in zip((points + 1.0) / 2.0, weights / 2.0, strict=True):
            here = [b + point * a for a, b in zip(way, begin, strict=True)]
            for mean, gradient in zip(means, probe.gradients(here, chosen[part]), strict=True):
                mean += weight * gradient
        pieces.append([a * mean for a, mean in zip(way, means, strict=True)])
    return model._inputs.join([np.concatenate(arrays) for arrays in zip(*pieces, strict=True)])


def _baselines(model: Model, baseline: Structured, samples: list[Array]) -> list[Float64]:
    """The baseline of each input, shaped like its samples."""
    given = [baseline] * len(samples) if np.isscalar(baseline) else model._inputs.split(baseline, "baseline")
    starts = []
    for i, (value, array) in enumerate(zip(given, samples, strict=True)):
        start = real(value, label := model._inputs.label(i, "baseline"))
        check_finite(np.atleast_1d(start), label)
        try:
            starts.append(np.broadcast_to(start.astype(np.float64), array.shape))
        except ValueError:
            raise ValueError(f"{label}: expected a shape that broadcasts to {array.shape}, got {start.shape}") from None
    return starts


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
    x: Structured,
    y: Structured,
    metric: str | Metric | None = None,
    n_repeats: int = 5,
    seed: int = 0,
    of: str | int | None = None,
) -> Structured:
    """How much worse the model becomes when one feature is shuffled among the samples, feature by feature.

    Positive: the model relies on the feature; about zero: it does not. Two features that tell the same may both seem
    unimportant. Takes ``n_repeats`` predictions of all samples for each feature.

    Args:
        model: compiled with a loss, at least where `metric` is ``None``.
        x: samples [n, ...], each element of a sample a feature; best not those that the model was trained on. Of several
            inputs a list or dict, as the model was made.
        y: targets, as the loss takes them; of several outputs a list or dict.
        metric: what is measured, a name or object of `nncore.metrics`; ``None``: the compiled loss, of several outputs the
            weighted sum.
        n_repeats: how often each feature is shuffled.
        seed: of the shuffles.
        of: where the model has several outputs, the one that `metric` is measured on, by its name or place.

    Returns:
        `Importances`: by how much the loss grows, or the metric falls (grows, where less is better). Of several inputs a
        list or dict of them.

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
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**64:
            raise ValueError(f"{what}: expected an integer >= {low} and below 2**64, got {value!r}")
    check_model(model)
    samples = [a.copy() for a in model._samples(x)]
    if metric is None and of is not None:
        raise ValueError(f"of: expected None without a metric, got {of!r}")
    measure = _loss_of(model, y) if metric is None else _metric_of(model, metrics.get(metric), y, _which(model, of))
    best = measure(samples)
    generator = np.random.Generator(np.random.Philox(key=seed))
    found = []
    for array in samples:
        features = array.reshape(len(array), -1)  # a view: what changes here changes in the samples
        drops = np.empty((features.shape[1], n_repeats))
        for feature, column in enumerate(features.T.copy()):
            for repeat in range(n_repeats):
                features[:, feature] = generator.permutation(column)
                drops[feature, repeat] = best - measure(samples)
            features[:, feature] = column
        found.append(Importances(drops.reshape(*array.shape[1:], n_repeats)))
    return model._inputs.join(found)


def _loss_of(model: Model, y: Structured) -> Callable[[list[Array]], float]:
    """Minus the loss: more is better."""
    _ = model.loss
    return lambda samples: -model.evaluate(model._inputs.join(samples), y)["loss"]


def _metric_of(model: Model, metric: Metric, y: Structured, of: int) -> Callable[[list[Array]], float]:
    """The metric of output `of`, or minus it where less is better."""
    sign = 1.0 if metric.greater_is_better else -1.0
    loss = next((objective.loss.name for objective in model._objectives if objective.output == of), "")
    target = model._outputs.split(y, "y")[of]

    def measure(samples: list[Array]) -> float:
        one = metric.fresh()
        outputs = model._outputs.split(model.predict(model._inputs.join(samples)), "outputs")[of]
        one.update(target, probabilities(outputs, loss) if metric.probabilities else outputs)
        return sign * float(one.result())

    return measure
