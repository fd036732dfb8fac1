"""What each ONNX op, and each form of several, is in nncore's layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nncore.onnx.elementwise import ELEMENTWISE, prelu
from nncore.onnx.matching import Match
from nncore.onnx.operands import Context, Convert, Operand, sample, weight
from nncore.onnx.reading import Step, Unsupported
from nncore.onnx.shaping import SHAPING
from nncore.onnx.weighted import WEIGHTED, dense, vectors

__all__ = ["CONVERTERS", "convert_match"]

# One row for each op that can be read.
CONVERTERS: Mapping[str, Convert] = {**ELEMENTWISE, **WEIGHTED, **SHAPING}


def convert_match(c: Context, match: Match, x: Operand) -> Operand:
    """The layer that several nodes amount to."""
    value = sample(x)
    if match.axis not in (None, -1, len(value.shape)):
        raise Unsupported(f"axis of the means: expected the last one, got {match.axis} of {len(value.shape) + 1} axes")
    weights = {slot: weight(c.source.constants[name], name) for slot, name in match.slots.items()}
    sources = [match.slots[slot] for slot in sorted(match.slots)]
    if match.op == "dense":
        slots = ["kernel", "bias"] if "bias" in weights else ["kernel"]
        return dense(c, value, weights["kernel"], weights.get("bias"), [match.slots[slot] for slot in slots])
    if match.op == "affine":
        scale = weights.get("scale")
        if "divisor" in weights:
            if not weights["divisor"].all():
                raise Unsupported("divisor: expected numbers other than 0")
            scale = 1 / weights["divisor"].astype(np.float64)
        return c.assembly.affine(value, scale, weights.get("offset"), weights.get("mean"))
    if match.op == "prelu":
        step = Step("PRelu", "", ("", match.slots["alpha"]), (), {})
        return prelu(c, step, [value, weights["alpha"]])
    if weights:
        return c.assembly.weighted(match.op, value, match.attrs, vectors(weights, value.shape), sources)
    if match.op in ("layer_norm", "rms_norm"):
        return c.assembly.weighted(match.op, value, match.attrs, {}, ())
    return c.assembly.op(match.op, value, match.attrs)
