"""Models saved after epochs: all, the best, or the last few."""

from __future__ import annotations

import os
import re
from string import Formatter
from typing import Any

from nncore.arrays import positive
from nncore.callbacks.base import Logs
from nncore.callbacks.monitors import Monitor, kept, reference
from nncore.paths import as_path

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(Monitor):
    """Save the model after each epoch, or after each that is better than all before.

    The files are those of `Model.save`, which `nncore.load` reads; each is written as a whole or not at all. To go on with
    interrupted training bit for bit, use ``fit(checkpoint=...)``.

    Args:
        filepath: the file. It may have places for the epoch's number, from 1, and for values of the logs:
            ``"model-{epoch:03d}-{val_loss:.3f}.safetensors"``.
        monitor: the value's name in the logs, for `save_best_only`.
        verbose: 1 prints a line for each file.
        save_best_only: whether to save only where the value is the best so far.
        mode: ``"min"`` or ``"max"``; ``"auto"`` goes by the name.
        initial_value_threshold: what the first value must be better than.
        max_to_keep: how many files are kept of those that it has written; older ones are deleted. By default all.

    Source: ``keras.callbacks.ModelCheckpoint``; `max_to_keep`: ``tf.train.CheckpointManager``.

    >>> import os, tempfile, nncore as nn
    >>> model = nn.Sequential([nn.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save = nn.callbacks.ModelCheckpoint(os.path.join(folder, "{epoch}.safetensors"), max_to_keep=2)
    ...     history = model.fit([[1.0]], [[1.0]], epochs=5, verbose=0, callbacks=[save])
    ...     print(sorted(os.listdir(folder)))
    ['4.safetensors', '5.safetensors']
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath = as_path(filepath, "filepath")
        self.verbose, self.save_best_only = verbose, save_best_only
        self.initial_value_threshold = reference(self, "initial_value_threshold", initial_value_threshold)
        self.max_to_keep = None if max_to_keep is None else positive(max_to_keep, "max_to_keep")
        self.files: list[str] = []

    def on_train_begin(self, logs: Logs) -> None:
        """Begin anew.

        Raises:
            ValueError: the value is one of validation, and there is none.
            FileNotFoundError: there is no such folder.
        """
        if self.save_best_only:
            super().on_train_begin(logs)
        folder = os.path.dirname(self.filepath)
        if folder and "{" not in folder and not os.path.isdir(folder):
            raise FileNotFoundError(
                f"filepath of ModelCheckpoint: expected a file in an existing folder, got {self.filepath!r}"
            )
        self.best, self.files = self.initial_value_threshold, []

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save, where it is time.

        Raises:
            ValueError: the logs have no such value.
            OSError: the file cannot be written.
        """
        if self.save_best_only:
            value = self.value(logs)
            if not self.improves(value, self.best):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=epoch + 1, **logs)
        except (IndexError, KeyError, ValueError) as error:
            known = ", ".join(["epoch", *logs])
            raise ValueError(
                f"filepath of ModelCheckpoint: expected names out of {known}, got {self.filepath!r} ({error})"
            ) from None
        self.model.save(path)
        self.files = [*(name for name in self.files if name != path), path]
        if self.max_to_keep is not None:
            while len(self.files) > self.max_to_keep:
                old = self.files.pop(0)
                if os.path.exists(old):
                    os.unlink(old)
        if self.verbose:
            print(f"epoch {epoch + 1}: model saved to {path}", flush=True)

    def get_state(self) -> dict[str, Any]:
        """The best value, and the files."""
        return {"best": self.best, "files": self.files}

    def set_state(self, state: dict[str, Any]) -> None:
        """See `Callback.set_state`."""
        self.best = kept(self, state["best"])
        self.files = [name for name in map(str, state["files"]) if self._wrote(name)]

    def _wrote(self, name: str) -> bool:
        """Whether a file of that name may be one of its own: what a checkpoint names besides is not deleted."""
        parts, value = Formatter().parse(self.filepath), r"[^/\\]*\w[^/\\]*"
        pattern = "".join(re.escape(text) + ("" if place is None else value) for text, place, _, _ in parts)
        return re.fullmatch(pattern, name) is not None
