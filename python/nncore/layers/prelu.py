"""PReLU: a rectifier that learns its slope."""

from __future__ import annotations

from nncore.initializers import Constant
from nncore.layers.weighted import Constraint, Initial, Regularizer, Weighted

__all__ = ["PReLU"]


class PReLU(Weighted):
    """y = x where x > 0, else alpha * x, with alpha learned. Shape unchanged.

    Args:
        shared: whether one slope serves all; otherwise each place on the last axis has its own.
        alpha_initializer: a name or object of `nncore.initializers`, or a function ``(shape, rng) -> array``.
        alpha_regularizer, alpha_constraint: as those of `Dense`.
        name, trainable: see `Layer`; the parameter is called ``<name>.alpha``.

    Source: He et al. 2015, arXiv:1502.01852; ``torch.nn.PReLU``, whose default slope 0.25 this is.

    >>> import nncore as nn
    >>> model = nn.Sequential([nn.Input((3,)), nn.PReLU(shared=False)])
    >>> [w.tolist() for w in model.get_weights()]
    [[0.25, 0.25, 0.25]]
    """

    def __init__(
        self,
        shared: bool = True,
        alpha_initializer: Initial | None = None,
        alpha_regularizer: Regularizer = None,
        alpha_constraint: Constraint = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            "prelu",
            {"shared": shared},
            {"alpha": Constant(0.25) if alpha_initializer is None else alpha_initializer},
            {"alpha": alpha_regularizer},
            {"alpha": alpha_constraint},
            name,
            trainable,
        )
