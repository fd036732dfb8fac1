"""A short run of the soak test: processes, threads and faults together, and the page of its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak"


def run(*arguments: object) -> str:
    command = [sys.executable, SOAK, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_short_run(tmp_path):
    figures, page = tmp_path / "soak.json", tmp_path / "page.md"
    run("--seconds", 4, "--cases", 6, "--workers", 3, "--json", figures, "--markdown", page)
    found = json.loads(figures.read_text())
    assert found["failures"] == []
    assert found["left"] == 0
    assert found["tally"]["steps"] > 0
    assert sum(count for name, count in found["tally"].items() if name.startswith("fault ")) > 0
    assert set(found["started"]) == {"fork", "spawn", "forkserver"}
    text = page.read_text()
    assert "| failures | 0 |" in text
    page.unlink()
    run("--page-of", figures, "--markdown", page)
    assert page.read_text() == text


def test_one_job_can_be_repeated():
    assert "'job train': 1" in run("--repeat", "train:3:17")
