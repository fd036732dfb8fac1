"""The command that compares speeds: its table, and that both reach the same score."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "sklearn_mlp.py"


def test_the_table(capsys):
    spec = spec_from_file_location("benchmark_sklearn_mlp", PATH)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    speedups = module.main(["--data", "diabetes", "breast_cancer", "--repeats", "1", "--max-iter", "5"])
    assert list(speedups) == ["diabetes", "breast_cancer"]
    rows = [re.split(r" [ ]+| (?=-)", line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[1] for row in rows] == ["scikit-learn", "nncore", "nncore, float64"] * 2
    for theirs, ours, exact in (rows[:3], rows[3:]):
        assert theirs[3] == ours[3] == exact[3] == "5"  # epochs
        assert theirs[4] == exact[4]
        assert float(ours[4]) == pytest.approx(float(theirs[4]), abs=0.01)
