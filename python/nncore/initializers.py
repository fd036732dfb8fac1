"""Initialisers: how a parameter's first values are drawn. Names, options and maths are those of Keras.

Each draws in float64 from the generator it is given and keeps no state, so one seed reproduces everything:
parameter i of a model is drawn from ``numpy.random.Generator(numpy.random.Philox(key=[seed, i]))``.

A function of one's own serves as well wherever a layer takes an initialiser; see `Function`.

>>> import nncore as nn
>>> rows = lambda shape, rng: rng.permuted(np.arange(float(np.prod(shape)))).reshape(shape)
>>> model = nn.Sequential([nn.Input((2,)), nn.Dense(2, kernel_initializer=rows, bias_initializer="ones")])
>>> sorted(model.parameters()["dense.kernel"].ravel().tolist()), model.parameters()["dense.bias"].tolist()
([0.0, 1.0, 2.0, 3.0], [1.0, 1.0])
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nncore.graph import InitializerSpec, ParameterSpec
from nncore.optable import Attr, AttrValue, Row, Shape

__all__ = [
    "INITIALIZERS",
    "Constant",
    "Function",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "create",
    "draw",
    "get",
]

Float64 = npt.NDArray[np.float64]

# Standard deviation of a standard normal variable cut off at two standard deviations.
_TRUNCATED_STDDEV = 0.87962566103423978


def _finite(default: float, low: float = -math.inf) -> Attr:
    return Attr(float, default, low=low, open_low=low == -math.inf, high=math.inf, open_high=True)


def fans(shape: Shape) -> tuple[float, float]:
    """Fan-in and fan-out of a kernel of `shape`, [in, out] or [receptive field..., in, out], as Keras counts them."""
    if len(shape) < 2:
        return (float(math.prod(shape)),) * 2
    field = math.prod(shape[:-2])
    return float(field * shape[-2]), float(field * shape[-1])


def truncated_normal(shape: Shape, rng: np.random.Generator) -> Float64:
    """Standard normal numbers of `shape`, those beyond two standard deviations drawn again."""
    values = rng.standard_normal(shape)
    while (far := np.abs(values) > 2.0).any():
        values[far] = rng.standard_normal(int(far.sum()))
    return values


class Initializer(ABC):
    """Draws a parameter's first values. A subclass has a `row` (its name and options) and draws in `_draw`."""

    row: ClassVar[Row]

    def __init__(self, **options: AttrValue) -> None:
        self._options = self.row.fill(options)

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Float64:
        """Values of `shape` drawn from `rng`."""
        return self._draw(shape, rng)

    @abstractmethod
    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64: ...

    def get_config(self) -> dict[str, AttrValue]:
        """The options, complete."""
        return dict(self._options)

    def _option(self, name: str) -> float:
        return float(self._options[name])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._options.items())})"


class Zeros(Initializer):
    """All zeros."""

    row = Row("zeros")

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        return np.zeros(shape)


class Ones(Initializer):
    """All ones."""

    row = Row("ones")

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        return np.ones(shape)


class Constant(Initializer):
    """All equal to `value`."""

    row = Row("constant", {"value": _finite(0.0)})

    def __init__(self, value: float = 0.0) -> None:
        super().__init__(value=value)

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        return np.full(shape, self._option("value"))


class RandomUniform(Initializer):
    """Uniform on [minval, maxval)."""

    row = Row("random_uniform", {"minval": _finite(-0.05), "maxval": _finite(0.05)})

    def __init__(self, minval: float = -0.05, maxval: float = 0.05) -> None:
        super().__init__(minval=minval, maxval=maxval)
        if self._option("minval") > self._option("maxval"):
            raise ValueError(f"maxval of 'random_uniform': expected at least minval = {minval}, got {maxval}")

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        return rng.uniform(self._option("minval"), self._option("maxval"), shape)


class RandomNormal(Initializer):
    """Normal with mean `mean` and standard deviation `stddev`."""

    row = Row("random_normal", {"mean": _finite(0.0), "stddev": _finite(0.05, low=0.0)})

    def __init__(self, mean: float = 0.0, stddev: float = 0.05) -> None:
        super().__init__(mean=mean, stddev=stddev)

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        return rng.normal(self._option("mean"), self._option("stddev"), shape)


class TruncatedNormal(Initializer):
    """Normal, but values more than two `stddev` from `mean` are drawn again.

    The result's own standard deviation is therefore 0.8796 `stddev`.
    """

    row = Row("truncated_normal", {"mean": _finite(0.0), "stddev": _finite(0.05, low=0.0)})

    def __init__(self, mean: float = 0.0, stddev: float = 0.05) -> None:
        super().__init__(mean=mean, stddev=stddev)

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        return self._option("mean") + self._option("stddev") * truncated_normal(shape, rng)


