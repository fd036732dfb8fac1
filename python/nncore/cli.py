"""The command ``nncore``: ``demo`` trains a network, ``info`` tells what the package found here, ``bench`` measures it."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

import nncore as nn

__all__ = ["main"]

_CURVE_ROWS = 10
_BAR_WIDTH = 40


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments after the command's name; without them, the process's own.

    Returns:
        The exit status: 0 done, 1 failed (one line on standard error says why), 130 interrupted. Arguments that cannot be
        right leave through ``SystemExit(2)``.

    >>> main(["info"])  # doctest: +SKIP
    nncore        0.1.0
    ...
    """
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], None] = args.run
    try:
        run(args)
    except (OSError, ImportError, RuntimeError) as error:
        print(f"nncore {args.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"nncore {args.command}: interrupted", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser that reports a mistake on one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nncore", description="Neural networks on the CPU.")
    parser.add_argument("--version", action="version", version=f"nncore {nn.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train a network on handwritten digits that come with the package")
    demo.add_argument("--epochs", type=_bounded(1, 100_000), default=20, help="passes over the data (default: 20)")
    demo.add_argument("--seed", type=_bounded(0, 2**64 - 1), default=0, help="of split, weights and order (default: 0)")
    demo.add_argument("--engine", choices=("native", "reference"), default="native", help="default: native")
    demo.add_argument(
        "--out", type=_output, default="nncore-demo.safetensors", help="the model's file (default: %(default)s)"
    )
    demo.add_argument("--plot", type=_plot_output, metavar="PNG", help="draw the learning curve into this file")
    demo.set_defaults(run=_demo)

    info = commands.add_parser("info", help="print version, CPU, instruction set and threads")
    info.set_defaults(run=_info)

    bench = commands.add_parser("bench", help="measure the package, this machine and whichever peers are installed")
    bench.add_argument("--quick", action="store_true", help="only the workloads that matter most, in less time")
    bench.add_argument("--only", default="", metavar="TEXT", help="only workloads with this in their names")
    bench.add_argument("--threads", type=_counts, default=(), metavar="N,...", help="default: 1 and all")
    bench.add_argument("--peers", metavar="NAME,...", help="default: all that are installed; '' for none")
    bench.add_argument("--json", type=_output, help="write all results into this file")
    bench.add_argument("--plot", type=_plot_output, metavar="PNG", help="draw the ratios into this file")
    bench.add_argument("--markdown", type=_output, metavar="MD", help="write tables between the marks of this file")
    bench.set_defaults(run=_bench)
    return parser


def _bounded(low: int, high: int) -> Callable[[str], int]:
    """A reader of integers in [low, high]."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected an integer from {low} to {high}, got {text!r}")
        return value

    return read


def _counts(text: str) -> tuple[int, ...]:
    """Numbers of threads, separated by commas."""
    return tuple(map(_bounded(1, 4096), text.split(",")))


def _output(text: str) -> Path:
    """A file to write; told now if it cannot be, not after the training."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in an existing folder, got {text!r}")
    return path


def _plot_output(text: str) -> Path:
    if importlib.util.find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError('matplotlib is not installed; get it with: pip install "nncore[plot]"')
    return _output(text)


def _demo(args: argparse.Namespace) -> None:
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
    figure.savefig(path, format="png", dpi=120)


def _info(args: argparse.Namespace) -> None:
    """What a report of a problem should contain."""
    from nncore import _core  # here: importing nncore must not load the compiled module
    from nncore.bench.machine import cpu_name

    rows = {
        "nncore": nn.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu features": " ".join(_core.cpu_features()),
        "compiled isas": " ".join(_core.compiled_isas()),
        "usable isas": " ".join(_core.supported_isas()),
        "chosen isa": _core.isa(),
        "threads": str(nn.get_num_threads()),
    }
    for name, value in rows.items():
        print(f"{name:<14} {value}".rstrip())


def _bench(args: argparse.Namespace) -> None:
    """Measure, and tell each result when it is there."""
    from nncore.bench.command import measure  # here: nothing else needs it

    peers = None if args.peers is None else [name for name in args.peers.split(",") if name]
    measure(args.quick, args.only, args.threads, peers, args.json, args.plot, args.markdown)
