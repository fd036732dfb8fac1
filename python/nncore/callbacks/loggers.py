"""Logs of training in files, a row or a line for each epoch, written when the epoch ends."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress

from nncore.callbacks.base import Callback, Logs
from nncore.paths import as_path

__all__ = ["CSVLogger", "JSONLogger"]


class _FileLogger(Callback):
    """A text file that begins anew with training; or goes on, without the rows of epochs that come again."""

    def __init__(self, filename: str | os.PathLike[str], append: bool) -> None:
        self.filename = as_path(filename, "filename")
        self.append = append

    def on_train_begin(self, logs: Logs) -> None:
        """Begin the file; an OSError, now and not after the first epoch, if it cannot be written."""
        from nncore.files import write_file  # here: most training needs none of it

        first = self.params["initial_epoch"]
        kept: list[str] = []
        if (self.append or first) and os.path.exists(self.filename):
            with open(self.filename, encoding="utf-8", newline="") as file:
                kept = [line for line in file if line.endswith("\n")]  # not one that a killed process began
        if first:  # training goes on: an epoch that is not in its checkpoint comes again
            kept = [line for line in kept if (number := self.epoch_of(line)) is None or number < first]
        write_file(self.filename, "".join(kept).encode())

    def add(self, text: str) -> None:
        """Put `text` at the end of the file, or nothing; an OSError names the file."""
        with open(self.filename, "ab", buffering=0) as file:
            size, left = file.tell(), memoryview(text.encode())
            try:
                while left:
                    left = left[file.write(left) :]
            except OSError as error:
                with suppress(OSError):
                    file.truncate(size)
                raise OSError(error.errno, error.strerror, self.filename) from error

    def epoch_of(self, line: str) -> int | None:
        """The number of the epoch that a line is about, if it is about one."""
        raise NotImplementedError

    def row(self, epoch: int, logs: Logs) -> dict[str, float]:
        """What is written for an epoch."""
        history = self.model.history
        return {"epoch": epoch, **logs, "learning_rate": history.learning_rate[-1], "seconds": history.seconds[-1]}


class CSVLogger(_FileLogger):
    """A CSV file with a row for each epoch: its number, losses and metrics, learning rate and seconds.

    Args:
        filename: the file.
        separator: between columns.
        append: whether to go on with a file that is there, instead of beginning anew. Training that is resumed does so in
            any case, without the rows of epochs that it repeats.

    Source: ``keras.callbacks.CSVLogger``.

    >>> import os, pathlib, tempfile, nncore as nn
    >>> model = nn.Sequential([nn.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "log.csv")
    ...     history = model.fit([[1.0]], [[1.0]], epochs=2, verbose=0, callbacks=[nn.callbacks.CSVLogger(path)])
    ...     print(pathlib.Path(path).read_text().split()[0])
    epoch,loss,learning_rate,seconds
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__(filename, append)
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"separator of CSVLogger: expected one character, got {separator!r}")
        self.separator = separator

    def epoch_of(self, line: str) -> int | None:
        """See `_FileLogger.epoch_of`."""
        first = line.split(self.separator, 1)[0]
        return int(first) if first.isdecimal() else None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write a row, after the header where the file is empty.

        Raises:
            ValueError: the file has other columns.
        """
        row, text = self.row(epoch, logs), io.StringIO()
        writer = csv.writer(text, delimiter=self.separator)
        with open(self.filename, encoding="utf-8", newline="") as file:
            header: Sequence[str] = next(csv.reader(file, delimiter=self.separator), [])
        if not header:
            header = list(row)
            writer.writerow(header)
        if set(header) != set(row):
            raise ValueError(f"{self.filename}: expected the columns {', '.join(row)}, got {', '.join(header)}")
        writer.writerow([row[name] for name in header])
        self.add(text.getvalue())


class JSONLogger(_FileLogger):
    """A file with a JSON object on a line of its own for each epoch; values that are not finite are ``null``.

    Args:
        filename: the file.
        append: as in `CSVLogger`.

    >>> import json, os, pathlib, tempfile, nncore as nn
    >>> model = nn.Sequential([nn.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "log.jsonl")
    ...     history = model.fit([[1.0]], [[1.0]], epochs=2, verbose=0, callbacks=[nn.callbacks.JSONLogger(path)])
    ...     print([json.loads(line)["epoch"] for line in pathlib.Path(path).read_text().splitlines()])
    [0, 1]
    """

    def __init__(self, filename: str | os.PathLike[str], append: bool = False) -> None:
        super().__init__(filename, append)

    def epoch_of(self, line: str) -> int | None:
        """See `_FileLogger.epoch_of`."""
        try:
            return int(json.loads(line)["epoch"])
        except (ValueError, KeyError, TypeError):
            return None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write a line."""
        row = {name: value if math.isfinite(value) else None for name, value in self.row(epoch, logs).items()}
        self.add(json.dumps(row) + "\n")
