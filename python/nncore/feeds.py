"""Where a pass over data takes its samples from: arrays in memory, chunks of them, or an iterable of batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array
from nncore.engines.base import RunResult

if TYPE_CHECKING:
    from nncore.data import ChunkLoader, DataLoader

__all__ = ["ArrayFeed", "BatchFeed", "ChunkFeed", "Feed", "LoaderFeed", "Order", "Totals"]

Order = npt.NDArray[np.int64]
# run(x, target, sample_weight, order, start, batch_size, sums), as Engine.run
Run = Callable[[Array, Array, Array | None, Order | None, int, int, Sequence[float]], RunResult]

_NO_SUMS: tuple[float, ...] = ()


class Feed(ABC):
    """Data for any number of passes.

    Attributes:
        samples: how many there are in a pass, ``None`` while unknown.
    """

    samples: int | None

    def get_state(self) -> dict[str, int]:
        """Where the feed's own order is: what a checkpoint keeps of it."""
        return {}

    def set_state(self, state: Mapping[str, int]) -> None:  # noqa: B027 - most feeds have none
        """Go on from what `get_state` gave."""

    @abstractmethod
    def results(self, run: Run, shuffle: np.random.Generator | None, by_step: bool = False) -> Iterator[RunResult]:
        """One pass: what each call of `run` gave, with the sums so far.

        The samples come in the order that `shuffle` draws, where the feed can choose it. With `by_step` each call of `run`
        is a single batch, with the same results to the bit.
        """


class ArrayFeed(Feed):
    """Samples `x` [n, ...] and `target` [n, ...] in memory: whole stretches of a pass are one call of the engine.

    Args:
        x: the samples.
        target: their targets.
        sample_weight: what each sample counts, [n], or None.
        batch_size: samples in a step.
        rows: the places of those that belong to the feed, where these are not all.
    """

    def __init__(
        self, x: Array, target: Array, sample_weight: Array | None, batch_size: int, rows: Order | None = None
    ) -> None:
        self.samples: int = len(x) if rows is None else len(rows)
        self._x, self._target, self._sample_weight = x, target, sample_weight
        self._batch_size, self._rows = batch_size, rows

    @property
    def target(self) -> Array:
        """The targets of the feed's samples."""
        return self._target if self._rows is None else self._target[self._rows]

    @property
    def sample_weight(self) -> Array | None:
        """What each of the feed's samples counts, or None."""
        return self._sample_weight if self._sample_weight is None or self._rows is None else self._sample_weight[self._rows]

    @sample_weight.setter
    def sample_weight(self, weights: Array | None) -> None:
        if weights is not None and self._rows is not None:
            whole = np.zeros(len(self._x))
            whole[self._rows] = weights
            weights = whole
        self._sample_weight = weights

    def part(self, start: int, stop: int) -> ArrayFeed:
        """The samples start .. stop - 1, not copied."""
        weights = None if self._sample_weight is None else self._sample_weight[start:stop]
        return ArrayFeed(self._x[start:stop], self._target[start:stop], weights, self._batch_size)

    def chosen(self, rows: Order) -> ArrayFeed:
        """The samples `rows`, not copied."""
        return ArrayFeed(self._x, self._target, self._sample_weight, self._batch_size, rows)

    def whole(self) -> ArrayFeed:
        """All samples in one batch."""
        x = self._x if self._rows is None else self._x[self._rows]
        return ArrayFeed(x, self.target, self.sample_weight, self.samples)

    def results(self, run: Run, shuffle: np.random.Generator | None, by_step: bool = False) -> Iterator[RunResult]:
        """One pass, a result for each call that the engine's deadline ended."""
        order = self._rows
        if shuffle is not None:
            places = shuffle.permutation(self.samples)
            order = places if order is None else order[places]
        return self._in_order(run, order, by_step)

    def _in_order(self, run: Run, order: Order | None, by_step: bool) -> Iterator[RunResult]:
        return _in_order(run, (self._x, self._target, self._sample_weight), order, self._batch_size, by_step, _NO_SUMS)


