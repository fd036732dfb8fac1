"""The reference stands alone: it offers what it says, and imports NumPy, itself and the doors for what users pass only."""

import ast
from pathlib import Path

from nncore import reference
from nncore.engines.operations import LOSSES, METRICS, OPERATIONS, RULES
from nncore.optable import LOSSES as LOSS_ROWS
from nncore.optable import OPS
from nncore.optable import RULES as RULE_ROWS

DOORS = {"nncore.foreign", "nncore.scalars"}  # which need nothing but NumPy
ALLOWED = {"__future__", "collections", "math", "numpy", "typing"}


def test_imports():
    for path in Path(reference.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] in ALLOWED or name.startswith("nncore.reference") or name in DOORS, (
                    f"{path.name} imports {name}"
                )


def test_every_row_has_its_function_and_its_place_in_the_engine():
    assert set(OPERATIONS) == set(OPS)
    assert set(LOSSES) == set(LOSS_ROWS)
    assert set(RULES) == set(RULE_ROWS)
    expected = {*OPS, *LOSS_ROWS, "matmul"}
    expected |= {f"{name}_backward" for name in expected} | {f"{name}_step" for name in RULE_ROWS} | {"philox4x32"}
    assert set(reference.__all__) == expected


def test_metrics_are_those_of_the_model():
    from nncore.metrics import METRICS as ROWS

    assert set(METRICS) == set(ROWS)
