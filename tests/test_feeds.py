"""Feeds: arrays with an order and a deadline, and iterables of batches."""

from __future__ import annotations

import numpy as np

from nncore.engines.base import RunResult
from nncore.feeds import ArrayFeed, BatchFeed, Totals


def test_arrays_continue_where_the_engine_stopped():
    calls = []

    def run(x, target, order, start, batch_size):
        calls.append((order.tolist(), start, batch_size))
        stop = min(start + 4, len(x))  # as if the deadline came after two batches of 2
        return RunResult(stop, stop - start, 2, float(stop - start), ())

    feed = ArrayFeed(np.zeros((10, 1)), np.zeros(10), 2)
    results = list(feed.results(run, np.random.Generator(np.random.Philox(key=1))))
    assert [start for _, start, _ in calls] == [0, 4, 8]
    assert {tuple(order) for order, _, _ in calls} == {tuple(calls[0][0])}
    assert sorted(calls[0][0]) == list(range(10))
    assert sum(result.samples for result in results) == 10


def test_parts_share_memory():
    x = np.arange(10)
    feed = ArrayFeed(x, x, 2).part(6, 10)
    seen = []

    def run(x, target, order, start, batch_size):
        seen.append(x)
        return RunResult(len(x), len(x), 1, 0.0, ())

    assert [result.samples for result in feed.results(run, None)] == [4]
    assert np.shares_memory(seen[0], x)


def test_batches_are_counted():
    def run(x, target, order, start, batch_size):
        return RunResult(len(x), len(x), 1, 0.0, ())

    feed = BatchFeed([(np.zeros(3), 0), (np.zeros(2), 0)], lambda x, y: (x, y), 2)
    assert feed.samples is None
    assert [result.samples for result in feed.results(run, None)] == [3, 2]
    assert feed.samples == 5


def test_means_are_over_samples():
    totals = Totals(("loss", "accuracy"))
    totals.add(RunResult(3, 3, 1, 6.0, (3.0,)))
    totals.add(RunResult(4, 1, 1, 4.0, (0.0,)))
    assert totals.means() == {"loss": 2.5, "accuracy": 0.75}
