"""The generated pages of docs."""

import re
from pathlib import Path

from nncore.optable import LOSSES, OPS, RULES

PAGE = Path(__file__).parents[1] / "docs" / "ops.md"


def test_the_table_of_ops_has_every_row():
    named = set(re.findall(r"^\| `(\w+)`", PAGE.read_text(), flags=re.MULTILINE))
    missing = {*OPS, *LOSSES, *RULES} - named
    assert not missing, "run benchmarks/op_table.py"
    assert named - {*OPS, *LOSSES, *RULES} == {"matmul"}
