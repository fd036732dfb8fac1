"""ChunkLoader: data that come in large chunks, of which each is one call of the engine; and loading ahead in a thread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from nncore.data.groups import Array, Group, integer, members, take

__all__ = ["Chunk", "ChunkLoader", "ahead"]

Item = TypeVar("Item")


class Chunk(NamedTuple):
    """Samples in memory, valid until the next chunk is asked for.

    Attributes:
        x: an array [n, ...], or a tuple or dict of them.
        y: the targets, likewise.
        sample_weight: what each sample counts, [n], or ``None``.
        order: places of the samples to take, in their order, as int64; ``None``: all, as they lie.
    """

    x: Group
    y: Group
    sample_weight: Array | None
    order: npt.NDArray[np.int64] | None


class ChunkLoader(ABC):
    """Batches of data that need not fit into memory, loaded in chunks of many batches.

    `Model.fit` and `evaluate` take one in place of arrays. The batches of a chunk are one native call, as with arrays.
    Iterating over a loader gives the same batches one by one, copied: ``(x, y)`` or ``(x, y, sample_weight)``. A subclass
    has `chunks`.

    Args:
        batch_size: samples in a batch; the last of an epoch may have fewer.
        shuffle: whether the order is another one in each epoch.
        seed: key of the orders, 0 .. 2**64 - 1.

    Attributes:
        batch_size, shuffle, seed: as given.
        epoch: number of the next epoch, from 0; set it with `set_epoch`.
        samples: in an epoch, ``None`` while unknown.

    Raises:
        TypeError, ValueError: an argument is none of these.
    """

    def __init__(self, batch_size: int = 32, shuffle: bool = False, seed: int = 0) -> None:
        self.batch_size = integer("batch_size", batch_size, 1, 2**31)
        if not isinstance(shuffle, (bool, np.bool_)):
            raise TypeError(f"shuffle: expected True or False, got {shuffle!r}")
        self.shuffle = bool(shuffle)
        self.seed = integer("seed", seed, 0, 2**64)
        self.epoch = 0
        self.samples: int | None = None

    @abstractmethod
    def chunks(self) -> Generator[Chunk]:
        """Begin an epoch: its chunks. All but the last hold whole batches, and none is empty."""

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be epoch number `epoch` (0 .. 2**63 - 1), as when training is resumed."""
        self.epoch = integer("epoch", epoch, 0, 2**63)

    def __iter__(self) -> Iterator[Any]:
        """Begin an epoch: its batches."""
        with closing(self.chunks()) as chunks:
            for chunk in chunks:
                order = np.arange(len(_first(chunk.x))) if chunk.order is None else chunk.order
                for start in range(0, len(order), self.batch_size):
                    rows = order[start : start + self.batch_size]
                    weights = () if chunk.sample_weight is None else (chunk.sample_weight[rows],)
                    yield take(chunk.x, rows), take(chunk.y, rows), *weights

    def _begin_epoch(self) -> np.random.Generator | None:
        """Count an epoch; what draws its order, if one is to be drawn."""
        key = np.array([self.seed, 2**63 + self.epoch], np.uint64)
        self.epoch += 1
        return np.random.Generator(np.random.Philox(key=key)) if self.shuffle else None


def _first(group: Group) -> Array:
    array: Array = next(iter(members(group).values()))
    return array


def ahead(items: Generator[Item]) -> Generator[Item]:
    """The same items; a thread makes the next one while the one before is in use.

    >>> list(ahead(letter for letter in "abc"))
    ['a', 'b', 'c']
    """
    taking = Lock()  # Ctrl-C while the thread starts leaves one that the pool does not wait for

    def fetch() -> Item | None:
        with taking:
            return next(items, None)

    try:
        with ThreadPoolExecutor(1, "nncore-ahead") as thread:
            following = thread.submit(fetch)
            while (item := following.result()) is not None:
                following = thread.submit(fetch)
                yield item
    finally:
        with taking:
            items.close()
