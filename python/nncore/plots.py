"""Pictures of models: confusion matrix, decision boundary and weights, drawn with matplotlib (extra ``plot``).

Each function draws into the `ax` it is given, or into a figure of its own, and returns the axes. A picture is kept by
``ax.figure.savefig(path)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array, as_rows, positive
from nncore.evaluation import probabilities
from nncore.metrics import ConfusionMatrix
from nncore.model import Model
from nncore.network import check_model
from nncore.reference.arrays import as_shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_confusion_matrix", "plot_decision_boundary", "plot_weights"]


def plot_confusion_matrix(
    y_true: npt.ArrayLike,
    y_pred: npt.ArrayLike,
    *,
    labels: Sequence[str] | None = None,
    normalize: Literal["true", "pred", "all"] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How often each class was taken for which: rows are the true classes, columns the predicted ones.

    Args:
        y_true: class indices [n].
        y_pred: predicted ones [n], or scores or probabilities [n, classes], of which the largest counts.
        labels: the classes' names.
        normalize: show shares instead: of the true class (``"true"``), the predicted one (``"pred"``) or of all.
        ax: where to draw.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError, ValueError: no such targets, predictions or options.

    Source: scikit-learn ``ConfusionMatrixDisplay``.

    >>> ax = plot_confusion_matrix([0, 1, 1], [0, 1, 0], labels=["cat", "dog"])
    >>> [text.get_text() for text in ax.texts]
    ['1', '0', '1', '1']
    """
    confusion = ConfusionMatrix()
    confusion.update(y_true, y_pred)
    counts = confusion.result()
    names = [str(i) for i in range(len(counts))] if labels is None else _texts(labels)
    if len(names) != len(counts):
        raise ValueError(f"labels: expected {len(counts)} names, got {len(names)}")
    shares = {"true": (1, True), "pred": (0, True), "all": (None, False)}
    if normalize is None:
        values: Array = counts
    elif isinstance(normalize, str) and normalize in shares:
        axis, keep = shares[normalize]
        values = counts / np.maximum(counts.sum(axis=axis, keepdims=keep), 1)
    else:
        raise ValueError(f"normalize: expected None, 'true', 'pred' or 'all', got {normalize!r}")
    ax = _axes(ax)
    most = 1.0 if normalize else float(values.max(initial=1))
    ax.imshow(values, cmap="Blues", vmin=0, vmax=most)
    for (i, j), value in np.ndenumerate(values):
        text = f"{value:d}" if normalize is None else f"{value:.2f}"
        ax.text(j, i, text, ha="center", va="center", color="white" if value > most / 2 else "black")
    ax.set(xlabel="predicted", ylabel="true", xticks=range(len(names)), yticks=range(len(names)))
    ax.set_xticklabels(names, rotation=45 if max(map(len, names)) > 3 else 0)
    ax.set_yticklabels(names)
    return ax


def plot_decision_boundary(
    model: Any,  # noqa: ANN401 - whatever predicts
    x: npt.ArrayLike,
    y: npt.ArrayLike | None = None,
    *,
    labels: Sequence[str] | None = None,
    resolution: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """Which class a model of two features predicts where, and the samples with their classes.

    Args:
        model: a `Model` that gives scores or probabilities [n, classes], or one of class 1 [n, 1] (the score of a model
            compiled with a loss on logits counts from 0 up, a probability from a half), or whatever else has a ``predict``
            that gives classes [n].
        x: samples [n, 2], which also say how far the picture goes.
        y: their class indices [n].
        labels: the classes' names.
        resolution: points along each axis, at most 2**14.
        ax: where to draw.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError, ValueError: samples of other than two features, or no class indices.

    >>> import nncore as nn
    >>> x, y = nn.datasets.xor()
    >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(2)])
    >>> ax = plot_decision_boundary(model, x, y.ravel().astype(int), resolution=50)
    >>> ax.collections[0].get_array().shape
    (50, 50)
    """
    points = as_rows(x, "x").astype(np.float64)
    if points.shape[1:] != (2,):
        raise ValueError(f"x: expected samples of two features, shape (n, 2), got {points.shape}")
    known = None if y is None else _class_indices("y", y, len(points))
    if not callable(getattr(model, "predict", None)):
        raise TypeError(f"model: expected a Model or whatever else has a predict, got {type(model).__name__}")
    if (resolution := positive(resolution, "resolution")) > 2**14:
        raise ValueError(f"resolution: expected at most 2**14 points, got {resolution}")
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 0.5)
    across, up = np.linspace(low - margin, high + margin, resolution).T
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    predicted = _classes(model, grid)
    count = 1 + int(max(predicted.max(), -1 if known is None else known.max()))
    names = [str(i) for i in range(count)] if labels is None else _texts(labels)
    if len(names) < count:
        raise ValueError(f"labels: expected {count} names, got {len(names)}")
    ax = _axes(ax)
    colours: dict[str, Any] = {
        "cmap": "tab10" if len(names) <= 10 else "tab20",
        "vmin": 0,
        "vmax": 9 if len(names) <= 10 else 19,
    }
    ax.pcolormesh(across, up, predicted.reshape(resolution, resolution), shading="nearest", alpha=0.3, **colours)
    for i, name in enumerate(names if known is not None else ()):
        rows = points[known == i]
        ax.scatter(
            rows[:, 0], rows[:, 1], c=np.full(len(rows), i), s=16, edgecolors="black", linewidths=0.5, label=name, **colours
        )
    if known is not None:
        ax.legend()
    return ax


