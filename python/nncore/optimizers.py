"""Optimizers: named hyper-parameters of an update rule. The engine holds the state and does the arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nncore.optable import RULES, AttrValue, RuleSpec

if TYPE_CHECKING:
    from nncore.model import Model

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "get"]


class Optimizer:
    """Hyper-parameters of one row of `nncore.optable.RULES`.

    Holds no state, so one object may serve several models. The learning rate may be set at any time.
    """

    def __init__(self, rule: str, **attrs: AttrValue) -> None:
        self._spec = RuleSpec(rule, RULES[rule].fill(attrs))

    @property
    def spec(self) -> RuleSpec:
        """The rule and its hyper-parameters as an engine takes them."""
        return self._spec

    @property
    def rule(self) -> str:
        """The row's name."""
        return self._spec.name

    @property
    def attrs(self) -> Mapping[str, AttrValue]:
        """The hyper-parameters."""
        return self._spec.attrs

    @property
    def learning_rate(self) -> float:
        """The learning rate: a finite number >= 0."""
        return float(self.attrs["learning_rate"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._spec = RuleSpec(self.rule, RULES[self.rule].fill({**self.attrs, "learning_rate": value}))

    def step(self, model: Model) -> None:
        """Update the parameters of `model` from the gradients that its last `backward` left."""
        model.apply_gradients(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.attrs.items())})"


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum where `momentum` > 0.

    g += weight_decay * p;  v = momentum * v + g;  p -= learning_rate * (g + momentum * v if nesterov else v)

    Source: Sutskever et al. 2013, in PyTorch's form.

    >>> SGD(0.1, momentum=0.9).rule
    'momentum'
    """

    def __init__(
        self, learning_rate: float = 1e-3, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        attrs: dict[str, AttrValue] = {"learning_rate": learning_rate, "weight_decay": weight_decay}
        with_momentum = RULES["momentum"].fill({**attrs, "momentum": momentum, "nesterov": nesterov})
        if momentum:
            super().__init__("momentum", **with_momentum)
        elif nesterov:
            raise ValueError(f"nesterov of SGD: expected momentum > 0 beside it, got {momentum!r}")
        else:
            super().__init__("sgd", **attrs)


class Adam(Optimizer):
    """Adam; `weight_decay` is added to the gradient (L2).

    m = beta_1 m + (1 - beta_1) g;  v = beta_2 v + (1 - beta_2) g^2;
    p -= learning_rate / (1 - beta_1^t) * m / (sqrt(v / (1 - beta_2^t)) + epsilon)

    Source: Kingma and Ba 2015, epsilon as in PyTorch.
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            "adam",
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            weight_decay=weight_decay,
        )


class AdamW(Optimizer):
    """Adam with decoupled weight decay: p is multiplied by 1 - learning_rate * weight_decay first.

    Source: Loshchilov and Hutter 2019, "Decoupled weight decay regularization".
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(
            "adamw",
            learning_rate=learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            weight_decay=weight_decay,
        )


class RMSprop(Optimizer):
    """RMSprop: v = rho v + (1 - rho) g^2;  p -= learning_rate * g / (sqrt(v) + epsilon).

    Source: Hinton, "Neural networks for machine learning", lecture 6e; epsilon as in PyTorch.
    """

    def __init__(
        self, learning_rate: float = 1e-2, rho: float = 0.99, epsilon: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        super().__init__("rmsprop", learning_rate=learning_rate, rho=rho, epsilon=epsilon, weight_decay=weight_decay)


OPTIMIZERS: Mapping[str, type[SGD] | type[Adam] | type[AdamW] | type[RMSprop]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
}


def get(value: str | Optimizer) -> Optimizer:
    """`value` itself, or the optimizer of that name with default hyper-parameters."""
    if isinstance(value, Optimizer):
        return value
    if not isinstance(value, str):
        raise TypeError(f"optimizer: expected a name or an Optimizer, got {value!r}")
    if value not in OPTIMIZERS:
        raise ValueError(f"optimizer: expected one of {', '.join(OPTIMIZERS)}, got {value!r}")
    return OPTIMIZERS[value]()
