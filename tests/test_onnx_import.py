"""What `nncore.onnx.load` makes of files: the same numbers as onnxruntime, in a model that trains and is saved like any."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnx.parser
import pytest

import nncore as nn
from nncore.onnx.exporting import proto_of
from nncore.onnx.importing import read
from onnx_models import by_onnxruntime, chain, op_models, predicted, prepared, samples

MODELS = op_models()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "model"), MODELS, ids=[f"{op}-{i}" for i, (op, _) in enumerate(MODELS)])
def test_what_export_writes(op, model, dtype):
    prepared(model, dtype)
    arrays = samples(model, dtype)
    same = read(proto_of(model).SerializeToString())
    assert same.dtype == dtype
    ops = [node.op for node in same.graph.nodes]
    vanished = {"identity", "dropout", "alpha_dropout", "gaussian_noise", "rrelu"}  # rrelu is a leaky_relu in inference
    if (op, dtype) == ("average", "float64"):  # onnxruntime has no Mean in float64: a sum and a quotient
        assert ops[-2:] == ["add", "rescaling"]
    else:
        assert op in ops or op in vanished or model.layers[-1].get_config().get("groups") == 1
    for y, right in zip(predicted(same, arrays), predicted(model, arrays), strict=True):
        np.testing.assert_allclose(y, right, rtol=1e-6 if dtype == "float32" else 1e-14)


def parsed(text, opset=21, **constants):
    """A model whose graph is written in ONNX's own notation, with arrays as initializers."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> {text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    return proto


def f32(*values):
    return np.asarray(values if len(values) > 1 else values[0], np.float32)


