"""Feeds: arrays with an order and a deadline, and iterables of batches."""

from __future__ import annotations

import numpy as np
import pytest

import nncore as nn
from nncore.engines.base import RunResult
from nncore.feeds import ArrayFeed, BatchFeed, Totals


def test_arrays_continue_where_the_engine_stopped():
    calls = []

    def run(x, target, sample_weight, order, start, batch_size, sums):
        calls.append((order.tolist(), start, sums))
        stop = min(start + 4, len(x))  # as if the deadline came after two batches of 2
        return RunResult(stop, stop - start, 2, float(stop), (3.0,), 5.0, 6.0)

    feed = ArrayFeed(np.zeros((10, 1)), np.zeros(10), None, 2)
    results = list(feed.results(run, np.random.Generator(np.random.Philox(key=1))))
    assert [start for _, start, _ in calls] == [0, 4, 8]
    assert [sums for _, _, sums in calls] == [(), (4.0, 3.0, 5.0, 6.0), (8.0, 3.0, 5.0, 6.0)]
    assert {tuple(order) for order, _, _ in calls} == {tuple(calls[0][0])}
    assert sorted(calls[0][0]) == list(range(10))
    assert sum(result.samples for result in results) == 10


def test_parts_share_memory():
    x = np.arange(10)
    feed = ArrayFeed(x, x, None, 2).part(6, 10)
    seen = []

    def run(x, target, sample_weight, order, start, batch_size, sums):
        seen.append(x)
        return RunResult(len(x), len(x), 1, 0.0, (), 1.0, 1.0)

    assert [result.samples for result in feed.results(run, None)] == [4]
    assert np.shares_memory(seen[0], x)


def test_batches_are_counted():
    def run(x, target, sample_weight, order, start, batch_size, sums):
        return RunResult(len(x), len(x), 1, 0.0, (), 1.0, 1.0)

    feed = BatchFeed([(np.zeros(3), 0), (np.zeros(2), 0)], lambda x, y: (x, y, None), 2)
    assert feed.samples is None
    assert [result.samples for result in feed.results(run, None)] == [3, 2]
    assert feed.samples == 5


def test_means_are_over_weights():
    totals = Totals(("loss", "accuracy"))
    totals.add(RunResult(3, 3, 1, 6.0, (3.0,), 3.0, 3.0))
    totals.add(RunResult(4, 1, 1, 10.0, (3.0,), 4.0, 4.0))
    assert totals.means() == {"loss": 2.5, "accuracy": 0.75}


def _two_models(engine_name):
    models = []
    for _ in range(2):
        model = nn.Sequential([nn.Dense(5, activation="tanh"), nn.Dense(3)])
        model.compile(nn.SGD(0.1), "cross_entropy", engine=engine_name, dtype="float64", seed=4)
        models.append(model)
    return models


@pytest.mark.parametrize("drop_last", [False, True])
def test_fit_on_a_loader_is_a_loop_over_its_batches(engine_name, drop_last):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((50, 4)), rng.integers(0, 3, 50)
    fitted, looped = _two_models(engine_name)
    options = {"batch_size": 8, "shuffle": True, "drop_last": drop_last, "seed": 9}
    history = fitted.fit(nn.data.DataLoader(x, y, **options), epochs=3, verbose=0).history
    loader = nn.data.DataLoader(x, y, **options)
    losses = []
    for _ in range(3):
        batches = [(len(bx), looped.train_on_batch(bx, by)["loss"]) for bx, by in loader]
        losses.append(sum(n * loss for n, loss in batches) / sum(n for n, _ in batches))
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-14)
    for a, b in zip(fitted.get_weights(), looped.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loader_without_a_whole_batch_is_refused(engine_name):
    model, _ = _two_models(engine_name)
    with pytest.raises(ValueError, match="at least one batch, got 3 samples"):
        model.fit(nn.data.DataLoader(np.zeros((3, 4)), np.zeros(3, int), batch_size=4, drop_last=True), verbose=0)


def test_an_epoch_is_one_call_of_the_engine(monkeypatch):
    """No Python runs between the steps of an epoch."""
    monkeypatch.setattr("nncore.model._DEADLINE", float("inf"))
    model, _ = _two_models("native")
    x, y = np.zeros((1000, 4)), np.zeros(1000, int)
    model.train_on_batch(x[:4], y[:4])
    calls = []
    run = model.engine.run
    monkeypatch.setattr(model.engine, "run", lambda *a, **k: calls.append(k["batch_size"]) or run(*a, **k))
    model.fit(x, y, batch_size=1, epochs=2, verbose=0)
    assert calls == [1, 1]


def test_a_loader_s_own_iteration_is_respected(engine_name):
    class Doubled(nn.data.DataLoader):
        def __iter__(self):
            return ((2 * x, y) for x, y in super().__iter__())

    x, y = np.linspace(-1, 1, 32).reshape(8, 4), np.arange(8) % 3
    doubled, plain = _two_models(engine_name)
    doubled.fit(Doubled(x, y, batch_size=4), verbose=0)
    plain.fit(nn.data.DataLoader(2 * x, y, batch_size=4), verbose=0)
    for a, b in zip(doubled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("deadline", [0.0, 0.003])
def test_no_bit_depends_on_where_the_deadline_fell(engine_name, monkeypatch, deadline):
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((3000, 4)), rng.integers(0, 3, 3000)
    whole, interrupted = _two_models(engine_name)
    monkeypatch.setattr("nncore.model._DEADLINE", float("inf"))
    expected = whole.fit(x, y, batch_size=100, epochs=2, verbose=0).history, whole.evaluate(x, y)
    monkeypatch.setattr("nncore.model._DEADLINE", deadline)
    assert (interrupted.fit(x, y, batch_size=100, epochs=2, verbose=0).history, interrupted.evaluate(x, y)) == expected
