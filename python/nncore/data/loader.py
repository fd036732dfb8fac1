"""Batches from arrays in memory, in storage order or shuffled anew each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DataLoader"]

Array = npt.NDArray[Any]


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
        self.x = _arrays("x", x)
        self.y = None if y is None else _arrays("y", y)
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)
        if self.sample_weight is not None and y is None:
            raise ValueError("sample_weight: expected none without y")
        self._samples = _common_length(self.x, self.y)
        if self.sample_weight is not None and self.sample_weight.shape != (self._samples,):
            raise ValueError(
                f"sample_weight: expected one number for each of {self._samples} samples, got {self.sample_weight.shape}"
            )
        self.batch_size = _integer("batch_size", batch_size, 1, 2**63)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.seed = _integer("seed", seed, 0, 2**64)
        if sampler is not None and not callable(sampler):
            raise TypeError(f"sampler: expected a function of the epoch's number, got {sampler!r}")
        if sampler is not None and shuffle:
            raise ValueError("sampler: expected None beside shuffle=True")
        self.sampler = sampler
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._samples // self.batch_size if self.drop_last else -(-self._samples // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be epoch number `epoch` (0 .. 2**63 - 1), as when training is resumed."""
        self.epoch = _integer("epoch", epoch, 0, 2**63)

    def next_order(self) -> npt.NDArray[np.int64]:
        """Begin an epoch: the samples it takes, in order, as int64 [samples]; batch k is its k-th slice of `batch_size`."""
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
        order = np.asarray(places)
        if order.dtype.kind not in "iu" or order.shape != (self._samples,):
            got = f"{order.dtype} of shape {order.shape}"
            raise ValueError(f"sampler: expected integers of shape ({self._samples},), got {got}")
        if order.min() < 0 or order.max() >= self._samples:
            raise ValueError(f"sampler: expected places from 0 to {self._samples - 1}, got {order.min()} to {order.max()}")
        return order

    def __iter__(self) -> Iterator[Any]:
        """Begin an epoch: its batches, ``(x, y)`` or ``(x, y, sample_weight)`` or, without targets, ``x``.

        Tuples and dicts of arrays come as such.
        """
        return self._batches(self.next_order())

    def _batches(self, order: npt.NDArray[np.int64]) -> Iterator[Any]:
        for start in range(0, len(order), self.batch_size):
            stop = min(start + self.batch_size, len(order))
            rows = order[start:stop] if self.shuffle or self.sampler is not None else slice(start, stop)
            x = _take(self.x, rows)
            if self.y is None:
                yield x
            elif self.sample_weight is None:
                yield x, _take(self.y, rows)
            else:
                yield x, _take(self.y, rows), self.sample_weight[rows]


Group = Array | tuple[Array, ...] | dict[str, Array]
Given = npt.ArrayLike | tuple[npt.ArrayLike, ...] | dict[str, npt.ArrayLike]


def _members(group: Any) -> dict[str, Any]:  # noqa: ANN401 - a Given or a Group
    """The arrays of `group` by what messages call them."""
    if isinstance(group, tuple):
        return {f"[{i}]": array for i, array in enumerate(group)}
    return {f"[{key!r}]": array for key, array in group.items()} if isinstance(group, dict) else {"": group}


def _like(group: Given | Group, arrays: Iterable[Array]) -> Group:
    """`arrays` in a tuple or dict where `group` is one."""
    if isinstance(group, dict):
        return dict(zip(group, arrays, strict=True))
    return tuple(arrays) if isinstance(group, tuple) else next(iter(arrays))


def _take(group: Group, rows: npt.NDArray[np.int64] | slice) -> Group:
    return _like(group, (array[rows] for array in _members(group).values()))


def _arrays(name: str, value: Given) -> Group:
    """`value` as an array, or as a tuple or dict of arrays where it is one; each has a first axis."""
    arrays = [np.asarray(item) for item in _members(value).values()]
    if not arrays:
        raise ValueError(f"{name}: expected at least one array, got an empty {type(value).__name__}")
    if any(array.ndim == 0 for array in arrays):
        raise ValueError(f"{name}: expected arrays with samples along axis 0, got a scalar")
    return _like(value, arrays)


def _common_length(x: Group, y: Group | None) -> int:
    """The number of samples, the same in every array."""
    groups = {"x": x} if y is None else {"x": x, "y": y}
    lengths = {f"{name}{key}": len(a) for name, group in groups.items() for key, a in _members(group).items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected arrays of one length, got {', '.join(f'{k}: {n}' for k, n in lengths.items())}")
    return next(iter(lengths.values()))


def _integer(name: str, value: int, low: int, end: int) -> int:
    """`value` as an int in [low, end)."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not low <= value < end:
        raise ValueError(f"{name}: expected an integer in [{low}, {end - 1}], got {value}")
    return int(value)
