"""The op table: one row for each op, loss and optimizer rule that a graph or an engine may name.

A row says what is true of the op in every engine: name, number of inputs, attributes with defaults and bounds, parameter
slots and shape rule. The C++ implementation, the NumPy reference and the test cases are held to it by
``tests/test_contract.py``. Adding an op means one row here, one C++ functor, one reference pair and one case row.
"""

from nncore.tables.losses import LOSSES, Loss, LossSpec
from nncore.tables.ops import OPS, Op, sample_axis, target_shape
from nncore.tables.rows import Attr, AttrValue, Row, Shape
from nncore.tables.rules import EXTRA_STATES, RULES, EncodedRule, GroupSpec, Rule, RuleSpec, state_index

__all__ = [
    "EXTRA_STATES",
    "LOSSES",
    "OPS",
    "RULES",
    "Attr",
    "AttrValue",
    "EncodedRule",
    "GroupSpec",
    "Loss",
    "LossSpec",
    "Op",
    "Row",
    "Rule",
    "RuleSpec",
    "Shape",
    "sample_axis",
    "state_index",
    "target_shape",
]
