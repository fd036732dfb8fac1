"""The functional API: two inputs, a residual block, and two outputs with a loss, a weight and metrics each.

A network sees a handwritten digit and a number; it says which digit it is, and what the two add up to. The sum needs the
digit, so that what one output learns helps the other.

    python examples/two_outputs.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

import nncore as nn


def residual(x: nn.layers.Tensor, units: int) -> nn.layers.Tensor:
    """Two dense layers with a connection around them: y = relu(x + f(x)), f(x) as wide as x."""
    h = nn.Dense(units, activation="relu")(x)
    h = nn.Dense(x.shape[-1])(h)
    return nn.Activation("relu")(nn.Add()([x, h]))


def build(units: int) -> nn.Model:
    """Image [64] and number [1] to ten logits, "digit", and one value, "sum"."""
    image, number = nn.Input((64,), name="image"), nn.Input((1,), name="number")
    seen = nn.Dense(units, activation="relu")(nn.Rescaling(1 / 16)(image))
    seen = residual(nn.Dropout(0.2)(seen), units)
    digit = nn.Dense(10, name="digit")(seen)
    guess = nn.Activation("softmax")(digit)
    both = nn.Dense(units, activation="relu")(nn.Concatenate()([guess, number]))
    total = nn.Dense(1, name="sum")(residual(both, units))
    return nn.Model({"image": image, "number": number}, {"digit": digit, "sum": total})


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train on the digits that come with nncore; returns the losses and metrics on those held out."""
    parser = argparse.ArgumentParser(description="Two inputs, a residual block, two outputs.")
    parser.add_argument("--units", type=int, default=64, help="width of the hidden layers")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--engine", choices=("native", "reference"), default="native")
    args = parser.parse_args(argv)

    images, digits = nn.datasets.load_digits()
    numbers = np.random.default_rng(0).integers(0, 10, len(digits))
    x = {"image": images, "number": numbers[:, None]}
    y = {"digit": digits, "sum": (digits + numbers)[:, None]}
    held_out = 360
    train = [{name: array[held_out:] for name, array in arrays.items()} for arrays in (x, y)]
    test = [{name: array[:held_out] for name, array in arrays.items()} for arrays in (x, y)]

    model = build(args.units)
    model.compile(
        nn.Adam(0.003),
        loss={"digit": "cross_entropy", "sum": "mse"},
        loss_weights={"digit": 1.0, "sum": 0.1},
        metrics={"digit": ["accuracy"], "sum": ["mae"]},
        engine=args.engine,
    )
    model.summary()
    model.fit(*train, batch_size=32, epochs=args.epochs, validation_data=tuple(test), verbose=2)
    found = model.evaluate(*test)
    print(f"digits right: {100 * found['digit_accuracy']:.1f} %, the sum is off by {found['sum_mae']:.2f} on average")
    first = model.predict({name: array[:1] for name, array in test[0].items()})
    print(
        f"first: digit {first['digit'].argmax()} of {y['digit'][0]}, sum {first['sum'].item():.2f} of {y['sum'][0].item()}"
    )
    return found


if __name__ == "__main__":
    main()
