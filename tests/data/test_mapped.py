"""MappedLoader: the rows, batches and orders that it promises, training on them, and the memory it takes."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncore as nn
from nncore.data import Chunk, ChunkLoader, MappedLoader

N = 103


@pytest.fixture
def files(tmp_path):
    """Rows that tell their own place, in two files each: x [n, 3], y [n]."""
    x, y = np.arange(N * 3, dtype=np.float32).reshape(N, 3), np.arange(N)
    for name, array in (("x", x), ("y", y)):
        np.save(tmp_path / f"{name}0.npy", array[:40])
        np.save(tmp_path / f"{name}1.npy", array[40:])
    return tmp_path


def paths(folder, name):
    return [folder / f"{name}0.npy", folder / f"{name}1.npy"]


def places(loader):
    """The rows of each batch of an epoch, by the target, which must belong to the sample."""
    batches = list(loader)
    for x, y in batches:
        np.testing.assert_array_equal(x[:, 0], 3 * y)
    return [y.tolist() for _, y in batches]


def promised(n, block, blocks, seed, epoch):
    """The order that the documentation promises."""
    draw = np.random.Generator(np.random.Philox(key=np.array([seed, 2**63 + epoch], np.uint64)))
    starts = np.arange(0, n, block)
    draw.shuffle(starts)
    order = []
    for begin in range(0, len(starts), blocks):
        rows = np.concatenate([np.arange(s, min(s + block, n)) for s in starts[begin : begin + blocks]])
        places = np.arange(len(rows))
        draw.shuffle(places)
        order += rows[places].tolist()
    return order


def test_rows_come_as_they_lie(files):
    expected = [list(range(i, min(i + 8, N))) for i in range(0, N, 8)]
    x, y = (np.concatenate([np.load(path) for path in paths(files, name)]) for name in "xy")
    for loader in (
        MappedLoader(paths(files, "x"), paths(files, "y"), batch_size=8, block_size=7, memory=2000),
        MappedLoader(x, y, batch_size=8),
        MappedLoader([np.load(path, mmap_mode="r") for path in paths(files, "x")], y.tolist(), batch_size=8, memory=3000),
    ):
        assert (len(loader), loader.samples) == (13, N)
        assert places(loader) == expected
        assert places(loader) == expected


@pytest.mark.parametrize(("batch", "block", "memory"), [(8, 4, 1600), (4, 8, 1500), (5, 1, 700), (32, 5, 3000)])
def test_shuffled_in_blocks(files, batch, block, memory):
    loader = MappedLoader(
        paths(files, "x"), paths(files, "y"), batch_size=batch, shuffle=True, seed=3, block_size=block, memory=memory
    )
    blocks = loader._blocks
    assert loader.window_size == min(blocks * block, N)
    assert blocks * block < N
    for epoch in range(2):
        order = promised(N, block, blocks, 3, epoch)
        assert sorted(order) == list(range(N))
        assert places(loader) == [order[i : i + batch] for i in range(0, N, batch)]
    loader.set_epoch(0)
    assert places(loader)[0] == promised(N, block, blocks, 3, 0)[:batch]


@given(
    n=st.integers(1, 60),
    batch=st.integers(1, 12),
    block=st.integers(1, 12),
    spare=st.integers(0, 2000),
    shuffle=st.booleans(),
    cut=st.integers(0, 60),
)
def test_every_row_once_in_whole_batches(n, batch, block, spare, shuffle, cut):
    y = np.arange(n)
    parts = [part for part in (y[:cut], y[cut:]) if len(part)]
    memory = 2 * (batch + block) * 32 + block * 16 + spare
    loader = MappedLoader(parts, y, batch_size=batch, shuffle=shuffle, block_size=block, memory=memory)
    sizes = []
    rows = []
    for chunk in loader.chunks():
        order = np.arange(len(chunk.x)) if chunk.order is None else chunk.order
        np.testing.assert_array_equal(chunk.x[order], chunk.y[order])
        rows += chunk.x[order].tolist()
        sizes.append(len(order))
        assert len(chunk.x) <= loader.window_size + batch - 1
    assert sorted(rows) == list(range(n))
    assert all(size and size % batch == 0 for size in sizes[:-1])
    assert shuffle or rows == list(range(n))


def test_several_inputs_weights_and_types(tmp_path):
    a, b = np.arange(10, dtype=">i2").reshape(10, 1), np.linspace(0, 1, 20).reshape(10, 2).astype(np.float16)
    loader = MappedLoader({"a": a, "b": b}, (b > 0.5, b[:, 0]), sample_weight=np.arange(10.0), batch_size=4)
    batches = list(loader)
    for i, (x, y, weight) in enumerate(batches):
        rows = slice(4 * i, min(4 * i + 4, 10))
        np.testing.assert_array_equal(x["a"], a[rows])
        np.testing.assert_array_equal(x["b"], b[rows])
        np.testing.assert_array_equal(y[0], b[rows] > 0.5)
        np.testing.assert_array_equal(y[1], b[rows, 0])
        np.testing.assert_array_equal(weight, np.arange(10.0)[rows])
    assert len(batches) == 3
    x, y, _ = batches[0]
    assert (x["a"].dtype.isnative, x["b"].dtype, y[0].dtype) == (True, np.float32, np.uint8)


def models(engine_name):
    made = []
    for _ in range(2):
        model = nn.Sequential([nn.Input((3,)), nn.Rescaling(0.01), nn.Dense(5, activation="tanh"), nn.Dense(N)])
        model.compile(nn.Adam(0.01), "cross_entropy", metrics=["accuracy"], engine=engine_name, dtype="float64", seed=4)
        made.append(model)
    return made


@pytest.mark.parametrize("shuffle", [False, True])
def test_fit_is_a_loop_over_the_batches(files, engine_name, shuffle):
    options = {"batch_size": 8, "shuffle": shuffle, "seed": 9, "block_size": 5, "memory": 1500}
    fitted, looped = models(engine_name)
    history = fitted.fit(MappedLoader(paths(files, "x"), paths(files, "y"), **options), epochs=3, verbose=0).history
    loader, losses = MappedLoader(paths(files, "x"), paths(files, "y"), **options), []
    for _ in range(3):
        batches = [(len(x), looped.train_on_batch(x, y)["loss"]) for x, y in loader]
        losses.append(sum(n * loss for n, loss in batches) / N)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-13)
    for a, b in zip(fitted.get_weights(), looped.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_unshuffled_it_is_fit_on_arrays(files, engine_name):
    x, y = (np.concatenate([np.load(path) for path in paths(files, name)]) for name in "xy")
    mapped, arrays = models(engine_name)
    loader = MappedLoader(paths(files, "x"), paths(files, "y"), batch_size=8, memory=1500)
    histories = [
        mapped.fit(loader, epochs=2, verbose=0, validation_data=loader).history,
        arrays.fit(x, y, 8, epochs=2, shuffle=False, verbose=0, validation_data=(x, y)).history,
    ]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-13)
    assert mapped.evaluate(loader) == pytest.approx(arrays.evaluate(x, y, 8), rel=1e-13)
    for a, b in zip(mapped.get_weights(), arrays.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_goes_on_where_it_was(files, tmp_path):
    """From a checkpoint, with a loader of its own: the next epoch's order, not the first one's again."""

    def loader():
        return MappedLoader(paths(files, "x"), paths(files, "y"), batch_size=8, shuffle=True, memory=1500)

    whole, parted = models("native")
    whole.fit(loader(), epochs=4, verbose=0)
    parted.fit(loader(), epochs=2, checkpoint=tmp_path / "c", verbose=0)
    resumed, _ = models("native")
    resumed.fit(loader(), epochs=4, checkpoint=tmp_path / "c", resume=True, verbose=0)
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_as_a_stream_without_end(files):
    streamed, looped = models("native")
    options = {"batch_size": 8, "shuffle": True, "memory": 1500}
    streamed.fit(MappedLoader(paths(files, "x"), paths(files, "y"), **options), epochs=2, steps_per_epoch=10, verbose=0)
    loader = MappedLoader(paths(files, "x"), paths(files, "y"), **options)
    for x, y in [*loader, *loader][:20]:
        looped.train_on_batch(x, y)
    for a, b in zip(streamed.get_weights(), looped.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_chunk_is_one_call_of_the_engine(files, monkeypatch):
    model, _ = models("native")
    monkeypatch.setattr("nncore.model._DEADLINE", float("inf"))
    loader = MappedLoader(paths(files, "x"), paths(files, "y"), batch_size=4, memory=3000)
    chunks = sum(1 for _ in loader.chunks())
    assert 1 < chunks < len(loader)
    calls = []
    run = model.engine.run
    monkeypatch.setattr(model.engine, "run", lambda *a, **k: calls.append(k["batch_size"]) or run(*a, **k))
    model.fit(loader, verbose=0)
    assert calls == [4] * chunks


def test_the_thread_ends_with_the_epoch(files):
    def alive():
        return [thread for thread in threading.enumerate() if thread.name.startswith("nncore-ahead")]

    loader = MappedLoader(paths(files, "x"), paths(files, "y"), batch_size=4, memory=1500)
    for _ in loader:
        assert len(alive()) == 1
        break
    assert alive() == []
    model, _ = models("native")
    wrong = MappedLoader(paths(files, "x"), [np.arange(N) - 90], batch_size=4, memory=1500)
    with pytest.raises(ValueError, match="class indices"):
        model.fit(wrong, verbose=0)
    assert alive() == []


def test_a_loader_of_ones_own(engine_name):
    class Two(ChunkLoader):
        def chunks(self):
            self._begin_epoch()
            yield Chunk(np.ones((8, 3)), np.zeros(8, int), None, np.arange(4))
            yield Chunk(np.ones((3, 3)), np.zeros(3, int), None, None)

    class Empty(ChunkLoader):
        def chunks(self):
            yield from ()

    model, _ = models(engine_name)
    history = model.fit(Two(batch_size=4), epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert [len(y) for _, y in Two(batch_size=4)] == [4, 3]
    with pytest.raises(ValueError, match="expected a loader with at least one chunk"):
        model.fit(Empty(), verbose=0)


@pytest.mark.parametrize(("x", "y", "options", "error", "message"), [
    (np.zeros((3, 2)), np.zeros(4), {}, ValueError, "expected arrays of one length, got x: 3, y: 4"),
    (np.zeros((3, 2), complex), np.zeros(3), {}, TypeError, "x: expected real numbers, got dtype complex128"),
    (np.zeros(()), np.zeros(3), {}, ValueError, "x: expected an array with one sample per row, got a scalar"),
    ([np.zeros((3, 2)), np.zeros((3, 1))], np.zeros(6), {}, ValueError, r"expected float64 of shape \(n, 2\) as in"),
    ([np.zeros(3), np.zeros(3, int)], np.zeros(6), {}, ValueError, "as in its first part, got int64"),
    ((), np.zeros(3), {}, ValueError, "x: expected at least one array, got an empty tuple"),
    (np.zeros((0, 2)), np.zeros(0), {}, ValueError, "x: expected at least one sample, got none"),
    (np.zeros((3, 2)), np.zeros(3), {"batch_size": 0}, ValueError, "batch_size: expected an integer in"),
    (np.zeros((3, 2)), np.zeros(3), {"shuffle": 1}, TypeError, "shuffle: expected True or False, got 1"),
    (np.zeros((3, 2)), np.zeros(3), {"seed": -1}, ValueError, "seed: expected an integer in"),
    (np.zeros((3, 2)), np.zeros(3), {"memory": 99}, ValueError, "memory: expected at least 2664 bytes for batches of 32"),
    (np.zeros((3, 2)), np.zeros(3), {"block_size": 0}, ValueError, "block_size: expected an integer in"),
    (np.zeros((3, 2)), np.zeros(3), {"sample_weight": np.ones(2)}, ValueError, r"sample_weight: .* got shape \(2,\)"),
])  # fmt: skip
def test_wrong_arguments(x, y, options, error, message):
    with pytest.raises(error, match=message):
        MappedLoader(x, y, **options)


def test_wrong_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        MappedLoader(tmp_path / "none.npy", np.zeros(3))
    (tmp_path / "text.npy").write_text("hello, this is text")
    with pytest.raises(ValueError, match=r"x: expected a \.npy file, got .*text\.npy"):
        MappedLoader(tmp_path / "text.npy", np.zeros(3))
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"x: expected a \.npy file, got an archive"):
        MappedLoader(tmp_path / "a.npz", np.zeros(3))


def test_views_of_maps(tmp_path):
    """Those in one piece are read from the file, all others through the map."""
    x = np.arange(600, dtype=">f4").reshape(100, 6)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    y = np.arange(100)
    for view in (mapped, mapped[7:], mapped[::2], mapped[:, 1:3], mapped[20:50].reshape(30, 2, 3)):
        loader = MappedLoader(view, y[: len(view)], batch_size=16, memory=4000)
        assert (loader._x._files != [None]) == view.flags.c_contiguous
        np.testing.assert_array_equal(np.concatenate([batch for batch, _ in loader]), view)


def test_a_file_that_was_replaced(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.ones((100, 2)))
    mapped = np.load(path, mmap_mode="r")
    np.save(tmp_path / "new.npy", np.zeros((100, 2)))
    (tmp_path / "new.npy").replace(path)
    assert all((batch == 1).all() for batch, _ in MappedLoader(mapped, np.zeros(100)))
    loader = MappedLoader(path, np.zeros(100))
    with path.open("r+b") as file:
        file.truncate(500)
    with pytest.raises(OSError, match=r"x\.npy: ends before its last row"):
        list(loader)


def test_a_map_that_was_written_to_keeps_what_was_written(tmp_path):
    """Which is in memory only."""
    np.save(tmp_path / "x.npy", np.zeros((3000, 4)))
    x = np.load(tmp_path / "x.npy", mmap_mode="c")
    x[:] = 7
    assert all((batch == 7).all() for batch, _ in MappedLoader(x, np.zeros(3000), batch_size=64, memory=50_000))
    assert (x == 7).all()


# The peak of resident memory is asked of Linux after it has been reset, so that imports and warm-up do not hide it.
PEAK = """
import sys
import numpy as np
import nncore as nn

