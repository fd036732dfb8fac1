"""After training in the parent, children of every kind train and predict: the same bits, and nobody hangs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest

import nncore as nn
import processes
from nncore.caching import cached_property

LIMIT = 120  # seconds, after which a child hangs

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(scope="module")
def expected():
    """What the training of every process comes to; made by threads, which no child has."""
    before = nn.get_num_threads()
    nn.set_num_threads(3)
    result = processes.train_anew()
    nn.set_num_threads(before)
    return result


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_every_start_method(method, expected):
    model = nn.Sequential([nn.Input((6,)), nn.Dense(5)])
    x = np.random.default_rng(1).standard_normal((50, 6))
    with multiprocessing.get_context(method).Pool(2) as pool:
        trained = [pool.apply_async(processes.train_anew) for _ in range(2)]
        answer = pool.apply_async(processes.ask, (model, x))
        assert [result.get(timeout=LIMIT) for result in trained] == [expected] * 2
        assert answer.get(timeout=LIMIT) == model.predict(x).tobytes()
    assert processes.train_anew() == expected  # and the parent goes on


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_every_backend_of_joblib(backend, expected):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        results = joblib.Parallel(timeout=LIMIT)(joblib.delayed(processes.train_anew)() for _ in range(3))
    assert results == [expected] * 3


def finish(child):
    """The status with which the forked child ends."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the child hangs")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forks_while_another_thread_trains(expected):
    stop = threading.Event()
    x = np.zeros((4000, 64), "float32")
    busy = nn.Sequential([nn.Input((64,)), nn.Dense(128), nn.Dense(1)])
    busy.compile("sgd", "mse")
    fresh = nn.Sequential([nn.Input((64,)), nn.Dense(1)])
    answer = fresh.predict(x[:3]).tobytes()

    def train():
        while not stop.is_set():
            busy.fit(x, x[:, :1], verbose=0)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if not child:
                status = 1
                try:
                    good = processes.train_anew() == expected and fresh.predict(x[:3]).tobytes() == answer
                    try:
                        busy.fit(x, x[:, :1], verbose=0)
                    except RuntimeError as error:
                        good = good and "when the process forked; make a new one" in str(error)
                    status = 0 if good else 2
                finally:
                    os._exit(status)
            assert finish(child) == 0
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
def test_a_fork_while_another_thread_computes_an_attribute():
    """Python 3.11's `functools.cached_property` has a lock for all instances, which would stay locked in the child."""
    started, go_on = threading.Event(), threading.Event()

    class Slow:
        @cached_property
        def value(self) -> int:
            if threading.current_thread() is not threading.main_thread():
                started.set()
                go_on.wait(LIMIT)
            return 3

    thread = threading.Thread(target=lambda: Slow().value)
    thread.start()
    assert started.wait(LIMIT)
    child = os.fork()
    if child == 0:
        os._exit(Slow().value)
    end = time.monotonic() + LIMIT
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    go_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(found[1]) == 3
    assert found[0] == child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_beside_another_thread_s_first_imports():
    """The child would wait for ever for an import that a thread of the parent has begun."""
    script = """
import os, sys, threading, time
import numpy as np
import nncore as nn
def train():
    x = np.ones((8, 4), "float32")
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    model.compile("adam", "mse")
    model.fit(x, x[:, :2], verbose=0)
thread = threading.Thread(target=train)
thread.start()
children = []
while thread.is_alive() and len(children) < 30:
    children.append(os.fork())
    if not children[-1]:
        train()
        os._exit(0)
    time.sleep(0.004)
thread.join()
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=LIMIT)
