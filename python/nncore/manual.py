"""Training by hand: forward, backward and update one by one, for loops of one's own."""

from __future__ import annotations

import numpy as np

from nncore.arrays import Array, real
from nncore.functional import Structured
from nncore.network import check_groups
from nncore.optimizers import Optimizer
from nncore.saving import Storable
from nncore.scalars import flag

__all__ = ["Steppable"]


class Steppable(Storable):
    """A network that is stepped from outside."""

    def _samples(self, x: Structured, what: str = "x") -> list[Array]:
        """`x` as the arrays that the engine takes."""
        raise NotImplementedError

    def forward(self, x: Structured, training: bool = False) -> Structured:
        """Outputs [n, ...] for a batch `x` [n, ...]; with `training`, dropout is active and `backward` may follow.

        Raises:
            TypeError, ValueError: `x` is no array of samples of the model's input shape, or `training` is no bool.
        """
        training, arrays = flag(training, "training"), self._samples(x)
        outputs = self.engine.forward(arrays, training)
        if training:
            self._forward_rows = len(arrays[0])
        return self._outputs.join(outputs)

    def backward(self, dy: Structured) -> Structured:
        """Gradient of the loss with respect to the input, from that with respect to the output; sets `gradients`.

        Args:
            dy: gradient [n, ...] of the output that the last ``forward(x, training=True)`` gave; for several outputs a
                list or dict of them, as the model was made.

        Returns:
            dx, shaped like that x.

        Raises:
            RuntimeError: there was no such forward, or a backward or training by `fit` or `train_on_batch` since.
            TypeError, ValueError: `dy` is no array of real numbers of the output's shape.

        >>> import numpy as np, nncore as nn
        >>> model = nn.Sequential([nn.Dense(1, kernel_initializer=nn.Constant(2.0))])
        >>> y = model.forward([[1.0, 3.0]], training=True)
        >>> model.backward(np.ones_like(y)).tolist(), model.gradients()["dense.kernel"].tolist()
        ([[2.0, 2.0]], [[1.0], [3.0]])
        """
        if self._forward_rows is None:
            raise RuntimeError("backward: expected a forward(x, training=True) first, and no training since")
        arrays = []
        for i, (value, shape) in enumerate(zip(self._outputs.split(dy, "dy"), self.graph.output_shapes, strict=True)):
            array, wanted = real(value, label := self._outputs.label(i, "dy")), (self._forward_rows, *shape)
            if array.shape != wanted:
                raise ValueError(f"{label}: expected the output's shape {wanted}, got {array.shape}")
            arrays.append(np.asarray(array, self._dtype))
        gradients = self.engine.backward(arrays)
        self._forward_rows, self._has_gradients = None, True
        return self._inputs.join(gradients)

    def apply_gradients(self, optimizer: Optimizer) -> None:
        """Update the parameters from the last backward's gradients; the same as ``optimizer.step(model)``.

        Raises:
            RuntimeError: there was no backward, or training by `fit` or `train_on_batch` since.
            TypeError: `optimizer` is none of `nncore.optimizers` that makes steps.
        """
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected one of steps of nncore.optimizers, got {optimizer!r}")
        self._need_gradients()
        self._need_own_weights("apply_gradients")
        check_groups(optimizer, self.graph)
        self.engine.update(optimizer.spec, optimizer.rates(self.engine.iterations, self._epochs, 1))

    def gradients(self) -> dict[str, Array]:
        """Copies of the gradients that the last backward left, by parameter name.

        Raises:
            RuntimeError: there was no backward, or training by `fit` or `train_on_batch` since.
        """
        self._need_gradients()
        return {spec.name: self.engine.get_gradient(i) for i, spec in enumerate(self.graph.parameters)}

    def penalty(self) -> float:
        """What the weights cost by their regularizers: the part of the loss that does not depend on data.

        `fit`, `train_on_batch` and `evaluate` add it to the loss that they report, and `backward` its gradient to that of
        the weights; in a loop of one's own, the loss is that of the data plus this.
        """
        return self.engine.penalty()

    def _need_gradients(self) -> None:
        if not self._has_gradients:
            raise RuntimeError("there are no gradients: expected a forward(x, training=True) and a backward(dy) before")
