"""TableLoader: batches of a CSV or Parquet file larger than memory, read ahead."""

from __future__ import annotations

import os
from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from nncore.data.chunks import Chunk, ChunkLoader, ahead
from nncore.data.groups import Array, integer
from nncore.data.schema import TableSchema, check_schema
from nncore.data.tables import stream_table

__all__ = ["TableLoader"]


class TableLoader(ChunkLoader):
    r"""Batches of a CSV or Parquet file (``.parquet``, ``.pq``) of any size, read from beginning to end in each epoch.

    A thread reads and decodes the next window of rows while the one before is trained on. With `shuffle`, the rows of each
    window are in random order, drawn window by window from ``Generator(Philox(key=[seed, 2**63 + epoch]))``; the windows
    follow the file. So a file that is sorted by class should be shuffled once when it is written.

    Args:
        path: the file.
        schema: how its columns become features and targets; of `learn_schema`, or of another table like it.
        batch_size: samples in a batch; the last of an epoch may have fewer.
        shuffle: whether to shuffle within windows.
        seed: key of the orders, 0 .. 2**64 - 1.
        window_size: rows that are held in memory at least, and shuffled; there are up to three windows at a time.
        delimiter: between two fields.
        dtype: of the features.

    Attributes:
        window_size: as given.

    Raises:
        TypeError, ValueError: options that do not fit, or a schema without a target; while reading as `read_csv`.

    >>> import pathlib, tempfile
    >>> from nncore.data import learn_schema
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "flowers.csv")
    ...     _ = path.write_text("width,kind\n1.5,rose\n2.5,daisy\n3,rose\n")
    ...     loader = TableLoader(path, learn_schema(path, "kind"), batch_size=2)
    ...     [(x.tolist(), y.tolist()) for x, y in loader]
    [([[1.5], [2.5]], [1, 0]), ([[3.0]], [1])]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema: TableSchema,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        window_size: int = 2**16,
        delimiter: str = ",",
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        super().__init__(batch_size, shuffle, seed)
        check_schema(schema)
        if schema.target is None:
            raise ValueError("schema: expected one with a target")
        self.window_size = integer("window_size", window_size, 1, 2**63)
        self._path, self._schema, self._delimiter, self._dtype = path, schema, delimiter, dtype

    def chunks(self) -> Generator[Chunk]:
        """Begin an epoch: its chunks, read ahead."""
        return ahead(self._windows(self._begin_epoch()))

    def _windows(self, draw: np.random.Generator | None) -> Generator[Chunk]:
        kept: list[tuple[Array, Array]] = []  # rows that are still to be used
        rows = total = 0
        for x, y in stream_table(self._path, self._schema, delimiter=self._delimiter, dtype=self._dtype):
            if y is None:
                raise ValueError(f"{os.fspath(self._path)}: expected the target column {self._schema.target!r}")
            kept.append((x, y))
            rows, total = rows + len(x), total + len(x)
            if rows >= max(self.window_size, self.batch_size):
                all_x, all_y = _joined(kept)
                whole = rows - rows % self.batch_size
                kept, rows = [(all_x[whole:].copy(), all_y[whole:].copy())], rows - whole
                yield Chunk(all_x[:whole], all_y[:whole], None, None if draw is None else draw.permutation(whole))
        if rows:
            yield Chunk(*_joined(kept), None, None if draw is None else draw.permutation(rows))
        self.samples = total


def _joined(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
