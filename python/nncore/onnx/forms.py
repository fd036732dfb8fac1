"""How ONNX writes nncore's ops: one table, read by the exporter in one direction and by the importer in the other.

Where ONNX has no op of its own, or the runtimes have none in float64, an op is written as an expression of primitive ones.
An expression is a tuple (op type, operands...). An operand is an expression, a number, ``"x"`` for the input, the name of
an attribute or of a parameter slot of nncore's op, or `LAST` for an axis. ``"Split:1"`` is the second half of two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nncore.optable import AttrValue

__all__ = ["FORMS", "LAST", "VARIANTS", "Expr", "Form"]

LAST = "last axis"  # of the means of a normalisation
Expr = str | float | tuple[Any, ...]


@dataclass(frozen=True)
class Form:
    """One way to write an op.

    Attributes:
        single: the ONNX op that is the same, if any.
        attrs: attributes of `single`: each is one of nncore's by name, or must have this number.
        since: the opset in which `single` begins.
        tree: the op by primitive ones, if need be.
        fixed: attributes of nncore's op for which the form holds.
    """

    single: str = ""
    attrs: Mapping[str, str | float] = field(default_factory=dict)
    since: int = 1
    tree: Expr | None = None
    fixed: Mapping[str, AttrValue] = field(default_factory=dict)


_ABOVE, _BELOW = ("Max", "x", 0.0), ("Min", "x", 0.0)
_HARD_SIGMOID = ("Div", ("Clip", ("Add", "x", 3.0), 0.0, 6.0), 6.0)
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
_GELU_SLOPE = math.sqrt(2 / math.pi)


def _expm1(x: Expr) -> Expr:
    return ("Sub", ("Exp", x), 1.0)


def _log1p_exp_of_minus_abs(x: Expr) -> Expr:
    return ("Log", ("Add", ("Exp", ("Neg", ("Abs", x))), 1.0))


def _softplus(x: Expr) -> Expr:
    """log(1 + exp(x)) that does not overflow."""
    return ("Add", ("Max", x, 0.0), _log1p_exp_of_minus_abs(x))


def _phi(erf: Expr) -> Expr:
    return ("Add", ("Erf", erf), 1.0)


_SCALED = ("Mul", "x", "beta")
_ROOT = ("Div", "x", math.sqrt(2))
_CUBE = ("Mul", "x", ("Mul", "x", "x"))
_CENTERED = ("Sub", "x", ("ReduceMean", "x", LAST))
_TANH_GELU = ("Tanh", ("Mul", ("Add", "x", ("Mul", _CUBE, 0.044715)), _GELU_SLOPE))


def _layer_norm(square: Expr) -> Expr:
    return ("Div", _CENTERED, ("Sqrt", ("Add", ("ReduceMean", square, LAST), "epsilon")))


def _rms_norm(square: Expr) -> Expr:
    return ("Div", "x", ("Sqrt", ("Add", ("ReduceMean", square, LAST), "epsilon")))


def _scaled(tree: Expr) -> list[Form]:
    """`tree` with and without a gamma after it, and a beta after both."""
    forms = []
    for scale in (True, False):
        for center in (True, False):
            full: Expr = ("Mul", tree, "gamma") if scale else tree
            full = ("Add", full, "beta") if center else full
            forms.append(Form(tree=full, fixed={"scale": scale, "center": center}))
    return forms


def _gains(tree: Expr) -> list[Form]:
    """`tree` with and without a gamma after it."""
    return [Form(tree=("Mul", tree, "gamma"), fixed={"scale": True}), Form(tree=tree, fixed={"scale": False})]


# float32 is written as `single` where the opset has it, float64 as `tree` where there is one: an ONNX attribute has only
# the digits of float32, and onnxruntime has few of the single ops in float64.
FORMS: Mapping[str, tuple[Form, ...]] = {
    "step": (Form(tree=("Where", ("GreaterOrEqual", "x", 0.0), 1.0, 0.0)),),
    "relu": (Form("Relu"),),
    "relu6": (Form(tree=("Clip", "x", 0.0, 6.0)),),
    "leaky_relu": (
        Form("LeakyRelu", {"alpha": "negative_slope"}, tree=("Add", _ABOVE, ("Mul", _BELOW, "negative_slope"))),
    ),
    "hard_tanh": (Form(tree=("Clip", "x", "min_val", "max_val")),),
    "hard_sigmoid": (Form("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, tree=_HARD_SIGMOID),),
    "hard_swish": (Form("HardSwish", since=14, tree=("Mul", "x", _HARD_SIGMOID)),),
    "softsign": (Form("Softsign", tree=("Div", "x", ("Add", ("Abs", "x"), 1.0))),),
    "elu": (Form("Elu", {"alpha": "alpha"}, tree=("Add", _ABOVE, ("Mul", _expm1(_BELOW), "alpha"))),),
    "selu": (
        Form(
            "Selu",
            {"alpha": _SELU_ALPHA, "gamma": _SELU_SCALE},
            tree=("Mul", ("Add", _ABOVE, ("Mul", _expm1(_BELOW), _SELU_ALPHA)), _SELU_SCALE),
        ),
    ),
    "celu": (
        Form("Celu", {"alpha": "alpha"}, 12, tree=("Add", _ABOVE, ("Mul", _expm1(("Div", _BELOW, "alpha")), "alpha"))),
    ),
    "gelu": (
        Form("Gelu", {"approximate": "approximate"}, 20, ("Mul", ("Mul", "x", _phi(_ROOT)), 0.5), {"approximate": "none"}),
        Form(
            "Gelu",
            {"approximate": "approximate"},
            20,
            ("Mul", ("Mul", "x", ("Add", _TANH_GELU, 1.0)), 0.5),
            {"approximate": "tanh"},
        ),
    ),
    "silu": (Form(tree=("Mul", "x", ("Sigmoid", "x"))),),
    "mish": (Form("Mish", since=18, tree=("Mul", "x", ("Tanh", _softplus("x")))),),
    "softplus": (Form(tree=("Where", ("Greater", _SCALED, "threshold"), "x", ("Div", _softplus(_SCALED), "beta"))),),
    "sigmoid": (Form("Sigmoid"),),
    "log_sigmoid": (Form(tree=("Sub", _BELOW, _log1p_exp_of_minus_abs("x"))),),
    "tanh": (Form("Tanh"),),
    "softmax": (Form("Softmax", {"axis": "axis"}, 13),),
    "log_softmax": (Form("LogSoftmax", {"axis": "axis"}, 13),),
    "rescaling": (Form(tree=("Add", ("Mul", "x", "scale"), "offset")),),
    "prelu": (Form(tree=("Add", _ABOVE, ("Mul", _BELOW, "alpha"))),),
    "batch_norm": tuple(_scaled(("Div", ("Sub", "x", "moving_mean"), ("Sqrt", ("Add", "moving_variance", "epsilon"))))),
    "layer_norm": tuple(_scaled(_layer_norm(("Mul", _CENTERED, _CENTERED)))),
    "rms_norm": tuple(_gains(_rms_norm(("Mul", "x", "x")))),
}

# What other exporters write for the same, and fused forms of several nodes.
_OTHER_ROOT = ("Mul", "x", math.sqrt(0.5))
_ROOT_MEAN = ("Sqrt", ("Add", ("ReduceMean", ("Pow", "x", 2.0), LAST), "epsilon"))
VARIANTS: Mapping[str, tuple[Form, ...]] = {
    "gelu": tuple(
        Form(tree=tree, fixed={"approximate": approximate})
        for approximate, gates in {
            "none": (_phi(_ROOT), _phi(_OTHER_ROOT)),
            "tanh": (
                ("Add", _TANH_GELU, 1.0),
                ("Add", ("Tanh", ("Mul", ("Add", "x", ("Mul", ("Pow", "x", 3.0), 0.044715)), _GELU_SLOPE)), 1.0),
            ),
        }.items()
        for gate in gates
        for tree in (
            ("Mul", ("Mul", "x", gate), 0.5),
            ("Mul", ("Mul", "x", 0.5), gate),
            ("Mul", "x", ("Mul", gate, 0.5)),
        )
    ),
    "dense": (
        Form(tree=("Add", ("MatMul", "x", "kernel"), "bias"), fixed={"use_bias": True}),
        Form(tree=("MatMul", "x", "kernel"), fixed={"use_bias": False}),
    ),
    # (x - mean) * scale + offset with constant vectors: no op of nncore's, but a batch normalisation that is frozen.
    "affine": tuple(
        Form(tree=tree)
        for center in ("x", ("Sub", "x", "mean"))
        for scaled in (("Mul", center, "scale"), ("Div", center, "divisor"), center)
        for tree in (("Add", scaled, "offset"), scaled)
        if tree != "x"
    ),
    "glu": (Form(tree=("Mul", ("Split:0", "x", "axis"), ("Sigmoid", ("Split:1", "x", "axis")))),),
    "mish": (Form(tree=("Mul", "x", ("Tanh", ("Softplus", "x")))),),
    "softplus": (
        Form(tree=("Where", ("Greater", _SCALED, "threshold"), "x", ("Div", ("Softplus", _SCALED), "beta"))),
        Form(tree=("Div", ("Softplus", _SCALED), "beta"), fixed={"threshold": 40.0}),
    ),
    "log_sigmoid": (Form(tree=("Log", ("Sigmoid", "x"))), Form(tree=("Neg", ("Softplus", ("Neg", "x"))))),
    "hard_swish": (
        Form(tree=("Div", ("Mul", "x", ("Clip", ("Add", "x", 3.0), 0.0, 6.0)), 6.0)),
        Form(tree=("Mul", "x", ("HardSigmoid", "x"))),
    ),
    "layer_norm": tuple(_scaled(_layer_norm(("Pow", _CENTERED, 2.0)))),
    "rms_norm": tuple(
        form
        for tree in (
            ("Mul", "x", ("Reciprocal", _ROOT_MEAN)),
            ("Div", "x", _ROOT_MEAN),
            ("Mul", "x", ("Div", 1.0, _ROOT_MEAN)),
        )
        for form in _gains(tree)
    ),
}
