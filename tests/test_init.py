"""The package's public names, and what importing it may load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nncore as nn

HEAVY = ["nncore._core", "nncore.ops", "nncore.reference", "nncore.data", "nncore.datasets", "safetensors", "tqdm"]


def test_every_public_name_exists():
    assert set(nn.__all__) <= set(dir(nn))
    for name in nn.__all__:
        assert getattr(nn, name) is not None


def test_unknown_names():
    with pytest.raises(AttributeError, match="'Sequentail'"):
        _ = nn.Sequentail


def test_import_loads_nothing_that_it_need_not():
    code = f"import sys, nncore; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
