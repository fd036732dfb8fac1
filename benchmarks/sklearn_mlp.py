"""scikit-learn's perceptrons beside those of `nncore.sklearn`: seconds of `fit`, test scores, times as fast.

Usage: ``python benchmarks/sklearn_mlp.py [--repeats 5] [--data digits ...]``. Hyper-parameters and random state are equal,
fits take turns in one process, figures are medians over the repeats. MNIST is read as `nncore.datasets.load_mnist` does.
Results in float64 are those of scikit-learn to rounding; ``dtype="auto"``, the default, is float32 from 2,000 values on.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import nncore as nn
import nncore.sklearn

_REST = 0.3  # seconds; threads of the fit before, which wait for work in a loop, would take a core from this one

# Estimator, options beside the random state, and its epochs.
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("MLPClassifier", {"max_iter": 100}),
    "breast_cancer": ("MLPClassifier", {"max_iter": 200}),
    "diabetes": ("MLPRegressor", {"max_iter": 200, "learning_rate_init": 0.01}),
    "mnist": ("MLPClassifier", {"max_iter": 4}),
    "mnist, batches of 50": ("MLPClassifier", {"max_iter": 4, "batch_size": 50}),
}


def load(name: str) -> Sequence[np.ndarray]:
    """Training samples, test samples, training targets, test targets."""
    if name.startswith("mnist"):
        (x, y), (x_test, y_test) = nn.datasets.load_mnist()
        return x.reshape(-1, 784) / 255.0, x_test.reshape(-1, 784) / 255.0, y, y_test
    reader = {"digits": load_digits, "breast_cancer": load_breast_cancer, "diabetes": load_diabetes}[name]
    x, y = reader(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, random_state=0)
    scaler = StandardScaler().fit(x)
    return scaler.transform(x), scaler.transform(x_test), y, y_test


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Print the table; returns how many times as fast the default is on each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--max-iter", type=int, help="epochs, in place of those of each set")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore", category=sklearn.exceptions.ConvergenceWarning)
    speedups = {}
    print(f"{'data':20} {'estimator':22} {'seconds':>9} {'epochs':>6} {'score':>7} {'times as fast':>14}")
    for name in args.data:
        x, x_test, y, y_test = load(name)
        kind, options = SETTINGS[name]
        options = {"random_state": 0, **options, **({"max_iter": args.max_iter} if args.max_iter else {})}
        theirs, ours = getattr(sklearn.neural_network, kind), getattr(nncore.sklearn, kind)
        makers = {
            "scikit-learn": lambda theirs=theirs, options=options: theirs(**options),
            "nncore": lambda ours=ours, options=options: ours(**options),
            "nncore, float64": lambda ours=ours, options=options: ours(**options, dtype="float64"),
        }
        seconds: dict[str, list[float]] = {label: [] for label in makers}
        fitted = {}
        for _ in range(args.repeats):
            for label, make in makers.items():
                time.sleep(_REST)
                began = time.perf_counter()
                fitted[label] = make().fit(x, y)
                seconds[label].append(time.perf_counter() - began)
        medians = {label: statistics.median(values) for label, values in seconds.items()}
        for label, model in fitted.items():
            speed = medians["scikit-learn"] / medians[label]
            score = model.score(x_test, y_test)
            print(f"{name:20} {label:22} {medians[label]:9.3f} {model.n_iter_:6d} {score:7.4f} {speed:14.1f}")
        speedups[name] = medians["scikit-learn"] / medians["nncore"]
    return speedups


if __name__ == "__main__":
    main()
