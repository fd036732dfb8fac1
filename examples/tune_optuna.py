"""Tuning with Optuna: trials in an SQLite file, stopped early where they are behind, by several workers at once.

    pip install "nncore[tune]"
    python examples/tune_optuna.py --workers 2 --trials 40

Called again with the same --storage it goes on with the trials that are there. Each worker is a process of its own, has its
share of the cores, and tells the others through the file what it has found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

import optuna

import nncore as nn


class Pruning(nn.callbacks.Callback):
    """Report a value after each epoch, and end a trial that is behind what others had by then."""

    def __init__(self, trial: optuna.Trial, monitor: str) -> None:
        self.trial, self.monitor = trial, monitor

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Ask Optuna."""
        self.trial.report(logs[self.monitor], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"{self.monitor} {logs[self.monitor]:.4f} in epoch {epoch + 1}")


def objective(trial: optuna.Trial, epochs: int) -> float:
    """Validation accuracy on the digits, of a network that the trial describes."""
    x, y = nn.datasets.load_digits()
    x_train, x_val, y_train, y_val = nn.data.train_test_split(x, y, test_size=0.25, seed=0)
    layers: list[nn.layers.Layer] = [nn.Input((64,)), nn.Rescaling(1 / 16)]
    for i in range(trial.suggest_int("layers", 1, 2)):
        units = trial.suggest_int(f"units_{i}", 8, 128, log=True)
        layers.append(nn.Dense(units, activation=trial.suggest_categorical("activation", ["relu", "tanh", "gelu"])))
        layers.append(nn.Dropout(trial.suggest_float("dropout", 0.0, 0.5)))
    model = nn.Sequential([*layers, nn.Dense(10)])
    rate = trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True)
    model.compile(nn.AdamW(rate), "cross_entropy", metrics=["accuracy"], seed=trial.number)
    batch_size = trial.suggest_categorical("batch_size", [16, 32, 64])
    callbacks = [Pruning(trial, "val_accuracy")]
    history = model.fit(
        x_train, y_train, batch_size, epochs, validation_data=(x_val, y_val), verbose=0, callbacks=callbacks
    )
    return history.history["val_accuracy"][-1]


def main(argv: Sequence[str] | None = None) -> optuna.Study:
    """Run the workers, print what they have found; returns the study."""
    parser = argparse.ArgumentParser(description="Tune a network on the digits.")
    parser.add_argument("--storage", default="sqlite:///tune.db", help="where the trials are kept")
    parser.add_argument("--study", default="digits", help="name of the study in there")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--trials", type=int, default=40, help="of all workers together")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--worker", type=int, metavar="N", help=argparse.SUPPRESS)  # this is one of the workers
    args = parser.parse_args(argv)

    sampler = optuna.samplers.TPESampler(seed=0 if args.worker is None else args.worker)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2)
    options = {"study_name": args.study, "storage": args.storage, "sampler": sampler, "pruner": pruner}
    study = optuna.create_study(direction="maximize", load_if_exists=True, **options)
    if args.worker is not None:
        nn.set_num_threads(max(1, nn.get_num_threads() // args.workers))
        trials = len(range(args.worker, args.trials, args.workers))
        study.optimize(lambda trial: objective(trial, args.epochs), n_trials=trials)
        return study

    command = [sys.executable, __file__, "--storage", args.storage, "--study", args.study, "--workers", str(args.workers)]
    command += ["--trials", str(args.trials), "--epochs", str(args.epochs)]
    workers = [subprocess.Popen([*command, "--worker", str(i)]) for i in range(args.workers)]
    codes = [worker.wait() for worker in workers]  # of all, before anything else
    if any(codes):
        raise SystemExit("a worker has failed")
    states = [trial.state.name.lower() for trial in study.trials]
    print(f"{len(states)} trials: {', '.join(f'{states.count(state)} {state}' for state in sorted(set(states)))}")
    print(f"best: {study.best_value:.4f} with {study.best_params}")
    return study


if __name__ == "__main__":
    main()
