"""Logs for TensorBoard, written by its own package."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nncore.callbacks.base import Callback, Logs
from nncore.paths import as_path

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Scalars for each epoch, in the folders ``train`` and ``validation`` under `log_dir`.

    They are called ``epoch_loss``, ``epoch_accuracy`` and so on, and ``epoch_learning_rate``, as Keras calls them. Look at
    them with ``tensorboard --logdir LOG_DIR``. Where training goes on from a checkpoint, what was logged of the epochs that
    come again is hidden.

    Args:
        log_dir: the folder.

    Raises:
        ImportError: the package tensorboard is not installed (``pip install "nncore[tensorboard]"``).

    Source: ``keras.callbacks.TensorBoard``.

    >>> import os, tempfile, nncore as nn
    >>> model = nn.Sequential([nn.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     history = model.fit([[1.0]], [[1.0]], epochs=2, verbose=0, callbacks=nn.callbacks.TensorBoard(folder))
    ...     print(os.listdir(folder))
    ['train']
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "logs") -> None:
        try:
            import tensorboard.summary.writer.event_file_writer  # noqa: F401 - to say so now, not in training
        except ImportError as error:
            raise ImportError(
                'TensorBoard: expected tensorboard to be installed (pip install "nncore[tensorboard]")'
            ) from error
        self.log_dir = as_path(log_dir, "log_dir")
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the epoch's values.

        Raises:
            OSError: they cannot be written; the error names the folder.
        """
        values = {**logs, "learning_rate": self.model.history.learning_rate[-1]}
        parts = {"train": {}, "validation": {}}  # type: dict[str, Logs]
        for name, value in values.items():
            parts["validation" if name.startswith("val_") else "train"][f"epoch_{name.removeprefix('val_')}"] = value
        for part, scalars in parts.items():
            if scalars:
                with self._named():
                    self._write(part, epoch, scalars)

    def _write(self, part: str, epoch: int, scalars: Logs) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        writer = self._writer(part)
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()])
        writer.add_event(Event(wall_time=time.time(), step=epoch, summary=summary))
        writer.flush()

    def _writer(self, part: str) -> Any:  # noqa: ANN401 - tensorboard has no stubs
        if part not in self._writers:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            self._writers[part] = EventFileWriter(os.path.join(self.log_dir, part))
            if first := self.params["initial_epoch"]:
                start = SessionLog(status=SessionLog.START)
                self._writers[part].add_event(Event(wall_time=time.time(), step=first, session_log=start))
        return self._writers[part]

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What cannot be written there is an error with its name: tensorboard's own have none."""
        try:
            yield
        except OSError as error:
            if error.errno is None or error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, self.log_dir) from error

    def close(self) -> None:
        """Close the files."""
        while self._writers:
            with self._named():
                self._writers.popitem()[1].close()
