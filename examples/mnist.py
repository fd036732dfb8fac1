"""MNIST with a plain network, 784-300-100-10 by default, as in the classic tutorials: SGD 0.01, batches of 50, 40 epochs.

The four MNIST files are read from the folder --data or the environment variable NNCORE_DATA. Two better settings, with
mean test errors of about 2.0 % and 1.5 %:

    python examples/mnist.py --optimizer adam --learning-rate 0.0005 --epochs 10 --seeds 3
    python examples/mnist.py --hidden 800 --input-dropout 0.2 --dropout 0.5 --optimizer adam --batch-size 100 --epochs 30
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import nncore as nn


def build(hidden: Sequence[int], input_dropout: float, dropout: float) -> nn.Sequential:
    """Images of uint8 go in as they are; ten logits come out."""
    layers: list[nn.layers.Layer] = [nn.Input((28, 28)), nn.Rescaling(1 / 255), nn.Flatten()]
    if input_dropout:
        layers.append(nn.Dropout(input_dropout))
    for units in hidden:
        layers.append(nn.Dense(units, activation="relu"))
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential([*layers, nn.Dense(10)])


def main(argv: Sequence[str] | None = None) -> float:
    """Train from each seed; returns the mean test error."""
    parser = argparse.ArgumentParser(description="Train a network on MNIST.")
    parser.add_argument("--data", help="folder with the four MNIST files (default: as nn.datasets.load_mnist looks)")
    parser.add_argument("--hidden", type=int, nargs="+", default=[300, 100], help="widths of the hidden layers")
    parser.add_argument("--input-dropout", type=float, default=0.0, help="share of pixels dropped while training")
    parser.add_argument("--dropout", type=float, default=0.0, help="share of hidden units dropped while training")
    parser.add_argument("--optimizer", choices=("sgd", "adam"), default="sgd")
    parser.add_argument("--learning-rate", type=float, help="default: 0.01 for sgd, 0.001 for adam")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=1, help="train from the seeds 0, 1, ... (default: only 0)")
    parser.add_argument("--engine", choices=("native", "reference"), default="native")
    parser.add_argument("--save", metavar="FILE", help="write the last model to this safetensors file")
    args = parser.parse_args(argv)

    (x_train, y_train), (x_test, y_test) = nn.datasets.load_mnist(args.data)
    rate = args.learning_rate or {"sgd": 0.01, "adam": 0.001}[args.optimizer]
    make_optimizer = {"sgd": nn.SGD, "adam": nn.Adam}[args.optimizer]
    errors = []
    for seed in range(args.seeds):
        model = build(args.hidden, args.input_dropout, args.dropout)
        model.compile(make_optimizer(rate), "cross_entropy", metrics=["accuracy"], engine=args.engine, seed=seed)
        model.fit(x_train, y_train, args.batch_size, args.epochs, validation_data=(x_test, y_test))
        errors.append(1 - model.evaluate(x_test, y_test)["accuracy"])
        print(f"seed {seed}: test error {100 * errors[-1]:.2f} %")
    mean = sum(errors) / len(errors)
    print(f"mean test error: {100 * mean:.2f} % (epochs: {args.epochs}, seeds: {args.seeds})")
    if args.save:
        model.save(args.save)
        print(f"model saved to {args.save}")
    return mean


if __name__ == "__main__":
    main()
