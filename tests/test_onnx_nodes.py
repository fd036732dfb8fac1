"""ONNX's own node tests through the importer, and the page that lists them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import onnx

from onnx_nodes import node_tests, outcome

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))
# Ops that a model has on the way to a layer, but not as a whole: shapes of values, and parts of shapes.
ONLY_PARTS = {"Shape", "Slice", "OneHot"}


def test_node_tests_run_or_are_refused_as_the_page_says():
    """`outcome` fails where a model gives other numbers than the test."""
    text = (ROOT / "docs" / "onnx.md").read_text()
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", text, flags=re.MULTILINE))
    outcomes = [(test, outcome(test)) for test in node_tests()]
    assert len(outcomes) > 300
    for test, reason in outcomes:
        runs, _, refused = rows.get(test.op, " | ").partition(" | ")
        known = {*re.findall(r"\w+", runs), *re.findall(r"\w+", refused)}
        assert test.name not in known or (test.name in re.findall(r"\w+", runs)) == (not reason), (test.name, reason)
    ops = {test.op for test, _ in outcomes}
    assert ops - {test.op for test, reason in outcomes if not reason} == ONLY_PARTS & ops
    if f"onnx {onnx.__version__}," in text:
        from onnx_table import page

        assert page(outcomes) in text, "run benchmarks/onnx_table.py"
