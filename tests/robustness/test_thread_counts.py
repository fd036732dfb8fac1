"""How many threads run: what the machine, the environment and other packages say, idle threads, signals, interpreters."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import threadpoolctl

import nncore as nn

linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the test reads and sets what Linux has")

TRAIN = """
import os, sys, threading, time
import numpy as np
import nncore as nn

def train():
    x = np.random.default_rng(0).standard_normal((1024, 256)).astype("float32")
    model = nn.Sequential([nn.Input((256,)), nn.Dense(512, activation="tanh"), nn.Dense(3)])
    model.compile("adam", "mse", seed=1)
    model.fit(x, x[:, :3], batch_size=512, epochs=2, verbose=0)
    return model.predict(x[:9]).tobytes()
"""


def python(code, **environment):
    """What `code` prints in a process of its own, with other variables, or without those that are None."""
    variables = {**os.environ, "OMP_NUM_THREADS": None, "OMP_WAIT_POLICY": None, **environment}
    known = {name: value for name, value in variables.items() if value is not None}
    done = subprocess.run([sys.executable, "-c", TRAIN + code], capture_output=True, text=True, timeout=120, env=known)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@linux
def test_affinity_and_the_environment():
    cpu = min(os.sched_getaffinity(0))
    assert python(f"os.sched_setaffinity(0, {{{cpu}}}); print(nn.get_num_threads())") == "1"
    assert 1 <= int(python("print(nn.get_num_threads())", OMP_NUM_THREADS="999")) <= len(os.sched_getaffinity(0))
    code = "print(nn.get_num_threads()); nn.set_num_threads(3); print(nn.get_num_threads())"
    assert python(code, OMP_NUM_THREADS="1").split() == ["1", "3"]


@linux
def test_what_is_set_is_what_runs():
    """Threads of the process, counted after a training: the team and, with one, nobody else."""
    count = "len(os.listdir('/proc/self/task'))"
    code = f"before = {count}; nn.set_num_threads(int(sys.argv[1])); train(); print({count} - before)"
    for asked, extra in ((1, "0"), (3, "2")):
        assert python(code.replace("sys.argv[1]", repr(asked))) == extra
    # Thousands would only wait for each other, or fail to start; and the bits are the same.
    code = (
        f"before = {count}; nn.set_num_threads(1); alone = train(); nn.set_num_threads(4096)\n"
        f"assert train() == alone; print({count} - before)"
    )
    assert 0 < int(python(code)) < max(64, 4 * (os.cpu_count() or 1))


def test_threadpoolctl_is_honoured():
    _ = nn.get_num_threads()  # loads the core
    before = nn.get_num_threads()
    nn.set_num_threads(4)
    try:
        assert [info for info in threadpoolctl.threadpool_info() if info["user_api"] == "openmp"]
        with threadpoolctl.threadpool_limits(1):
            assert nn.get_num_threads() == 1
        assert nn.get_num_threads() == 4
        with threadpoolctl.threadpool_limits(1, user_api="openmp"):
            assert nn.get_num_threads() == 1
            nn.set_num_threads(3)
        assert nn.get_num_threads() == 3
    finally:
        nn.set_num_threads(before)


@linux
def test_threadpoolctl_limits_the_threads_that_start():
    code = """
import threadpoolctl
nn.set_num_threads(4)
before = len(os.listdir('/proc/self/task'))
with threadpoolctl.threadpool_limits(1):
    train()
print(len(os.listdir('/proc/self/task')) - before)
"""
    assert python(code) == "0"


def test_idle_threads_burn_no_cpu():
    """After a training the team is asleep, at the latest after some spins of the OpenMP runtime."""
    code = "nn.set_num_threads(3); train(); time.sleep(0.2); began = time.process_time(); time.sleep(0.5); "
    assert float(python(code + "print(time.process_time() - began)")) < 0.05


def test_beside_scikit_learn_s_openmp():
    """Both train in turn, and then nncore in a forked child; a deadlock ends in the limit of time.

    In other orders, and with PyTorch, .ci/try_wheel.py does so.
    """
    code = """
from sklearn.cluster import KMeans
x = np.r_[np.zeros((600, 4)), np.ones((600, 4))]
results = set()
for _ in range(2):
    results.add(train())
    labels = KMeans(2, n_init=1, random_state=0).fit_predict(x)
    assert len(set(labels[:600])) == len(set(labels[600:])) == 1
child = os.fork()
if not child:
    os._exit(0 if train() in results else 1)
assert os.waitpid(child, 0)[1] == 0
print(len(results))
"""
    assert python(code, OMP_WAIT_POLICY="passive") == "1"


def test_sigterm_ends_a_long_training_at_once():
    code = """
import signal
x = np.zeros((100_000, 64), "float32")
model = nn.Sequential([nn.Input((64,)), nn.Dense(64), nn.Dense(1)])
model.compile("sgd", "mse")
signal.signal(signal.SIGTERM, {handler})
model.predict(x[:1])
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
try:
    model.fit(x, x[:, :1], epochs=10**6, verbose=0)
except SystemExit as error:
    print(error, model.history.unfinished.get("samples", 0) % 32, flush=True)
    os._exit(0)
"""
    assert python(code.replace("{handler}", "lambda *_: sys.exit('asked')")) == "asked 0"
    plain = [sys.executable, "-c", TRAIN + code.replace("{handler}", "signal.SIG_DFL")]
    assert subprocess.run(plain, timeout=60, check=False).returncode == -15


def test_a_second_interpreter_is_refused_or_works():
    """NumPy refuses to be loaded twice; whatever happens, the process goes on."""
    code = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
second = interpreters.create()
text = '''
try:
    import nncore
    print(nncore.Sequential([nncore.Input((4,)), nncore.Dense(2)]).predict([[1, 2, 3, 4]]).shape)
except ImportError as error:
    print("ImportError")
'''
interpreters.run_string(second, text)
interpreters.destroy(second)
assert train() == train()
"""
    assert python(code) in ("ImportError", "(1, 2)")
