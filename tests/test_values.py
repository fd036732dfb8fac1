"""Every forward that has a closed form against Python's floats and `math`, which know nothing of NumPy or of C++."""

from dataclasses import replace

import numpy as np
import pytest

from nncore.optable import LOSSES
from op_cases import DTYPES, LOSS_CASES, OP_CASES, variants

ELEMENTWISE = [case for case in OP_CASES if case.exact]
ROWWISE = [case for case in OP_CASES if case.exact_row]


def plain(params):
    """Losses without weights and with the default options, of which the cases have a formula."""
    return [p for p in params if set(p.values[2]) == {"reduction"}]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("case", "shapes", "attrs"), variants([replace(case, shapes=(((300,),),)) for case in ELEMENTWISE])
)
def test_elementwise(backend, case, shapes, attrs, dtype):
    x = np.append(case.special, case.arrays(shapes, "float64")[0]).astype(dtype)
    y = case.forward(backend, (x,), attrs)
    assert y.dtype == dtype
    case.tolerance[dtype].check(y, [case.exact(value, **attrs) for value in x.tolist()])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ROWWISE, ids=lambda case: case.name)
def test_rowwise(backend, case, dtype):
    (x,) = case.arrays(((30, 11),), dtype)
    x[0], x[1], x[2, 5] = 0, 1e4, -1e4
    y = case.forward(backend, (x,), {})
    assert y.dtype == dtype
    case.tolerance[dtype].check(y, [case.exact_row(row) for row in x.tolist()])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("case", "shapes", "attrs"), plain(variants(LOSS_CASES)))
def test_loss(backend, case, shapes, attrs, dtype):
    x, t = case.arrays(shapes, dtype)
    row = LOSSES[case.name]
    if row.halves:  # as rows of one mean and one variance
        x, t = np.stack(np.split(x, 2, axis=-1), axis=-1).reshape(-1, 2), t.reshape(-1, 1)
    elif not row.per_row:
        x, t = x.ravel(), t.ravel()
    values = np.array([case.exact(value, target) for value, target in zip(x.tolist(), t.tolist(), strict=True)])
    expected = {"none": values, "sum": values.sum(), "mean": values.mean()}[attrs["reduction"]]
    result = case.forward(backend, (x, t), attrs)
    case.tolerance[dtype].check(np.ravel(result), np.ravel(expected))
    if attrs["reduction"] == "none":
        assert result.dtype == dtype
    else:
        assert type(result) is float
