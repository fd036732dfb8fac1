"""The one parity table: for each op, loss and rule the arrays to try it on, and how closely results must agree.

A generic test walks the table and needs to know nothing about an op. `backend` is the module under test, `nncore.reference`
or `nncore.ops`; both have the same functions. For example::

    @pytest.mark.parametrize(("case", "shapes", "attrs"), variants(OP_CASES))
    def test_parity(case, shapes, attrs):
        arrays = case.arrays(shapes, "float64")
        y = case.forward(nncore.ops, arrays, attrs)
        case.tolerance["float64"].check(y, case.forward(nncore.reference, arrays, attrs))
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nncore.optable import LOSSES, OPS

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]
Attrs = Mapping[str, Any]
Shape = tuple[int, ...]
Draw = Callable[[np.random.Generator, Shape], Array]

DTYPES = ("float32", "float64")
PART_OPS = ("glu", "maxout")
"""Ops whose result has another shape than their input."""


@dataclass(frozen=True)
class Tolerance:
    """How far a result may lie from the right one: ``atol + rtol * |right|`` in each element."""

    rtol: float
    atol: float

    def check(self, actual: Any, expected: Any, message: str = "") -> None:
        """Fail unless `actual` is as near to `expected` as allowed; NaN matches NaN."""
        np.testing.assert_allclose(actual, expected, rtol=self.rtol, atol=self.atol, err_msg=message)


@dataclass(frozen=True)
class Tolerances:
    """A tolerance for each dtype, by its name."""

    float32: Tolerance
    float64: Tolerance

    def __getitem__(self, dtype: str) -> Tolerance:
        tolerance: Tolerance = getattr(self, dtype)
        return tolerance


def tolerances(rtol32: float, atol32: float, rtol64: float, atol64: float) -> Tolerances:
    """Tolerances from their numbers."""
    return Tolerances(Tolerance(rtol32, atol32), Tolerance(rtol64, atol64))


EXACT = tolerances(0, 0, 0, 0)
ONE_ROUNDING = tolerances(1.2e-7, 1e-37, 2.3e-16, 1e-300)
FEW_ULP = tolerances(1e-6, 1e-37, 2e-15, 1e-300)
FEW_ULP_ABOVE = tolerances(1e-6, 1e-35, 2e-15, 1e-300)
"""As before, for products of which one factor may be subnormal."""
NEAR_ONE = tolerances(1e-6, 2e-7, 2e-15, 4e-16)
"""Relative accuracy for results that are sums of terms of size one, which may cancel."""
LOG_SUM = tolerances(2e-6, 1e-6, 4e-15, 2e-15)
"""Logarithms of sums of exponentials, and products of three factors."""
COARSE = tolerances(1e-5, 1e-5, 1e-14, 1e-14)
"""Quotients, and differences of numbers up to 50."""
PRODUCT = tolerances(1e-5, 3e-5, 2e-14, 6e-14)
"""Sums of up to 300 products of standard normal numbers."""


def normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Standard normal numbers."""
    return rng.standard_normal(shape)


