"""Initialisers: how a parameter's first values are drawn. Names, options and maths are those of Keras.

Each draws in float64 from the generator it is given and keeps no state, so one seed reproduces everything:
parameter i of a model is drawn from ``numpy.random.Generator(numpy.random.Philox(key=[seed, i]))``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nncore.optable import Attr, AttrValue, Row, Shape

__all__ = [
    "INITIALIZERS",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "Zeros",
    "create",
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
        if minval > maxval:
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


class GlorotUniform(Initializer):
    """Uniform on [-a, a), a = sqrt(6 / (fan_in + fan_out)): variance 2 / (fan_in + fan_out).

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """

    row = Row("glorot_uniform")

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        bound = math.sqrt(6.0 / sum(fans(shape)))
        return rng.uniform(-bound, bound, shape)


class GlorotNormal(Initializer):
    """Truncated normal with variance 2 / (fan_in + fan_out), truncation accounted for.

    Source: Glorot and Bengio 2010; the truncation and its correction as in Keras.
    """

    row = Row("glorot_normal")

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        return math.sqrt(2.0 / sum(fans(shape))) / _TRUNCATED_STDDEV * truncated_normal(shape, rng)


class HeUniform(Initializer):
    """Uniform on [-a, a), a = sqrt(6 / fan_in): variance 2 / fan_in, right for relu.

    Source: He et al. 2015, "Delving deep into rectifiers".
    """

    row = Row("he_uniform")

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        bound = math.sqrt(6.0 / fans(shape)[0])
        return rng.uniform(-bound, bound, shape)


class HeNormal(Initializer):
    """Truncated normal with variance 2 / fan_in, truncation accounted for; right for relu.

    Source: He et al. 2015; the truncation and its correction as in Keras.
    """

    row = Row("he_normal")

    def _draw(self, shape: Shape, rng: np.random.Generator) -> Float64:
        return math.sqrt(2.0 / fans(shape)[0]) / _TRUNCATED_STDDEV * truncated_normal(shape, rng)


INITIALIZERS: Mapping[str, type[Initializer]] = {
    cls.row.name: cls
    for cls in (
        Zeros,
        Constant,
        RandomUniform,
        RandomNormal,
        TruncatedNormal,
        GlorotUniform,
        GlorotNormal,
        HeUniform,
        HeNormal,
    )
}


def create(name: str, options: Mapping[str, Any]) -> Initializer:
    """The initialiser that a `nncore.graph.ParameterSpec` names.

    >>> create("constant", {"value": 0.5})
    Constant(value=0.5)

    Raises:
        ValueError: unknown name or option, or an option out of bounds.
    """
    if name not in INITIALIZERS:
        raise ValueError(f"initializer: expected one of {', '.join(INITIALIZERS)}, got {name!r}")
    cls: Any = INITIALIZERS[name]
    made: Initializer = cls(**cls.row.fill(options))
    return made


def get(value: str | Initializer) -> Initializer:
    """`value` itself, or the initialiser of that name with default options."""
    if isinstance(value, Initializer):
        return value
    if not isinstance(value, str):
        raise TypeError(f"initializer: expected a name or an Initializer, got {value!r}")
    return create(value, {})