folder, how, cap = sys.argv[1], sys.argv[2], int(sys.argv[3])


def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


model = nn.Sequential([nn.Input((64,)), nn.Dense(8, activation="relu"), nn.Dense(10)])
model.compile(nn.SGD(1e-3), "cross_entropy")
ones, zeros = np.ones((256, 64), np.float32), np.zeros(256, np.uint8)
model.fit(nn.data.MappedLoader(ones, zeros, batch_size=32, shuffle=True, memory=10**6), verbose=0)
model.fit(ones, zeros, verbose=0)
if how == "mapped":
    parts = [f"{folder}/x{i}.npy" for i in range(2)]
    data = nn.data.MappedLoader(parts, f"{folder}/y.npy", batch_size=32, shuffle=True, memory=cap)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = status("VmRSS")
if how == "mapped":
    logs = model.fit(data, epochs=2, verbose=0).history
else:
    x, y = np.concatenate([np.load(f"{folder}/x{i}.npy") for i in range(2)]), np.load(f"{folder}/y.npy")
    logs = model.fit(x, y, epochs=1, verbose=0).history
assert len(logs["loss"]) >= 1
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells the peak of resident memory")
def test_an_epoch_over_four_times_the_memory_stays_within_it(tmp_path):
    rng, cap = np.random.default_rng(0), 2**24
    rows = cap // (64 * 4) * 2  # in each of two files of 32 MB
    for i in range(2):
        np.save(tmp_path / f"x{i}.npy", rng.random((rows, 64), np.float32))
    np.save(tmp_path / "y.npy", rng.integers(0, 10, 2 * rows).astype(np.uint8))
    assert 2 * rows * 64 * 4 == 4 * cap

    def growth(how):
        command = [sys.executable, "-c", PEAK, str(tmp_path), how, str(cap)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert growth("mapped") < cap
    assert growth("arrays") > 4 * cap  # so it is measured
