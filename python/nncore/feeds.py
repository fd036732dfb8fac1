"""Where a pass over data takes its samples from: arrays in memory, or an iterable of batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array
from nncore.engines.base import RunResult

if TYPE_CHECKING:
    from nncore.data import DataLoader

__all__ = ["ArrayFeed", "BatchFeed", "Feed", "LoaderFeed", "Order", "Totals"]

Order = npt.NDArray[np.int64]
# run(x, target, order, start, batch_size, sums), as Engine.run
Run = Callable[[Array, Array, Order | None, int, int, Sequence[float]], RunResult]

_NO_SUMS: tuple[float, ...] = ()


class Feed(ABC):
    """Data for any number of passes.

    Attributes:
        samples: how many there are in a pass, ``None`` while unknown.
    """

    samples: int | None

    @abstractmethod
    def results(self, run: Run, shuffle: np.random.Generator | None) -> Iterator[RunResult]:
        """One pass: what each call of `run` gave, with the sums so far.

        The samples come in the order that `shuffle` draws, where the feed can choose it.
        """


class ArrayFeed(Feed):
    """Samples `x` [n, ...] and `target` [n, ...] in memory: whole stretches of a pass are one call of the engine."""

    def __init__(self, x: Array, target: Array, batch_size: int) -> None:
        self.samples: int = len(x)
        self._x, self._target, self._batch_size = x, target, batch_size

    @property
    def target(self) -> Array:
        """All targets."""
        return self._target

    def part(self, start: int, stop: int) -> ArrayFeed:
        """The samples start .. stop - 1, not copied."""
        return ArrayFeed(self._x[start:stop], self._target[start:stop], self._batch_size)

    def results(self, run: Run, shuffle: np.random.Generator | None) -> Iterator[RunResult]:
        """One pass, a result for each call that the engine's deadline ended."""
        return self._in_order(run, None if shuffle is None else shuffle.permutation(len(self._x)))

    def _in_order(self, run: Run, order: Order | None) -> Iterator[RunResult]:
        position, sums = 0, _NO_SUMS
        while position < self.samples:
            result = run(self._x, self._target, order, position, self._batch_size, sums)
            position, sums = result.position, (result.loss, *result.metrics)
            yield result


class LoaderFeed(ArrayFeed):
    """The arrays of a `DataLoader`, in the loader's own batches and orders, without its copies."""

    def __init__(self, x: Array, target: Array, loader: DataLoader) -> None:
        super().__init__(x, target, loader.batch_size)
        if loader.drop_last:
            self.samples = len(loader) * loader.batch_size
        if not self.samples:
            raise ValueError(f"x: expected a DataLoader with at least one batch, got {len(x)} samples with drop_last")
        self._loader = loader

    def results(self, run: Run, shuffle: np.random.Generator | None) -> Iterator[RunResult]:
        """One pass: the loader's next epoch."""
        return self._in_order(run, self._loader.next_order())


class BatchFeed(Feed):
    """An iterable of batches (x, y), asked anew for each pass; `check` makes arrays for the engine of each batch."""

    def __init__(self, batches: Iterable[Any], check: Callable[[Any, Any], tuple[Array, Array]], passes: int) -> None:
        if not isinstance(batches, Iterable):
            raise TypeError(f"x: expected an array with y beside it, or an iterable of batches (x, y), got {batches!r}")
        if passes > 1 and isinstance(batches, Generator):
            raise ValueError(f"x: expected an iterable that can be repeated for {passes} epochs, got a generator")
        self.samples = None
        self._batches, self._check = batches, check

    def results(self, run: Run, shuffle: np.random.Generator | None) -> Iterator[RunResult]:
        """One pass, a result for each batch, in the iterable's own order."""
        samples, sums = 0, _NO_SUMS
        for place, batch in enumerate(self._batches):
            if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                got = f"{type(batch).__name__} of length {len(batch)}" if hasattr(batch, "__len__") else repr(batch)
                raise ValueError(f"x: expected an iterable of batches (x, y), got a {got} at position {place}")
            x, target = self._check(*batch)
            samples += len(x)
            result = run(x, target, None, 0, len(x), sums)
            sums = (result.loss, *result.metrics)
            yield result
        if not samples:
            again = "no batches in this epoch: it cannot be repeated" if self.samples else "no batches"
            raise ValueError(f"x: expected an iterable of batches (x, y) for every epoch, got {again}")
        self.samples = samples


class Totals:
    """The samples of a pass so far, and means over them by name."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._samples = 0
        self._sums: Sequence[float] = _NO_SUMS

    def add(self, result: RunResult) -> None:
        """Count `result` in, which goes on from the sums of the one before."""
        self._samples += result.samples
        self._sums = (result.loss, *result.metrics)

    def means(self) -> dict[str, float]:
        """Loss and metrics per sample so far."""
        return {name: total / self._samples for name, total in zip(self._names, self._sums, strict=True)}
