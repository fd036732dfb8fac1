"""Batches from arrays in memory, in storage order or shuffled anew each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.data.groups import Array, Given, Group, as_arrays, common_length, integer, take
from nncore.foreign import as_array
from nncore.scalars import flag

__all__ = ["DataLoader"]


class DataLoader:
    """Batches of arrays along their first axis.

    Each iteration over it is one epoch. With `shuffle`, epoch e takes the n samples in the order
    ``Generator(Philox(key=[seed, 2**63 + e])).permutation(n)``, so a seed and an epoch's number reproduce it. A `sampler`
    chooses otherwise: other orders, or some samples more often than others.
    The arrays are neither copied nor converted; without `shuffle` the batches are views of them.

    Args:
        x: an array [n, ...], or for a model with several inputs a tuple of them or a dict by name.
        y: the targets, as `x`; without them a batch is just `x`'s.
        sample_weight: what each sample counts, [n]; with them batches are ``(x, y, sample_weight)``.
        batch_size: samples in a batch; the last of an epoch may have fewer.
        shuffle: whether to take the samples in a new order each epoch.
        drop_last: whether to leave out a last batch that is not full.
        seed: key of the orders, 0 .. 2**64 - 1.
        sampler: a function of the epoch's number that gives n places of samples, in their order; without `shuffle`.

    Attributes:
        x, y, sample_weight, batch_size, shuffle, drop_last, seed, sampler: as given; arrays as NumPy arrays.
        epoch: number of the next epoch, from 0; set it with `set_epoch`.

    Raises:
        TypeError: `batch_size` or `seed` is not an integer, `sampler` no function.
        ValueError: arrays without a first axis or of different lengths, weights without targets, `batch_size` < 1, `seed`
            out of range, a `sampler` beside `shuffle`; when an epoch begins: a sampler that does not give n places.

    >>> loader = DataLoader([[0], [1], [2]], [0, 1, 2], batch_size=2)
    >>> [(x.shape, y.tolist()) for x, y in loader]
    [((2, 1), [0, 1]), ((1, 1), [2])]
    >>> len(loader), loader.epoch
    (2, 1)
    """

    x: Group
    y: Group | None
    sample_weight: Array | None
    batch_size: int
    shuffle: bool
    drop_last: bool
    seed: int
    sampler: Callable[[int], npt.ArrayLike] | None
    epoch: int

    def __init__(
        self,
        x: Given,
        y: Given | None = None,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        sample_weight: npt.ArrayLike | None = None,
        sampler: Callable[[int], npt.ArrayLike] | None = None,
    ) -> None:
        self.x = as_arrays("x", x)
        self.y = None if y is None else as_arrays("y", y)
        self.sample_weight = None if sample_weight is None else as_array(sample_weight, "sample_weight")
        if self.sample_weight is not None and y is None:
            raise ValueError("sample_weight: expected none without y")
        self._samples = common_length(self.x, self.y)
        if self.sample_weight is not None and self.sample_weight.shape != (self._samples,):
            raise ValueError(
                f"sample_weight: expected one number for each of {self._samples} samples, got {self.sample_weight.shape}"
            )
        self.batch_size = integer("batch_size", batch_size, 1, 2**63)
        self.shuffle = flag(shuffle, "shuffle")
        self.drop_last = flag(drop_last, "drop_last")
        self.seed = integer("seed", seed, 0, 2**64)
        if sampler is not None and not callable(sampler):
            raise TypeError(f"sampler: expected a function of the epoch's number, got {sampler!r}")
        if sampler is not None and self.shuffle:
            raise ValueError("sampler: expected None beside shuffle=True")
        self.sampler = sampler
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._samples // self.batch_size if self.drop_last else -(-self._samples // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be epoch number `epoch` (0 .. 2**63 - 1), as when training is resumed."""
        self.epoch = integer("epoch", epoch, 0, 2**63)

    def next_order(self) -> npt.NDArray[np.int64]:
        """Begin an epoch: the samples it takes, in order, as int64 [samples]; batch k is its k-th slice of `batch_size`.

        Whether the places that a `sampler` gives are those of samples is checked where they are used.
        """
        samples = len(self) * self.batch_size if self.drop_last else self._samples
        if self.shuffle:
            key = np.array([self.seed, 2**63 + self.epoch], np.uint64)
            order = np.random.Generator(np.random.Philox(key=key)).permutation(self._samples)[:samples]
        elif self.sampler is not None:
            order = self._sampled(self.sampler(self.epoch))[:samples]
        else:
            order = np.arange(samples)
        self.epoch += 1
        return order.astype(np.int64, copy=False)

    def _sampled(self, places: npt.ArrayLike) -> Array:
        order = as_array(places, "sampler")
        if order.dtype.kind not in "iu" or order.shape != (self._samples,):
            got = f"{order.dtype} of shape {order.shape}"
            raise ValueError(f"sampler: expected integers of shape ({self._samples},), got {got}")
        return order

    def __iter__(self) -> Iterator[Any]:
        """Begin an epoch: its batches, ``(x, y)`` or ``(x, y, sample_weight)`` or, without targets, ``x``.

        Tuples and dicts of arrays come as such.
        """
        order = self.next_order()
        if self.sampler is not None and (order.min(initial=0) < 0 or order.max(initial=0) >= self._samples):
            raise ValueError(f"sampler: expected places from 0 to {self._samples - 1}, got {order.min()} to {order.max()}")
        return self._batches(order)

    def _batches(self, order: npt.NDArray[np.int64]) -> Iterator[Any]:
        for start in range(0, len(order), self.batch_size):
            stop = min(start + self.batch_size, len(order))
            rows = order[start:stop] if self.shuffle or self.sampler is not None else slice(start, stop)
            x = take(self.x, rows)
            if self.y is None:
                yield x
            elif self.sample_weight is None:
                yield x, take(self.y, rows)
            else:
                yield x, take(self.y, rows), self.sample_weight[rows]
