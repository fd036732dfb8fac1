"""Tuning with scikit-learn's HalvingRandomSearchCV: many settings for a few epochs, the better third for more, and so on.

pip install "nncore[sklearn]"
python examples/tune_halving.py --jobs 2
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence

from scipy.stats import loguniform, uniform
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - scikit-learn wants it before the next line
from sklearn.model_selection import HalvingRandomSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nncore as nn
from nncore.sklearn import MLPClassifier


def main(argv: Sequence[str] | None = None) -> float:
    """Search, print each round and the winner; returns its accuracy on images that the search has not seen."""
    parser = argparse.ArgumentParser(description="Tune a network on the digits.")
    parser.add_argument("--candidates", type=int, default=27, help="settings in the first round")
    parser.add_argument("--min-epochs", type=int, default=5, help="epochs in the first round")
    parser.add_argument("--max-epochs", type=int, default=135, help="epochs in the last round at most")
    parser.add_argument("--factor", type=int, default=3, help="how much fewer settings, and more epochs, in each round")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args(argv)

    x, y = nn.datasets.load_digits()
    x, x_test, y, y_test = nn.data.train_test_split(x, y, test_size=0.25, seed=0)
    settings = {
        "mlpclassifier__hidden_layer_sizes": [(32,), (64,), (128,), (64, 32), (128, 64)],
        "mlpclassifier__activation": ["relu", "tanh", "gelu"],
        "mlpclassifier__learning_rate_init": loguniform(1e-4, 3e-2),
        "mlpclassifier__alpha": loguniform(1e-6, 1.0),
        "mlpclassifier__dropout": uniform(0.0, 0.5),
        "mlpclassifier__batch_size": [32, 64, 128],
    }
    search = HalvingRandomSearchCV(
        make_pipeline(StandardScaler(), MLPClassifier(dtype="float32", random_state=0)),
        settings,
        n_candidates=args.candidates,
        factor=args.factor,
        resource="mlpclassifier__max_iter",
        min_resources=args.min_epochs,
        max_resources=args.max_epochs,
        cv=3,
        n_jobs=args.jobs,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are the idea of it
        search.fit(x, y)
    for candidates, epochs in zip(search.n_candidates_, search.n_resources_, strict=True):
        print(f"{candidates} settings for {epochs} epochs")
    accuracy = float(search.score(x_test, y_test))
    print(f"best: {search.best_params_}")
    print(f"test accuracy: {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    main()
