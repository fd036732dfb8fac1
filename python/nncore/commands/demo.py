"""``nncore demo``: trains a network on handwritten digits that come with the package."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import nncore as nn
from nncore.commands.arguments import Commands, bounded, output, plot_output
from nncore.files import replacing

__all__ = ["add", "run"]

_CURVE_ROWS = 10
_BAR_WIDTH = 40


def add(commands: Commands) -> None:
    """Tell the parser."""
    demo = commands.add_parser("demo", help="train a network on handwritten digits that come with the package")
    demo.add_argument("--epochs", type=bounded(1, 100_000), default=20, help="passes over the data (default: 20)")
    demo.add_argument("--seed", type=bounded(0, 2**64 - 1), default=0, help="of split, weights and order (default: 0)")
    demo.add_argument("--engine", choices=("native", "reference"), default="native", help="default: native")
    demo.add_argument(
        "--out", type=output, default="nncore-demo.safetensors", help="the model's file (default: %(default)s)"
    )
    demo.add_argument("--plot", type=plot_output, metavar="PNG", help="draw the learning curve into this file")
    demo.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Train on four fifths of the digits and their shifted copies, test on the rest."""
    x, y = nn.datasets.load_digits()
    x_train, x_test, y_train, y_test = nn.data.train_test_split(x, y, test_size=0.2, seed=args.seed)
    print(f"digits: {len(x_train)} images to train on, each also shifted by one pixel four ways; {len(x_test)} to test")
    x_train, y_train = _with_shifted(x_train, y_train)
    model = nn.Sequential(
        [
            nn.Input((64,)),
            nn.Rescaling(1 / 16),
            nn.Dense(256, activation="relu"),
            nn.Dropout(0.3),
            nn.Dense(128, activation="relu"),
            nn.Dropout(0.3),
            nn.Dense(10),
        ]
    )
    model.compile(nn.Adam(1e-3), "cross_entropy", metrics=["accuracy"], engine=args.engine, seed=args.seed)
    model.summary()
    begin = time.perf_counter()
    history = model.fit(x_train, y_train, epochs=args.epochs, validation_data=(x_test, y_test)).history
    seconds = time.perf_counter() - begin
    model.save(args.out)
    accuracy = model.evaluate(x_test, y_test)["accuracy"]

    print(f"\n{_curve(history)}\n")
    print(f"trained for {args.epochs} epochs in {seconds:.1f} s by the {args.engine} engine")
    print(f"test accuracy: {100 * accuracy:.2f} % ({round(accuracy * len(x_test))} of {len(x_test)})")
    print(f"model saved to {args.out}")
    if args.plot is not None:
        _plot(history, args.plot)
        print(f"plot saved to {args.plot}")


def _with_shifted(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Images [n, 64] and labels [n], and four more copies: one pixel down, up, right and left."""
    padded = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    copies = [padded[:, i : i + 8, j : j + 8].reshape(-1, 64) for i, j in corners]
    return np.concatenate(copies), np.tile(y, len(copies))


def _curve(history: Mapping[str, Sequence[float]]) -> str:
    """The learning curve as a table, its epochs ever wider apart, with bars for the test error."""
    lines = ["epoch  train loss  test loss  test accuracy  test error"]
    epochs = len(history["loss"])
    shown = np.unique(np.geomspace(1, epochs, min(epochs, _CURVE_ROWS)).round().astype(int))
    worst = max(1 - history["val_accuracy"][epoch - 1] for epoch in shown)
    for epoch in shown:
        train, test, accuracy = (history[name][epoch - 1] for name in ("loss", "val_loss", "val_accuracy"))
        bar = "#" * round(_BAR_WIDTH * (1 - accuracy) / worst) if worst else ""
        lines.append(f"{epoch:5d}  {train:10.4f}  {test:9.4f}  {100 * accuracy:11.2f} %  {bar}".rstrip())
    return "\n".join(lines)


def _plot(history: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draw loss and error of training and test side by side into a PNG file."""
    from matplotlib.figure import Figure  # here: an optional package

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(history["loss"]) + 1)
    for part, prefix in (("training, with dropout", ""), ("test", "val_")):
        left.plot(epochs, history[f"{prefix}loss"], ".-", label=part)
        right.plot(epochs, 100 * (1 - np.asarray(history[f"{prefix}accuracy"])), ".-", label=part)
    for axes, label in ((left, "cross-entropy"), (right, "error in %")):
        axes.set(xlabel="epoch", ylabel=label, yscale="log" if axes is left else "linear")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    right.set_ylim(bottom=0)
    figure.suptitle("nncore demo: handwritten digits")
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)
