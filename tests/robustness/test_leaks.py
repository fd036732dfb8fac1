"""Memory stays flat: the command for thousands of cycles, run with few."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from robustness import leaks

pytestmark = pytest.mark.skipif(not hasattr(leaks.LIBC, "mallinfo2"), reason="needs glibc 2.33 or later")


def test_some_cycles_of_each_kind():
    command = [sys.executable, "-W", "error", leaks.__file__, "--cycles", "60"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert [json.loads(line)["cycle"] for line in run.stdout.splitlines()] == list(leaks.CYCLES)


def test_a_leak_is_found():
    """What is kept of each cycle, whether Python's objects or arrays, shows as a slope."""
    kept: list[object] = []
    for what, column in ((lambda: kept.append(bytearray(600)), 0), (lambda: kept.append({1: [2]}), 1)):
        slopes, _, _ = leaks.measure(what, 50)
        assert slopes[column] > leaks.MOST[column]
