"""Small graphs that the engine tests share."""

import numpy as np

from nncore.graph import GraphBuilder
from nncore.optable import OPS


def dense(b, x, units, name, use_bias=True):
    """A dense node with parameters of its own."""
    parameters = [b.parameter(f"{name}.kernel", (b.shape(x)[-1], units))]
    if use_bias:
        parameters.append(b.parameter(f"{name}.bias", (units,)))
    return b.node("dense", [x], {"units": units, "use_bias": use_bias}, parameters)


def deep(rate=0.3):
    """Four dense layers with every kind of op that a chain has, on samples of shape (2, 3)."""
    b = GraphBuilder()
    h = b.node("flatten", [b.node("rescaling", [b.input((2, 3))], {"scale": 0.5, "offset": 0.1})])
    h = b.node("dropout", [b.node("tanh", [dense(b, h, 9, "d0")])], {"rate": rate})
    h = b.node("gelu", [dense(b, h, 8, "d1", use_bias=False)])
    h = b.node("dropout", [b.node("sigmoid", [dense(b, h, 7, "d2")])], {"rate": rate})
    return b.build([dense(b, h, 3, "d3")])


def activations():
    """Every activation with its default attributes, side by side, each between dense layers of its own."""
    b = GraphBuilder()
    x = b.input((4,))
    names = [name for name, op in OPS.items() if op.activation]
    return b.build([dense(b, b.node(name, [dense(b, x, 6, name)]), 2, f"{name}.out") for name in names])


def axes():
    """Activations along every axis of samples of shape (4, 3, 6), slopes that are learned, and slopes that are drawn."""
    b = GraphBuilder()
    x = b.input((4, 3, 6))
    alpha, alphas = b.parameter("alpha", (1,)), b.parameter("alphas", (6,))
    results = [b.node(op, [x], {"axis": axis}) for op in ("softmax", "log_softmax") for axis in (1, 2, 3, -1, -2, -3)]
    results += [b.node("glu", [x], {"axis": axis}) for axis in (1, 3, -1, -3)]
    results += [
        b.node("maxout", [x], {"groups": groups, "axis": axis}) for groups, axis in ((2, 1), (3, 2), (6, 3), (3, -2))
    ]
    results += [b.node("prelu", [x], {"shared": True}, [alpha]), b.node("prelu", [x], {"shared": False}, [alphas])]
    results += [b.node("rrelu", [x], {"lower": 0.2, "upper": 0.9})]
    h = dense(b, b.node("flatten", [x]), 6, "hidden")
    return b.build([*results, b.node("prelu", [h], {"shared": False}, [alphas]), b.node("rrelu", [h])])


def residual():
    """No chain: values with several consumers, two inputs and two outputs, one of which is also consumed."""
    b = GraphBuilder()
    x, z = b.input((4,)), b.input((4,))
    h = b.node("tanh", [dense(b, x, 4, "d0")])
    s = b.node("add", [x, h, z, h])
    y = b.node("sigmoid", [dense(b, s, 4, "d1")])
    return b.build([b.node("add", [y, s]), y])


def merging():
    """Every op that makes one value of several, with inputs that come twice, on samples of two axes too."""
    b = GraphBuilder()
    x, z = b.input((4,)), b.input((2, 3))
    h, s = b.node("tanh", [dense(b, x, 4, "d0")]), b.node("sigmoid", [z])
    m = b.node("multiply", [h, x, h])
    a = b.node("average", [m, h, x, x])
    c = b.node("concatenate", [s, z, s], {"axis": 1})
    w = b.node("concatenate", [c, c], {"axis": -1})
    return b.build([dense(b, b.node("concatenate", [a, h, a]), 3, "d1"), dense(b, b.node("flatten", [w]), 2, "d2"), c])


def shared():
    """Two dense nodes with one kernel between them, and a parameter that is not trainable."""
    b = GraphBuilder()
    x = b.input((4,))
    kernel, bias = b.parameter("kernel", (4, 4)), b.parameter("bias", (4,), trainable=False)
    h = b.node("tanh", [b.node("dense", [x], {"units": 4}, [kernel, bias])])
    return b.build([b.node("dense", [h], {"units": 4, "use_bias": False}, [kernel])])


def positions(widths=(7, 5)):
    """Dense layers over several positions, one of them used twice, on an input that another layer reads too."""
    b = GraphBuilder()
    x, (inner, outer) = b.input((2, 3, 5)), widths
    h = b.node("tanh", [dense(b, x, inner, "d0")])
    h = dense(b, h, outer, "d1", use_bias=False)
    kernel, bias = b.parameter("shared", (outer, outer)), b.parameter("bias", (outer,))
    for _ in range(2):
        h = b.node("sigmoid", [b.node("dense", [h], {"units": outer}, [kernel, bias])])
    return b.build([h, dense(b, x, 2, "d2")])


def lookups():
    """Embedding and one-hot of indices made in the network, between ops that reshape and normalise vectors."""
    b = GraphBuilder()
    x = b.input((4,))
    index = b.node("step", [x])  # 0 or 1
    table = b.parameter("table", (2, 3))
    h = b.node("embedding", [index], {"input_dim": 2, "output_dim": 3}, [table])
    h = b.node("concatenate", [h, b.node("one_hot", [index], {"depth": 2})])
    h = dense(b, b.node("reshape", [h], {"target_shape": "2,-1"}), 7, "d0")
    scale = [b.parameter(f"layer_norm.{slot}", (7,)) for slot in ("gamma", "beta")]
    h = b.node("layer_norm", [h], {}, scale)
    return b.build([b.node("rms_norm", [dense(b, h, 5, "d1")], {"scale": False})])


def normalized(frozen=False):
    """Batch normalisation between dense layers, over several positions, on an input; one is used twice."""
    b = GraphBuilder()

    def batch_norm(x, name, **attrs):
        n = b.shape(x)[-1:]
        learnt = [b.parameter(f"{name}.{slot}", n) for slot in ("gamma", "beta")]
        averages = [b.parameter(f"{name}.moving_{slot}", n, trainable=False) for slot in ("mean", "variance")]
        return (
            b.node("batch_norm", [x], {"momentum": 0.8, "frozen": frozen, **attrs}, [*learnt, *averages]),
            learnt,
            averages,
        )

    h, _, _ = batch_norm(b.input((2, 3)), "b0")
    h, learnt, averages = batch_norm(dense(b, b.node("flatten", [h]), 9, "d0"), "b1")
    h = b.node("dropout", [b.node("relu", [h])], {"rate": 0.2})
    h = b.node("add", [h, b.node("batch_norm", [dense(b, h, 9, "d1")], {"frozen": frozen}, [*learnt, *averages])])
    return b.build([dense(b, h, 3, "d2")])


def randomize(engine, seed=0, scale=0.5):
    """Set every parameter of `engine` to random numbers, the same for every engine and dtype; returns the engine."""
    rng = np.random.default_rng(seed)
    for i, spec in enumerate(engine.graph.parameters):
        value = scale * rng.standard_normal(spec.shape)
        engine.set_parameter(i, np.abs(value) + 0.1 if spec.name.endswith("variance") else value)
    return engine


def parameters(engine):
    """Copies of all parameters."""
    return [engine.get_parameter(i) for i in range(len(engine.graph.parameters))]
