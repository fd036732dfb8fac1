"""The ops: shape rules, parameter slots, and a row for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nncore.tables.rows import Attr, Attrs, Row, Shape, table

__all__ = ["OPS", "Op", "sample_axis", "target_shape"]


def _same(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return shapes[0]


def _none(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    return {}


@dataclass(eq=False, repr=False)
class Op(Row):
    """A node's op.

    Attributes:
        arity: smallest and largest number of inputs (``None``: no limit).
        shape: the shape rule, from the inputs' per-sample shapes and the attributes to the result's.
        parameters: the parameter slots in order, with their shapes.
        activation: an elementwise or row-wise function of one input that a layer may name as its ``activation``.
        stochastic: draws random numbers while training.
        mixes_rows: in training a row of the result depends on the other rows of the batch.
        learns: a training pass changes parameters of the op that no optimizer does, such as running averages.
    """

    arity: tuple[int, int | None] = (1, 1)
    shape: Callable[[tuple[Shape, ...], Attrs], Shape] = _same
    parameters: Callable[[tuple[Shape, ...], Attrs], Mapping[str, Shape]] = _none
    activation: bool = False
    stochastic: bool = False
    mixes_rows: bool = False
    learns: bool = False

    def check_arity(self, count: int) -> None:
        """Raise ValueError unless the op takes `count` inputs."""
        low, high = self.arity
        if count < low or (high is not None and count > high):
            expected = f"{low}" if low == high else f"at least {low}" if high is None else f"{low} to {high}"
            raise ValueError(f"inputs of {self.name!r}: expected {expected}, got {count}")


def _dense_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return (*_last_axis("dense", shapes[0])[:-1], int(attrs["units"]))


def _dense_parameters(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    units = int(attrs["units"])
    return {"kernel": (shapes[0][-1], units)} | ({"bias": (units,)} if attrs["use_bias"] else {})


def _flatten_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return (math.prod(shapes[0]),)


def _equal_shapes(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    if len(set(shapes)) != 1:
        raise ValueError(f"inputs: expected equal shapes, got {', '.join(map(str, shapes))}")
    return shapes[0]


def sample_axis(axis: int, rank: int) -> int:
    """The axis of samples of `rank` axes that `axis` means, which counts the batch axis or comes from the end."""
    if rank == 0:
        raise ValueError("input: expected at least one axis per sample, got a scalar")
    if not (1 <= axis <= rank or -rank <= axis <= -1):
        raise ValueError(f"axis: expected 1 to {rank} or {-rank} to -1, got {axis}")
    return axis - 1 if axis > 0 else axis + rank


def _joined_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    first = shapes[0]
    at = sample_axis(int(attrs["axis"]), len(first))
    if any(len(s) != len(first) or s[:at] + s[at + 1 :] != first[:at] + first[at + 1 :] for s in shapes):
        raise ValueError(f"inputs: expected equal shapes but for axis {attrs['axis']}, got {', '.join(map(str, shapes))}")
    return (*first[:at], sum(s[at] for s in shapes), *first[at + 1 :])


def _along_axis(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    sample_axis(int(attrs["axis"]), len(shapes[0]))
    return shapes[0]


def _shared_out(shape: Shape, axis: int, parts: int) -> Shape:
    """`shape` with its axis cut into `parts`, of which one is left."""
    at = sample_axis(axis, len(shape))
    if shape[at] % parts:
        raise ValueError(f"input: expected a multiple of {parts} along axis {axis}, got {shape[at]}")
    return (*shape[:at], shape[at] // parts, *shape[at + 1 :])


def _halved(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return _shared_out(shapes[0], int(attrs["axis"]), 2)


def _one_of_groups(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return _shared_out(shapes[0], int(attrs["axis"]), int(attrs["groups"]))


def _slopes(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    if attrs["shared"]:
        return {"alpha": (1,)}
    sample_axis(-1, len(shapes[0]))
    return {"alpha": shapes[0][-1:]}


def _batch_norm_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return _last_axis("batch_norm", shapes[0])


def _batch_norm_parameters(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    names = ["gamma"] * bool(attrs["scale"]) + ["beta"] * bool(attrs["center"]) + ["moving_mean", "moving_variance"]
    return dict.fromkeys(names, shapes[0][-1:])


def _last_axis(op: str, shape: Shape) -> Shape:
    if not shape:
        raise ValueError(f"input of {op!r}: expected at least one axis per sample, got a scalar")
    return shape


def _vector_norm_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return _last_axis("layer_norm", shapes[0])


def _layer_norm_parameters(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    names = ["gamma"] * bool(attrs["scale"]) + ["beta"] * bool(attrs.get("center", False))
    return dict.fromkeys(names, shapes[0][-1:])


def _embedding_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return (*shapes[0], int(attrs["output_dim"]))


def _embedding_parameters(shapes: tuple[Shape, ...], attrs: Attrs) -> dict[str, Shape]:
    return {"embeddings": (int(attrs["input_dim"]), int(attrs["output_dim"]))}


def _one_hot_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    return (*shapes[0], int(attrs["depth"]))


def target_shape(attrs: Attrs) -> Shape:
    """The ``target_shape`` of a reshape, which a graph has as text: ``"2,-1"``."""
    text = str(attrs["target_shape"])
    return tuple(int(n) for n in text.split(",")) if text else ()


def _reshape_shape(shapes: tuple[Shape, ...], attrs: Attrs) -> Shape:
    target, size = target_shape(attrs), math.prod(shapes[0])
    known = math.prod(n for n in target if n != -1)
    filled = tuple(size // known if n == -1 else n for n in target)
    if math.prod(filled) != size:
        raise ValueError(f"input of 'reshape': expected a size that fits {target}, got shape {shapes[0]}")
    return filled


_POSITIVE = Attr(float, 1.0, low=0.0, high=math.inf, open_low=True, open_high=True)

OPS = table(
    Op("identity", activation=True),
    Op("step", activation=True),
    Op("relu", activation=True),
    Op("relu6", activation=True),
    Op("leaky_relu", {"negative_slope": Attr(float, 0.01, low=0.0)}, activation=True),
    Op(
        "hard_tanh",
        {"min_val": Attr(float, -1.0), "max_val": Attr(float, 1.0)},
        ordered=(("min_val", "max_val"),),
        activation=True,
    ),
    Op("hard_sigmoid", activation=True),
    Op("hard_swish", activation=True),
    Op("softsign", activation=True),
    Op("elu", {"alpha": Attr(float, 1.0, low=0.0)}, activation=True),
    Op("selu", activation=True),
    Op("celu", {"alpha": _POSITIVE}, activation=True),
    Op("gelu", {"approximate": Attr(str, "none", choices=("none", "tanh"))}, activation=True),
    Op("silu", activation=True),
    Op("mish", activation=True),
    Op("softplus", {"beta": _POSITIVE, "threshold": Attr(float, 20.0)}, activation=True),
    Op("sigmoid", activation=True),
    Op("log_sigmoid", activation=True),
    Op("tanh", activation=True),
    Op("softmax", {"axis": Attr(int, -1)}, shape=_along_axis, activation=True),
    Op("log_softmax", {"axis": Attr(int, -1)}, shape=_along_axis, activation=True),
    Op("glu", {"axis": Attr(int, -1)}, shape=_halved, activation=True),
    Op("maxout", {"groups": Attr(int, 2, low=1), "axis": Attr(int, -1)}, shape=_one_of_groups, activation=True),
    Op("prelu", {"shared": Attr(bool, True)}, parameters=_slopes),
    Op(
        "rrelu",
        {
            "lower": Attr(float, 1 / 8, low=0.0, high=math.inf, open_high=True),
            "upper": Attr(float, 1 / 3, low=0.0, high=math.inf, open_high=True),
        },
        ordered=(("lower", "upper"),),
        activation=True,
        stochastic=True,
    ),
    Op("rescaling", {"scale": Attr(float), "offset": Attr(float, 0.0)}),
    Op("dropout", {"rate": Attr(float, low=0.0, high=1.0, open_high=True)}, stochastic=True),
    Op("flatten", shape=_flatten_shape),
    Op("add", arity=(2, None), shape=_equal_shapes),
    Op("multiply", arity=(2, None), shape=_equal_shapes),
    Op("average", arity=(2, None), shape=_equal_shapes),
    Op("concatenate", {"axis": Attr(int, -1)}, arity=(2, None), shape=_joined_shape),
    Op(
        "dense",
        {"units": Attr(int, low=1, high=2**31 - 1), "use_bias": Attr(bool, True)},
        shape=_dense_shape,
        parameters=_dense_parameters,
    ),
    Op(
        "batch_norm",
        {
            "momentum": Attr(float, 0.99, low=0.0, high=1.0),
            "epsilon": Attr(float, 1e-3, low=0.0, high=math.inf, open_high=True),
            "center": Attr(bool, True),
            "scale": Attr(bool, True),
            "frozen": Attr(bool, False),  # set by nncore.graph.freeze
        },
        shape=_batch_norm_shape,
        parameters=_batch_norm_parameters,
        mixes_rows=True,
        learns=True,
    ),
    Op(
        "layer_norm",
        {
            "epsilon": Attr(float, 1e-3, low=0.0, high=math.inf, open_high=True),
            "center": Attr(bool, True),
            "scale": Attr(bool, True),
        },
        shape=_vector_norm_shape,
        parameters=_layer_norm_parameters,
    ),
    Op(
        "rms_norm",
        {"epsilon": Attr(float, 1e-6, low=0.0, high=math.inf, open_high=True), "scale": Attr(bool, True)},
        shape=_vector_norm_shape,
        parameters=_layer_norm_parameters,
    ),
    Op("gaussian_noise", {"stddev": Attr(float, low=0.0, high=math.inf, open_high=True)}, stochastic=True),
    Op("alpha_dropout", {"rate": Attr(float, low=0.0, high=1.0, open_high=True)}, stochastic=True),
    Op(
        "reshape",
        {"target_shape": Attr(str, pattern=r"(-1|[1-9]\d*)?(,[1-9]\d*)*|([1-9]\d*,)+-1(,[1-9]\d*)*")},
        shape=_reshape_shape,
    ),
    Op(
        "embedding",
        {"input_dim": Attr(int, low=1, high=2**24), "output_dim": Attr(int, low=1, high=2**31 - 1)},
        shape=_embedding_shape,
        parameters=_embedding_parameters,
    ),
    Op("one_hot", {"depth": Attr(int, low=1, high=2**24)}, shape=_one_hot_shape),
)