class _Scaled(Initializer):
    """Random numbers of mean 0 and variance ``scale / n``, n the fan-in, the fan-out or the mean of both."""

    scale: float
    mode: str
    distribution: str

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        fan_in, fan_out = fans(shape)
        variance = self.scale / {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        if self.distribution == "uniform":
            bound = math.sqrt(3.0 * variance)
            return rng.uniform(-bound, bound, shape)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, math.sqrt(variance), shape)
        return math.sqrt(variance) / _TRUNCATED_STDDEV * truncated_normal(shape, rng)


class VarianceScaling(_Scaled):
    """Random numbers of mean 0 and variance ``scale / n``.

    Args:
        scale: a finite number > 0.
        mode: what n is: ``"fan_in"``, ``"fan_out"``, or ``"fan_avg"``, their mean.
        distribution: ``"truncated_normal"`` (cut at two standard deviations, which is accounted for),
            ``"untruncated_normal"``, or ``"uniform"`` on [-a, a), a = sqrt(3 scale / n).

    Source: Keras ``VarianceScaling``; the initialisers named after Glorot, He and LeCun are special cases.

    >>> rng = np.random.Generator(np.random.Philox(0))
    >>> draws = VarianceScaling(2.0, "fan_out", "uniform")((100, 50), rng)
    >>> bool(np.abs(draws).max() < np.sqrt(3 * 2 / 50)), round(float(draws.var()) * 50, 1)
    (True, 2.0)
    """

    row = Row(
        "variance_scaling",
        {
            "scale": Attr(float, 1.0, low=0.0, open_low=True, high=math.inf, open_high=True),
            "mode": Attr(str, "fan_in", choices=("fan_in", "fan_out", "fan_avg")),
            "distribution": Attr(str, "truncated_normal", choices=("truncated_normal", "untruncated_normal", "uniform")),
        },
    )

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal") -> None:
        super().__init__(scale=scale, mode=mode, distribution=distribution)
        self.scale, self.mode, self.distribution = self._option("scale"), mode, distribution


class GlorotUniform(_Scaled):
    """Uniform on [-a, a), a = sqrt(6 / (fan_in + fan_out)): variance 2 / (fan_in + fan_out).

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """

    row = Row("glorot_uniform")
    scale, mode, distribution = 1.0, "fan_avg", "uniform"


class GlorotNormal(_Scaled):
    """Truncated normal with variance 2 / (fan_in + fan_out), truncation accounted for.

    Source: Glorot and Bengio 2010; the truncation and its correction as in Keras.
    """

    row = Row("glorot_normal")
    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"


class HeUniform(_Scaled):
    """Uniform on [-a, a), a = sqrt(6 / fan_in): variance 2 / fan_in, right for relu.

    Source: He et al. 2015, "Delving deep into rectifiers".
    """

    row = Row("he_uniform")
    scale, mode, distribution = 2.0, "fan_in", "uniform"


class HeNormal(_Scaled):
    """Truncated normal with variance 2 / fan_in, truncation accounted for; right for relu.

    Source: He et al. 2015; the truncation and its correction as in Keras.
    """

    row = Row("he_normal")
    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"


class LecunUniform(_Scaled):
    """Uniform on [-a, a), a = sqrt(3 / fan_in): variance 1 / fan_in.

    Source: LeCun et al. 1998, "Efficient backprop".
    """

    row = Row("lecun_uniform")
    scale, mode, distribution = 1.0, "fan_in", "uniform"


class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan_in, truncation accounted for; right for selu.

    Source: LeCun et al. 1998, "Efficient backprop"; Klambauer et al. 2017, "Self-normalizing neural networks"; the
    truncation and its correction as in Keras.
    """

    row = Row("lecun_normal")
    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"


class Orthogonal(Initializer):
    """`gain` times a random matrix with orthonormal columns, or rows where it has fewer rows than columns.

    All axes but the last count as rows. The matrix is Q of the QR decomposition of normal numbers, its signs chosen such
    that R has a positive diagonal, which makes it uniform over all such matrices (Haar).

    Source: Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks"; Keras
    ``Orthogonal``, PyTorch ``orthogonal_``.

    >>> q = Orthogonal()((4, 2), np.random.Generator(np.random.Philox(0)))
    >>> bool(np.allclose(q.T @ q, np.eye(2)))
    True
    """

    row = Row("orthogonal", {"gain": _finite(1.0)})

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(gain=gain)

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        if len(shape) < 2:
            raise ValueError(f"'orthogonal': expected a shape of at least two axes, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)
        return np.asarray(self._option("gain") * (q if rows >= columns else q.T).reshape(shape))


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, which need not be square, and zeros elsewhere.

    Source: Le et al. 2015, "A simple way to initialize recurrent networks of rectified linear units"; Keras ``Identity``.
    """

    row = Row("identity", {"gain": _finite(1.0)})

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(gain=gain)

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        if len(shape) != 2:
            raise ValueError(f"'identity': expected a shape of two axes, got {shape}")
        return self._option("gain") * np.eye(*shape)


