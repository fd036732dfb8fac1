"""The basic layers: what they add to a graph, their configuration, and what they refuse."""

from __future__ import annotations

import pytest

import nncore as nn
from nncore.graph import GraphBuilder
from nncore.layers import LAYERS, Layer
from nncore.optable import OPS

ACTIVATIONS = [name for name, op in OPS.items() if op.activation]

EXAMPLES = [
    nn.Input((3, 2), name="in"),
    nn.Dense(5, activation="tanh", use_bias=False, kernel_initializer=nn.TruncatedNormal(stddev=0.1), name="d"),
    nn.Dense(5, bias_initializer=nn.Constant(0.5)),
    nn.Dense(5, activation=nn.Activation("leaky_relu", negative_slope=0.2), name="sloping"),
    nn.Activation("leaky_relu", negative_slope=0.25),
    nn.Activation("gelu", approximate="tanh", name="g"),
    nn.Dropout(0.5),
    nn.PReLU(),
    nn.PReLU(shared=False, alpha_initializer="ones", name="p"),
    nn.Activation("maxout", groups=3, axis=1),
    nn.Flatten(),
    nn.Rescaling(1 / 255, offset=-0.5),
    nn.Add(),
    nn.Multiply(name="product"),
    nn.Average(),
    nn.Concatenate(axis=1),
    nn.AlphaDropout(0.1),
    nn.GaussianNoise(0.2, name="noise"),
    nn.Reshape((2, -1)),
    nn.LayerNorm(epsilon=1e-5, gamma_regularizer=nn.L1(0.1), beta_constraint=nn.MaxNorm(3)),
    nn.RMSNorm(scale=False),
    nn.Normalization(name="scaling"),
    nn.Embedding(10, 4, embeddings_regularizer="l2", trainable=False),
    nn.OneHot(5),
    nn.BatchNorm(momentum=0.9, epsilon=1e-5, center=False, gamma_initializer=nn.Constant(2.0), name="b", trainable=False),
]


def build(layer: Layer, shape: tuple[int, ...]) -> tuple[GraphBuilder, int]:
    builder = GraphBuilder()
    return builder, layer.build(builder, [builder.input(shape)], "layer")


def test_every_class_has_an_example():
    assert {type(layer).__name__ for layer in EXAMPLES} == set(LAYERS)


@pytest.mark.parametrize("layer", EXAMPLES, ids=repr)
def test_config_makes_an_equal_layer(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert repr(again) == repr(layer)


def test_dense_adds_a_node_and_its_activation():
    builder, node = build(nn.Dense(4, activation="relu", kernel_initializer=nn.Constant(2.0)), (3,))
    graph = builder.build([node])
    assert [n.op for n in graph.nodes] == ["input", "dense", "relu"]
    assert [(p.name, p.shape) for p in graph.parameters] == [("layer.kernel", (3, 4)), ("layer.bias", (4,))]
    assert [p.initializer for p in graph.parameters] == [("constant", {"value": 2.0}), ("zeros", {})]
    assert graph.output_shapes == ((4,),)


def test_dense_without_bias_and_activation():
    builder, node = build(nn.Dense(4, use_bias=False), (3,))
    graph = builder.build([node])
    assert [n.op for n in graph.nodes] == ["input", "dense"]
    assert [p.name for p in graph.parameters] == ["layer.kernel"]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_by_name(name):
    for layer in (nn.Dense(2, activation=name), nn.Activation(name)):
        builder, node = build(layer, (2,))
        assert builder.build([node]).nodes[-1].op == name


@pytest.mark.parametrize(
    ("layer", "op", "attrs", "shape"),
    [
        (nn.Activation("elu", alpha=0.5), "elu", {"alpha": 0.5}, (2, 3)),
        (nn.Dropout(0.25), "dropout", {"rate": 0.25}, (2, 3)),
        (nn.Rescaling(2), "rescaling", {"scale": 2.0, "offset": 0.0}, (2, 3)),
        (nn.Flatten(), "flatten", {}, (6,)),
    ],
)
def test_layers_of_one_node(layer, op, attrs, shape):
    builder, node = build(layer, (2, 3))
    graph = builder.build([node])
    assert graph.nodes[-1].op == op
    assert dict(graph.nodes[-1].attrs) == attrs
    assert graph.output_shapes == (shape,)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.Dense(0), ValueError, "units"),
        (lambda: nn.Dense(2.5), TypeError, "units"),
        (lambda: nn.Dense("3"), TypeError, "units"),
        (lambda: nn.Dense(2, activation="swoosh"), ValueError, "relu.*'swoosh'"),
        (lambda: nn.Dense(2, activation="dropout"), ValueError, "activation"),
        (lambda: nn.Dense(2, use_bias=1), TypeError, "use_bias"),
        (lambda: nn.Dense(2, kernel_initializer="goofy"), ValueError, "glorot_uniform.*'goofy'"),
        (lambda: nn.Dense(2, kernel_initializer=3), TypeError, "initializer"),
        (lambda: nn.Dense(2, name=""), ValueError, "name of Dense"),
        (lambda: nn.Dense(2, name=3), ValueError, "name of Dense"),
        (lambda: nn.Activation("relu", slope=2.0), ValueError, "slope"),
        (lambda: nn.Activation("leaky_relu", negative_slope=-1.0), ValueError, "negative_slope"),
        (lambda: nn.Dropout(1.0), ValueError, "rate"),
        (lambda: nn.Dropout(-0.1), ValueError, "rate"),
        (lambda: nn.Rescaling("a"), TypeError, "scale"),
        (lambda: nn.Input(784), TypeError, r"\(784,\)"),
        (lambda: nn.Input((0,)), ValueError, "positive"),
        (lambda: nn.Input((None, 3)), ValueError, "positive"),
    ],
)
def test_bad_options(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_dense_acts_on_the_last_axis():
    builder, node = build(nn.Dense(5), (2, 3))
    graph = builder.build([node])
    assert graph.output_shapes == ((2, 5),)
    assert [p.shape for p in graph.parameters] == [(3, 5), (5,)]
    with pytest.raises(ValueError, match="'dense': expected at least one axis per sample, got a scalar"):
        build(nn.Dense(3), ())


def test_dense_takes_an_activation_with_options(tmp_path):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation=nn.Activation("elu", alpha=0.5, name="unused"))])
    assert [(n.op, dict(n.attrs)) for n in model.graph.nodes][-1] == ("elu", {"alpha": 0.5})
    assert list(model.parameters()) == ["dense.kernel", "dense.bias"]
    model.save(tmp_path / "m.safetensors")
    assert dict(nn.load(tmp_path / "m.safetensors").graph.nodes[-1].attrs) == {"alpha": 0.5}
    assert nn.Dense(2, activation=nn.Activation("elu")).get_config()["activation"] == "elu"
    with pytest.raises(TypeError, match=r"activation: expected a name, an nn\.Activation or None, got PReLU"):
        nn.Dense(4, activation=nn.PReLU())


def test_classes_over_positions_are_refused_with_a_hint():
    model = nn.Sequential([nn.Input((28, 28)), nn.Dense(10)])
    with pytest.raises(ValueError, match=r"got \(n, 28, 10\).*Flatten"):
        model.compile(loss="cross_entropy")
