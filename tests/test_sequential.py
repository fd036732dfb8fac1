"""Sequential: names, shapes given and inferred, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import nncore as nn


def names(model: nn.Model) -> list[str]:
    return [node.name for node in model.graph.nodes]


def test_automatic_names():
    layers = [nn.Input((2, 3)), nn.Flatten(), nn.Dense(4), nn.Dense(4, name="dense_1"), nn.Dense(4), nn.Dropout(0.1)]
    model = nn.Sequential(layers)
    assert names(model) == ["input", "flatten", "dense", "dense_1", "dense_2", "dropout"]
    assert [p.name for p in model.graph.parameters][::2] == ["dense.kernel", "dense_1.kernel", "dense_2.kernel"]
    assert model.layers == tuple(layers)


def test_the_shape_of_the_first_data():
    model = nn.Sequential([nn.Flatten(name="input"), nn.Dense(2)])
    model.compile(engine="reference")
    with pytest.raises(RuntimeError, match=r"nn\.Input"):
        _ = model.output_shape
    assert model.predict(np.zeros((5, 2, 3))).shape == (5, 2)
    assert (model.input_shape, model.output_shape) == ((2, 3), (2,))
    assert names(model) == ["input_1", "input", "dense"]
    with pytest.raises(ValueError, match=r"x: expected shape \(n, 2, 3\), got \(5, 6\)"):
        model.predict(np.zeros((5, 6)))


def test_a_shape_that_does_not_fit_leaves_the_shape_open():
    model = nn.Sequential([nn.Dense(2)])
    model.compile(engine="reference")
    with pytest.raises(ValueError, match=r"layer 'dense'.*got a scalar"):
        model.predict(np.zeros(5))
    assert model.predict(np.zeros((5, 3))).shape == (5, 2)


def test_one_list_of_layers_makes_models_with_weights_of_their_own():
    layers = [nn.Input((2,)), nn.Dense(2)]
    one, two = nn.Sequential(layers), nn.Sequential(layers)
    for model in (one, two):
        model.compile(engine="reference")
    one.set_weights([np.ones((2, 2)), np.ones(2)])
    assert (two.get_weights()[1] == 0).all()


SHARED = nn.Dense(2)


@pytest.mark.parametrize(
    ("layers", "error", "words"),
    [
        ([], ValueError, "at least one layer"),
        ([nn.Input((2,))], ValueError, "at least one layer"),
        ([SHARED, SHARED], ValueError, "each layer once"),
        ([nn.Dense(2, name="a"), nn.Dense(2, name="a")], ValueError, "'a' twice"),
        ([nn.Dense], TypeError, "the class"),
        ([nn.Dense(2), "relu"], TypeError, "position 1, got 'relu'"),
        ([nn.Dense(2), nn.Input((2,))], ValueError, "first position"),
        ([nn.Input(()), nn.Dense(2, name="head")], ValueError, "layer 'head'"),
        (nn.Dense(2), TypeError, "iterable"),
    ],
)
def test_bad_layers(layers, error, words):
    with pytest.raises(error, match=words):
        nn.Sequential(layers)
