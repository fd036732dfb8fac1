"""DataLoader: batches, orders, epochs, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncore as nn
from nncore.data import DataLoader


def test_batches_in_storage_order_are_views() -> None:
    x, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    batches = list(DataLoader(x, y, batch_size=2))
    assert [yb.tolist() for _, yb in batches] == [[0, 1], [2, 3], [4]]
    assert [xb.tolist() for xb, _ in batches] == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9]]]
    assert all(np.shares_memory(xb, x) for xb, _ in batches)


def test_arrays_are_kept_as_they_are() -> None:
    x = np.asfortranarray(np.zeros((4, 3), ">i2"))[::2]
    x.flags.writeable = False
    loader = DataLoader(x, shuffle=True)
    assert loader.x is x
    assert loader.y is None
    (batch,) = loader
    assert batch.dtype == np.dtype(">i2")
    assert batch.shape == (2, 3)


def test_without_targets_a_batch_is_x() -> None:
    assert [b.tolist() for b in DataLoader([[1], [2], [3]], batch_size=2)] == [[[1], [2]], [[3]]]


def test_tuples_of_arrays_stay_together() -> None:
    a, b, y = np.arange(6), np.arange(6) * 10, np.arange(6) * 100
    for (xa, xb), (t,) in DataLoader((a, b), (y,), batch_size=4, shuffle=True):
        assert (xb == 10 * xa).all()
        assert (t == 100 * xa).all()


@pytest.mark.parametrize(("n", "size", "drop", "sizes"), [
    (7, 3, False, [3, 3, 1]), (7, 3, True, [3, 3]), (6, 3, True, [3, 3]),
    (2, 5, False, [2]), (2, 5, True, []), (0, 5, False, []),
])  # fmt: skip
def test_sizes_of_batches(n: int, size: int, drop: bool, sizes: list[int]) -> None:
    for shuffle in (False, True):
        loader = DataLoader(np.zeros((n, 2)), batch_size=size, drop_last=drop, shuffle=shuffle)
        assert [len(x) for x in loader] == sizes
        assert len(loader) == len(sizes)


def test_published_order_of_an_epoch() -> None:
    # Written out from Generator(Philox(key=[7, 2**63 + e])).permutation(8) with the 128-bit key given as one integer.
    loader = DataLoader(np.arange(8), batch_size=3, shuffle=True, seed=7)
    for epoch in range(3):
        rng = np.random.Generator(np.random.Philox(key=7 + ((2**63 + epoch) << 64)))
        assert np.concatenate(list(loader)).tolist() == rng.permutation(8).tolist()


@given(st.integers(0, 40), st.integers(1, 12), st.booleans(), st.integers(0, 2**64 - 1))
def test_shuffled_epoch_takes_each_sample_once(n: int, size: int, drop: bool, seed: int) -> None:
    loader = DataLoader(np.arange(n), batch_size=size, shuffle=True, drop_last=drop, seed=seed)
    seen = [i for batch in loader for i in batch.tolist()]
    assert len(seen) == (n - n % size if drop else n)
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(n))


def test_epochs_differ_and_repeat() -> None:
    def orders(loader: DataLoader, count: int) -> list[list[int]]:
        return [np.concatenate(list(loader)).tolist() for _ in range(count)]

    x = np.arange(50)
    first = orders(DataLoader(x, shuffle=True, seed=3), 4)
    assert len({tuple(order) for order in first}) == 4
    assert orders(DataLoader(x, shuffle=True, seed=3), 4) == first
    assert orders(DataLoader(x, shuffle=True, seed=4), 1)[0] != first[0]
    resumed = DataLoader(x, shuffle=True, seed=3)
    resumed.set_epoch(2)
    assert orders(resumed, 2) == first[2:]
    assert resumed.epoch == 4


def test_an_epoch_left_half_way_counts() -> None:
    loader = DataLoader(np.arange(20), shuffle=True, batch_size=5)
    next(iter(loader))
    assert loader.epoch == 1
    a, b = iter(loader), iter(loader)  # two at once do not disturb each other
    assert np.concatenate(list(a)).tolist() != np.concatenate(list(b)).tolist()
    assert loader.epoch == 3


def test_next_order_is_what_iterating_takes() -> None:
    for shuffle in (False, True):
        for drop in (False, True):
            loaders = [DataLoader(np.arange(11), batch_size=4, shuffle=shuffle, drop_last=drop, seed=1) for _ in range(2)]
            order = loaders[0].next_order()
            assert order.dtype == np.int64
            assert order.tolist() == np.concatenate(list(loaders[1])).tolist()


@pytest.mark.parametrize(("x", "y", "options", "error", "message"), [
    (np.zeros((3, 1)), np.zeros(2), {}, ValueError, "one length, got x: 3, y: 2"),
    ((np.zeros(3), np.zeros(4)), None, {}, ValueError, r"x\[0\]: 3, x\[1\]: 4"),
    (1.0, None, {}, ValueError, "x: expected arrays with samples along axis 0, got a scalar"),
    (np.zeros(3), 1, {}, ValueError, "y: expected arrays"),
    ((), None, {}, ValueError, "x: expected at least one array"),
    (np.zeros(3), None, {"batch_size": 0}, ValueError, "batch_size: .*got 0"),
    (np.zeros(3), None, {"batch_size": 2.0}, TypeError, "batch_size: .*got 2.0"),
    (np.zeros(3), None, {"batch_size": True}, TypeError, "batch_size"),
    (np.zeros(3), None, {"seed": -1}, ValueError, "seed"),
    (np.zeros(3), None, {"seed": 2**64}, ValueError, "seed"),
])  # fmt: skip
def test_refuses(x: Any, y: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DataLoader(x, y, **options)


def test_set_epoch_refuses_a_negative_number() -> None:
    with pytest.raises(ValueError, match="epoch"):
        DataLoader([1]).set_epoch(-1)


def test_a_sampler_chooses_the_samples() -> None:
    orders = [[3, 0, 1, 2, 4], [2, 2, 2, 0, 0]]
    loaders = [DataLoader(np.arange(5), np.arange(5) * 10, batch_size=2, sampler=orders.__getitem__) for _ in range(2)]
    for order in orders:
        assert np.concatenate([x for x, _ in loaders[0]]).tolist() == order
        assert loaders[1].next_order().tolist() == order
    x = np.arange(10.0).reshape(5, 2)
    models = [nn.Sequential([nn.Input((2,)), nn.Dense(1)]) for _ in range(2)]
    for model in models:
        model.compile(nn.SGD(0.01), "mse", dtype="float64")
    loader = DataLoader(x, x[:, 1], batch_size=2, sampler=orders.__getitem__)
    models[0].fit(loader, epochs=2, verbose=0)
    for order in orders:
        models[1].fit(x[order], x[order, 1], batch_size=2, shuffle=False, verbose=0)
    for ours, expected in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 3], [0, 1, -1], [0.0, 1.0, 2.0], [[0], [1], [2]]])
def test_a_sampler_that_does_not_fit_is_an_error(order: Any) -> None:
    with pytest.raises(ValueError, match="sampler: expected"):
        iter(DataLoader(np.arange(3), sampler=lambda epoch: order))


def test_a_sampler_that_does_not_fit_is_an_error_in_training() -> None:
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    model.compile("sgd", "mse")
    loader = DataLoader(np.ones((3, 2)), np.ones(3), sampler=lambda epoch: [0, 1, 3])
    with pytest.raises(ValueError, match=r"expected indices in \[0, 2\], got 0 to 3"):
        model.fit(loader, verbose=0)


def test_a_sampler_is_a_function_and_the_only_one_to_choose() -> None:
    with pytest.raises(TypeError, match="sampler: expected a function"):
        DataLoader(np.arange(3), sampler=[0, 1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sampler: expected None beside shuffle"):
        DataLoader(np.arange(3), shuffle=True, sampler=lambda epoch: [0, 1, 2])
