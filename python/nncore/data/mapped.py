"""MappedLoader: batches of memory-mapped files larger than memory, shuffled in blocks and loaded ahead."""

from __future__ import annotations

import bisect
import math
import mmap
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.data.chunks import Chunk, ChunkLoader, ahead
from nncore.data.groups import Array, common_length, integer, like, members
from nncore.data.npz import DAMAGES
from nncore.foreign import as_array

__all__ = ["MappedLoader"]

Path = str | os.PathLike[str]
_BLOCKS = 16  # in a window, where the size of a block is not given
_BUFFERS = 2  # one to train on, one to load into


class MappedLoader(ChunkLoader):
    """Batches of arrays that need not fit into memory, such as memory-mapped ``.npy`` files.

    A thread copies rows, block by block, into a buffer in memory, the window, while the window before is trained on. Rows
    of a mapped file are read from the file itself, so that the process has no more than `memory` of it (unless it is mapped
    to be copied on write, or a view takes parts of rows); the operating system keeps what it likes in its cache.

    With `shuffle`, an epoch takes the blocks, each of `block_size` consecutive rows, in random order, and the rows of each
    window of blocks in random order. So a file that is sorted by class should be shuffled once when it is written, or have
    small blocks: only rows within a window mix. All orders are drawn from ``Generator(Philox(key=[seed, 2**63 + epoch]))``,
    first that of the blocks, then that of the rows of each window.

    Args:
        x: an array [n, ...] of real numbers (an ``np.load(path, mmap_mode="r")``), the path of a .npy file, or a list of
            these, whose rows follow each other; for a model with several inputs a tuple or dict of such.
        y: the targets, as `x`.
        batch_size: samples in a batch; the last of an epoch may have fewer.
        shuffle: whether to shuffle, or take the rows as they lie.
        seed: key of the orders, 0 .. 2**64 - 1.
        sample_weight: what each sample counts, [n], as `y`.
        memory: bytes that the two windows and all that belongs to them may take.
        block_size: rows of a block; ``None``: so that 16 blocks fit in a window.

    Attributes:
        block_size: rows of a block.
        window_size: rows of a window at most.
        samples: n.

    Raises:
        OSError: a file cannot be read.
        TypeError, ValueError: arrays of other types, lengths or shapes, or options that do not fit; `memory` too little for
            a window of one block and a batch.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     x, y = pathlib.Path(folder, "x.npy"), pathlib.Path(folder, "y.npy")
    ...     np.save(x, np.arange(10.0).reshape(5, 2))
    ...     np.save(y, np.arange(5))
    ...     [batch[1].tolist() for batch in MappedLoader(x, y, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        x: Any,  # noqa: ANN401 - arrays, paths, or lists of them; in tuples or dicts
        y: Any,  # noqa: ANN401
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        sample_weight: npt.ArrayLike | Path | Sequence[Any] | None = None,
        memory: int = 2**26,
        block_size: int | None = None,
    ) -> None:
        super().__init__(batch_size, shuffle, seed)
        self._x, self._y = _parts("x", x), _parts("y", y)
        self._weight = None if sample_weight is None else _Rows("sample_weight", sample_weight)
        self.samples: int = common_length(self._x, self._y)
        if self._weight is not None and (self._weight.shape, len(self._weight)) != ((), self.samples):
            raise ValueError(
                f"sample_weight: expected one number for each of {self.samples} samples, "
                f"got shape {(len(self._weight), *self._weight.shape)}"
            )
        self.block_size, self._blocks = self._plan(integer("memory", memory, 1, 2**63), block_size)
        self.window_size = min(self._blocks * self.block_size, self.samples)

    def _rows(self) -> list[_Rows]:
        """All that has rows."""
        parts = [part for group in (self._x, self._y) for part in members(group).values()]
        return parts if self._weight is None else [*parts, self._weight]

    def _plan(self, memory: int, block_size: int | None) -> tuple[int, int]:
        """Rows of a block, and blocks of a window, so that two windows and a block that is being copied fit."""
        row = sum(rows.row_bytes for rows in self._rows())
        each = row + 16  # its place in the order, and what the loss may make of its target
        left = memory - _BUFFERS * self.batch_size * each  # rows that wait for the rest of their batch
        if block_size is None:
            block_size = max(1, left // (_BUFFERS * _BLOCKS * each + row))
        else:
            block_size = integer("block_size", block_size, 1, 2**63)
        blocks = (left - block_size * row) // (_BUFFERS * block_size * each)
        if blocks < 1:
            need = _BUFFERS * (self.batch_size + block_size) * each + block_size * row
            raise ValueError(
                f"memory: expected at least {need} bytes for batches of {self.batch_size} and blocks of {block_size}, "
                f"got {memory}"
            )
        return block_size, blocks

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-self.samples // self.batch_size)

    def chunks(self) -> Generator[Chunk]:
        """Begin an epoch: its chunks, loaded ahead."""
        return ahead(self._windows(self._begin_epoch()))

    def _windows(self, draw: np.random.Generator | None) -> Generator[Chunk]:
        """The windows of an epoch, in two buffers by turns.

        The rows of a window that make no whole batch are the first of the next one.
        """
        with ExitStack() as stack:
            yield from self._read_windows(draw, [rows.reader(stack) for rows in self._rows()])

    def _read_windows(
        self, draw: np.random.Generator | None, readers: Sequence[Callable[[int, int, Array], None]]
    ) -> Iterator[Chunk]:
        size = self.window_size + self.batch_size - 1
        buffer, other = ([rows.empty(size) for rows in self._rows()] for _ in range(_BUFFERS))
        starts = np.arange(0, self.samples, self.block_size)
        if draw is not None:
            draw.shuffle(starts)
        order = np.arange(0)  # of what is in `buffer`
        left = self.samples
        for begin in range(0, len(starts), self._blocks):
            waiting = place = len(order)
            for start in starts[begin : begin + self._blocks].tolist():
                stop = min(start + self.block_size, self.samples)
                for read, array in zip(readers, buffer, strict=True):
                    read(start, stop, array[place:])
                place += stop - start
            order = np.concatenate([order, np.arange(waiting, place)])
            if draw is not None:
                draw.shuffle(order[waiting:])
            left -= place - waiting
            whole = place - place % self.batch_size if left else place
            if whole == 0:
                continue
            yield self._chunk(buffer, whole, None) if draw is None else self._chunk(buffer, place, order[:whole])
            for array, free in zip(buffer, other, strict=True):  # the chunk before, which lay there, is done with by now
                free[: place - whole] = array[order[whole:]]
            order = np.arange(place - whole)
            buffer, other = other, buffer

    def _chunk(self, buffer: list[Array], rows: int, order: npt.NDArray[np.int64] | None) -> Chunk:
        arrays = iter([array[:rows] for array in buffer])
        x, y = (like(group, [next(arrays) for _ in members(group)]) for group in (self._x, self._y))
        return Chunk(x, y, next(arrays, None), order)


class _Rows:
    """Rows of one or several arrays, one after the other.

    Attributes:
        shape: of a row.
        row_bytes: of a row in memory.
    """

    def __init__(self, name: str, value: Any) -> None:  # noqa: ANN401
        several = isinstance(value, list) and all(isinstance(item, (str, os.PathLike, np.ndarray)) for item in value)
        self._arrays = [_array(name, item) for item in (value if several else [value])]
        if not sum(map(len, self._arrays)):
            raise ValueError(f"{name}: expected at least one sample, got none")
        first = self._arrays[0]
        self.shape: tuple[int, ...] = first.shape[1:]
        for array in self._arrays:
            if array.shape[1:] != self.shape or array.dtype != first.dtype:
                raise ValueError(
                    f"{name}: expected {first.dtype} of shape (n, {', '.join(map(str, self.shape))}) as in its first part, "
                    f"got {array.dtype} of shape {array.shape}"
                )
        self._dtype = _engine_type(first.dtype)
        self.row_bytes = math.prod(self.shape) * self._dtype.itemsize
        self._ends = np.cumsum([len(array) for array in self._arrays]).tolist()
        self._files = [_file_of(array) for array in self._arrays]

    def __len__(self) -> int:
        total: int = self._ends[-1]
        return total

    def empty(self, rows: int) -> Array:
        """A buffer for that many rows."""
        return np.empty((rows, *self.shape), self._dtype)

    def reader(self, stack: ExitStack) -> Callable[[int, int, Array], None]:
        """read(start, stop, out): copy the rows start .. stop - 1 to the beginning of `out`; `stack` closes the files."""
        opened = [-1 if file is None else os.open(file[0], os.O_RDONLY) for file in self._files]
        for descriptor in opened:
            if descriptor >= 0:
                stack.callback(os.close, descriptor)

        def read(start: int, stop: int, out: Array) -> None:
            while start < stop:
                i = bisect.bisect_right(self._ends, start)
                array, begin = self._arrays[i], start - self._ends[i] + len(self._arrays[i])
                count = min(stop - start, len(array) - begin)
                if (file := self._files[i]) is None:
                    out[:count] = array[begin : begin + count]
                else:
                    rows = out[:count] if out.dtype == array.dtype else np.empty((count, *self.shape), array.dtype)
                    _fill(rows, opened[i], file[1] + begin * array[0].nbytes, file[0])
                    if rows.dtype != out.dtype:
                        out[:count] = rows
                start, out = start + count, out[count:]

        return read


def _fill(rows: Array, descriptor: int, place: int, path: str) -> None:
    """Read `rows` from that place of an open file."""
    left = rows.reshape(-1).view(np.uint8).data
    while left:
        count = os.preadv(descriptor, [left], place)
        if not count:
            raise OSError(f"{path}: ends before its last row")
        left, place = left[count:], place + count


def _parts(name: str, value: Any) -> Any:  # noqa: ANN401 - rows, or a tuple or dict of them
    if isinstance(value, (tuple, dict)) and not value:
        raise ValueError(f"{name}: expected at least one array, got an empty {type(value).__name__}")
    return like(value, [_Rows(f"{name}{key}", item) for key, item in members(value).items()])


def _array(name: str, value: Any) -> Array:  # noqa: ANN401
    """An array of real numbers with rows, or the one in the file of that path."""
    if isinstance(value, (str, os.PathLike)):
        try:
            _check_header(value)
            value = np.load(value, mmap_mode="r")
        except DAMAGES as error:
            raise ValueError(f"{name}: expected a .npy file, got {os.fspath(value)} ({error})") from None
        if not isinstance(value, np.ndarray):
            raise ValueError(f"{name}: expected a .npy file, got an archive")
    array: Array = value if isinstance(value, np.memmap) else as_array(value, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{name}: expected an array with one sample per row, got a scalar")
    return array


def _check_header(path: str | os.PathLike[str]) -> None:
    """Raise ValueError where a .npy file promises a longer header than it can hold: NumPy would take memory for it."""
    with open(path, "rb") as file:
        begin = file.read(12)
        size = os.fstat(file.fileno()).st_size
    if begin[:6] == np.lib.format.MAGIC_PREFIX and begin[6:7] > b"\x01" and int.from_bytes(begin[8:], "little") > size:
        raise ValueError(f"a header of {int.from_bytes(begin[8:], 'little')} bytes in a file of {size}")


def _engine_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that the engines read numbers of this one in."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        return np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return dtype.newbyteorder("=")


def _file_of(array: Array) -> tuple[str, int] | None:
    """Path of the file that a memory-mapped array shows unchanged and in one piece, and where in it the array begins.

    Reading the file leaves no pages in the process, as touching the map would.
    """
    mapped = getattr(array, "_mmap", None)
    path = getattr(array, "filename", None)
    if mapped is None or path is None or array.mode == "c" or not array.flags.c_contiguous:  # type: ignore[attr-defined]
        return None
    begin = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY  # type: ignore[attr-defined]  # of the map
    offset = begin + array.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
    try:
        with open(path, "rb") as file:
            for row in (0, len(array) - 1) if len(array) else ():  # it may have been replaced since
                file.seek(offset + row * array[0].nbytes)
                if file.read(array[0].nbytes) != array[row].tobytes():
                    return None
    except OSError:
        return None
    return os.fspath(path), offset
