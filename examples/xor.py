"""Exclusive or, learned by a net with two hidden layers: with one sigmoid output, or with two softmax outputs.

Run ``python examples/xor.py`` or ``python examples/xor.py --outputs 2``; ``--seeds 20`` repeats it from 20 starts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

import nncore as nn


def train(outputs: int, seed: int, epochs: int, engine: str) -> npt.NDArray[np.float32]:
    """Train on the four rows, all in one batch; returns the probability of a 1 for each row, [4]."""
    x, y = nn.datasets.xor()
    if outputs == 2:
        y = np.hstack([1 - y, y])  # one column for each answer
    model = nn.Sequential(
        [
            # The bias lifts the relu units off zero: the row (0, 0) would otherwise reach none of them.
            nn.Dense(8, activation="relu", kernel_initializer="he_normal", bias_initializer=nn.Constant(0.1)),
            nn.Dense(4, activation="sigmoid"),
            nn.Dense(outputs, activation="sigmoid" if outputs == 1 else "softmax"),
        ]
    )
    model.compile(nn.SGD(2.4), "mse", engine=engine, seed=seed)
    model.fit(x, y, batch_size=4, epochs=epochs, verbose=0)
    return model.predict(x)[:, -1]


def main(argv: Sequence[str] | None = None) -> int:
    """Train from each seed; returns from how many all four rows came out right."""
    parser = argparse.ArgumentParser(description="Learn exclusive or.")
    parser.add_argument("--outputs", type=int, choices=(1, 2), default=1, help="one sigmoid or two softmax outputs")
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1, help="train from the seeds 0, 1, ... (default: only 0)")
    parser.add_argument("--engine", choices=("native", "reference"), default="native")
    args = parser.parse_args(argv)

    x, y = nn.datasets.xor()
    solved = 0
    for seed in range(args.seeds):
        probability = train(args.outputs, seed, args.epochs, args.engine)
        right = (probability > 0.5) == (y[:, 0] == 1)
        solved += bool(right.all())
        rows = "  ".join(f"{a:.0f}{b:.0f}: {p:.3f}" for (a, b), p in zip(x, probability, strict=True))
        print(f"seed {seed}:  {rows}  {'right' if right.all() else 'wrong'}")
    print(f"all four rows right from {solved} of {args.seeds} seeds")
    return solved


if __name__ == "__main__":
    main()