def plot_weights(
    model: Model, name: str | None = None, *, image_shape: tuple[int, int] | None = None, ax: Axes | None = None
) -> Axes:
    """The weights of a layer as colours: red above zero, blue below, white at zero.

    Args:
        model: whose.
        name: a parameter's, such as ``"dense.kernel"``; ``None``: the first with two axes.
        image_shape: height and width of the images that the samples are: then each unit's weights are such an image, side
            by side. ``None``: the matrix [inputs, units] as it is.
        ax: where to draw.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: no such parameter, or another shape.

    >>> import nncore as nn
    >>> model = nn.Sequential([nn.Input((64,)), nn.Dense(6)])
    >>> plot_weights(model, image_shape=(8, 8)).images[0].get_array().shape  # two rows of three, a line between them
    (17, 26)
    """
    check_model(model)
    parameters = model.parameters()
    name = next((key for key, value in parameters.items() if value.ndim == 2), "") if name is None else name
    if not isinstance(name, str) or name not in parameters:
        raise ValueError(f"name: expected one of {', '.join(parameters)}, got {name!r}")
    weights = parameters[name]
    if weights.ndim != 2:
        raise ValueError(f"name: expected a parameter with two axes, got {name!r} of shape {weights.shape}")
    values = weights if image_shape is None else _mosaic(weights, as_shape("image_shape", image_shape, 1))
    largest = float(np.abs(weights).max()) or 1.0
    ax = _axes(ax)
    image = ax.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto" if image_shape is None else "equal")
    ax.figure.colorbar(image, ax=ax)
    ax.set_title(name)
    if image_shape is None:
        ax.set(xlabel="unit", ylabel="input")
    else:
        ax.set_axis_off()
    return ax


def _axes(ax: Axes | None) -> Any:  # noqa: ANN401 - matplotlib is optional
    """`ax`, or the axes of a new figure."""
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('nncore.plots: expected matplotlib to be installed (pip install "nncore[plot]")') from error
    return Figure(layout="constrained").add_subplot()


def _class_indices(name: str, value: npt.ArrayLike, rows: int) -> Array:
    array = as_rows(value, name)
    if array.shape != (rows,) or (array != array.astype(np.int64)).any() or (array < 0).any():
        raise ValueError(f"{name}: expected a class index for each of {rows} samples, got {array.dtype} {array.shape}")
    return array.astype(np.int64)


def _classes(model: Any, x: Array) -> Array:  # noqa: ANN401
    """The class [n] that a model predicts of each sample."""
    outputs = np.asarray(model.predict(x))
    if outputs.ndim == 1:
        return _class_indices("predictions of the model", outputs, len(x))
    if outputs.shape[1] > 1:
        return np.asarray(outputs.argmax(axis=1))
    return (probabilities(outputs[:, 0], _loss_name(model)) > 0.5).astype(np.int64)


def _loss_name(model: Any) -> str:  # noqa: ANN401
    """The name of the loss that a model is compiled with, which tells scores from probabilities."""
    try:
        return str(model.loss.spec.name) if isinstance(model, Model) else ""
    except RuntimeError:  # it is not compiled
        return ""


def _texts(labels: Sequence[str]) -> list[str]:
    given: Any = labels  # Any: what users pass is checked here
    if not isinstance(given, Sequence) and not (isinstance(given, np.ndarray) and given.ndim == 1):
        raise TypeError(f"labels: expected a sequence of names, got {labels!r}")
    if len(labels) > 2**16:
        raise ValueError(f"labels: expected at most 2**16 names, got {len(labels)}")
    return [str(label) for label in labels]


def _mosaic(weights: Array, image_shape: tuple[int, ...]) -> Array:
    """Units [inputs, units] as images in rows and columns, NaN in the lines between them."""
    if len(image_shape) != 2:
        raise ValueError(f"image_shape: expected height and width, got {image_shape}")
    (inputs, units), (height, width) = weights.shape, image_shape
    if inputs != height * width:
        raise ValueError(f"image_shape: expected {inputs} pixels as the layer has inputs, got {height} x {width}")
    columns = int(np.ceil(np.sqrt(units)))
    rows = -(-units // columns)
    picture = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for unit in range(units):
        top, left = unit // columns * (height + 1), unit % columns * (width + 1)
        picture[top : top + height, left : left + width] = weights[:, unit].reshape(height, width)
    return picture
