"""No memory: a MemoryError and a model as before, whichever allocation fails; and sizes that nothing has room for."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nncore as nn
from robustness import failing_allocations

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
HERE = Path(__file__).parent


@pytest.mark.skipif(not sys.platform.startswith("linux") or COMPILER is None, reason="needs glibc and a C compiler")
def test_every_allocation_of_the_core_and_of_numpy(tmp_path):
    library = tmp_path / "failing.so"
    subprocess.run(
        [COMPILER, "-O1", "-shared", "-fPIC", "-o", library, HERE / "failing_allocations.c"], check=True, timeout=60
    )
    run = subprocess.run(
        [sys.executable, HERE / "failing_allocations.py"],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    counts: dict[str, int] = {}
    for line in run.stdout.splitlines():
        counts |= json.loads(line)
    assert list(counts) == [*failing_allocations.CASES, *failing_allocations.OPS]
    assert min(counts.values()) > 0
    assert sum(counts.values()) > 1000


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Dense(10**12), "units of 'dense': expected a value in"),
        (lambda: nn.Dense(2**63), "units of 'dense': expected a value in"),
        (lambda: nn.Sequential([nn.Input((2**40, 2**40)), nn.Flatten()]).compile(), "expected at most"),
        (lambda: nn.Embedding(2**40, 2), "input_dim of 'embedding': expected a value in"),
    ],
)
def test_sizes_out_of_bounds(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_network_beyond_any_memory():
    """Parameters of 200 TiB are more than addresses reach; no memory is touched."""
    model = nn.Sequential([nn.Input((2**20,)), *(nn.Dense(2**20, use_bias=False) for _ in range(50))])
    with pytest.raises(MemoryError):
        model.compile("sgd", "mse")
    small = nn.Sequential([nn.Input((2,)), nn.Dense(2)])
    assert small.predict(np.zeros((3, 2))).shape == (3, 2)


@pytest.mark.parametrize("length", [2**58, 2**59, 2**60])
def test_views_beyond_any_memory(length):
    """Arrays that repeat one number: sizes computed from theirs overflow."""
    one = np.float32(1)
    with pytest.raises(MemoryError):
        nn.ops.matmul(np.broadcast_to(one, (1, length)), np.broadcast_to(one, (length, 1)))


def test_no_elements_on_a_huge_plane():
    """Of these arrays no element is there to be worked on, but there are 2**60 places along the axis."""
    x = np.zeros((2**30, 0, 2**30), np.float32)
    assert nn.ops.softmax(x, axis=1).shape == x.shape
    assert nn.ops.softmax_backward(x, x, x, axis=1).shape == x.shape


def test_a_view_beyond_memory_as_samples():
    """The conversion of all samples at once would need 2 PiB."""
    model = nn.Sequential([nn.Input((2,)), nn.Dense(2)])
    model.compile("sgd", "mse")
    before = [w.tobytes() for w in model.get_weights()]
    x = np.broadcast_to(np.float32(1), (2**48, 2))
    with pytest.raises(MemoryError):
        model.predict(x)
    with pytest.raises(MemoryError):
        model.fit(x, x, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == before


def test_python_has_no_memory_for_what_is_returned():
    """pybind11 has an error of its own for it, which nobody expects."""
    testcapi = pytest.importorskip("_testcapi", reason="this Python came without its own tests")
    model, x = nn.Sequential([nn.Input((2,)), nn.Dense(2)]), np.ones((3, 2), "float32")
    model.forward(x)
    failures = 0
    for n in itertools.count():
        testcapi.set_nomemory(n, n + 1)
        try:
            model.engine._core.forward([x], False)
        except MemoryError:
            failures += 1
        else:
            break
        finally:
            testcapi.remove_mem_hooks()
    assert failures > 1
