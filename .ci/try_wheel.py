"""Uses an installed wheel beside other packages of one process, imported in the order of the arguments.

``python try_wheel.py torch nncore sklearn``: each package that is imported works with its threads, in turn and nncore again
after a fork; what comes out is compared with NumPy. A deadlock ends in an error after two minutes.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)
X = RNG.standard_normal((512, 300)).astype(np.float32)
W = RNG.standard_normal((300, 400)).astype(np.float32)
EXPECTED = X.astype(np.float64) @ W.astype(np.float64)


def close(result: np.ndarray) -> None:
    """Whether a matrix product is right."""
    np.testing.assert_allclose(result, EXPECTED, rtol=1e-3, atol=1e-3)


def try_nncore() -> None:
    """Train both engines to the same weights, and learn from the digits."""
    import nncore as nn

    close(nn.ops.matmul(X, W))
    weights = []
    for engine in ("native", "reference"):
        model = nn.Sequential([nn.Input((300,)), nn.Dense(256, activation="tanh"), nn.Dense(4)])
        model.compile("adam", "mse", engine=engine, dtype="float64")
        model.fit(X[:128], X[:128, :4], batch_size=64, epochs=2, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)
    x, y = nn.datasets.load_digits()
    model = nn.Sequential([nn.Input((64,)), nn.Rescaling(1 / 16), nn.Dense(128, activation="relu"), nn.Dense(10)])
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    assert model.fit(x, y, epochs=10, verbose=0).history["accuracy"][-1] > 0.95


def try_torch() -> None:
    """A product and its gradient on PyTorch's threads."""
    import torch

    w = torch.tensor(W, requires_grad=True)
    product = torch.tensor(X) @ w
    product.sum().backward()
    close(product.detach().numpy())
    np.testing.assert_allclose(w.grad.numpy()[:, 0], X.sum(axis=0), rtol=1e-2, atol=1e-2)


def try_sklearn() -> None:
    """k-means, which has OpenMP inside; and nncore's estimator."""
    from sklearn.cluster import KMeans

    labels = KMeans(2, n_init=1, random_state=0).fit_predict(np.r_[X, X + 50])
    assert (labels[:512] == labels[0]).all()
    assert (labels[512:] == 1 - labels[0]).all()


def main(packages: list[str]) -> None:
    """Import all, then use each twice, and in a forked process."""
    faulthandler.dump_traceback_later(120, exit=True)
    for name in packages:
        module = importlib.import_module(name)
        if name == "nncore":
            home = Path(str(module.__file__)).resolve()
            assert home.is_relative_to(Path(sys.prefix).resolve()), f"expected the installed wheel, got {home}"
    known: dict[str, Callable[[], None]] = {"nncore": try_nncore, "torch": try_torch, "sklearn": try_sklearn}
    for _ in range(2):
        for name in packages:
            known[name]()
    if hasattr(os, "fork"):
        child = os.fork()
        if not child:
            try:
                try_nncore()  # of the others, some do not survive a fork
            except BaseException:
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, f"the forked process ended with status {status}"
    compiler = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    print(f"{', '.join(packages)}: right (compiler: {compiler or 'none'})")


if __name__ == "__main__":
    main(sys.argv[1:])
