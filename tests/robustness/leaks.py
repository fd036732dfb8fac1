"""Whether memory stays flat: models trained, used, saved, loaded and dropped, and calls refused, thousands of times.

    python tests/robustness/leaks.py --cycles 10000

For each kind of cycle: bytes that a cycle leaves in use in malloc, blocks of Python and resident memory, as the slopes of
lines through what is measured after a tenth of the cycles, and then up to fifty times until the end.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import io
import json
import os
import pickle
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import nncore as nn

# What a cycle may leave: bytes in malloc, blocks of Python, resident bytes. A leak of one object each time would be more.
# And what all cycles together may, as caches fill.
MOST = np.array([8.0, 0.1, 256.0])
SLACK = np.array([2**15, 500, 2**20])

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((64, 6)).astype("float32"), RNG.integers(0, 3, 64)
LARGE = RNG.standard_normal((256, 128)).astype("float32")  # worth two threads
FILE = "model.safetensors"


class Own(nn.Layer):
    """A layer in Python, which the engine holds a reference to."""

    def forward(self, x):
        return x * 2

    def backward(self, x, y, dy):
        return dy * 2


def made(*more):
    layers = [nn.Dense(16, activation="gelu"), nn.BatchNorm(), nn.Dropout(0.1), *more, nn.Dense(3)]
    model = nn.Sequential([nn.Input((6,)), *layers])
    model.compile(nn.Adam(use_ema=True, clipnorm=1.0), "cross_entropy", ["accuracy"])
    return model


KEPT = made()
WIDE = nn.Sequential([nn.Input((128,)), nn.Dense(256), nn.Dense(2)])
WIDE.compile("sgd", "mse")


def life():
    """Fit, evaluate, predict, save, load."""
    model = made()
    model.fit(X, Y, epochs=1, verbose=0)
    model.evaluate(X, Y)
    model.save(FILE)
    nn.load(FILE).predict(X)


def life_with_python():
    """The same with a layer in Python."""
    model = made(Own())
    model.fit(X, Y, epochs=1, verbose=0)
    model.predict(X)


def checkpoints():
    KEPT.train_on_batch(X, Y)
    KEPT.save_checkpoint(FILE)
    KEPT.load_checkpoint(FILE)


def copies():
    pickle.load(io.BytesIO(pickle.dumps(KEPT))).predict(X)
    KEPT.clone().predict(X)


def engines():
    KEPT.compile("sgd", "cross_entropy", dtype="float64" if KEPT.dtype == "float32" else "float32")


def refused():
    """Exceptions, from Python's side and from the core's."""
    bad = np.full_like(X, np.nan)
    for call in (
        lambda: KEPT.fit(X, Y[:-1], verbose=0),
        lambda: KEPT.predict("nonsense"),
        lambda: KEPT.predict(X[:, :2]),
        lambda: KEPT.train_on_batch(X, Y + 7),
        lambda: KEPT.train_on_batch(bad, Y),
        lambda: KEPT.set_weights([]),
        lambda: nn.ops.matmul(X, X),
        lambda: nn.Dense(-1),
        lambda: nn.load("missing"),
        lambda: KEPT.engine._core.get_state("nonsense", 0, 0),
    ):
        try:
            call()
        except (TypeError, ValueError, OSError, FloatingPointError):
            continue
        raise AssertionError("expected an exception")


def threads():
    """Other numbers of threads, and Python threads that come and go."""
    nn.set_num_threads(1 if nn.get_num_threads() > 1 else 2)
    thread = threading.Thread(target=WIDE.predict, args=(LARGE,))
    thread.start()
    WIDE.train_on_batch(LARGE, np.zeros((256, 2), "float32"))
    nn.ops.matmul(LARGE, LARGE.T)
    thread.join()


def sizes():
    """Batches of sizes that change."""
    for n in (1, 63, 17, 64):
        KEPT.train_on_batch(X[:n], Y[:n])
        KEPT.predict(X[:n])


CYCLES = {f.__name__: f for f in (life, life_with_python, checkpoints, copies, engines, refused, threads, sizes)}


class _Info(ctypes.Structure):
    """`struct mallinfo2`."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks")] + [
        (name, ctypes.c_size_t) for name in ("fsmblks", "uordblks", "fordblks", "keepcost")
    ]


LIBC = ctypes.CDLL(None)
if hasattr(LIBC, "mallinfo2"):
    LIBC.mallinfo2.restype = _Info
_PAGE = os.sysconf("SC_PAGESIZE")


def memory():
    """Bytes in use in malloc, blocks of Python, resident bytes."""
    gc.collect()
    info = LIBC.mallinfo2()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    return info.uordblks + info.hblkhd, sys.getallocatedblocks(), resident


def measure(cycle, count):
    """What a cycle leaves: bytes, blocks, resident bytes; and the resident bytes after warming up and at the end."""
    first = max(count // 10, 5)
    places = np.unique(np.linspace(first, count, min(51, count // 10 + 1)).astype(int))
    found, done = np.zeros((len(places), 3)), 0  # made now, as it counts
    for row, place in zip(found, places, strict=True):
        for _ in range(place - done):
            cycle()
        done = place
        row[:] = memory()
    return np.polyfit(places, found, 1)[0], found[0, 2], found[-1, 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=10_000, help="of each kind (default: %(default)s)")
    parser.add_argument("names", nargs="*", choices=[[], *CYCLES], help="kinds; all of them by default")
    options = parser.parse_args()
    nn.set_num_threads(2)
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in options.names or CYCLES:
            began = time.perf_counter()
            slopes, warm, end = measure(CYCLES[name], options.cycles)
            in_use, blocks, resident = slopes.tolist()
            result = {
                "cycle": name,
                "cycles": options.cycles,
                "seconds": round(time.perf_counter() - began, 1),
                "bytes": round(in_use, 2),
                "blocks": round(blocks, 4),
                "resident": round(resident, 1),
                "warm_mb": round(warm / 1e6, 2),
                "end_mb": round(end / 1e6, 2),
            }
            print(json.dumps(result), flush=True)
            if (slopes > MOST + SLACK / options.cycles).any():
                bad.append(name)
        os.chdir("/")
    sys.exit(f"memory grows in: {', '.join(bad)}" if bad else 0)


if __name__ == "__main__":
    main()
