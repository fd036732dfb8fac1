"""What of a network goes to files and comes back: its description, the whole model, and checkpoints of its training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from nncore.layers import Layer
from nncore.reuse import Reusable

__all__ = ["Storable"]


class Storable(Reusable):
    """A network that can be described, saved, and gone on with."""

    def get_config(self) -> dict[str, Any]:
        """The architecture as JSON-like data, which `from_config` and files take.

        Raises:
            ValueError: a layer of a class that a file cannot name.
        """
        from nncore.description import describe  # here: it imports the models that it can make

        return describe(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, type[Layer]] | None = None) -> Self:
        """The model that `get_config` described, uncompiled and with weights to be drawn.

        Args:
            config: what `get_config` gave.
            custom_objects: your own layer classes by name.

        Raises:
            ValueError: no such description, or one of another kind of model.

        >>> import nncore as nn
        >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
        >>> nn.Sequential.from_config(model.get_config()).output_shape
        (2,)
        """
        from nncore.description import make  # here, as above

        made = make(config, custom_objects or {})
        if not isinstance(made, cls):
            raise ValueError(f"config: expected that of a {cls.__name__}, got that of a {type(made).__name__}")
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.name is None else f'name={self.name!r}'})"

    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write all that training has changed to one safetensors file: weights, optimizer state, and random state.

        The file at `path` is replaced at once and as a whole, or not at all.

        Raises:
            RuntimeError: the model is not compiled, or the input shape is not known yet.
            OSError: the file cannot be written.
        """
        from nncore import checkpoints  # here, as in fit

        checkpoints.save(self, path)

    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Go on from what `save_checkpoint`, or ``fit(checkpoint=...)``, has written.

        The model must be of the same architecture and compiled alike; the learning rate, where it is a number, is that of
        the checkpoint. What follows is bit for bit what would have followed there.

        Raises:
            RuntimeError: the model is not compiled, or the input shape is not known yet, or another thread trains it.
            ValueError: the file is no checkpoint, or of another model; nothing has changed.
            OSError: the file cannot be read.

        >>> import os, tempfile, nncore as nn
        >>> def make():
        ...     model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
        ...     model.compile("adam", "mse", seed=3)
        ...     return model
        >>> model, other = make(), make()
        >>> logs = model.train_on_batch([[1.0]], [[2.0]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_checkpoint(os.path.join(folder, "c.safetensors"))
        ...     other.load_checkpoint(os.path.join(folder, "c.safetensors"))
        >>> other.train_on_batch([[1.0]], [[2.0]]) == model.train_on_batch([[1.0]], [[2.0]])
        True
        """
        from nncore import checkpoints  # here, as in fit

        checkpoints.load(self, path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the architecture and the weights to one safetensors file; `nncore.load` reads it.

        The file at `path` is replaced at once and as a whole, or not at all. Compilation and optimizer state are not kept.

        Raises:
            ValueError: a layer of a class that a file cannot name, or `metadata` that is not text by name.
            OSError: the file cannot be written.
        """
        from nncore.io import save  # here: io imports the models it can read

        save(self, path)
