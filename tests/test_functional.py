"""Functional models: names, structures of arrays, shared layers, models as layers, files, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import nncore as nn
from nncore.graph import GraphBuilder

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 4))
Z = RNG.standard_normal((6, 3))


def residual() -> nn.Model:
    a = nn.Input((4,))
    h = nn.Dense(16, activation="tanh")(a)
    h = nn.Dense(4)(h)
    return nn.Model(a, nn.Add()([h, a]))


def two_by_two() -> nn.Model:
    """Two inputs and two outputs in lists; `left` is used twice, by two layers of which one is an output."""
    x, z = nn.Input((4,), name="x"), nn.Input((3,), name="z")
    left = nn.Dense(5, activation="tanh", name="left")(x)
    right = nn.Dense(5, name="right")(z)
    both = nn.Concatenate()([left, right])
    return nn.Model([x, z], [nn.Dense(3, name="classes")(both), nn.Dense(1, name="value")(left)])


def lines(model: nn.Model) -> list[str]:
    result: list[str] = []
    model.summary(print_fn=result.append)
    return result


def test_the_example(engine_name):
    model = residual()
    model.compile(engine=engine_name, dtype="float64")
    w1, b1, w2, b2 = model.get_weights()
    np.testing.assert_allclose(model.predict(X), X + np.tanh(X @ w1 + b1) @ w2 + b2, rtol=1e-13)
    assert [spec.name for spec in model.graph.parameters][::2] == ["dense.kernel", "dense_1.kernel"]
    assert (model.input_shape, model.output_shape) == ((4,), (4,))


def test_inputs_and_outputs_in_lists(engine_name):
    model = two_by_two()
    model.compile(engine=engine_name, dtype="float64")
    classes, value = model.predict([X, Z])
    assert (classes.shape, value.shape) == ((6, 3), (6, 1))
    assert model.input_shape == [(4,), (3,)]
    assert model.output_shape == [(3,), (1,)]
    by_name = model.predict({"z": Z, "x": X})
    np.testing.assert_array_equal(by_name[0], classes)
    outputs = model.forward((X, Z), training=True)
    dx, dz = model.backward([np.ones_like(y) for y in outputs])
    assert (dx.shape, dz.shape) == (X.shape, Z.shape)
    p = model.parameters()
    np.testing.assert_allclose(dz, np.ones((6, 3)) @ p["classes.kernel"][5:].T @ p["right.kernel"].T, rtol=1e-12)
    np.testing.assert_allclose(outputs[1], np.tanh(X @ p["left.kernel"]) @ p["value.kernel"], rtol=1e-12)


def test_inputs_and_outputs_by_name(engine_name):
    a, b = nn.Input((4,)), nn.Input((4,))
    model = nn.Model({"first": a, "second": b}, {"sum": nn.Add()([a, b]), "product": nn.Multiply()([a, b])})
    model.compile(engine=engine_name, dtype="float64")
    result = model.predict({"second": 2 * X, "first": X})
    np.testing.assert_array_equal(result["sum"], X + 2 * X)
    np.testing.assert_array_equal(result["product"], X * (2 * X))
    assert model.output_shape == {"sum": (4,), "product": (4,)}
    model.forward({"first": X, "second": X}, training=True)
    gradients = model.backward({"product": np.ones_like(X), "sum": np.zeros_like(X)})
    np.testing.assert_array_equal(gradients["first"], X)


def test_the_bits_of_a_long_predict_with_two_outputs(engine_name):
    model = two_by_two()
    model.compile(engine=engine_name)
    x, z = np.repeat(X, 300, axis=0), np.repeat(Z, 300, axis=0)
    for whole, part in zip(model.predict([x, z]), model.predict([x[:7], z[:7]], batch_size=2), strict=True):
        np.testing.assert_array_equal(whole[:7], part)


def test_a_shared_layer_has_one_set_of_weights_and_the_sum_of_gradients(engine_name):
    a, b, layer = nn.Input((4,)), nn.Input((4,)), nn.Dense(3, name="both")
    model = nn.Model([a, b], nn.Concatenate()([layer(a), layer(b)]))
    model.compile(engine=engine_name, dtype="float64")
    assert list(model.parameters()) == ["both.kernel", "both.bias"]
    y = RNG.standard_normal((6, 4))
    model.forward([X, y], training=True)
    dy = RNG.standard_normal((6, 6))
    model.backward(dy)
    np.testing.assert_allclose(model.gradients()["both.kernel"], X.T @ dy[:, :3] + y.T @ dy[:, 3:], rtol=1e-12)
    np.testing.assert_allclose(model.gradients()["both.bias"], dy[:, :3].sum(0) + dy[:, 3:].sum(0), rtol=1e-12)


def test_a_model_is_a_layer_and_shares_its_weights_where_it_is_used_twice(engine_name):
    part = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="tanh"), nn.Dense(2)], name="part")
    a, b = nn.Input((4,)), nn.Input((4,))
    model = nn.Model([a, b], [part(a), nn.Average()([part(a), part(b)])])
    model.compile(engine=engine_name, dtype="float64")
    assert list(model.parameters()) == ["part.dense.kernel", "part.dense.bias", "part.dense_1.kernel", "part.dense_1.bias"]
    part.compile(engine=engine_name, dtype="float64")
    part.set_weights(model.get_weights(part))
    first, mean = model.predict([X, 2 * X])
    np.testing.assert_array_equal(first, part.predict(X))
    np.testing.assert_allclose(mean, (part.predict(X) + part.predict(2 * X)) / 2, rtol=1e-13)


def test_a_model_begins_with_the_weights_that_its_parts_have(engine_name):
    part = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    part.compile(engine=engine_name, seed=5)
    inner = nn.Sequential([nn.Input((4,)), part, nn.Dense(4)])
    outer = nn.Sequential([inner, nn.Dense(1)])
    for model in (inner, outer):
        model.compile(engine=engine_name, seed=6)
    assert outer.predict(X).shape == (6, 1)
    for weights in (inner.get_weights(part), outer.get_weights(inner)[:2]):
        np.testing.assert_array_equal(weights[0], part.get_weights()[0])
    np.testing.assert_array_equal(outer.get_weights(inner)[2], inner.get_weights()[2])
    part.set_weights([np.zeros((4, 3)), np.zeros(3)])
    assert inner.get_weights(part)[0].any()  # its own, from then on


def test_one_layer_in_two_parts_has_one_set_of_weights(tmp_path, engine_name):
    layer, a = nn.Dense(4), nn.Input((4,))
    part = nn.Model(a, nn.Dense(4)(layer(a)), name="part")
    x = nn.Input((4,))
    model = nn.Model(x, part(layer(x)))
    model.compile(engine=engine_name, dtype="float64")
    assert len(model.get_weights()) == 4
    w, b, v, c = model.get_weights()
    np.testing.assert_allclose(model.predict(X), ((X @ w + b) @ w + b) @ v + c, rtol=1e-12)
    model.save(tmp_path / "m")
    loaded = nn.load(tmp_path / "m")
    loaded.compile(engine=engine_name, dtype="float64")
    assert loaded.predict(X).tobytes() == model.predict(X).tobytes()
    assert len(loaded.get_weights()) == 4


def nested() -> nn.Model:
    """A model with two outputs as a layer, used twice, beside a Sequential."""
    a = nn.Input((4,))
    h = nn.Dense(4, activation="tanh")(a)
    pair = nn.Model(a, {"left": nn.Dense(3)(h), "right": nn.Add()([h, a])}, name="pair")
    x = nn.Input((4,))
    one = pair(x)
    two = pair(one["right"])
    head = nn.Sequential([nn.Dropout(0.25), nn.Dense(2)], name="head")
    return nn.Model(x, [head(nn.Concatenate()([one["left"], two["left"]])), two["right"]])


@pytest.mark.parametrize("make", [residual, nested])
def test_files(tmp_path, engine_name, make):
    model = make()
    model.compile(engine=engine_name)
    model.save(tmp_path / "m")
    loaded = nn.load(tmp_path / "m")
    loaded.compile(engine=engine_name)
    expected, actual = model.predict(X), loaded.predict(X)
    for a, b in zip(*([y] if isinstance(y, np.ndarray) else y for y in (expected, actual)), strict=True):
        assert a.tobytes() == b.tobytes()
    assert lines(loaded) == lines(model)


def test_files_keep_structures_and_parts(tmp_path):
    a, b = nn.Input((4,)), nn.Input((4,))
    part = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    model = nn.Model({"p": a, "q": b}, {"r": part(a), "s": part(b)}, name="whole")
    model.compile(engine="reference")
    model.save(tmp_path / "m")
    loaded = nn.load(tmp_path / "m")
    loaded.compile(engine="reference")
    assert loaded.name == "whole"
    np.testing.assert_array_equal(loaded.predict({"p": X, "q": -X})["s"], model.predict({"p": X, "q": -X})["s"])
    (again,) = (layer for layer in loaded.layers if isinstance(layer, nn.Sequential))
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_the_summary_shows_connections():
    layer = nn.Dense(2, name="twice")
    a, b = nn.Input((4,), name="a"), nn.Input((4,), name="b")
    model = nn.Model([a, b], nn.Add()([layer(a), layer(b)]))
    assert lines(model) == [
        "layer  type   output shape  parameters  connected to",
        "----------------------------------------------------",
        "a      Input  (n, 4)                 0",
        "b      Input  (n, 4)                 0",
        "twice  Dense  (n, 2)                10  a; b",
        "add    Add    (n, 2)                 0  twice, twice",
        "----------------------------------------------------",
        "parameters: 10, trainable: 10",
        "memory: 40 B of float32 parameters",
        "flops: 32 per sample in matrix products",  # twice 2 * 4 * 2
    ]
    rows = [line.split() for line in lines(nested())]
    assert ["pair", "Model", "(n,", "3),", "(n,", "4)", "35", "input;", "pair[1]"] in rows
    assert ["head", "Sequential", "(n,", "2)", "14", "concatenate"] in rows


def test_one_tensor_as_two_outputs(engine_name):
    a = nn.Input((4,))
    y = nn.Dense(2)(a)
    model = nn.Model(a, [y, y, a])
    model.compile(engine=engine_name, dtype="float64")
    first, second, same = model.predict(X)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(same, X)
    model.forward(X, training=True)
    dx = model.backward([np.ones((6, 2)), 2 * np.ones((6, 2)), np.ones((6, 4))])
    np.testing.assert_allclose(dx, 3 * np.ones((6, 2)) @ model.get_weights()[0].T + 1, rtol=1e-12)


A = nn.Input((4,), name="a")
B = nn.Input((3,), name="b")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.Dense(2)(X), TypeError, "predict or forward"),
        (lambda: nn.Dense(2)([]), ValueError, "at least one tensor"),
        (lambda: nn.Dense(2, name="d")([A, B]), ValueError, "layer 'd': inputs of 'dense': expected 1, got 2"),
        (lambda: nn.Add()([A]), ValueError, "expected at least 2, got 1"),
        (lambda: nn.Add()([A, B]), ValueError, r"layer 'Add': inputs: expected equal shapes, got \(4,\), \(3,\)"),
        (lambda: nn.Concatenate(axis=0)([A, B]), ValueError, "axis: expected 1 to 1 or -1 to -1, got 0"),
        (lambda: nn.Concatenate()([A, nn.Input((2, 3))]), ValueError, "equal shapes but for axis -1"),
        (lambda: A(B), TypeError, "to be used as a tensor"),
        (lambda: nn.Model(nn.Dense(2)(A), A), TypeError, "inputs: expected nn.Input objects"),
        (lambda: nn.Model([A, A], A), ValueError, "each once"),
        (lambda: nn.Model(A, nn.Dense(2)), TypeError, "outputs: expected symbolic tensors"),
        (lambda: nn.Model(A, nn.Dense(2)(B)), ValueError, "to depend on the inputs alone, got Input.*'b'"),
        (lambda: nn.Model(A, nn.Add()([nn.Dense(2, name="d")(A), nn.Dense(2, name="d")(A)])), ValueError, "'d' twice"),
        (lambda: nn.Model({3: A}, A), TypeError, "non-empty strings, got 3"),
        (lambda: nn.Sequential([nn.Input((4,)), two_by_two()]), ValueError, "expected shapes"),
        (lambda: nn.Sequential([nn.Input((4,)), nested()]), ValueError, "expected one output in a Sequential, got 2"),
        (lambda: residual()(B), ValueError, r"inputs: expected shapes \[\(4,\)\], got \[\(3,\)\]"),
        (lambda: nn.Sequential([nn.Input((4,)), nn.Dense(2)])([A, A]), ValueError, "expected one input, got 2"),
    ],
)
def test_bad_networks(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_shared_layer_on_inputs_of_two_widths():
    layer = nn.Dense(2, name="d")
    outputs = [layer(A), layer(B)]
    with pytest.raises(ValueError, match=r"layer 'd': parameter 'd.kernel': expected shape \(4, 2\).*got \(3, 2\)"):
        nn.Model([A, B], outputs)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (X, TypeError, r"x: expected a list or a dict by names \['x', 'z'\], got ndarray"),
        ([X], ValueError, "expected one for each of .* got 1"),
        ({"x": X}, ValueError, r"x: expected the names \['x', 'z'\], got \['x'\]"),
        ([X, X], ValueError, r"x\[1\]: expected shape \(n, 3\), got \(6, 4\)"),
        ([X, Z[:5]], ValueError, r"x\[1\]: expected 6 samples as in x\[0\], got 5"),
        ([X, "text"], TypeError, r"x\[1\]: expected real numbers"),
    ],
)
def test_bad_samples(x, error, words):
    model = two_by_two()
    model.compile(engine="reference")
    with pytest.raises(error, match=words):
        model.predict(x)


def test_bad_gradients_and_parts(engine_name):
    model = two_by_two()
    model.compile(engine=engine_name)
    model.forward([X, Z], training=True)
    with pytest.raises(ValueError, match=r"dy\[1\]: expected the output's shape \(6, 1\), got \(6,\)"):
        model.backward([np.ones((6, 3)), np.ones(6)])
    model.backward([np.ones((6, 3)), np.ones((6, 1))])  # the forward is still there
    with pytest.raises(ValueError, match="part: expected a layer of this model"):
        model.get_weights(nn.Dense(2))


def test_a_parameter_name_is_taken_once_by_different_layers():
    builder = GraphBuilder()
    builder.parameter("w", (2,))
    with pytest.raises(ValueError, match="'w' is used twice"):
        builder.parameter("w", (2,))