def _in_order(
    run: Run,
    data: tuple[Array, Array, Array | None],
    order: Order | None,
    batch_size: int,
    by_step: bool,
    sums: Sequence[float],
) -> Iterator[RunResult]:
    """Samples in memory in an order, after a pass with `sums` so far."""
    position, samples = 0, len(data[0]) if order is None else len(order)
    if by_step and order is None:
        order = np.arange(samples)
    while position < samples:
        part = order[: position + batch_size] if by_step and order is not None else order
        result = run(*data, part, position, batch_size, sums)
        position, sums = result.position, result.sums
        yield result


class LoaderFeed(ArrayFeed):
    """The arrays of a `DataLoader`, in the loader's own batches and orders, without its copies."""

    def __init__(self, x: Array, target: Array, sample_weight: Array | None, loader: DataLoader) -> None:
        super().__init__(x, target, sample_weight, loader.batch_size)
        if loader.drop_last:
            self.samples = len(loader) * loader.batch_size
        if not self.samples:
            raise ValueError(f"x: expected a DataLoader with at least one batch, got {len(x)} samples with drop_last")
        self._loader = loader

    def results(self, run: Run, shuffle: np.random.Generator | None, by_step: bool = False) -> Iterator[RunResult]:
        """One pass: the loader's next epoch."""
        return self._in_order(run, self._loader.next_order(), by_step)

    def get_state(self) -> dict[str, int]:
        """The number of the loader's next epoch."""
        return {"epoch": self._loader.epoch}

    def set_state(self, state: Mapping[str, int]) -> None:
        """See `Feed.set_state`."""
        self._loader.set_epoch(state["epoch"])


class ChunkFeed(Feed):
    """The chunks of a `ChunkLoader`, in its own order: as arrays, one after the other.

    `check` makes arrays for the engine of each chunk.
    """

    def __init__(self, loader: ChunkLoader, check: Callable[..., tuple[Array, Array, Array | None]]) -> None:
        self.samples = loader.samples
        self._loader, self._check = loader, check

    def results(self, run: Run, shuffle: np.random.Generator | None, by_step: bool = False) -> Iterator[RunResult]:
        """One pass: the loader's next epoch."""
        samples, sums = 0, _NO_SUMS
        with closing(self._loader.chunks()) as chunks:  # its thread ends where this does
            for chunk in chunks:
                data = self._check(chunk.x, chunk.y, chunk.sample_weight)
                for result in _in_order(run, data, chunk.order, self._loader.batch_size, by_step, sums):
                    samples, sums = samples + result.samples, result.sums
                    yield result
        if not samples:
            raise ValueError("x: expected a loader with at least one chunk in an epoch, got none")
        self.samples = samples

    def get_state(self) -> dict[str, int]:
        """The number of the loader's next epoch."""
        return {"epoch": self._loader.epoch}

    def set_state(self, state: Mapping[str, int]) -> None:
        """See `Feed.set_state`."""
        self._loader.set_epoch(state["epoch"])


