"""What `Model.fit` returns: the losses and metrics of every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["History"]


@dataclass
class History:
    """Losses and metrics by epoch.

    Attributes:
        epoch: 0, 1, ... for the epochs done.
        history: for each name (``"loss"``, ``"accuracy"``, ``"val_loss"``, ...) one value per epoch.
    """

    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)

    def append(self, logs: Mapping[str, float]) -> None:
        """Add one epoch."""
        self.epoch.append(len(self.epoch))
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
