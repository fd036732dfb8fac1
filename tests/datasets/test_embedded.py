"""The embedded data sets are what their sources published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

import nncore.datasets
from nncore.datasets import load_digits, load_iris, xor


def test_digits() -> None:
    x, y = load_digits()
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((1797, 64), np.uint8, (1797,), np.int64)
    assert (x.min(), x.max()) == (0, 16)
    # Class counts as UCI's description of the test set prints them.
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # UCI's optdigits.tes begins with this row.
    assert x[0, :16].tolist() == [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]
    digest = hashlib.sha256(x.tobytes()).hexdigest()
    assert digest == "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"


def test_iris() -> None:
    x, y = load_iris()
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((150, 4), np.float64, (150,), np.int64)
    assert y.tolist() == [0] * 50 + [1] * 50 + [2] * 50
    # Means of the species in Fisher's paper, table 1: setosa 5.006 3.428 1.462 0.246, and so on.
    means = [[5.006, 3.428, 1.462, 0.246], [5.936, 2.770, 4.260, 1.326], [6.588, 2.974, 5.552, 2.026]]
    np.testing.assert_allclose(x.reshape(3, 50, 4).mean(1), means, atol=1e-12)
    # The two rows that UCI's file has wrong, as in Fisher's paper.
    assert x[[34, 37]].tolist() == [[4.9, 3.1, 1.5, 0.2], [4.9, 3.6, 1.4, 0.1]]


def test_same_as_scikit_learn() -> None:
    from sklearn import datasets as sklearn

    for ours, theirs in ((load_digits, sklearn.load_digits), (load_iris, sklearn.load_iris)):
        bundle = theirs()
        x, y = ours()
        assert np.array_equal(x, bundle.data)
        assert np.array_equal(y, bundle.target)


def test_xor() -> None:
    x, y = xor()
    assert (x.shape, y.shape) == ((4, 2), (4, 1))
    assert all(t == (a != b) for (a, b), (t,) in zip(x, y, strict=True))


def test_each_call_gives_arrays_of_its_own() -> None:
    for load in (load_digits, load_iris, xor):
        load()[0][:] = 0
        assert load()[0].any()


def test_files_are_small_and_documented() -> None:
    folder = Path(nncore.datasets.__file__).parent
    files = [path for path in folder.iterdir() if path.suffix == ".npz"]
    assert sum(path.stat().st_size for path in files) < 60_000
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert all(path.name in readme for path in files)
    assert "CC BY 4.0" in readme
