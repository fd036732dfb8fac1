"""Activations made of straight lines, and softsign, each forward beside its backward.

See `nncore.reference.activations`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import Array, alike, as_float, deliver

__all__ = [
    "hard_sigmoid",
    "hard_sigmoid_backward",
    "hard_swish",
    "hard_swish_backward",
    "hard_tanh",
    "hard_tanh_backward",
    "identity",
    "identity_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "softsign",
    "softsign_backward",
    "step",
    "step_backward",
]


def identity(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = x``, as a new array.

    >>> identity([1.0, -2.0])
    array([ 1., -2.])
    """
    return deliver(as_float("x", x).copy(), out)


def identity_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy``, which is dy itself where that is an array of the right dtype.

    >>> identity_backward([1.0], [1.0], [3.0])
    array([3.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(dy, out)


def step(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = 1 where x >= 0, else 0``, the Heaviside function.

    Source: McCulloch and Pitts 1943, "A logical calculus of the ideas immanent in nervous activity"; ``numpy.heaviside``
    with the value 1 at 0.

    >>> step([-0.5, 0.0, 2.0])
    array([0., 1., 1.])
    """
    x = as_float("x", x)
    return deliver(np.where(x < 0, 0, np.where(x >= 0, 1, x)), out)


def step_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = 0``: the step is flat on both sides of its jump, so that no gradient passes it.

    Weights before a step do not learn by gradient descent; see Rosenblatt's rule, or use a smooth function such as
    `sigmoid`.

    >>> step_backward([-0.5, 2.0], [0.0, 1.0], [5.0, 5.0])
    array([0., 0.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.zeros_like(dy), out)


def relu(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = max(x, 0)``. Source: Nair and Hinton 2010; ``torch.nn.functional.relu``.

    >>> relu([-1.0, 0.0, 2.0])
    array([0., 0., 2.])
    """
    return deliver(np.maximum(as_float("x", x), 0), out)


def relu_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy where x > 0, else 0``. At the kink, x = 0, the slope is taken as 0, as in PyTorch.

    >>> relu_backward([-1.0, 0.0, 2.0], [0.0, 0.0, 2.0], [5.0, 5.0, 5.0])
    array([0., 0., 5.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where(x <= 0, 0, dy), out)


def relu6(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = min(max(x, 0), 6)``. Source: Krizhevsky 2010; ``torch.nn.functional.relu6``.

    >>> relu6([-1.0, 2.0, 7.0])
    array([0., 2., 6.])
    """
    return deliver(np.clip(as_float("x", x), 0, 6), out)


def relu6_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy where 0 < x < 6, else 0``.

    >>> relu6_backward([-1.0, 2.0, 6.0], [0.0, 2.0, 6.0], [5.0, 5.0, 5.0])
    array([0., 5., 0.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where((x <= 0) | (x >= 6), 0, dy), out)


def leaky_relu(x: npt.ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """``y = x where x > 0, else negative_slope * x``. Source: Maas et al. 2013; ``torch.nn.functional.leaky_relu``.

    >>> leaky_relu([-1.0, 2.0], 0.1)
    array([-0.1,  2. ])
    """
    x = as_float("x", x)
    return deliver(np.where(x > 0, x, float(negative_slope) * x), out)


def leaky_relu_backward(
    x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, negative_slope: float = 0.01, *, out: Array | None = None
) -> Array:
    """``dx = dy where x > 0, else negative_slope * dy``.

    >>> leaky_relu_backward([-1.0, 2.0], [-0.1, 2.0], [1.0, 1.0], 0.1)
    array([0.1, 1. ])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where(x > 0, dy, float(negative_slope) * dy), out)


def hard_tanh(x: npt.ArrayLike, min_val: float = -1.0, max_val: float = 1.0, *, out: Array | None = None) -> Array:
    """``y = min(max(x, min_val), max_val)``. Source: Collobert 2004; ``torch.nn.functional.hardtanh``.

    Raises:
        ValueError: `min_val` is larger than `max_val`.

    >>> hard_tanh([-3.0, 0.5, 3.0], max_val=2.0)
    array([-1. ,  0.5,  2. ])
    """
    _check_order(min_val, max_val)
    return deliver(np.clip(as_float("x", x), float(min_val), float(max_val)), out)


def hard_tanh_backward(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    dy: npt.ArrayLike,
    min_val: float = -1.0,
    max_val: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """``dx = dy where min_val < x < max_val, else 0``.

    >>> hard_tanh_backward([-3.0, 0.5], [-1.0, 0.5], [5.0, 5.0])
    array([0., 5.])
    """
    _check_order(min_val, max_val)
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where((x <= float(min_val)) | (x >= float(max_val)), 0, dy), out)


def _check_order(min_val: float, max_val: float) -> None:
    if not min_val <= max_val:
        raise ValueError(f"min_val: expected at most max_val, {max_val}, got {min_val}")


def hard_sigmoid(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = min(max(x + 3, 0), 6) / 6``.

    Source: ``torch.nn.functional.hardsigmoid``; Howard et al. 2019, arXiv:1905.02244.

    >>> hard_sigmoid([-4.0, 0.0, 1.5, 3.0])
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    return deliver(np.clip(as_float("x", x) + 3, 0, 6) / 6, out)


def hard_sigmoid_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy / 6 where -3 < x < 3, else 0``.

    >>> hard_sigmoid_backward([-4.0, 0.0], [0.0, 0.5], [12.0, 12.0])
    array([0., 2.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where(np.abs(x) < 3, dy / 6, 0), out)


def hard_swish(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = x * min(max(x + 3, 0), 6) / 6``, which is x times its `hard_sigmoid`; 0 for -infinity.

    Source: Howard et al. 2019, arXiv:1905.02244; ``torch.nn.functional.hardswish``.

    >>> hard_swish([-3.0, 1.0, 4.0])
    array([-0.        ,  0.66666667,  4.        ])
    """
    x = as_float("x", x)
    return deliver(np.maximum(x, np.finfo(x.dtype).min) * hard_sigmoid(x), out)


def hard_swish_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = 0 where x <= -3, dy where x >= 3, else dy * (x / 3 + 1 / 2)``.

    >>> hard_swish_backward([-4.0, 0.0, 4.0], [0.0, 0.0, 4.0], [2.0, 2.0, 2.0])
    array([0., 1., 2.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    return deliver(np.where(x <= -3, 0, np.where(x >= 3, dy, dy * (x / 3 + 0.5))), out)


def softsign(x: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``y = x / (1 + abs(x))``. Source: Glorot and Bengio 2010; ``torch.nn.functional.softsign``.

    >>> softsign([-np.inf, 0.0, 1.0])
    array([-1. ,  0. ,  0.5])
    """
    x = as_float("x", x)
    a = np.minimum(np.abs(x), np.finfo(x.dtype).max)  # so that an infinity is not divided by itself
    return deliver(np.copysign(a / (1 + a), x), out)


def softsign_backward(x: npt.ArrayLike, y: npt.ArrayLike, dy: npt.ArrayLike, *, out: Array | None = None) -> Array:
    """``dx = dy / (1 + abs(x))^2``.

    >>> softsign_backward([0.0, 1.0], [0.0, 0.5], [8.0, 8.0])
    array([8., 2.])
    """
    x, y, dy = alike(x=x, y=y, dy=dy)
    r = 1 / (1 + np.abs(x))
    return deliver(dy * (r * r), out)
