"""The thread setting, equal bits for any of them, models shared by Python threads, and forks."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading

import numpy as np
import pytest

import nncore as nn


@pytest.mark.parametrize("n", [0, -1, 4097, 2.0, "2", None, True])
def test_bad_numbers(n):
    with pytest.raises(ValueError, match="n: expected an integer from 1 to 4096"):
        nn.set_num_threads(n)


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = nn.get_num_threads()
    yield
    nn.set_num_threads(before)


@pytest.mark.parametrize("n", [1, 3, np.int64(5)])
def test_set_and_get(n):
    nn.set_num_threads(n)
    assert nn.get_num_threads() == n


def _train(dtype):
    """Wide enough for four threads and several tiles of every weight."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 150)), rng.integers(0, 40, 200)
    layers = [nn.Dense(130, activation="gelu"), nn.Dropout(0.3), nn.Dense(70, activation="tanh"), nn.Dense(40)]
    model = nn.Sequential([nn.Input((150,)), *layers])
    model.compile("adam", "cross_entropy", metrics=["accuracy"], dtype=dtype, seed=3)
    history = model.fit(x, y, batch_size=64, epochs=3, verbose=0).history
    return [
        history["loss"],
        history["accuracy"],
        model.evaluate(x, y),
        model.predict(x).tobytes(),
        *map(bytes, model.get_weights()),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads_or_run(dtype):
    nn.set_num_threads(1)
    expected = _train(dtype)
    for n in (1, 2, 3, 4):
        nn.set_num_threads(n)
        assert _train(dtype) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fewer_samples_than_threads_share_the_columns(dtype):
    x = np.random.default_rng(0).standard_normal((7, 190)).astype(dtype)
    layers = [nn.Dense(1500, activation="gelu"), nn.BatchNorm(), nn.Dense(703, use_bias=False), nn.Dense(9)]
    model = nn.Sequential([nn.Input((190,)), *layers, nn.Activation("softmax")])
    model.compile("adam", "mse", dtype=dtype, seed=3)
    nn.set_num_threads(1)
    expected = model.predict(x)
    for n in (1, 2, 3, 5):
        nn.set_num_threads(n)
        for rows in range(1, 8):
            np.testing.assert_array_equal(model.predict(x[:rows]), expected[:rows])


def test_one_model_in_many_python_threads():
    """Calls take turns: each answer is that of a model used alone, or an error that says what came in between."""
    rng = np.random.default_rng(1)
    model = nn.Sequential([nn.Input((20,)), nn.Dense(30, activation="relu"), nn.Dense(5)])
    sizes = [3, 40, 700, 2000]
    inputs = [rng.standard_normal((n, 20)).astype("float32") for n in sizes]
    expected = [model.predict(x) for x in inputs]
    failures: list[object] = []

    def work(k):
        for _ in range(60):
            if not np.array_equal(model.predict(inputs[k]), expected[k]):
                failures.append(f"prediction of {sizes[k]} rows")
            try:
                y = model.forward(inputs[k], training=True)
                model.backward(y)
            except (RuntimeError, ValueError):
                continue
            except Exception as error:
                failures.append(error)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


_FORK = """
import os, sys
import numpy as np
import nncore as nn
def train():
    rng = np.random.default_rng(0)
    model = nn.Sequential([nn.Input((200,)), nn.Dense(300, activation="relu"), nn.Dense(3)])
    model.compile("adam", "cross_entropy")
    return model.fit(rng.standard_normal((512, 200)), rng.integers(0, 3, 512), verbose=0).history["loss"]
{parent}
pid = os.fork()
if pid == 0:
    os._exit(0 if len(train()) == 1 else 1)
sys.exit(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.parametrize("parent", ["", "train()"], ids=["fresh", "trained"])
def test_a_forked_child_trains(parent):
    script = _FORK.format(parent=parent)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_a_child_of_a_busy_model_is_told():
    """A model that a thread trained while the process forked is refused in the child; a new one works."""
    script = """
import os, sys, threading, time
import numpy as np
import nncore as nn
x, y = np.zeros((20000, 300), "float32"), np.zeros(20000, int)
model = nn.Sequential([nn.Input((300,)), nn.Dense(300), nn.Dense(3)])
model.compile("sgd", "cross_entropy")
threading.Thread(target=model.fit, args=(x, y), kwargs={"epochs": 3, "verbose": 0}).start()
time.sleep(0.3)
pid = os.fork()
if pid == 0:
    try:
        model.predict(x[:2])
    except RuntimeError as error:
        assert "when the process forked" in str(error)
    fresh = nn.Sequential([nn.Input((300,)), nn.Dense(3)])
    os._exit(0 if fresh.predict(x[:2]).shape == (2, 3) else 1)
sys.exit(os.waitpid(pid, 0)[1])
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)


def test_daemon_threads_at_the_end_of_the_process():
    """The interpreter stops them wherever they wait for it; that in native code must not end in an abort."""
    script = """
import threading, time
import numpy as np
import nncore as nn
class Own(nn.Layer):
    def forward(self, x):
        end = time.perf_counter() + 0.005
        while time.perf_counter() < end:
            pass
        return x
    def backward(self, x, y, dy):
        return dy
x, y = np.zeros((500, 50), "float32"), np.zeros(500, int)
def made(*layers):
    model = nn.Sequential([nn.Input((50,)), nn.Dense(100), *layers, nn.Dense(3)])
    model.compile("sgd", "cross_entropy")
    return model
def forever(call, *arguments):
    while True:
        call(*arguments)
for call in (made().predict, made(Own()).predict, lambda x: nn.ops.matmul(x, x.T)):
    threading.Thread(target=forever, args=(call, x), daemon=True).start()
for model in (made(), made(Own())):
    threading.Thread(target=forever, args=(model.train_on_batch, x, y), daemon=True).start()
time.sleep(0.3)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
