"""Plots: what is drawn, as numbers and texts; and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

import nncore as nn

TRUE, PREDICTED = [0, 0, 1, 1, 1, 2, 2, 2, 2], [0, 1, 1, 1, 0, 2, 2, 2, 0]


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_matrix(normalize, tmp_path):
    ax = nn.plots.plot_confusion_matrix(TRUE, PREDICTED, labels=["cat", "dog", "newt"], normalize=normalize)
    expected = confusion_matrix(TRUE, PREDICTED, normalize=normalize)
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    assert texts == {
        (j, i): format(value, "d" if normalize is None else ".2f") for (i, j), value in np.ndenumerate(expected)
    }
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog", "newt"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog", "newt"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    for text in ax.texts:  # readable: light on dark, dark on light
        j, i = text.get_position()
        light = np.mean(ax.images[0].to_rgba(expected)[int(i), int(j), :3])
        assert abs(light - np.mean(to_rgb(text.get_color()))) > 0.3
    ax.figure.savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_confusion_matrix_of_scores_in_given_axes():
    given = Figure().add_subplot()
    assert nn.plots.plot_confusion_matrix(TRUE, np.eye(3)[PREDICTED], ax=given) is given
    np.testing.assert_array_equal(given.images[0].get_array(), confusion_matrix(TRUE, PREDICTED))
    assert [label.get_text() for label in given.get_xticklabels()] == ["0", "1", "2"]


class Halves:
    """Predicts classes as scikit-learn's estimators do: 1 right of zero, 2 where it is above the diagonal too."""

    def predict(self, x):
        return np.where(x[:, 0] > 0, np.where(x[:, 1] > x[:, 0], 2, 1), 0)


def test_decision_boundary_of_known_classes(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (60, 2))
    y = Halves().predict(x)
    ax = nn.plots.plot_decision_boundary(Halves(), x, y, labels=["a", "b", "c"], resolution=41)
    mesh, *points = ax.collections
    low, high = x.min(axis=0), x.max(axis=0)
    across, up = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 41).T
    assert mesh.get_array().tolist() == [[int(Halves().predict(np.array([[a, b]]))[0]) for a in across] for b in up]
    corners = mesh.get_coordinates()  # the points are in the middles of the cells
    np.testing.assert_allclose((corners[0, :-1, 0] + corners[0, 1:, 0]) / 2, across)
    np.testing.assert_allclose((corners[:-1, 0, 1] + corners[1:, 0, 1]) / 2, up)
    for i, drawn in enumerate(points):
        np.testing.assert_array_equal(drawn.get_offsets(), x[y == i])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]
    ax.figure.savefig(tmp_path / "a.png")


def line(outputs, weights, bias):
    model = nn.Sequential([nn.Input((2,)), nn.Dense(outputs)])
    model.set_weights([weights, bias])
    return model


@pytest.mark.parametrize(("loss", "bias"), [(None, 0.5), ("mse", 0.5), ("bce_with_logits", 0.0)])
def test_decision_boundary_of_one_output(loss, bias):
    """A score counts from zero up, a probability from a half: both say class 1 right of zero."""
    model = line(1, [[1.0], [0.0]], [bias])
    if loss is not None:
        model.compile(loss=loss)
    x = np.array([[-1.0, -1.0], [1.0, 1.0]])
    ax = nn.plots.plot_decision_boundary(model, x, resolution=10)
    (mesh,) = ax.collections
    np.testing.assert_array_equal(mesh.get_array(), np.tile(np.arange(10) >= 5, (10, 1)))
    assert ax.get_legend() is None


def test_decision_boundary_of_several_outputs():
    model = line(3, [[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], [0.0, 0.5, 0.0])  # borders at -0.5 and 0.5
    ax = nn.plots.plot_decision_boundary(model, np.array([[-1.0, 3.0], [1.0, 3.0]]), resolution=11)
    across = np.linspace(-1.1, 1.1, 11)
    np.testing.assert_array_equal(ax.collections[0].get_array(), np.tile(np.digitize(across, [-0.5, 0.5]), (11, 1)))


def test_weights_as_a_matrix():
    model = nn.Sequential([nn.Input((6,)), nn.Dense(4), nn.Dense(3)])
    ax = nn.plots.plot_weights(model)
    kernel = model.parameters()["dense.kernel"]
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), kernel)
    assert (image.norm.vmin, image.norm.vmax) == (-abs(kernel).max(), abs(kernel).max())
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("dense.kernel", "unit", "input")
    np.testing.assert_array_equal(
        nn.plots.plot_weights(model, "dense_1.kernel").images[0].get_array(), model.parameters()["dense_1.kernel"]
    )


def test_weights_as_images(tmp_path):
    model = nn.Sequential([nn.Input((6,)), nn.Dense(5)])
    kernel = model.parameters()["dense.kernel"]
    ax = nn.plots.plot_weights(model, image_shape=(2, 3))
    drawn = np.ma.filled(ax.images[0].get_array(), np.nan)
    assert drawn.shape == (2 * 3 - 1, 3 * 4 - 1)
    for unit in range(5):
        top, left = unit // 3 * 3, unit % 3 * 4
        np.testing.assert_array_equal(drawn[top : top + 2, left : left + 3], kernel[:, unit].reshape(2, 3))
    assert np.isnan(drawn[2]).all()
    assert np.isnan(drawn[3:, 8:]).all()  # there is no sixth unit
    ax.figure.savefig(tmp_path / "a.png")


@pytest.mark.parametrize(("draw", "error", "message"), [
    (lambda: nn.plots.plot_confusion_matrix([0, 1], [0, 1], labels=["a"]), ValueError, "labels: expected 2 names, got 1"),
    (lambda: nn.plots.plot_confusion_matrix([0], [0], normalize="row"), ValueError, "normalize: expected None, 'true'"),
    (lambda: nn.plots.plot_confusion_matrix([0, 1], [0]), ValueError, "2"),
    (lambda: nn.plots.plot_decision_boundary(Halves(), np.zeros((4, 3))), ValueError, r"got \(4, 3\)"),
    (lambda: nn.plots.plot_decision_boundary(Halves(), np.zeros((4, 2)), [0.5] * 4), ValueError, "y: expected a class"),
    (lambda: nn.plots.plot_decision_boundary(Halves(), np.zeros((4, 2)), [0] * 3), ValueError, "each of 4 samples"),
    (lambda: nn.plots.plot_decision_boundary(Halves(), np.zeros((4, 2)), resolution=0), ValueError, "resolution"),
    (lambda: nn.plots.plot_decision_boundary(Halves(), [[-1, -1], [1, 1]], labels=["a"]), ValueError, "expected 3 names"),
    (lambda: nn.plots.plot_weights(line(1, [[1], [0]], [0]), "x"), ValueError, "expected one of dense.kernel, dense.bias"),
    (lambda: nn.plots.plot_weights(line(1, [[1], [0]], [0]), "dense.bias"), ValueError, r"two axes, got 'dense.bias'"),
    (lambda: nn.plots.plot_weights(line(1, [[1], [0]], [0]), image_shape=(2, 2)), ValueError, "expected 2 pixels"),
])  # fmt: skip
def test_mistakes(draw, error, message):
    with pytest.raises(error, match=message):
        draw()


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="expected matplotlib to be installed"):
        nn.plots.plot_weights(line(1, [[1], [0]], [0]))