VECTOR = f32(0.5, -2.0, 1.5)
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4) / 5 - 1
# By name: the body between x [n, 3] and y, the result's shape without n, the opset, the constants, and the ops that result.
BODIES = {
    "gelu, halves first": ("h = Div(x, r) e = Erf(h) a = Add(one, e) b = Mul(half, x) y = Mul(b, a)", (3,), 19, ["gelu"]),
    "gelu by a product": ("h = Mul(x, i) e = Erf(h) a = Add(e, one) b = Mul(half, a) y = Mul(x, b)", (3,), 19, ["gelu"]),
    "silu": ("s = Sigmoid(x) y = Mul(s, x)", (3,), 19, ["silu"]),
    "mish": ("s = Softplus(x) t = Tanh(s) y = Mul(x, t)", (3,), 17, ["mish"]),
    "log_sigmoid": ("s = Sigmoid(x) y = Log(s)", (3,), 19, ["log_sigmoid"]),
    "softplus of a multiple": ("b = Mul(x, r) s = Softplus(b) y = Div(s, r)", (3,), 19, ["softplus"]),
    "softsign": ("a = Abs(x) b = Add(a, one) y = Div(x, b)", (3,), 19, ["softsign"]),
    "hard_swish": ("s = HardSigmoid <alpha = 0.16666667> (x) y = Mul(x, s)", (3,), 13, ["hard_swish"]),
    "no hard_swish": ("s = HardSigmoid (x) y = Mul(x, s)", (3,), 13, ["rescaling", "hard_tanh", "multiply"]),
    "no gelu": ("h = Div(x, two) s = Sigmoid(h) y = Mul(s, x)", (3,), 19, ["rescaling", "sigmoid", "multiply"]),
    "hard_sigmoid of Keras": ("y = HardSigmoid (x)", (3,), 21, ["rescaling", "hard_tanh"]),
    "selu of other numbers": ("y = Selu <alpha = 2.0, gamma = 3.0> (x)", (3,), 21, ["elu", "rescaling"]),
    "swish": ("y = Swish <alpha = 2.0> (x)", (3,), 24, ["rescaling", "silu", "rescaling"]),
    "relu by Max": ("y = Max(x, zero)", (3,), 21, ["relu"]),
    "Clip, one side": ("y = Clip(x, , one)", (3,), 21, ["hard_tanh"]),
    "Clip before opset 11": ("y = Clip <min = -1.0, max = 0.5> (x)", (3,), 10, ["hard_tanh"]),
    "layer norm in parts": (
        "m = ReduceMean <axes = [-1]> (x) d = Sub(x, m) p = Pow(d, two) v = ReduceMean <axes = [-1]> (p) w = Add(v, eps) "
        "s = Sqrt(w) n = Div(d, s) g = Mul(n, vector) y = Add(g, vector)", (3,), 16, ["layer_norm"],
    ),
    "RMS norm in parts": (
        "p = Pow(x, two) v = ReduceMean(p, last) w = Add(v, eps) s = Sqrt(w) i2 = Reciprocal(s) n = Mul(x, i2) "
        "y = Mul(n, vector)", (3,), 18, ["rms_norm"],
    ),
    "MatMul and Add": ("m = MatMul(x, matrix) y = Add(bias, m)", (4,), 21, ["dense"]),
    "MatMul and a bias of one row": ("m = MatMul(x, matrix) y = Add(m, row)", (4,), 21, ["dense"]),
    "Gemm, transposed and scaled": (
        "t = Transpose <perm = [1, 0]> (matrix) y = Gemm <alpha = 0.5, beta = 2.0, transB = 1> (x, t, bias)",
        (4,), 21, ["dense"],
    ),
    "weights of several nodes": ("k = Mul(matrix, two) c = Cast <to = 1> (k) y = MatMul(x, c)", (4,), 21, ["dense"]),
    "scaled by vectors": ("d = Sub(x, vector) s = Div(d, vector) y = Add(s, vector)", (3,), 21, ["batch_norm"]),
    "vectors of one number": ("a = Mul(x, single) y = Sub(a, single)", (3,), 21, ["rescaling"] * 2),
    "arithmetic of scalars": ("a = Sub(one, x) b = Div(a, two) c = Neg(b) y = Add(c, half)", (3,), 21, ["rescaling"] * 4),
    "arithmetic of values": ("a = Sigmoid(x) b = Sub(x, a) c = Mul(b, x) d = Sum(c, x, b) y = Mean(d, x)", (3,), 21, None),
    "powers": ("y = Pow(x, two)", (3,), 21, ["multiply"]),
    "batch norm": (
        "y = BatchNormalization <epsilon = 0.1> (x, vector, vector, vector, positive)", (3,), 21, ["batch_norm"],
    ),
    "shapes computed from x": (
        "s = Shape(x) n = Gather(s, place) u = Unsqueeze(n, zeros) t = Concat <axis = 0> (u, three, ones) "
        "y = Reshape(x, t)",
        (3, 1), 21, ["reshape"],
    ),
    "a part of a shape": (
        "s = Shape(x) n = Slice(s, zeros, ones) t = Concat <axis = 0> (n, ones, three) y = Reshape(x, t)",
        (1, 3), 21, ["reshape"],
    ),
    "shapes that amount to nothing": (
        "a = Unsqueeze(x, places) b = Squeeze(a, places) c = Reshape(b, keep) d = Identity(c) "
        "e = Transpose <perm = [0, 1]> (d) y = Relu(e)", (3,), 21, ["relu"],
    ),
    "the largest": ("y = ReduceMax <keepdims = 0> (x, last)", (), 21, ["maxout", "reshape"]),
    "softmax of old": ("y = Softmax (x)", (3,), 11, ["softmax"]),
    "gated": (
        "m = MatMul(x, matrix) a, b = Split <axis = -1> (m) g = Sigmoid(b) y = Mul(a, g)", (2,), 17, ["dense", "glu"],
    ),
    "one hot": (
        "k = Cast <to = 7> (x) h = OneHot (k, depth, values) y = Reshape(h, flat)", (12,), 21, None,
    ),
    "table of matrices": ("k = Cast <to = 7> (x) h = Gather (cube, k) y = Reshape(h, long)", (36,), 21, None),
}  # fmt: skip
CONSTANTS = {
    "r": f32(np.sqrt(2)), "i": f32(np.sqrt(0.5)), "one": f32(1), "two": f32(2), "half": f32(0.5),
    "single": np.float32([1.5]), "zero": f32(0),
    "eps": f32(1e-5), "vector": VECTOR, "positive": VECTOR**2, "matrix": MATRIX, "bias": MATRIX[0], "row": MATRIX[:1],
    "last": np.int64([-1]), "place": np.int64(0), "three": np.int64([3]), "ones": np.int64([1]), "zeros": np.int64([0]),
    "places": np.int64([1]), "keep": np.int64([0, -1]), "flat": np.int64([-1, 12]), "long": np.int64([-1, 36]),
    "depth": np.int64(4), "values": f32(0, 2), "cube": np.arange(48, dtype=np.float32).reshape(4, 4, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_what_others_write(name):
    body, shape, opset, ops = BODIES[name]
    x = np.random.default_rng(0).normal(0, 2, (5, 3)).astype("float32")
    if "OneHot" in body or "cube" in body:
        x = abs(x).astype(int).clip(0, 3).astype("float32")  # indices
    used = {name: CONSTANTS[name] for name in set(re.findall(r"\w+", body)) & set(CONSTANTS)}
    size = ", ".join(map(str, ("n", *shape)))
    proto = parsed(f"g (float[n, 3] x) => (float[{size}] y) {{ {body} }}", opset, **used)
    onnx.checker.check_model(proto)
    model = read(proto.SerializeToString())
    (expected,) = by_onnxruntime(proto, [x])
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5, atol=1e-6)
    if ops is not None:
        assert [node.op for node in model.graph.nodes[1:]] == ops
    assert model.output_shape == shape


def trained():
    """A file by other hands, and data."""
    rng = np.random.default_rng(0)
    constants = {
        "fc1.weight": rng.standard_normal((8, 3)),
        "fc1.bias": np.zeros(8),
        "fc2.weight": rng.standard_normal((8, 2)),
    }
    text = (
        "g (float[1, 3] x) => (float[1, 2] y) { h = Gemm <transB = 1> (x, fc1_weight, fc1_bias) r = Relu(h) "
        "z = MatMul(r, fc2_weight) y = Softmax(z) }"
    )
    proto = parsed(text, **{k.replace(".", "_"): v.astype("float32") for k, v in constants.items()})
    for name in constants:
        for tensor in proto.graph.initializer:
            tensor.name = name if tensor.name == name.replace(".", "_") else tensor.name
        for node in proto.graph.node:
            node.input[:] = [name if i == name.replace(".", "_") else i for i in node.input]
    x = rng.standard_normal((200, 3)).astype("float32")
    return proto, x, (x.sum(1) > 0).astype(int)


def test_imported_trained_on_saved_and_exported_again(tmp_path):
    proto, x, y = trained()
    onnx.save(proto, tmp_path / "theirs.onnx")
    model = nn.onnx.load(tmp_path / "theirs.onnx", output="logits")
    assert list(model.parameters()) == ["fc1.kernel", "fc1.bias", "fc2.kernel"]
    before = nn.reference.softmax(model.predict(x[:1]))
    np.testing.assert_allclose(before, by_onnxruntime(proto, [x[:1]])[0], rtol=1e-5)
    model.compile(nn.Adam(0.01), "cross_entropy", ["accuracy"])
    model.fit(x, y, epochs=20, verbose=0)
    assert model.evaluate(x, y)["accuracy"] > 0.95
    model.save(tmp_path / "ours.safetensors")
    same = nn.load(tmp_path / "ours.safetensors")
    np.testing.assert_array_equal(same.predict(x), model.predict(x))
    nn.onnx.export(model, tmp_path / "ours.onnx", output="probabilities")
    (p,) = by_onnxruntime(onnx.load(tmp_path / "ours.onnx"), [x])
    np.testing.assert_allclose(p, nn.reference.softmax(model.predict(x)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nn.onnx.load(tmp_path / "ours.onnx").predict(x), p, rtol=1e-5, atol=1e-6)


def test_the_wrong_word_for_an_end(tmp_path):
    with pytest.raises(ValueError, match="output: expected None or 'logits', got 'classes'"):
        nn.onnx.load(tmp_path / "any.onnx", output="classes")
    with pytest.raises(FileNotFoundError):
        nn.onnx.load(tmp_path / "none.onnx")


def test_weights_used_twice_are_one_layer():
    x = nn.Input((3,))
    shared = nn.Dense(3)
    model = prepared(nn.Model(x, shared(nn.Activation("tanh")(shared(x)))), "float32")
    same = read(proto_of(model).SerializeToString())
    assert list(same.parameters()) == ["dense.kernel", "dense.bias"]


def test_several_inputs_and_outputs_go_by_name():
    text = (
        "g (float[n, 2] a, double[n, 2] b, int64[n] i) => (float[n, 2] s, float[n, 4] e, int64[n] label) { "
        "c = Cast <to = 1> (b) s = Add(a, c) e = Gather(matrix, i) label = ArgMax <axis = 1, keepdims = 0> (e) }"
    )
    model = read(parsed(text, matrix=MATRIX).SerializeToString())
    y = model.predict({"a": [[1, 2]], "b": [[3, 4]], "i": [2]})
    assert list(y) == ["s", "e"]  # labels are left out
    np.testing.assert_array_equal(y["s"], [[4, 6]])
    np.testing.assert_array_equal(y["e"], MATRIX[2:])


def test_dropout_is_there_for_training():
    model = read(parsed("g (float[n, 2] x) => (float[n, 2] y) { y = Dropout(x, half) }", half=f32(0.5)).SerializeToString())
    assert model.layers[-1].get_config()["rate"] == 0.5
    x = np.ones((1, 2))
    np.testing.assert_array_equal(model.predict(x), x)


def test_affine_constants_stay_as_they_are(tmp_path):
    model = read(proto_of(prepared(chain((3,), nn.Normalization(), nn.Dense(1)), "float32")).SerializeToString())
    before = model.parameters()
    model.compile("sgd", "mse")
    model.fit(np.random.default_rng(0).random((32, 3)), np.ones((32, 1)), epochs=2, verbose=0)
    changed = {name for name, value in model.parameters().items() if (value != before[name]).any()}
    assert changed == {"dense.kernel", "dense.bias"}


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_the_rms_norm_of_onnxruntime(domain):
    node = onnx.helper.make_node(
        "SimplifiedLayerNormalization", ["x", "vector"], ["y"], domain=domain, axis=-1, epsilon=1e-5
    )
    proto = parsed("g (float[n, 3] x) => (float[n, 3] y) { y = Relu(x) }", vector=VECTOR)
    proto.graph.node[0].CopyFrom(node)
    if domain:
        proto.opset_import.add(domain=domain, version=1)
    x = np.random.default_rng(0).standard_normal((4, 3)).astype("float32")
    expected = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * VECTOR
    np.testing.assert_allclose(read(proto.SerializeToString()).predict(x), expected, rtol=1e-5)


def test_text_goes_along(tmp_path):
    model = chain((2,), nn.Dense(1))
    model.metadata = {"trained on": "nothing"}
    nn.onnx.export(model, tmp_path / "m.onnx")
    assert nn.onnx.load(tmp_path / "m.onnx").metadata == model.metadata


def test_models_as_layers_and_shared_ones(tmp_path):
    encoder = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="silu"), nn.Dense(2)], name="encoder")
    left, right = nn.Input((3,), name="left"), nn.Input((3,), name="right")
    model = nn.Model([left, right], nn.Concatenate()([encoder(left), encoder(right)]))
    nn.onnx.export(model, tmp_path / "m.onnx")
    same = nn.onnx.load(tmp_path / "m.onnx")
    assert list(same.parameters()) == list(model.parameters())
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    np.testing.assert_array_equal(same.predict({"left": x[0], "right": x[1]}), model.predict(list(x)))
