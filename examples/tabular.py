"""Tables from end to end: from a CSV file to a cross-validated score and a saved model, beside scikit-learn's MLP.

Four data sets that come with scikit-learn are written to CSV files and read back from there. Both libraries train the same
network: the same layers, Adam, batches and epochs, on features that are normalised by the training part of each fold.

Run ``python examples/tabular.py``, after ``pip install "nncore[data]" scikit-learn``.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nncore as nn

SETS = ("breast_cancer", "wine", "diabetes", "digits")
HIDDEN, BATCH = 100, 32


class Result(NamedTuple):
    """Score (accuracy, or R2 for numbers) and seconds of training, for each fold."""

    scores: list[float]
    seconds: list[float]


def write_csv(name: str, path: Path) -> str:
    """Write one of scikit-learn's sets; returns whether it is a classification or a regression."""
    data = getattr(datasets, f"load_{name}")()
    regression = name == "diabetes"
    target = data.target if regression else [str(data.target_names[label]) for label in data.target]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*data.feature_names, "target"])
        writer.writerows([*row, value] for row, value in zip(data.data.tolist(), target, strict=True))
    return "regression" if regression else "classification"


def train(x: np.ndarray, y: np.ndarray, classes: int | None, epochs: int, seed: int) -> nn.Model:
    """A network of one hidden layer for `classes`, or for numbers, which it gives in their own unit."""
    scaling = nn.Normalization()
    scaling.adapt(x)
    scaling.variance[scaling.variance == 0] = 1  # a feature that is constant here may not be so elsewhere
    layers = [nn.Input(x.shape[1:]), scaling, nn.Dense(HIDDEN, activation="relu"), nn.Dense(classes or 1)]
    network = nn.Sequential(layers)
    network.compile(nn.Adam(1e-3), "cross_entropy" if classes else "mse", seed=seed)
    if classes:
        network.fit(x, y, BATCH, epochs, verbose=0)
        return network
    network.fit(x, (y - y.mean()) / y.std(), BATCH, epochs, verbose=0)
    return nn.Sequential([nn.Input(x.shape[1:]), network, nn.Rescaling(y.std(), y.mean())])


def score(outputs: np.ndarray, y: np.ndarray, classes: int | None) -> float:
    """Accuracy, or R2."""
    metric = nn.metrics.Accuracy() if classes else nn.metrics.R2()
    metric.update(y, outputs if classes else outputs[:, 0])
    return metric.result()


def peer(classes: int | None, epochs: int, seed: int):
    """The same in scikit-learn."""
    options = {
        "hidden_layer_sizes": (HIDDEN,),
        "alpha": 0.0,
        "batch_size": BATCH,
        "max_iter": epochs,
        "n_iter_no_change": epochs + 1,  # no stop before the last epoch, as in nncore's fit
        "random_state": seed,
    }
    if classes:
        return make_pipeline(StandardScaler(), MLPClassifier(**options))
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), MLPRegressor(**options)), transformer=StandardScaler()
    )


def cross_validate(x: np.ndarray, y: np.ndarray, classes: int | None, folds: int, epochs: int) -> tuple[Result, Result]:
    """Results of nncore and scikit-learn on the same folds, taking turns."""
    splitter = (StratifiedKFold if classes else KFold)(folds, shuffle=True, random_state=0)
    ours, theirs = Result([], []), Result([], [])
    train(x, y, classes, 1, 0)  # what is loaded at first use does not count
    for seed, (rows, held) in enumerate(splitter.split(x, y)):
        begin = time.perf_counter()
        model = train(x[rows], y[rows], classes, epochs, seed)
        ours.seconds.append(time.perf_counter() - begin)
        ours.scores.append(score(model.predict(x[held]), y[held], classes))

        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator = peer(classes, epochs, seed).fit(x[rows], y[rows])
        theirs.seconds.append(time.perf_counter() - begin)
        theirs.scores.append(float(estimator.score(x[held], y[held])))
    return ours, theirs


def main(argv: Sequence[str] | None = None) -> dict[str, tuple[Result, Result]]:
    """Print a line for each set; returns nncore's and scikit-learn's results."""
    parser = argparse.ArgumentParser(description="Tables from CSV files to saved models, beside scikit-learn.")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="for CSV files and models; default: a temporary one")
    args = parser.parse_args(argv)

    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        for name in args.sets:
            task = write_csv(name, folder / f"{name}.csv")
            table = nn.data.read_csv(folder / f"{name}.csv", "target", task=task)
            classes = None if table.schema.classes is None else len(table.schema.classes)
            ours, theirs = results[name] = cross_validate(table.x, table.y, classes, args.folds, args.epochs)

            model = train(table.x, table.y, classes, args.epochs, seed=0)
            model.metadata["schema"] = table.schema.to_json()  # with it, `nncore predict` takes new CSV files
            model.save(folder / f"{name}.safetensors")
            lines = [
                f"{who} {np.mean(scores):.4f} ± {np.std(scores):.4f} in {1e3 * np.median(seconds):6.1f} ms"
                for who, (scores, seconds) in (("nncore", ours), ("scikit-learn", theirs))
            ]
            measure = "accuracy" if classes else "R2"
            faster = np.median(theirs.seconds) / np.median(ours.seconds)
            print(f"{name:<14} {measure:<9} {'   '.join(lines)}   {faster:5.1f} times as fast")
    return results


if __name__ == "__main__":
    main()