class Function(Initializer):
    """A function of one's own as an initialiser: ``function(shape, rng)`` gives an array of finite numbers of `shape`.

    What it draws it draws from `rng`, a ``numpy.random.Generator`` that model, seed and parameter determine; the model
    converts the result to its own dtype. Layers take the function itself and wrap it.

    A file cannot hold Python code. `Model.save` keeps the weights and that there was a function; the loaded model works and
    trains on, but a new model made of its layers, which would have to draw, is an error.

    Args:
        function: the function; ``None`` for one that a file could not hold.

    >>> Function(lambda shape, rng: np.full(shape, 2.0))((1, 2), np.random.Generator(np.random.Philox(0))).tolist()
    [[2.0, 2.0]]

    Raises:
        TypeError: it is no function; when called, its result is not real.
        ValueError: when called, its result has another shape or is not finite.
        RuntimeError: when called, it is one that a file could not hold.
    """

    row = Row("function")

    def __init__(self, function: Callable[[Shape, np.random.Generator], npt.ArrayLike] | None = None) -> None:
        super().__init__()
        if function is not None and not callable(function):
            raise TypeError(f"function of an initializer: expected one of (shape, rng), got {function!r}")
        self._function = function

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        if self._function is None:
            raise RuntimeError(
                "this initializer was a Python function, which the model's file does not hold: give the layer another"
            )
        drawn = np.asarray(self._function(shape, rng))
        if drawn.dtype.kind not in "biuf":
            raise TypeError(f"initializer {self._name()}: expected real numbers, got dtype {drawn.dtype}")
        if drawn.shape != shape:
            raise ValueError(f"initializer {self._name()}: expected an array of shape {shape}, got {drawn.shape}")
        if not np.isfinite(drawn).all():
            raise ValueError(f"initializer {self._name()}: expected finite numbers, got {drawn[~np.isfinite(drawn)][0]}")
        return drawn.astype(np.float64)

    def _name(self) -> str:
        return getattr(self._function, "__qualname__", None) or repr(self._function)

    def __repr__(self) -> str:
        return f"Function({self._name()})"


INITIALIZERS: Mapping[str, type[Initializer]] = {
    cls.row.name: cls
    for cls in (
        Zeros,
        Ones,
        Constant,
        RandomUniform,
        RandomNormal,
        TruncatedNormal,
        VarianceScaling,
        GlorotUniform,
        GlorotNormal,
        HeUniform,
        HeNormal,
        LecunUniform,
        LecunNormal,
        Orthogonal,
        Identity,
        Function,
    )
}


def create(name: str, options: Mapping[str, Any]) -> Initializer:
    """The initialiser that a `nncore.graph.ParameterSpec` names.

    >>> create("constant", {"value": 0.5})
    Constant(value=0.5)

    Raises:
        ValueError: unknown name or option, or an option out of bounds.
    """
    if not isinstance(name, str) or name not in INITIALIZERS:
        raise ValueError(f"initializer: expected one of {', '.join(INITIALIZERS)}, got {name!r}")
    cls: Any = INITIALIZERS[name]
    made: Initializer = cls(**cls.row.fill(options))
    return made


def get(value: str | Initializer | Callable[[Shape, np.random.Generator], npt.ArrayLike]) -> Initializer:
    """`value` itself, the initialiser of that name with default options, or a `Function` of it."""
    if isinstance(value, Initializer):
        return value
    if isinstance(value, str):
        return create(value, {})
    if isinstance(value, type) or not callable(value):
        hint = " (the class; make an object of it)" if isinstance(value, type) else ""
        raise TypeError(f"initializer: expected a name, an Initializer or a function of (shape, rng), got {value!r}{hint}")
    return Function(value)


def spec(value: str | Initializer | Callable[[Shape, np.random.Generator], npt.ArrayLike]) -> InitializerSpec:
    """What `get` makes of `value`, as a `nncore.graph.ParameterSpec` holds it.

    >>> spec("ones")
    ('ones', {})
    """
    made = get(value)
    return made if isinstance(made, Function) else (made.row.name, made.get_config())


def draw(spec: ParameterSpec, rng: np.random.Generator) -> Float64:
    """The first values of the parameter that `spec` describes.

    Raises:
        TypeError, ValueError, RuntimeError: its initialiser cannot draw them; the message names the parameter.
    """
    initializer = spec.initializer if callable(spec.initializer) else create(*spec.initializer)
    try:
        return np.asarray(initializer(spec.shape, rng))
    except (TypeError, ValueError, RuntimeError) as error:
        error.add_note(f"while drawing the first values of parameter {spec.name!r}")
        raise
