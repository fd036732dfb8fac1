"""The promises of docs/determinism.md, line by line."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import nncore as nn
from nncore.callbacks import LambdaCallback
from nncore.data import DataLoader, MappedLoader
from processes import digest

SEED, BATCH, EPOCHS = 3, 48, 3
RNG = np.random.default_rng(8)
X, Y = RNG.standard_normal((230, 90)).astype("float32"), RNG.integers(0, 5, 230)


def make(dtype="float32"):
    a = nn.Input((90,))
    h = nn.Dropout(0.2)(nn.BatchNorm()(nn.Dense(140, activation="gelu")(a)))
    h = nn.Add()([nn.LayerNorm()(nn.Dense(140, activation="tanh")(h)), h])
    model = nn.Model(a, nn.Dense(5)(h))
    model.compile(nn.AdamW(nn.schedules.Cosine(0.01, 30), global_clipnorm=1.0), "cross_entropy", dtype=dtype, seed=SEED)
    return model


def trained(epochs=EPOCHS, data=(X, Y), **options):
    model = make()
    model.fit(*data, batch_size=BATCH, epochs=epochs, verbose=0, **options)
    return model


@pytest.fixture(scope="module")
def expected():
    return digest(trained())


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = nn.get_num_threads()
    yield
    nn.set_num_threads(before)


@pytest.mark.parametrize("threads", [*range(1, 9), 64])
def test_any_number_of_threads(threads, expected):
    nn.set_num_threads(threads)
    assert digest(trained()) == expected


SCRIPT = """
import hashlib
import numpy as np
import nncore as nn
rng = np.random.default_rng(8)
x, y = rng.standard_normal((230, 90)).astype("float32"), rng.integers(0, 5, 230)
a = nn.Input((90,))
layers = {f"part {i}": nn.Dense(8, name=f"dense{i}")(a) for i in set(map(int, "3120"))}
model = nn.Model(a, nn.Dense(5)(nn.Concatenate()([layers[name] for name in sorted(layers)])))
model.compile("adam", "cross_entropy", seed=3)
model.fit(x, y, epochs=2, verbose=0)
print(hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights()) + model.predict(x).tobytes()).hexdigest())
"""


def test_any_run():
    """Processes with other hashes of names, other environments, other numbers of threads."""
    runs = [("0", "1"), ("12345", "3")]
    variables = [
        {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": count, "MALLOC_PERTURB_": seed} for seed, count in runs
    ]
    command = [sys.executable, "-c", SCRIPT]
    started = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for env in variables]
    found = {process.communicate(timeout=120)[0] for process in started}
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_batch_and_any_neighbours(dtype):
    model = make(dtype)
    whole = model.predict(X)
    for batch in (1, 2, 3, 7, 16, 100, 229, 230, 10**6):
        assert model.predict(X, batch_size=batch).tobytes() == whole.tobytes()
    for threads in (1, 4):
        nn.set_num_threads(threads)
        for _ in range(20):
            rows = RNG.integers(0, len(X), int(RNG.integers(1, 300)))
            assert model.predict(X[rows]).tobytes() == whole[rows].tobytes()
        assert all(model.predict(X[i : i + 1])[0].tobytes() == whole[i].tobytes() for i in range(0, len(X), 11))
    far = np.full_like(X, 1e30)
    far[7] = X[7]
    assert model.predict(far)[7].tobytes() == whole[7].tobytes()


def test_interrupted_by_looks_at_the_clock(expected, monkeypatch):
    """A call of the engine that comes back after each step gives what one call for all of them gives."""
    monkeypatch.setattr("nncore.model._DEADLINE", 0.0)
    assert digest(trained()) == expected
    by_step = LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    assert digest(trained(callbacks=by_step)) == expected


def test_arrays_loaders_and_mapped_files(expected, tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    assert digest(trained(data=mapped)) == expected
    for x, y in ((X, Y), mapped):
        assert digest(trained(data=(DataLoader(x, y, batch_size=BATCH, shuffle=True, seed=SEED),))) == expected
    in_order = digest(trained(shuffle=False))
    assert in_order != expected
    loaders = (DataLoader(*mapped, batch_size=BATCH), MappedLoader(*mapped, batch_size=BATCH, shuffle=False))
    batches = [(X[i : i + BATCH], Y[i : i + BATCH]) for i in range(0, len(X), BATCH)]
    for given in (*loaders, batches):
        assert digest(trained(data=(given,))) == in_order
    layouts = (np.asfortranarray(X), X.astype(">f4"), X[::-1][::-1])
    assert {digest(trained(data=(x, Y))) for x in layouts} == {expected}


def test_saved_pickled_copied(tmp_path):
    model = trained()
    model.save(tmp_path / "m.safetensors")
    made = [nn.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)]
    answer = model.predict(X).tobytes()
    assert [other.predict(X).tobytes() for other in made] == [answer] * len(made)


def test_copies_go_on_as_the_model_does(expected):
    for copied in (copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))):
        other = copied(trained(1))
        other.fit(X, Y, batch_size=BATCH, epochs=EPOCHS - 1, verbose=0)
        assert digest(other) == expected


def test_resumed(expected, tmp_path):
    for epochs, threads in ((1, 1), (2, 4), (EPOCHS, 2)):
        nn.set_num_threads(threads)
        model = trained(epochs, checkpoint=tmp_path, resume=True)
    assert digest(model) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked(expected):
    half = trained(1)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            half.fit(X, Y, batch_size=BATCH, epochs=EPOCHS - 1, verbose=0)
            os.write(write, f"{digest(half)} {digest(trained())}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        found = pipe.read().split()
    os.waitpid(child, 0)
    assert found == [expected] * 2
