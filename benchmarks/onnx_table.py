"""Writes the table of ONNX's own node tests into docs/onnx.md: those that run through the importer, and why others do not.

Usage: ``python benchmarks/onnx_table.py``, in a checkout with onnx installed. The tests and the reasons are those of
tests/onnx_nodes.py, which the test suite runs; a test there fails where the page is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "onnx.md"
BEGIN, END = "<!-- nodes: begin (benchmarks/onnx_table.py writes up to the end mark) -->", "<!-- nodes: end -->"

sys.path[:0] = [str(ROOT / "tests")]


def main() -> None:
    """Write the page."""
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE}: expected the marks {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{page()}\n\n{END}{after}")


def page(outcomes: Sequence[tuple[Any, str]] | None = None) -> str:
    """The table, with a line of totals before it; of `outcomes` where they are known."""
    nodes = import_module("onnx_nodes")
    if outcomes is None:
        outcomes = [(test, nodes.outcome(test)) for test in nodes.node_tests()]
    runs = sum(not reason for _, reason in outcomes)
    version, refused = nodes.onnx.__version__, len(outcomes) - runs
    total = f"Of the {len(outcomes)} tests of onnx {version}, {runs} run and {refused} are refused."
    return "\n".join([total, "", *nodes.table(outcomes)])


if __name__ == "__main__":
    main()
