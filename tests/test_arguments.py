"""What every public function does with unusual arrays: strides, byte orders, dtypes, `out`, and plain nonsense."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore import reference
from op_cases import LOSS_CASES, OP_CASES, PART_OPS, RULE_CASES, generator

DATA_SHAPES = {case.name: max(case.shapes[:-1], key=lambda shapes: np.prod(shapes[0])) for case in OP_CASES}
OUT_CASES = [case for case in OP_CASES if "out" in inspect.signature(getattr(reference, case.name)).parameters]
UNARY_OUT_CASES = [case for case in OUT_CASES if len(case.shapes[0]) == 1 and case.name not in PART_OPS]

op_cases = pytest.mark.parametrize("case", OP_CASES, ids=lambda case: case.name)
out_cases = pytest.mark.parametrize("case", OUT_CASES, ids=lambda case: case.name)
unary_out_cases = pytest.mark.parametrize("case", UNARY_OUT_CASES, ids=lambda case: case.name)
loss_cases = pytest.mark.parametrize("case", LOSS_CASES, ids=lambda case: f"{case.name}-{case.targets}")
rule_cases = pytest.mark.parametrize("case", RULE_CASES, ids=lambda case: case.name)


def unusual(x, kind):
    """The same numbers in an array that is laid out unusually."""
    if kind == "fortran":
        return np.asfortranarray(x)
    if kind == "big-endian":
        return x.astype(x.dtype.newbyteorder(">"))
    if kind == "read-only":
        y = x.copy()
        y.flags.writeable = False
        return y
    if kind == "reversed":
        return np.flip(np.flip(x).copy())
    if kind == "unaligned":
        buffer = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype) if x.size else x
        y = buffer.reshape(x.shape)
        y[...] = x
        return y
    padded = np.zeros((*x.shape[:-1], 3 * x.shape[-1] + 1), x.dtype)  # kind "strided"
    padded[..., 1:-1:3] = x
    return padded[..., 1:-1:3]


KINDS = ["fortran", "big-endian", "read-only", "reversed", "unaligned", "strided"]


@op_cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_layout_of_inputs_does_not_matter(backend, case, dtype, kind):
    arrays, attrs = case.arrays(DATA_SHAPES[case.name], dtype), case.attrs[0]
    odd = tuple(unusual(a, kind) for a in arrays)
    expected = case.forward(backend, arrays, attrs)
    actual = case.forward(backend, odd, attrs)
    assert actual.dtype == dtype
    assert actual.dtype.isnative
    case.tolerance[dtype].check(actual, expected)
    dy = generator(case.name, salt=1).standard_normal(expected.shape).astype(dtype)
    for a, e in zip(
        case.backward(backend, odd, unusual(expected, kind), unusual(dy, kind), attrs),
        case.backward(backend, arrays, expected, dy, attrs),
        strict=True,
    ):
        case.gradient[dtype].check(a, e)
    for a, before in zip(odd, arrays, strict=True):
        np.testing.assert_array_equal(a, before)


@op_cases
@given(data=st.data())
def test_any_shape_and_stride(backend, case, data):
    """A random view into a larger array gives what its contiguous copy gives."""
    shapes = data.draw(st.sampled_from(case.shapes))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    views = []
    for array in case.arrays(shapes, dtype, salt=data.draw(st.integers(0, 9))):
        order = data.draw(st.permutations(range(array.ndim)))
        steps = data.draw(st.tuples(*[st.sampled_from([-2, -1, 1, 3])] * array.ndim))
        base = np.zeros([3 * n + 1 for n in np.array(array.shape, int)[order]], dtype)
        view = base.transpose(np.argsort(order))
        view = view[(..., *(slice(None, None, s) for s in steps))][(..., *(slice(n) for n in array.shape))]
        view[...] = array
        views.append(view)
    attrs = data.draw(st.sampled_from(case.attrs))
    expected = case.forward(backend, tuple(v.copy() for v in views), attrs)
    case.tolerance[dtype].check(case.forward(backend, tuple(views), attrs), expected)


@op_cases
@pytest.mark.parametrize(("given_dtype", "dtype"), [("float16", "float32"), ("int8", "float64"), ("uint64", "float64")])
def test_other_real_dtypes_are_converted(backend, case, given_dtype, dtype):
    arrays = tuple(np.abs(a).astype(given_dtype) for a in case.arrays(DATA_SHAPES[case.name], "float32"))
    y = case.forward(backend, arrays, case.attrs[0])
    assert y.dtype == dtype
    case.tolerance[dtype].check(y, case.forward(backend, tuple(a.astype(dtype) for a in arrays), case.attrs[0]))


@op_cases
def test_lists_and_booleans_are_arrays(backend, case):
    arrays = tuple(a > 0 for a in case.arrays(DATA_SHAPES[case.name], "float64"))
    y = case.forward(backend, tuple(a.tolist() for a in arrays), case.attrs[0])
    np.testing.assert_array_equal(y, case.forward(backend, arrays, case.attrs[0]))
    assert y.dtype == np.float64


@op_cases
@pytest.mark.parametrize("dtype", ["complex128", "object", "U5", "M8[s]"])
def test_other_dtypes_are_refused(backend, case, dtype):
    arrays = case.arrays(DATA_SHAPES[case.name], "float64")
    name = next(iter(inspect.signature(getattr(backend, case.name)).parameters))
    with pytest.raises(TypeError, match=re.escape(name)):
        case.forward(backend, (np.zeros(arrays[0].shape).astype(dtype), *arrays[1:]), case.attrs[0])


@op_cases
def test_mixed_dtypes_are_promoted(backend, case):
    first, *others = case.arrays(DATA_SHAPES[case.name], "float32")
    y = case.forward(backend, (first, *(a.astype("float64") for a in others)), case.attrs[0])
    assert y.dtype == ("float64" if others else "float32")


@out_cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_out_receives_the_result(backend, case, dtype):
    arrays, attrs = case.arrays(DATA_SHAPES[case.name], dtype), case.attrs[0]
    expected = case.forward(backend, arrays, attrs)
    out = np.full_like(expected, np.nan)
    assert case.forward(backend, arrays, attrs, out=out) is out
    np.testing.assert_array_equal(out, expected)


@unary_out_cases
def test_out_may_be_an_input(backend, case):
    x, attrs = case.arrays(DATA_SHAPES[case.name], "float32")[0], case.attrs[0]
    y = case.forward(backend, (x,), attrs)
    dy = generator(case.name, salt=1).standard_normal(y.shape).astype("float32")
    backward = getattr(backend, f"{case.name}_backward")
    dx = backward(x, y, dy, **attrs)
    for i in range(3):
        arguments = [x.copy(), y.copy(), dy.copy()]
        assert backward(*arguments, **attrs, out=arguments[i]) is arguments[i]
        np.testing.assert_array_equal(arguments[i], dx)
    assert case.forward(backend, (x,), attrs, out=x) is x
    np.testing.assert_array_equal(x, y)


@out_cases
def test_out_that_does_not_fit_is_refused(backend, case):
    arrays, attrs = case.arrays(DATA_SHAPES[case.name], "float32"), case.attrs[0]
    good = np.zeros_like(case.forward(backend, arrays, attrs))
    read_only = good.copy()
    read_only.flags.writeable = False
    refused = [
        (TypeError, good.astype("float64")),
        (TypeError, good.tolist()),
        (ValueError, good[1:]),
        (ValueError, read_only),
    ]
    if case.name != "matmul":
        refused += [(ValueError, np.asfortranarray(good))]
    for error, out in refused:
        with pytest.raises(error, match="out"):
            case.forward(backend, arrays, attrs, out=out)


def test_out_of_matmul_may_have_any_strides(backend):
    a, b = (array.astype("float32") for array in (np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)))
    for out in (np.zeros((4, 2), "float32").T, np.zeros((4, 12), "float32")[::-2, ::3]):
        assert backend.matmul(a, b, out=out) is out
        np.testing.assert_array_equal(out, a @ b)


@unary_out_cases
def test_shapes_of_a_backward_must_agree(backend, case):
    (x,), attrs = case.arrays(DATA_SHAPES[case.name], "float64"), case.attrs[0]
    backward = getattr(backend, f"{case.name}_backward")
    with pytest.raises(ValueError, match="y"):
        backward(x, x[1:], x, **attrs)
    with pytest.raises(ValueError, match="dy"):
        backward(x, x, x[..., 1:], **attrs)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda b: b.matmul(np.ones((2, 3)), np.ones((2, 3))), "b"),
        (lambda b: b.matmul(np.ones(3), np.ones((3, 2))), "a"),
        (lambda b: b.matmul_backward(np.ones((2, 3)), np.ones((3, 4)), np.ones((2, 3))), "dy"),
        (lambda b: b.dense(np.ones(3), np.ones((3, 2))), "x"),
        (lambda b: b.dense(np.ones((2, 3)), np.ones((4, 2))), "w"),
        (lambda b: b.dense(np.ones((2, 3)), np.ones((3, 2)), np.ones(3)), "b"),
        (lambda b: b.dense(np.ones((2, 3)), np.ones((3, 2)), None, "swish"), "activation"),
        (lambda b: b.add(np.ones(2)), "xs"),
        (lambda b: b.add(np.ones(2), np.ones((1, 2))), r"xs\[1\]"),
        (lambda b: b.flatten(1.0), "x"),
        (lambda b: b.flatten_backward(np.ones((2, 6)), (2, 3, 3)), "dy"),
        (lambda b: b.softmax(1.0), "x"),
        (lambda b: b.log_softmax(1.0), "x"),
        (lambda b: b.gelu([1.0], "fast"), "approximate"),
        (lambda b: b.hard_tanh([1.0], 1.0, -1.0), "min_val"),
        (lambda b: b.celu([1.0], 0.0), "alpha"),
        (lambda b: b.softplus([1.0], beta=-1.0), "beta"),
        (lambda b: b.softmax(np.ones((2, 3)), axis=2), "axis"),
        (lambda b: b.softmax_backward(*np.ones((3, 2, 3)), axis=-3), "axis"),
        (lambda b: b.log_softmax(np.ones((2, 3)), axis=-3), "axis"),
        (lambda b: b.glu(1.0), "x"),
        (lambda b: b.glu(np.ones((2, 3))), "x: expected a multiple of 2 along axis -1, got 3"),
        (lambda b: b.glu(np.ones((2, 3)), axis=2), "axis"),
        (lambda b: b.glu_backward(np.ones(4), np.ones(4), np.ones(2)), r"\by\b"),
        (lambda b: b.glu_backward(np.ones(4), np.ones(2), np.ones(3)), "dy"),
        (lambda b: b.maxout(np.ones((2, 4)), 3), "x: expected a multiple of 3"),
        (lambda b: b.maxout(np.ones((2, 4)), 0), "groups"),
        (lambda b: b.maxout_backward(np.ones(4), np.ones(2), np.ones(1)), "dy"),
        (lambda b: b.prelu(np.ones((2, 3)), np.ones(2)), "alpha"),
        (lambda b: b.prelu(np.ones((2, 3)), 0.5), "alpha"),
        (lambda b: b.prelu(1.0, np.ones(2)), "alpha"),
        (lambda b: b.prelu_backward(np.ones(3), np.ones(1), np.ones(3), np.ones(2)), "dy"),
        (lambda b: b.rrelu([1.0], 0.5, 0.25), "lower"),
        (lambda b: b.rrelu([1.0], 0.5, 0.25, training=True), "lower"),
        (lambda b: b.rrelu([1.0], -0.5, 0.25, training=True), "lower"),
        (lambda b: b.rrelu(1.0, training=True), "x"),
        (lambda b: b.rrelu([1.0], training=True, node=-1), "node"),
        (lambda b: b.dropout(1.0, 0.5, seed=0, node=0, step=0), "x"),
        (lambda b: b.dropout([1.0], 1.0, seed=0, node=0, step=0), "rate"),
        (lambda b: b.dropout([1.0], -0.1, seed=0, node=0, step=0), "rate"),
        (lambda b: b.dropout([1.0], np.nan, seed=0, node=0, step=0), "rate"),
        (lambda b: b.dropout([1.0], 0.5, seed=2**64, node=0, step=0), "seed"),
        (lambda b: b.dropout([1.0], 0.5, seed=0, node=2**32, step=0), "node"),
        (lambda b: b.dropout([1.0], 0.5, seed=0, node=0, step=-1), "step"),
        (lambda b: b.relu([[1.0], [2.0, 3.0]]), "x"),
        (lambda b: b.mse([1.0], [1.0, 2.0]), "target"),
        (lambda b: b.mse([], []), "input"),
        (lambda b: b.mse_backward([], []), "input"),
        (lambda b: b.mse([1.0], [1.0], "max"), "reduction"),
        (lambda b: b.bce_with_logits([1.0], [[1.0]]), "target"),
        (lambda b: b.cross_entropy([1.0], [0]), "input"),
        (lambda b: b.cross_entropy(np.ones((2, 0)), [0, 0]), "input"),
        (lambda b: b.cross_entropy([[1.0, 2.0]], [0, 1]), "target"),
        (lambda b: b.cross_entropy([[1.0, 2.0]], [[1.0]]), "target"),
        (lambda b: b.cross_entropy(np.ones((3, 2)), [0, 1, 2]), "2 in row 2"),
        (lambda b: b.cross_entropy(np.ones((3, 2)), [0, -1, 2]), "-1 in row 1"),
        (lambda b: b.cross_entropy_backward(np.ones((3, 2)), [0, 1, 2]), "2 in row 2"),
        (lambda b: b.adam_step(*np.ones((4, 2)), iteration=0), "iteration"),
        (lambda b: b.adamw_step(*np.ones((4, 2)), iteration=0), "iteration"),
        (lambda b: b.philox4x32([0, 0, 0], [0, 0]), "counter"),
        (lambda b: b.philox4x32([0, 0, 0, 2**32], [0, 0]), "counter"),
        (lambda b: b.philox4x32([0, 0, 0, 0], [0, -1]), "key"),
        (lambda b: b.philox4x32(np.zeros((2, 4), int), np.zeros((3, 2), int)), "key"),
    ],
)
def test_values_that_do_not_fit_are_refused(backend, call, names):
    with pytest.raises(ValueError, match=names):
        call(backend)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda b: b.cross_entropy([[1.0, 2.0]], [0.0]), "target"),
        (lambda b: b.cross_entropy([[1.0, 2.0]], [True]), "target"),
        (lambda b: b.cross_entropy([[1.0, 2.0]], [np.nan]), "target"),
        (lambda b: b.cross_entropy([[1.0, 2.0]], ["0"]), "target"),
        (lambda b: b.mse([1.0], [1j]), "target"),
        (lambda b: b.mse(["a"], [1.0]), "input"),
        (lambda b: b.philox4x32([0.0, 0.0, 0.0, 0.0], [0, 0]), "counter"),
    ],
)
def test_dtypes_that_do_not_fit_are_refused(backend, call, names):
    with pytest.raises(TypeError, match=names):
        call(backend)


@loss_cases
@pytest.mark.parametrize("kind", KINDS)
def test_layout_of_losses_does_not_matter(backend, case, kind):
    arrays = case.arrays(case.shapes[-1], "float32")
    odd = tuple(unusual(a, kind) for a in arrays)
    for attrs in case.attrs:
        case.tolerance["float32"].check(case.forward(backend, odd, attrs), case.forward(backend, arrays, attrs))
        case.gradient["float32"].check(case.backward(backend, odd, attrs), case.backward(backend, arrays, attrs))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", ">i4"])
def test_class_indices_of_any_integer_dtype(backend, dtype):
    x = np.arange(12.0).reshape(3, 4)
    t = np.array([3, 0, 1])
    assert backend.cross_entropy(x, t.astype(dtype)) == backend.cross_entropy(x, t)


def test_one_hot_targets_equal_class_indices(backend):
    x, t = np.arange(12.0).reshape(3, 4), np.array([3, 0, 1])
    assert backend.cross_entropy(x, np.eye(4)[t]) == pytest.approx(backend.cross_entropy(x, t), rel=1e-15)
    assert backend.cross_entropy(x, np.eye(4, dtype=int)[t]) == pytest.approx(backend.cross_entropy(x, t), rel=1e-15)


def test_sums_of_no_values(backend):
    for loss in (backend.mse, backend.bce_with_logits, backend.cross_entropy):
        empty = np.zeros((0, 3), "float32")
        assert loss(empty, empty, "sum") == 0.0
        assert loss(empty, empty, "none").size == 0


@rule_cases
def test_arrays_of_a_rule_that_do_not_fit_are_refused(backend, case):
    arrays, attrs = case.arrays(((3, 4),), "float32"), case.attrs[0]
    names = list(inspect.signature(getattr(backend, f"{case.name}_step")).parameters)[: len(arrays)]
    for i, name in enumerate(names):
        for error, wrong in (
            (TypeError, arrays[i].astype("int32")),
            (TypeError, arrays[i].tolist()),
            (TypeError, arrays[i].astype(">f4")),
            (ValueError, arrays[i][1:] if i else None),
            (TypeError, arrays[i].astype("float64") if i else None),
        ):
            if wrong is not None:
                before = [a.copy() for a in arrays]
                with pytest.raises(error, match=rf"\b{name}\b"):
                    case.step(backend, (*arrays[:i], wrong, *arrays[i + 1 :]), attrs)
                for a, b in zip(arrays, before, strict=True):
                    np.testing.assert_array_equal(a, b)


@rule_cases
def test_only_the_gradient_may_be_read_only(backend, case):
    for i in range(2 + case.states):
        arrays = case.arrays(((3, 4),), "float64")
        arrays[i].flags.writeable = False
        if i == 1:
            case.step(backend, arrays, case.attrs[0])
            continue
        before = [a.copy() for a in arrays]
        with pytest.raises(ValueError, match="read-only"):
            case.step(backend, arrays, case.attrs[0])
        for a, b in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shift", [-3, -1, 1, 3])
@pytest.mark.parametrize("n", [40, 5000])
@pytest.mark.parametrize("case", [case for case in OP_CASES if case.exact], ids=lambda case: case.name)
def test_out_may_overlap_an_input_anywhere(backend, case, n, shift):
    for attrs in case.attrs:
        (memory,) = case.arrays(((n + 8,),), "float64")
        x, out = memory[4 : 4 + n], memory[4 + shift : 4 + shift + n]
        expected = case.forward(backend, (x.copy(),), attrs)
        assert case.forward(backend, (x,), attrs, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_fields_of_records_are_read(backend):
    records = np.zeros((1, 1), [("tag", "i1"), ("value", "f8")])
    records["value"] = 3.0
    np.testing.assert_array_equal(backend.matmul(records["value"], records["value"]), [[9.0]])
