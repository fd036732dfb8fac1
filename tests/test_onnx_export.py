"""What `nncore.onnx.export` writes: valid, and the same numbers in onnxruntime and in onnx's reference evaluator."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import nncore as nn
from nncore.onnx.exporting import proto_of
from nncore.onnx.writer import INEXPRESSIBLE, WRITERS
from nncore.optable import OPS
from onnx_models import NOT_IN_ONNXRUNTIME, by_onnxruntime, by_reference, chain, op_models, predicted, prepared, samples

MODELS = op_models()


def written(model, path, **options):
    nn.onnx.export(model, path, **options)
    return onnx.load(path)


def test_every_op_is_written_or_cannot_be():
    assert set(OPS) == set(WRITERS) - set(INEXPRESSIBLE)
    assert {name for name, _ in MODELS} == set(OPS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "model"), MODELS, ids=[f"{op}-{i}" for i, (op, _) in enumerate(MODELS)])
def test_others_compute_the_same(op, model, dtype):
    prepared(model, dtype)
    arrays = samples(model, dtype)
    expected = predicted(model, arrays)
    proto = proto_of(model)
    tolerance = 1e-5 if dtype == "float32" else 1e-6 if (op, dtype) in NOT_IN_ONNXRUNTIME else 1e-13
    runs = [by_reference] if (op, dtype) in NOT_IN_ONNXRUNTIME else [by_reference, by_onnxruntime]
    for run in runs:
        for y, right in zip(run(proto, arrays), expected, strict=True):
            assert y.dtype == dtype
            np.testing.assert_allclose(y, right, rtol=tolerance, atol=tolerance, err_msg=run.__name__)


@pytest.mark.parametrize("opset", [18, min(26, onnx.defs.onnx_opset_version())])
def test_other_opsets(opset):
    for op, model in MODELS:
        prepared(model, "float32")
        arrays = samples(model, "float32")
        proto = proto_of(model, opset)
        assert proto.opset_import[0].version == opset
        for y, right in zip(by_onnxruntime(proto, arrays), predicted(model, arrays), strict=True):
            np.testing.assert_allclose(y, right, rtol=1e-5, atol=1e-5, err_msg=op)


def network():
    """Two inputs, one of indices, and two outputs, with a layer that is used twice."""
    a, i = nn.Input((6,), name="a"), nn.Input((2,), name="i")
    e = nn.Flatten()(nn.Embedding(5, 3)(i))
    shared = nn.Dense(6, activation="gelu")
    h = nn.Dropout(0.3)(nn.BatchNorm()(shared(nn.Add()([shared(a), e]))))
    return nn.Model([a, i], {"class": nn.Dense(3, name="class")(h), "value": nn.Dense(1)(nn.Concatenate()([h, a]))})


def test_several_inputs_and_outputs_and_any_batch(tmp_path):
    model = network()
    rng = np.random.default_rng(0)
    proto = written(model, tmp_path / "m.onnx", ir_version=9)
    assert proto.ir_version == 9
    assert [i.name for i in proto.graph.input] == ["a", "i"]
    assert [i.type.tensor_type.elem_type for i in proto.graph.input] == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64]
    assert [o.name for o in proto.graph.output] == ["class", "value"]
    assert {i.type.tensor_type.shape.dim[0].dim_param for i in proto.graph.input} == {"batch"}
    for rows in (1, 7):
        x = [rng.standard_normal((rows, 6)).astype("float32"), rng.integers(0, 5, (rows, 2))]
        for run in (by_onnxruntime, by_reference):
            for y, right in zip(run(proto, x), model.predict(x).values(), strict=True):
                np.testing.assert_allclose(y, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "units", "probabilities"),
    [
        ("cross_entropy", 4, lambda z: np.exp(z) / np.exp(z).sum(1, keepdims=True)),
        ("bce_with_logits", 1, lambda z: 1 / (1 + np.exp(-z))),
        ("focal", 1, lambda z: 1 / (1 + np.exp(-z))),
    ],
)
def test_probabilities_or_logits(loss, units, probabilities, tmp_path):
    model = chain((3,), nn.Dense(units))
    model.compile(loss=loss)
    x = np.random.default_rng(1).standard_normal((5, 3)).astype("float32")
    logits = model.predict(x)
    for output, expected in ((None, logits), ("logits", logits), ("probabilities", probabilities(logits))):
        (y,) = by_onnxruntime(written(model, tmp_path / "m.onnx", output=output), [x])
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("end", "kind"), [("softmax", "softmax"), ("log_softmax", "softmax"), ("sigmoid", "sigmoid")])
def test_an_end_that_is_there(end, kind, tmp_path):
    model = chain((3,), nn.Dense(4), nn.Activation(end))
    x = np.random.default_rng(1).standard_normal((5, 3)).astype("float32")
    (logits,) = by_onnxruntime(written(model, tmp_path / "m.onnx", output="logits"), [x])
    (p,) = by_onnxruntime(written(model, tmp_path / "m.onnx", output="probabilities"), [x])
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(logits, x @ kernel + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(p, getattr(nn.reference, kind)(logits), rtol=1e-5)


def test_names_that_meet(tmp_path):
    x = nn.Input((2,), name="output")
    model = nn.Model(x, nn.Activation("identity", name="dense.kernel")(nn.Dense(2)(x)))
    proto = written(model, tmp_path / "m.onnx")
    array = np.ones((1, 2), np.float32)
    np.testing.assert_allclose(by_onnxruntime(proto, [array])[0], model.predict(array), rtol=1e-6)
    onnx_names = [proto.graph.input[0].name, *(name for node in proto.graph.node for name in node.output)]
    assert len(set(onnx_names)) == len(onnx_names)


class Twice(nn.Layer):
    """A layer that ONNX cannot express."""

    def forward(self, x):
        return 2 * x

    def backward(self, x, y, dy):
        return 2 * dy


def test_errors_leave_the_file_as_it_was(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_text("before")
    model = chain((2,), nn.Dense(2))
    for broken, error, message in [
        (lambda: nn.onnx.export(chain((2,), Twice(name="two")), path), ValueError, "layer 'two': .*written in Python"),
        (lambda: nn.onnx.export("model", path), TypeError, "model: expected a Model, got str"),
        (lambda: nn.onnx.export(model, path, opset=17), ValueError, "opset: expected 18 to .*, got 17"),
        (lambda: nn.onnx.export(model, path, opset=10**6), ValueError, "opset: expected 18 to .*, got 1000000"),
        (lambda: nn.onnx.export(model, path, opset=21.0), TypeError, "opset: expected an integer, got 21.0"),
        (lambda: nn.onnx.export(model, path, ir_version=3), ValueError, "ir_version: expected 8 to .*, got 3"),
        (lambda: nn.onnx.export(model, path, output="classes"), ValueError, "output: expected None, 'logits' or"),
        (lambda: nn.onnx.export(model, path, output="probabilities"), ValueError, "output: expected a model compiled"),
        (lambda: nn.onnx.export(nn.Sequential([nn.Dense(2)]), path), RuntimeError, "input shape is not known"),
        (lambda: nn.onnx.export(model, 3.5), TypeError, "float"),
    ]:
        with pytest.raises(error, match=message):
            broken()
    assert path.read_text() == "before"
    with pytest.raises(OSError, match="nowhere"):
        nn.onnx.export(model, tmp_path / "nowhere" / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_without_onnx_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(
        ImportError, match=r"nncore.onnx needs the package onnx; get it with: pip install \"nncore\[onnx\]\""
    ):
        nn.onnx.export(chain((2,), nn.Dense(2)), tmp_path / "m.onnx")