def wide(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal numbers of deviation 3: the curved part of an activation and both its flat ends."""
    return 3.0 * rng.standard_normal(shape)


def off_zero(rng: np.random.Generator, shape: Shape) -> Array:
    """As `wide`, but no nearer to a kink at 0 than a finite difference may step."""
    x = wide(rng, shape)
    return np.asarray(x + np.copysign(0.01, x))


def generator(name: str, salt: int = 0) -> np.random.Generator:
    """Random numbers that depend on a row's name only."""
    return np.random.default_rng([zlib.crc32(name.encode()), salt])


def unary_backward(name: str) -> Callable[[Any, Arrays, Array, Array, Attrs], Arrays]:
    """The backward of an op of one input: ``NAME_backward(x, y, dy, **attrs)``."""

    def backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
        return (getattr(backend, f"{name}_backward")(arrays[0], y, dy, **attrs),)

    return backward


@dataclass(frozen=True)
class OpCase:
    """How to test one op.

    Attributes:
        name: the row of `nncore.optable.OPS`, or ``"matmul"``.
        shapes: variants of the shapes of the op's arrays (inputs, then parameters), batch axis included.
        attrs: variants of the keyword arguments.
        draw: makes float64 numbers in the op's domain, off its kinks.
        special: numbers at which an elementwise op is tried besides (kinks, flat ends).
        exact: an elementwise op in Python floats, independent of NumPy: ``exact(x, **attrs)``.
        exact_row: the same for an op on the last axis, from one row to one row.
        tolerance, gradient: how close the forward and the backward must come, by dtype.
        indices: how many of the first arrays are indices, which have no gradient.
        grad: calls the backward: ``grad(backend, arrays, y, dy, attrs)`` gives a gradient for each array.
    """

    name: str
    shapes: tuple[tuple[Shape, ...], ...]
    attrs: tuple[Attrs, ...] = ({},)
    draw: Draw = wide
    special: tuple[float, ...] = ()
    exact: Callable[..., float] | None = None
    exact_row: Callable[[list[float]], list[float]] | None = None
    tolerance: Tolerances = NEAR_ONE
    gradient: Tolerances = NEAR_ONE
    indices: int = 0
    grad: Callable[[Any, Arrays, Array, Array, Attrs], Arrays] | None = None

    def arrays(self, shapes: Sequence[Shape], dtype: str, salt: int = 0) -> Arrays:
        """The op's arrays."""
        rng = generator(self.name, salt)
        return tuple(np.asarray(self.draw(rng, shape)).astype(dtype) for shape in shapes)

    def forward(self, backend: Any, arrays: Arrays, attrs: Attrs, **out: Array) -> Array:
        """The op's result."""
        result: Array = getattr(backend, self.name)(*arrays, **attrs, **out)
        return result

    def backward(self, backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
        """A gradient for each array, from the result `y` and its gradient `dy`."""
        return (self.grad or unary_backward(self.name))(backend, arrays, y, dy, attrs)


def _label(case: Any) -> str:
    return f"{case.name}-{case.targets}" if isinstance(case, LossCase) else str(case.name)


def variants(cases: Sequence[Any]) -> list[Any]:
    """Every case with every one of its shapes and attributes, for ``parametrize(("case", "shapes", "attrs"), ...)``."""
    return [
        pytest.param(
            case, shapes, attrs, id="-".join([_label(case), *map(str, shapes), *(f"{k}={v}" for k, v in attrs.items())])
        )
        for case in cases
        for shapes in case.shapes
        for attrs in case.attrs
    ]


# Ops ----------------------------------------------------------------------------------------------------------------------

# One element, odd tails of every vector length, no elements, no axis, several axes.
ELEMENTWISE = (((),), ((0,),), ((1,),), ((7,),), ((3, 17),), ((2, 3, 5),), ((33, 65),))
# Sums over the last axis: one row, one column, no rows, several axes, more than a vector.
ROWWISE = (((1,),), ((0, 5),), ((5, 1),), ((4, 10),), ((2, 3, 7),), ((17, 131),))
# Both the first and the last axis can be halved, or cut into six.
_HALVES = (((2,),), ((0, 4),), ((6, 2),), ((4, 10),), ((2, 3, 8),), ((18, 132),))
_SIXTHS = (((6,),), ((0, 6),), ((6, 12),), ((6, 3, 6),), ((18, 132),))
# The op sees [rows, features...].
BATCHES = (((0, 3),), ((1, 1),), ((3, 5),), ((4, 2, 3),), ((33, 65),))
SPECIAL = tuple(
    s * v for v in (0.0, 1e-30, 1e-8, 0.3, 1.0, 4.5, 9.0, 20.0, 88.0, 104.0, 750.0, 1e4, 1e30) for s in (1.0, -1.0)
)


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700 else math.exp(x)


def _gelu(x: float, approximate: str = "none") -> float:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * math.erfc(-x / math.sqrt(2.0))


def _elu(x: float, alpha: float = 1.0) -> float:
    return x if x > 0 else alpha * math.expm1(x)


def _leaky_relu(x: float, negative_slope: float = 0.01) -> float:
    return x if x > 0 else negative_slope * x


def _step(x: float) -> float:
    return 1.0 if x >= 0 else 0.0


def _hard_tanh(x: float, min_val: float = -1.0, max_val: float = 1.0) -> float:
    return min(max(x, min_val), max_val)


def _hard_sigmoid(x: float) -> float:
    return min(max(x + 3.0, 0.0), 6.0) / 6.0


def _selu(x: float) -> float:
    return 1.0507009873554804934 * _elu(x, 1.6732632423543772848)


def _celu(x: float, alpha: float = 1.0) -> float:
    return x if x > 0 else alpha * math.expm1(x / alpha)


def _softplus(x: float, beta: float = 1.0, threshold: float = 20.0) -> float:
    u = beta * x
    return x if u > threshold else (max(u, 0.0) + math.log1p(math.exp(-abs(u)))) / beta


def _rescaling(x: float, scale: float, offset: float = 0.0) -> float:
    return x * scale + offset


def _log_softmax(row: list[float]) -> list[float]:
    log_sum = math.log(math.fsum(math.exp(x - max(row)) for x in row))
    return [(x - max(row)) - log_sum for x in row]


def _softmax(row: list[float]) -> list[float]:
    e = [math.exp(x - max(row)) for x in row]
    return [x / math.fsum(e) for x in e]


def _add_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    return tuple(backend.add_backward(dy, len(arrays)))


def _multiply_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    return tuple(backend.multiply_backward(arrays, dy))


def _average_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    return tuple(backend.average_backward(dy, len(arrays)))


def _concatenate_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    return tuple(backend.concatenate_backward(dy, [x.shape for x in arrays], **attrs))


def _flatten_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    return (backend.flatten_backward(dy, arrays[0].shape),)


def _prelu_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    return tuple(backend.prelu_backward(*arrays, y, dy))


def _matmul_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    return tuple(backend.matmul_backward(*arrays, dy))


def _dense_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    x, w, *bias = arrays
    gradients = backend.dense_backward(x, w, bias[0] if bias else None, y, dy, **attrs)
    return tuple(gradients[: len(arrays)])


def _dense_draw(rng: np.random.Generator, shape: Shape) -> Array:
    """Pre-activations of a normal size; no row of the cases comes within a finite difference's step of a kink."""
    return rng.standard_normal(shape)


def _batch_norm_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    x, gamma, beta = (*arrays, None, None)[:3]
    return tuple(g for g in backend.batch_norm_backward(x, gamma, beta, y, dy, **attrs) if g is not None)


def _layer_norm_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    x, gamma, beta = (*arrays, None, None)[:3]
    return tuple(g for g in backend.layer_norm_backward(x, gamma, beta, y, dy, **attrs) if g is not None)


def _rms_norm_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    x, gamma = (*arrays, None)[:2]
    return tuple(g for g in backend.rms_norm_backward(x, gamma, y, dy, **attrs) if g is not None)


def _reshape_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    return (backend.reshape_backward(dy, arrays[0].shape),)


def _embedding_backward(backend: Any, arrays: Arrays, y: Array, dy: Array, attrs: Attrs) -> Arrays:
    return np.zeros_like(arrays[0]), backend.embedding_backward(*arrays, y, dy)


def _table_or_indices(rng: np.random.Generator, shape: Shape) -> Array:
    """A matrix of normal numbers; other shapes get indices of its seven rows."""
    return rng.standard_normal(shape) if len(shape) == 2 else rng.integers(0, 7, shape).astype(float)


def _seven(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.integers(0, 7, shape).astype(float)


_VECTORS = (((5, 3),), ((0, 3), (3,)), ((1, 1), (1,)), ((6, 4), (4,)), ((3, 2, 5), (5,)), ((33, 65), (65,)))
_STREAMS = tuple({"seed": seed, "node": 3, "step": 2**32 + 5} for seed in (0, 2**63 + 9))
NORMALIZED = {
    "draw": normal,
    "tolerance": tolerances(1e-5, 1e-5, 2e-14, 2e-14),
    "gradient": tolerances(1e-4, 1e-4, 2e-13, 2e-13),
}

_MATMUL = ((1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 7, 5), (4, 3, 1), (5, 6, 7), (33, 65, 47), (32, 300, 130))
_DENSE = (
    ((1, 1), (1, 1), (1,)),
    ((0, 3), (3, 2), (2,)),
    ((5, 4), (4, 3), (3,)),
    ((5, 4), (4, 3)),
    ((33, 65), (65, 50), (50,)),
    ((2, 3, 4), (4, 5), (5,)),
)

_ALIKE = (((3, 4),) * 2, ((2, 3, 5),) * 3, ((0, 2),) * 2, ((33, 65),) * 4)

OP_CASES = (
    OpCase("identity", ELEMENTWISE, special=SPECIAL, exact=float, tolerance=EXACT, gradient=EXACT),
    OpCase(
        "relu", ELEMENTWISE, draw=off_zero, special=SPECIAL, exact=lambda x: max(x, 0.0), tolerance=EXACT, gradient=EXACT
    ),
    OpCase("step", ELEMENTWISE, draw=off_zero, special=SPECIAL, exact=_step, tolerance=EXACT, gradient=EXACT),
    OpCase(
        "relu6",
        ELEMENTWISE,
        draw=off_zero,
        special=(*SPECIAL, 6.0),
        exact=lambda x: min(max(x, 0.0), 6.0),
        tolerance=EXACT,
        gradient=EXACT,
    ),
    OpCase(
        "hard_tanh",
        ELEMENTWISE,
        attrs=({}, {"min_val": -0.5, "max_val": 2.0}, {"min_val": 0.25, "max_val": 0.25}),
        special=(*SPECIAL, -0.5, 2.0),
        exact=_hard_tanh,
        tolerance=EXACT,
        gradient=EXACT,
    ),
    OpCase(
        "hard_sigmoid",
        ELEMENTWISE,
        special=(*SPECIAL, 3.0, -3.0, -2.9999998),
        exact=_hard_sigmoid,
        tolerance=FEW_ULP,
        gradient=FEW_ULP,
    ),
    OpCase(
        "hard_swish",
        ELEMENTWISE,
        special=(*SPECIAL, 3.0, -3.0, -2.9999998),
        exact=lambda x: x * _hard_sigmoid(x),
        tolerance=FEW_ULP,
    ),
    OpCase(
        "softsign", ELEMENTWISE, special=SPECIAL, exact=lambda x: x / (1.0 + abs(x)), tolerance=FEW_ULP, gradient=FEW_ULP
    ),
    OpCase(
        "leaky_relu",
        ELEMENTWISE,
        attrs=({}, {"negative_slope": 0.3}, {"negative_slope": 0.0}),
        draw=off_zero,
        special=SPECIAL,
        exact=_leaky_relu,
        tolerance=FEW_ULP,
        gradient=FEW_ULP,
    ),
    OpCase(
        "elu",
        ELEMENTWISE,
        attrs=({}, {"alpha": 0.5}, {"alpha": 0.0}),
        draw=off_zero,
        special=SPECIAL,
        exact=_elu,
        tolerance=FEW_ULP,
    ),
    OpCase(
        "gelu",
        ELEMENTWISE,
        attrs=({}, {"approximate": "tanh"}),
        special=SPECIAL,
        exact=_gelu,
        gradient=LOG_SUM,
    ),
    OpCase("selu", ELEMENTWISE, draw=off_zero, special=SPECIAL, exact=_selu, tolerance=FEW_ULP, gradient=LOG_SUM),
    OpCase(
        "celu",
        ELEMENTWISE,
        attrs=({}, {"alpha": 0.5}, {"alpha": 3.0}),
        draw=off_zero,
        special=SPECIAL,
        exact=_celu,
        tolerance=FEW_ULP,
    ),
    OpCase(
        "silu", ELEMENTWISE, special=SPECIAL, exact=lambda x: x * _sigmoid(x), tolerance=FEW_ULP_ABOVE, gradient=LOG_SUM
    ),
    OpCase(
        "mish",
        ELEMENTWISE,
        special=SPECIAL,
        exact=lambda x: x * math.tanh(_softplus(x, threshold=math.inf)),
        tolerance=FEW_ULP_ABOVE,
        gradient=LOG_SUM,
    ),
    OpCase(
        "softplus",
        ELEMENTWISE,
        attrs=({}, {"beta": 2.0, "threshold": 5.0}, {"beta": 0.5}),
        special=SPECIAL,
        exact=_softplus,
        tolerance=FEW_ULP,
    ),
    OpCase(
        "log_sigmoid", ELEMENTWISE, special=SPECIAL, exact=lambda x: -_softplus(-x, threshold=math.inf), tolerance=FEW_ULP
    ),
    OpCase("sigmoid", ELEMENTWISE, special=SPECIAL, exact=_sigmoid, tolerance=FEW_ULP),
    OpCase("tanh", ELEMENTWISE, special=SPECIAL, exact=math.tanh, tolerance=FEW_ULP),
    OpCase(
        "softmax",
        ROWWISE,
        attrs=({}, {"axis": 0}),
        exact_row=_softmax,
        tolerance=tolerances(2e-6, 1e-37, 4e-15, 1e-300),
        gradient=LOG_SUM,
    ),
    OpCase(
        "log_softmax",
        ROWWISE,
        attrs=({}, {"axis": 0}),
        exact_row=_log_softmax,
        tolerance=tolerances(1e-6, 1e-6, 2e-15, 2e-15),
        gradient=tolerances(1e-5, 1e-5, 1e-14, 1e-14),
    ),
    OpCase("glu", _HALVES, attrs=({}, {"axis": 0}), tolerance=FEW_ULP, gradient=LOG_SUM),
    OpCase(
        "maxout",
        _SIXTHS,
        attrs=({}, {"groups": 3}, {"groups": 6, "axis": 0}, {"groups": 1}),
        tolerance=EXACT,
        gradient=EXACT,
    ),
    OpCase(
        "prelu",
        (
            ((5,), (1,)),
            ((0, 3), (3,)),
            ((3, 1), (1,)),
            ((4, 10), (10,)),
            ((2, 3, 7), (7,)),
            ((33, 65), (65,)),
            ((33, 65), (1,)),
        ),
        draw=off_zero,
        tolerance=FEW_ULP,
        gradient=PRODUCT,
        grad=_prelu_backward,
    ),
    OpCase(
        "rrelu",
        (*BATCHES, ((6,),)),
        attrs=(
            {},
            {"lower": 0.0, "upper": 0.0},
            {"lower": 0.1, "upper": 0.7, "training": True, "seed": 2**63 + 9, "node": 3, "step": 2**32 + 5},
        ),
        draw=off_zero,
        tolerance=EXACT,
        gradient=EXACT,
    ),
    OpCase(
        "rescaling",
        ELEMENTWISE,
        attrs=({"scale": 1 / 255}, {"scale": -2.5, "offset": 1.0}),
        special=SPECIAL,
        exact=_rescaling,
    ),
    OpCase(
        "dropout",
        (*BATCHES, ((6,),)),
        attrs=tuple(
            {"rate": rate, "seed": seed, "node": 3, "step": 2**32 + 5}
            for rate in (0.0, 0.2, 0.75)
            for seed in (0, 2**63 + 9)
        ),
        tolerance=EXACT,
        gradient=EXACT,
    ),
    OpCase("flatten", (*BATCHES, ((6,),)), tolerance=EXACT, gradient=EXACT, grad=_flatten_backward),
    OpCase(
        "add",
        _ALIKE,
        tolerance=EXACT,
        gradient=EXACT,
        grad=_add_backward,
    ),
    OpCase("multiply", _ALIKE, tolerance=FEW_ULP, gradient=FEW_ULP, grad=_multiply_backward),
    OpCase("average", _ALIKE, tolerance=NEAR_ONE, gradient=ONE_ROUNDING, grad=_average_backward),
    OpCase(
        "concatenate",
        (((3, 4), (3, 1)), ((2, 3, 5),) * 3, ((0, 2), (0, 3)), ((33, 65), (33, 1), (33, 7)), ((4, 1, 5), (4, 1, 2))),
        tolerance=EXACT,
        gradient=EXACT,
        grad=_concatenate_backward,
    ),
    OpCase(
        "concatenate",
        (((2, 3, 5),) * 3, ((4, 1, 5), (4, 3, 5)), ((2, 1, 3, 2), (2, 2, 3, 2))),
        attrs=({"axis": 1},),
        tolerance=EXACT,
        gradient=EXACT,
        grad=_concatenate_backward,
    ),
    OpCase(
        "dense",
        _DENSE,
        attrs=tuple({"activation": name} for name, op in OPS.items() if op.activation and name not in PART_OPS),
        draw=_dense_draw,
        tolerance=PRODUCT,
        gradient=tolerances(2e-5, 1e-4, 4e-14, 2e-13),
        grad=_dense_backward,
    ),
    OpCase(
        "batch_norm",
        (
            ((5, 3),),
            ((1, 2), (2,)),
            ((0, 3), (3,), (3,)),
            ((6, 4), (4,), (4,)),
            ((3, 2, 5), (5,), (5,)),
            ((33, 65), (65,), (65,)),
            ((20, 3, 50), (50,), (50,)),
        ),
        attrs=({}, {"epsilon": 0.5}),
        draw=normal,
        tolerance=tolerances(1e-5, 1e-5, 2e-14, 2e-14),
        gradient=tolerances(5e-5, 5e-5, 1e-13, 1e-13),
        grad=_batch_norm_backward,
    ),
    OpCase(
        "layer_norm",
        (*_VECTORS, ((6, 4), (4,), (4,)), ((20, 3, 50), (50,), (50,))),
        attrs=({}, {"epsilon": 0.5}),
        grad=_layer_norm_backward,
        **NORMALIZED,
    ),
    OpCase("rms_norm", _VECTORS, attrs=({}, {"epsilon": 0.5}), grad=_rms_norm_backward, **NORMALIZED),
    OpCase(
        "gaussian_noise",
        (*BATCHES, ((6,),)),
        attrs=tuple({"stddev": stddev, **draws} for stddev in (0.0, 0.5, 3.0) for draws in _STREAMS),
        tolerance=tolerances(2e-6, 2e-5, 1e-13, 1e-13),
        gradient=EXACT,
    ),
    OpCase(
        "alpha_dropout",
        (*BATCHES, ((6,),)),
        attrs=tuple({"rate": rate, **draws} for rate in (0.0, 0.2, 0.75) for draws in _STREAMS),
        gradient=FEW_ULP,
    ),
    OpCase(
        "reshape",
        (((0, 6),), ((3, 6),), ((2, 2, 3),)),
        attrs=({"target_shape": (3, 2)}, {"target_shape": (6,)}, {"target_shape": (1, -1, 2)}),
        tolerance=EXACT,
        gradient=EXACT,
        grad=_reshape_backward,
    ),
    OpCase(
        "embedding",
        (((0,), (7, 2)), ((5,), (7, 3)), ((3, 2, 1), (7, 4)), ((40,), (7, 130)), ((4, 3, 5), (300, 17))),
        draw=_table_or_indices,
        indices=1,
        tolerance=EXACT,
        gradient=tolerances(1e-5, 1e-5, 1e-14, 1e-14),
        grad=_embedding_backward,
    ),
    OpCase(
        "one_hot",
        (((0,),), ((5,),), ((3, 2),), ((2, 2, 3),)),
        attrs=({"depth": 7}, {"depth": 20}),
        draw=_seven,
        indices=1,
        tolerance=EXACT,
        gradient=EXACT,
    ),
    OpCase(
        "matmul",
        tuple(((m, k), (k, n)) for m, k, n in _MATMUL),
        draw=normal,
        tolerance=PRODUCT,
        gradient=PRODUCT,
        grad=_matmul_backward,
    ),
)


# Losses -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossCase:
    """How to test one loss with one kind of target.

    Attributes:
        name: the row of `nncore.optable.LOSSES`.
        targets: the kind of target, one of the row's.
        shapes: variants of the shape of the prediction, each in a tuple of its own.
        draw: makes predictions.
        target: makes targets for a prediction of the shape given: floats, or integers for class indices.
        exact: the values of reduction ``"none"``, by Python's floats: from an element and its target, or, for
            cross-entropy, from a row of logits and a row of probabilities or a class.
        attrs: the reductions and options; ``"per column"`` and ``"per row"`` stand for vectors of weights.
        tolerance, gradient: how close the value and the gradient must come, by dtype.
    """

    name: str
    targets: str
    shapes: tuple[tuple[Shape], ...]
    target: Draw
    exact: Callable[[Any, Any], float]
    draw: Draw = wide
    attrs: tuple[Attrs, ...] = field(default_factory=lambda: _reductions())
    tolerance: Tolerances = LOG_SUM
    gradient: Tolerances = NEAR_ONE

    def arrays(self, shapes: Sequence[Shape], dtype: str, salt: int = 0) -> tuple[Array, Array]:
        """A prediction in `dtype`, and targets: in `dtype` too unless they are class indices."""
        rng = generator(f"{self.name}-{self.targets}", salt)
        x, t = np.asarray(self.draw(rng, shapes[0])), np.asarray(self.target(rng, shapes[0]))
        return x.astype(dtype), t.astype(dtype) if t.dtype.kind == "f" else t

    @staticmethod
    def options(x: Array, attrs: Attrs) -> dict[str, Any]:
        """The keyword arguments for a prediction `x`, with vectors in place of their names; some weights are 0."""
        vectors = {"per column": np.arange(1, x.shape[-1] + 1) % 4 * 0.25, "per row": np.arange(3, len(x) + 3) % 5 * 0.25}
        return {key: vectors.get(value, value) if isinstance(value, str) else value for key, value in attrs.items()}

    def forward(self, backend: Any, arrays: tuple[Array, Array], attrs: Attrs) -> Any:
        """The loss."""
        return getattr(backend, self.name)(*arrays, **self.options(arrays[0], attrs))

    def backward(self, backend: Any, arrays: tuple[Array, Array], attrs: Attrs) -> Array:
        """The gradient of the loss (of its sum, for ``"none"``) with respect to the prediction."""
        gradient: Array = getattr(backend, f"{self.name}_backward")(*arrays, **self.options(arrays[0], attrs))
        return gradient


def _indices(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.integers(0, shape[-1], size=shape[:-1])


def _probabilities(rng: np.random.Generator, shape: Shape) -> Array:
    """Rows that sum to one; the first is one-hot."""
    t = rng.dirichlet(np.ones(shape[1]), size=shape[0])
    t[0] = np.eye(shape[1])[0]
    return t


def _unit_interval(rng: np.random.Generator, shape: Shape) -> Array:
    """Probabilities, half of them exactly 0 or 1."""
    t = rng.random(shape)
    return np.where(rng.random(shape) < 0.5, np.round(t), t)


def _mse(x: float, t: float) -> float:
    return (x - t) ** 2


def _bce_with_logits(x: float, t: float) -> float:
    return -t * _log_sigmoid(x) - (1 - t) * _log_sigmoid(-x)


def _log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def _cross_entropy_of_class(row: list[float], target: int) -> float:
    return -_log_softmax(row)[target]


def _cross_entropy(row: list[float], target: list[float]) -> float:
    return -math.fsum(t * y for t, y in zip(target, _log_softmax(row), strict=True))


_LOSS_SHAPES: tuple[tuple[Shape], ...] = (((1,),), ((3, 1),), ((5, 4),), ((2, 3, 5),), ((33, 65),))
_CLASS_SHAPES: tuple[tuple[Shape], ...] = (((1, 1),), ((1, 10),), ((6, 4),), ((33, 65),))


def _positive(rng: np.random.Generator, shape: Shape) -> Array:
    return np.abs(rng.standard_normal(shape)) + 0.1


def _probability(rng: np.random.Generator, shape: Shape) -> Array:
    """Inside (0, 1), not too near the ends for a finite difference."""
    return rng.uniform(0.01, 0.99, shape)


def _log_probability(rng: np.random.Generator, shape: Shape) -> Array:
    return np.log(_probability(rng, shape))


def _counts(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.poisson(2.0, shape).astype(np.float64)


def _signs(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.choice([-1.0, 1.0], shape)


def _zero_or_one(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.choice([0.0, 1.0], shape)


def _half(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.standard_normal((*shape[:-1], shape[-1] // 2))


def _mae(x: float, t: float) -> float:
    return abs(x - t)


def _huber(x: float, t: float) -> float:
    return 0.5 * (x - t) ** 2 if abs(x - t) <= 1 else abs(x - t) - 0.5


def _log_cosh(x: float, t: float) -> float:
    return abs(x - t) + math.log1p(math.exp(-2 * abs(x - t))) - math.log(2)


def _quantile(x: float, t: float) -> float:
    return 0.5 * abs(x - t)


def _poisson(x: float, t: float) -> float:
    return math.exp(x) - t * x


def _gaussian_nll(row: list[float], target: list[float]) -> float:
    """A row of one mean and one variance."""
    (mean, variance), (t,) = row, target
    return 0.5 * (math.log(variance) + (mean - t) ** 2 / variance)


def _cosine(row: list[float], target: list[float]) -> float:
    return 1 - math.fsum(x * t for x, t in zip(row, target, strict=True)) / math.hypot(*row) / math.hypot(*target)


def _kl_div(x: float, t: float) -> float:
    return t * (math.log(t) - x) if t else 0.0


def _hinge(x: float, t: float) -> float:
    return max(0.0, 1 - (x if t > 0 else -x))


def _squared_hinge(x: float, t: float) -> float:
    return _hinge(x, t) ** 2


def _multi_margin(row: list[float], target: int) -> float:
    return math.fsum(max(0.0, 1 - row[target] + x) for j, x in enumerate(row) if j != target) / len(row)


def _bce(x: float, t: float) -> float:
    return -t * math.log(x) - (1 - t) * math.log1p(-x)


def _nll(row: list[float], target: int) -> float:
    return -row[target]


def _focal(x: float, t: float) -> float:
    p = _sigmoid(x)
    alpha = 0.25 * t + 0.75 * (1 - t)
    return alpha * (p * (1 - t) + (1 - p) * t) ** 2 * _bce_with_logits(x, t)


_ROW_SHAPES: tuple[tuple[Shape], ...] = (((1, 3),), ((6, 4),), ((33, 65),))
_PAIR_SHAPES: tuple[tuple[Shape], ...] = (((1, 2),), ((5, 2),), ((3, 8),), ((33, 66),))
_COLUMN_SHAPES: tuple[tuple[Shape], ...] = (((3, 1),), ((5, 4),), ((2, 3, 5),), ((33, 65),))


def _reductions(*options: Attrs, plain: bool = True) -> tuple[Attrs, ...]:
    """Every reduction with each of `options` (and, if `plain`, with none), without and with weights of rows."""
    choices = LOSSES["mse"].attrs["reduction"].choices
    rows: tuple[Attrs, ...] = ({}, {"sample_weight": "per row"})
    options = ({}, *options) if plain else options
    return tuple({"reduction": choice, **option, **row} for choice in choices for option in options for row in rows)


LOSS_CASES = (
    LossCase("mse", "values", _LOSS_SHAPES, target=wide, exact=_mse, gradient=FEW_ULP),
    LossCase(
        "cross_entropy",
        "indices",
        _CLASS_SHAPES,
        target=_indices,
        exact=_cross_entropy_of_class,
        attrs=_reductions(
            {"weight": "per column"},
            {"ignore_index": 0},
            {"label_smoothing": 0.1},
            {"weight": "per column", "ignore_index": 1, "label_smoothing": 0.3},
        ),
    ),
    LossCase(
        "cross_entropy",
        "values",
        _CLASS_SHAPES,
        target=_probabilities,
        exact=_cross_entropy,
        attrs=_reductions(
            {"weight": "per column"}, {"label_smoothing": 0.1}, {"weight": "per column", "label_smoothing": 0.3}
        ),
    ),
    LossCase("bce_with_logits", "values", _LOSS_SHAPES, target=_unit_interval, exact=_bce_with_logits),
    LossCase(
        "bce_with_logits",
        "values",
        _COLUMN_SHAPES,
        target=_unit_interval,
        exact=_bce_with_logits,
        attrs=_reductions(
            {"weight": "per column"},
            {"pos_weight": 2.5},
            {"weight": "per column", "pos_weight": "per column"},
            plain=False,
        ),
    ),
    LossCase("mae", "values", _LOSS_SHAPES, target=wide, exact=_mae, gradient=FEW_ULP),
    LossCase("huber", "values", _LOSS_SHAPES, target=wide, exact=_huber, attrs=_reductions({"delta": 0.3}, {"delta": 4.0})),
    LossCase(
        "smooth_l1", "values", _LOSS_SHAPES, target=wide, exact=_huber, attrs=_reductions({"beta": 0.0}, {"beta": 2.5})
    ),
    LossCase("log_cosh", "values", _LOSS_SHAPES, target=wide, exact=_log_cosh),
    LossCase(
        "quantile",
        "values",
        _LOSS_SHAPES,
        target=wide,
        exact=_quantile,
        attrs=_reductions({"quantile": 0.1}, {"quantile": [0.9]}),
    ),
    LossCase(
        "quantile",
        "values",
        (((6, 3),), ((2, 5, 3),)),
        target=wide,
        exact=_quantile,
        attrs=_reductions({"quantile": [0.1, 0.5, 0.9]}, plain=False),
    ),
    LossCase(
        "poisson",
        "values",
        _LOSS_SHAPES,
        _counts,
        _poisson,
        normal,
        tolerance=COARSE,
        attrs=_reductions({"full": True}),
        gradient=COARSE,
    ),
    LossCase(
        "poisson",
        "values",
        _LOSS_SHAPES,
        _counts,
        _poisson,
        _positive,
        attrs=_reductions({"log_input": False}, {"log_input": False, "full": True, "eps": 0.1}, plain=False),
        tolerance=COARSE,
        gradient=COARSE,
    ),
    LossCase(
        "gaussian_nll",
        "values",
        _PAIR_SHAPES,
        _half,
        _gaussian_nll,
        _positive,
        attrs=_reductions({"full": True}, {"eps": 0.05}),
        tolerance=COARSE,
        gradient=COARSE,
    ),
    LossCase("cosine", "values", _ROW_SHAPES, wide, _cosine, attrs=_reductions({"eps": 2.0})),
    LossCase("kl_div", "values", _LOSS_SHAPES, _unit_interval, _kl_div, _log_probability),
    LossCase(
        "kl_div",
        "values",
        _LOSS_SHAPES,
        _log_probability,
        _kl_div,
        _log_probability,
        attrs=_reductions({"log_target": True}, plain=False),
    ),
    LossCase("hinge", "values", _LOSS_SHAPES, _signs, _hinge),
    LossCase("squared_hinge", "values", _LOSS_SHAPES, _zero_or_one, _squared_hinge),
    LossCase(
        "multi_margin",
        "indices",
        _CLASS_SHAPES,
        _indices,
        _multi_margin,
        attrs=_reductions({"p": 2, "margin": 0.5}, {"weight": "per column"}, {"margin": -0.5}),
        tolerance=PRODUCT,
    ),
    LossCase("bce", "values", _LOSS_SHAPES, _unit_interval, _bce, _probability, gradient=LOG_SUM),
    LossCase(
        "bce",
        "values",
        _COLUMN_SHAPES,
        _unit_interval,
        _bce,
        _probability,
        attrs=_reductions({"weight": "per column"}, {"weight": 2.0}, plain=False),
        gradient=LOG_SUM,
    ),
    LossCase(
        "nll",
        "indices",
        _CLASS_SHAPES,
        _indices,
        _nll,
        attrs=_reductions({"weight": "per column"}, {"ignore_index": 0}, {"ignore_index": 1, "weight": "per column"}),
    ),
    LossCase(
        "focal",
        "values",
        _LOSS_SHAPES,
        _unit_interval,
        _focal,
        attrs=_reductions({"alpha": -1.0, "gamma": 0.0}, {"gamma": 0.5}, {"alpha": 0.8, "gamma": 3.5}),
        gradient=LOG_SUM,
    ),
)


# Optimizer rules ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RuleCase:
    """How to test one optimizer rule.

    Attributes:
        name: the row of `nncore.optable.RULES`; the function is ``NAME_step``.
        states: how many state arrays it takes.
        attrs: variants of the keyword arguments.
        shapes: variants of the shape of the parameter.
        tolerance: how close the parameter and the states must come after a step, by dtype.
        scales: sizes of the states, which for a mean beside a mean of squares must be small.
    """

    name: str
    states: int
    attrs: tuple[Attrs, ...]
    shapes: tuple[tuple[Shape], ...] = (((),), ((0,),), ((1,),), ((7,),), ((3, 17),), ((33, 65),))
    tolerance: Tolerances = NEAR_ONE
    scales: tuple[float, ...] = (1, 1, 1)

    def arrays(self, shapes: Sequence[Shape], dtype: str, salt: int = 0) -> Arrays:
        """Parameter, gradient and states; states are not negative, as a mean of squares is not."""
        rng = generator(self.name, salt)
        p, g, *states = (rng.standard_normal(shapes[0]) for _ in range(2 + self.states))
        scaled = (np.abs(state) * scale for state, scale in zip(states, self.scales, strict=False))
        return tuple(np.asarray(a).astype(dtype) for a in (p, g, *scaled))

    def step(self, backend: Any, arrays: Arrays, attrs: Attrs) -> None:
        """One update, in place."""
        getattr(backend, f"{self.name}_step")(*arrays, **attrs)


_COUNTED = ({"iteration": 1}, {"iteration": 1000, "weight_decay": 0.1})
_BETAS = {"iteration": 3, "learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.95}
_ADAM_ATTRS = (*_COUNTED, {**_BETAS, "epsilon": 1e-3})
_DECOUPLED = {"learning_rate": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}
_RMSPROP = {"learning_rate": 0.1, "rho": 0.9, "epsilon": 1e-3, "weight_decay": 0.01}

RULE_CASES = (
    RuleCase("sgd", 0, ({}, {"learning_rate": 0.5}, {"learning_rate": 0.1, "weight_decay": 0.01}, _DECOUPLED)),
    RuleCase(
        "momentum",
        1,
        (
            {"iteration": 1, "dampening": 0.5},
            {"iteration": 2, "learning_rate": 0.1, "momentum": 0.5, "dampening": 0.25},
            {"iteration": 1, "learning_rate": 0.1, "nesterov": True, "weight_decay": 0.01},
            {"iteration": 7, **_DECOUPLED},
        ),
    ),
    RuleCase("rmsprop", 1, ({}, _RMSPROP, _DECOUPLED)),
    RuleCase("rmsprop_momentum", 2, ({}, {**_RMSPROP, "momentum": 0.5}, _DECOUPLED)),
    RuleCase("rmsprop_centered", 2, ({}, _RMSPROP, _DECOUPLED), scales=(1, 1e-3)),
    RuleCase("rmsprop_centered_momentum", 3, ({}, {**_RMSPROP, "momentum": 0.5}, _DECOUPLED), scales=(1, 1e-3, 1)),
    RuleCase(
        "adagrad", 1, ({}, {"learning_rate": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.01}, _DECOUPLED)
    ),
    RuleCase("adadelta", 2, ({}, {"learning_rate": 0.1, "rho": 0.5, "epsilon": 1e-3}, _DECOUPLED)),
    RuleCase("adam", 2, (*_ADAM_ATTRS, {**_BETAS, "epsilon": 1e-3, "epsilon_hat": True})),
    RuleCase("adamw", 2, _ADAM_ATTRS),
    RuleCase("amsgrad", 3, (*_ADAM_ATTRS, {"iteration": 5, **_DECOUPLED})),
    RuleCase("adamax", 2, (*_ADAM_ATTRS, {"iteration": 5, **_DECOUPLED})),
    RuleCase("nadam", 2, (*_ADAM_ATTRS, {"iteration": 20, "momentum_decay": 0.0}, {"iteration": 5, **_DECOUPLED})),
    RuleCase("radam", 2, (*_ADAM_ATTRS, {"iteration": 6}, {"iteration": 5, **_DECOUPLED})),
    RuleCase("lion", 1, ({}, {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.95, "weight_decay": 0.1})),
    RuleCase("lamb", 2, _ADAM_ATTRS),
)
