"""A training loop written by hand: batches, forward, loss, backward, optimizer step. Learns the iris flowers.

``Model.fit`` does all this in one call; write it out where you need something in between, such as a look at the gradients.
Run ``python examples/own_loop.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import nncore as nn


def main(argv: Sequence[str] | None = None) -> float:
    """Train, printing the loss now and then; returns the accuracy on the test part."""
    parser = argparse.ArgumentParser(description="Train on the iris flowers with a loop of one's own.")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("native", "reference"), default="native")
    args = parser.parse_args(argv)

    x, y = nn.datasets.load_iris()
    x_train, x_test, y_train, y_test = nn.data.train_test_split(x, y, test_size=0.2, seed=args.seed)
    batches = nn.data.DataLoader(x_train, y_train, batch_size=16, shuffle=True, seed=args.seed)

    model = nn.Sequential([nn.Input((4,)), nn.Dense(16, activation="relu"), nn.Dense(3)])
    loss_fn = nn.CrossEntropyLoss()
    model.compile(nn.Adam(0.01), loss_fn, engine=args.engine, seed=args.seed)

    for epoch in range(1, args.epochs + 1):
        total = 0.0
        for xb, yb in batches:
            logits = model.forward(xb, training=True)
            loss, dlogits = loss_fn(logits, yb)
            model.backward(dlogits)
            model.optimizer.step(model)
            total += loss * len(xb)
        if epoch == 1 or epoch % 20 == 0:
            size = max(abs(gradient).max() for gradient in model.gradients().values())
            print(f"epoch {epoch:3d}  loss {total / len(x_train):.4f}  largest gradient of the last batch {size:.4f}")

    accuracy = float((model.predict(x_test).argmax(axis=1) == y_test).mean())
    print(f"test accuracy: {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    main()
