"""Backpropagation beside finite differences on a net with one hidden layer: two ways to the same gradient.

Backpropagation gives the derivative of the loss with respect to every weight in one backward pass. The same derivatives
can be had, slowly and with a rounding error, by moving each weight w a little either way and looking at the loss:
dL/dw = (L(w + h) - L(w - h)) / 2h + O(h^2). Run ``python examples/finite_differences.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import nncore as nn

Gradients = dict[str, npt.NDArray[Any]]


def backpropagation(model: nn.Model, x: npt.NDArray[Any], t: npt.NDArray[Any]) -> Gradients:
    """Gradients of the loss by parameter name, from one forward and one backward pass."""
    y = model.forward(x, training=True)
    _, dy = model.loss(y, t)
    model.backward(dy)
    return model.gradients()


def finite_differences(model: nn.Model, x: npt.NDArray[Any], t: npt.NDArray[Any], h: float) -> Gradients:
    """The same from two forward passes for each single weight."""
    weights = model.get_weights()
    gradients = {}
    for name, weight in zip(model.parameters(), weights, strict=True):
        gradients[name] = np.empty_like(weight)
        for index in np.ndindex(weight.shape):
            middle = weight[index]
            sides = []
            for moved in (middle + h, middle - h):
                weight[index] = moved
                model.set_weights(weights)
                sides.append(model.loss(model.forward(x), t)[0])
            weight[index] = middle
            gradients[name][index] = (sides[0] - sides[1]) / (2 * h)
    model.set_weights(weights)
    return gradients


def main(argv: Sequence[str] | None = None) -> float:
    """Print both gradients side by side; returns the largest difference between them."""
    parser = argparse.ArgumentParser(description="Compare backpropagation with finite differences.")
    parser.add_argument("--hidden", type=int, default=4, help="width of the hidden layer")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--step", type=float, default=1e-5, help="h above")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("native", "reference"), default="native")
    args = parser.parse_args(argv)

    rng = np.random.default_rng(args.seed)
    x, t = rng.standard_normal((args.samples, 3)), rng.standard_normal((args.samples, 2))
    model = nn.Sequential([nn.Input((3,)), nn.Dense(args.hidden, activation="tanh"), nn.Dense(2)])
    model.compile(loss="mse", dtype="float64", engine=args.engine, seed=args.seed)

    exact, approximate = backpropagation(model, x, t), finite_differences(model, x, t, args.step)
    print(f"{'weight':<22}{'backpropagation':>18}{'finite difference':>20}{'difference':>13}")
    largest = 0.0
    for name in exact:
        for index in np.ndindex(exact[name].shape):
            a, b = exact[name][index], approximate[name][index]
            label = f"{name}[{', '.join(map(str, index))}]"
            print(f"{label:<22}{a:18.12f}{b:20.12f}{a - b:13.1e}")
            largest = max(largest, float(abs(a - b)))
    print(f"largest difference: {largest:.1e}")
    return largest


if __name__ == "__main__":
    main()
