"""The memory that a training step takes, against the formula of docs/performance.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from Linux's /proc"
)

MEASURE = """
import ctypes, sys
from pathlib import Path
import numpy as np
import nncore as nn

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

widths, rows = [int(n) for n in sys.argv[1].split("-")], int(sys.argv[2])
nn.set_num_threads(1)
x, y = np.ones((rows, widths[0]), "float32"), np.zeros((rows, widths[-1]), "float32")

def model(widths):
    made = nn.Sequential([nn.Input((widths[0],)), *(nn.Dense(n, activation="tanh") for n in widths[1:])])
    made.compile("adam", "mse")
    return made

model([widths[0], 1, widths[-1]]).train_on_batch(x, y)  # what the first step of a process takes once
trim = ctypes.CDLL(None).malloc_trim  # what has been freed shall not count
trim(0)
before = memory("VmRSS")
built = model(widths)
trim(0)
Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
for _ in range(2):
    built.train_on_batch(x, y)
print(memory("VmHWM") - before)
"""


def formula(widths: list[int], rows: int) -> int:
    """Bytes of a step of dense layers with Adam in float32; see docs/performance.md."""
    wide = [-(-n // 16) * 16 for n in widths]
    parameters = sum(k * n for k, n in zip(widths, wide[1:], strict=False)) + sum(wide[1:])
    transposed = [wide[i] * widths[i + 1] for i in range(1, len(widths) - 1)]
    spaced = [n + 16 if n % 256 == 0 else n for n in wide]
    activations = [rows * n for n in (spaced[0], *spaced[1:], *spaced[1:], widths[-1])]
    return sum(map(allocated, [*4 * [parameters], *transposed, *activations]))


def allocated(size: int) -> int:
    """Bytes of a buffer of `size` floats: those of 4 MiB and more are made of huge pages."""
    page = 2 * 2**20
    return -(-4 * size // page) * page if 4 * size >= 2 * page else 4 * size


@pytest.mark.parametrize(("widths", "rows"), [("1024-2048-2048-512", 256), ("64-512-512-512-512-512-8", 8192)])
def test_the_peak_of_a_step_is_what_the_formula_says(widths, rows):
    run = subprocess.run([sys.executable, "-c", MEASURE, widths, str(rows)], capture_output=True, text=True, check=True)
    measured, expected = int(run.stdout), formula([int(n) for n in widths.split("-")], rows)
    assert 0.9 * expected <= measured <= 1.05 * expected + 4 * 2**20
