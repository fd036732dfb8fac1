"""The contract: op table, native core, reference and test cases name the same things with the same signatures."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from nncore import _core, ops, reference
from nncore.engines import operations as reference_engine
from nncore.metrics import METRICS
from nncore.optable import LOSSES, OPS, RULES
from op_cases import LOSS_CASES, OP_CASES, RULE_CASES


def test_every_op_has_one_native_implementation():
    assert sorted(_core.op_names()) == sorted(OPS)
    assert sorted(_core.loss_names()) == sorted(LOSSES)
    assert _core.rule_states() == {name: len(row.states) for name, row in RULES.items()}
    assert sorted(_core.metric_names()) == sorted(METRICS)


def test_every_op_has_one_reference_implementation():
    assert sorted(reference_engine.OPERATIONS) == sorted(OPS)
    assert sorted(reference_engine.LOSSES) == sorted(LOSSES)
    assert sorted(reference_engine.RULES) == sorted(RULES)
    assert sorted(reference_engine.METRICS) == sorted(METRICS)


def test_ops_learn_where_their_rows_say_so():
    assert {name for name, how in reference_engine.OPERATIONS.items() if how.learn} == {
        n for n, r in OPS.items() if r.learns
    }


def test_every_op_has_one_case():
    assert {case.name for case in OP_CASES} == {*OPS, "matmul"}
    assert {case.name for case in LOSS_CASES} == set(LOSSES)
    assert {(case.name, case.targets) for case in LOSS_CASES} == {(n, t) for n, row in LOSSES.items() for t in row.targets}
    assert {case.name for case in RULE_CASES} == set(RULES)


def test_every_row_is_public_with_forward_and_backward():
    expected = {f"{name}{suffix}" for name in (*OPS, *LOSSES, "matmul") for suffix in ("", "_backward")}
    expected |= {f"{name}_step" for name in RULES} | {"philox4x32"}
    assert set(ops.__all__) == set(reference.__all__) == expected


@pytest.mark.parametrize("name", ops.__all__)
def test_native_and_reference_have_one_signature(name):
    native, plain = getattr(ops, name), getattr(reference, name)
    assert inspect.signature(native) == inspect.signature(plain)
    assert native.__doc__ == plain.__doc__


@pytest.mark.parametrize("name", [*OPS, *LOSSES, *RULES])
def test_attributes_of_the_table_are_the_functions_options(name):
    row = (OPS | LOSSES | RULES)[name]
    function = getattr(ops, f"{name}_step" if name in RULES else name)
    options = {
        key: parameter.default
        for key, parameter in inspect.signature(function).parameters.items()
        if key in row.attrs and parameter.default is not inspect.Parameter.empty
    }
    assert options == {key: attr.default for key, attr in row.attrs.items() if key in options}
    for key in set(row.attrs) - set(options) - {"units", "use_bias"}:  # shapes say those two
        assert row.attrs[key].default is None or key not in inspect.signature(function).parameters


def test_activations_share_one_backward_signature():
    for name, row in OPS.items():
        if row.activation:
            first = list(inspect.signature(getattr(ops, f"{name}_backward")).parameters)[:3]
            assert first == ["x", "y", "dy"]


def test_the_isa_can_be_chosen_and_nonsense_is_refused():
    before = _core.isa()
    assert before in _core.supported_isas()
    assert set(_core.supported_isas()) <= set(_core.compiled_isas())
    assert "baseline" in _core.supported_isas()
    for isa in _core.supported_isas():
        _core.select_isa(isa)
        assert _core.isa() == isa
        np.testing.assert_array_equal(ops.relu([-1.0, 2.0]), [0.0, 2.0])
    _core.select_isa(before)
    with pytest.raises(ValueError, match=r"expected one of .*baseline.*got 'mmx'"):
        _core.select_isa("mmx")
    assert _core.isa() == before