class BatchFeed(Feed):
    """An iterable of batches (x, y) or (x, y, sample_weight), asked anew for each pass; or a stream of them.

    Args:
        batches: the iterable.
        check: makes arrays for the engine of each batch.
        passes: how many there will be.
        steps: how many batches are a pass, where it does not begin anew: the next goes on where it ended.
        what: what messages call the iterable.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        check: Callable[..., tuple[Array, Array, Array | None]],
        passes: int,
        steps: int | None = None,
        what: str = "x",
    ) -> None:
        self._what = what
        if not isinstance(batches, Iterable) or isinstance(batches, (str, bytes)):
            raise TypeError(
                f"{self._what}: expected an array with y beside it, or an iterable of batches (x, y), got {batches!r}"
            )
        if passes > 1 and isinstance(batches, Generator) and steps is None:
            raise ValueError(
                f"{self._what}: expected an iterable that can be repeated for {passes} epochs, got a generator"
            )
        self.samples = None
        self._batches, self._check, self._steps, self._passes = batches, check, steps, passes
        self._stream: Iterator[Any] | None = None
        self._taken = 0  # from the stream
        self._first_epoch = 0  # of a loader that counts them: that with which the stream began

    def results(self, run: Run, shuffle: np.random.Generator | None, by_step: bool = False) -> Iterator[RunResult]:
        """One pass, a result for each batch, in the iterable's own order."""
        samples, sums = 0, _NO_SUMS
        for place, batch in enumerate(self._batches if self._steps is None else self._next(self._steps)):
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                got = f"{type(batch).__name__} of length {len(batch)}" if hasattr(batch, "__len__") else repr(batch)
                raise ValueError(
                    f"{self._what}: expected an iterable of batches (x, y) or (x, y, sample_weight), got a {got} at "
                    f"position {place}"
                )
            x, target, sample_weight = self._check(*batch)
            samples += len(x)
            result = run(x, target, sample_weight, None, 0, len(x), sums)
            sums = result.sums
            yield result
        if not samples:
            again = "no batches in this epoch: it cannot be repeated" if self.samples else "no batches"
            raise ValueError(f"{self._what}: expected an iterable of batches (x, y) for every epoch, got {again}")
        self.samples = samples

    def _next(self, steps: int) -> Iterator[Any]:
        """The next batches of the stream; an iterable that ends begins anew, a generator cannot."""
        for place in range(steps):
            stream = self._begun() if self._stream is None else self._stream
            batch = next(stream, _END)
            if batch is _END and not isinstance(self._batches, Iterator):
                batch = next(self._begun(), _END)
            if batch is _END:
                raise ValueError(
                    f"{self._what}: expected {steps} batches for every epoch, got an end after {place} of them"
                )
            self._taken += 1
            yield batch

    def _begun(self) -> Iterator[Any]:
        """The stream from its beginning on."""
        self._first_epoch, self._taken = getattr(self._batches, "epoch", 0), 0
        self._stream = iter(self._batches)
        return self._stream

    def get_state(self) -> dict[str, int]:
        """The place in a stream, and the number of the epoch of a loader that counts them."""
        if self._steps is not None:
            return {"epoch": self._first_epoch, "taken": self._taken}
        return {"epoch": getattr(self._batches, "epoch", 0)} if hasattr(self._batches, "set_epoch") else {}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Go on from what `get_state` gave: the batches of a stream that were taken before are taken and dropped."""
        if "epoch" in state and hasattr(self._batches, "set_epoch"):
            self._batches.set_epoch(state["epoch"])
        if self._steps is not None:
            stream, taken = self._begun(), state.get("taken", 0)
            if not isinstance(taken, int) or taken < 0:
                raise ValueError(f"taken: expected an integer >= 0, got {taken!r}")
            for _ in range(min(taken, self._steps * self._passes)):  # no more than there could be
                next(stream, None)
            self._taken = taken


_END = object()


class Totals:
    """Weighted means of loss and metrics over a pass so far, by name; the loss comes first."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._sums: Sequence[float] = _NO_SUMS
        self._weights: Sequence[float] = _NO_SUMS

    def add(self, result: RunResult) -> None:
        """Count `result` in, which goes on from the sums of the one before."""
        self._sums = (result.loss, *result.metrics)
        self._weights = (result.loss_weight, *[result.metric_weight] * len(result.metrics))

    def means(self) -> dict[str, float]:
        """Loss and metrics so far; 0 where nothing weighed anything."""
        return {
            name: total / weight if weight > 0 else 0.0
            for name, total, weight in zip(self._names, self._sums, self._weights, strict=True)
        }
