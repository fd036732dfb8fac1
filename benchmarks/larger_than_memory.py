"""Epochs over memory-mapped files beside epochs over arrays in memory: the speed of one as a share of the other's.

The file, in a temporary folder, is four times as large as the memory that the loader may take, and in the system's cache
when it is read. Usage: ``python benchmarks/larger_than_memory.py [--memory BYTES] [--hidden N] [--repeats N]``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import nncore as nn

FEATURES, CLASSES, BATCH = 784, 10, 128


def main() -> None:
    """Take turns, and print the median of either and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory", type=int, default=2**27, metavar="BYTES", help="that the loader may take (128 MiB)")
    parser.add_argument("--hidden", type=int, default=128, metavar="N", help="units of the hidden layer")
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="epochs of either kind")
    args = parser.parse_args()

    rows = 4 * args.memory // (4 * FEATURES)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.npy")
        file = np.lib.format.open_memmap(path, "w+", np.float32, (rows, FEATURES))
        for start in range(0, rows, 10_000):
            file[start : start + 10_000] = rng.random((len(file[start : start + 10_000]), FEATURES), np.float32)
        file.flush()
        y = rng.integers(0, CLASSES, rows)
        x = np.load(path)
        loader = nn.data.MappedLoader(path, y, batch_size=BATCH, shuffle=True, memory=args.memory)
        times: dict[str, list[float]] = {"arrays": [], "mapped": []}
        models = {name: make(args.hidden) for name in times}
        for repeat in range(args.repeats + 1):
            for name, model in models.items():
                begin = time.perf_counter()
                if name == "arrays":
                    model.fit(x, y, BATCH, verbose=0)
                else:
                    model.fit(loader, verbose=0)
                if repeat:  # the first warms up
                    times[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{path.name}: {rows} rows, {rows * FEATURES * 4 / 2**20:.0f} MiB; loader: {args.memory / 2**20:.0f} MiB")
    for name, seconds in medians.items():
        print(f"{name}  {seconds:7.3f} s  {rows / seconds:9.0f} samples/s")
    print(f"speed of mapped files: {100 * medians['arrays'] / medians['mapped']:.0f} % of arrays in memory")


def make(hidden: int) -> nn.Model:
    """A network of one hidden layer; it learns too slowly to change what is measured."""
    model = nn.Sequential([nn.Input((FEATURES,)), nn.Dense(hidden, activation="relu"), nn.Dense(CLASSES)])
    model.compile(nn.SGD(1e-6), "cross_entropy")
    return model


if __name__ == "__main__":
    main()
