"""All activations by name.

An activation maps an array x to an array y, of the same shape but for `glu` and `maxout`. Every backward has one signature,
``NAME_backward(x, y, dy, <attributes>) -> dx``: from the input x, the output y and the gradient dy = dL/dy it gives
dx = dL/dx. For an elementwise y = f(x) the chain rule is just ``dx = dy * f'(x)``. For softmax and log-softmax, where each
y depends on its whole row, it is a sum: ``dx[i] = sum_j dL/dy[j] * dy[j]/dx[i]``.

All functions take and give float32 or float64 (see `nncore.reference.arrays`); `out` receives the result if given.
Other dtypes are a TypeError, unequal shapes of x, y and dy a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nncore.reference import axes, piecewise, slopes, smooth
from nncore.reference.arrays import Array

__all__ = ["ACTIVATIONS"]


def _pairs(*modules: object) -> Mapping[str, tuple[Callable[..., Array], Callable[..., Array]]]:
    """Each function of the modules with its backward."""
    return {
        name: (functions[name], functions[f"{name}_backward"])
        for functions in map(vars, modules)
        for name in functions["__all__"]
        if not name.endswith("_backward")
    }


ACTIVATIONS: Mapping[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    **_pairs(piecewise, smooth, axes),
    "rrelu": (slopes.rrelu, slopes.rrelu_backward),
}
"""Forward and backward of each activation that a layer may name, by name; `prelu` has a parameter besides."""
