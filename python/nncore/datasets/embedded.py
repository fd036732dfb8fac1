"""The data sets that lie in the package itself; their sources and licences stand in the README.md beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["load_digits", "load_iris", "xor"]


def load_digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Handwritten digits: 1797 images of 8x8 pixels in 10 classes.

    Returns:
        x: uint8 [1797, 64], pixels 0 (paper) to 16 (ink), row by row.
        y: int64 [1797], the digit 0..9.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
    doi:10.24432/C50P49 (its test set; licence CC BY 4.0). The same values as ``sklearn.datasets.load_digits``.

    >>> x, y = load_digits()
    >>> x.shape, x.dtype, int(x.max()), y[:5].tolist()
    ((1797, 64), dtype('uint8'), 16, [0, 1, 2, 3, 4])
    """
    x, y = _read("digits.npz")
    return x, y.astype(np.int64)


def load_iris() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Fisher's irises: 150 flowers, 50 of each of 3 species.

    Returns:
        x: float64 [150, 4]; sepal length, sepal width, petal length and petal width in cm.
        y: int64 [150]; 0 setosa, 1 versicolor, 2 virginica.

    Source: R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936) 179-188;
    UCI Machine Learning Repository, doi:10.24432/C56C76 (licence CC BY 4.0), with two rows corrected after the paper. The
    same values as ``sklearn.datasets.load_iris``.

    >>> x, y = load_iris()
    >>> x[0].tolist(), int(y[0])
    ([5.1, 3.5, 1.4, 0.2], 0)
    """
    x, y = _read("iris.npz")
    return x, y.astype(np.int64)


def xor() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The four rows of exclusive or, the smallest problem that needs a hidden layer.

    Returns:
        x: float64 [4, 2], the two bits.
        y: float64 [4, 1], 1 where the bits differ.

    >>> x, y = xor()
    >>> [(*map(int, bits), int(t)) for bits, (t,) in zip(x, y)]
    [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    """
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return x, np.array([[0.0], [1.0], [1.0], [0.0]])


def _read(name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The arrays `x` and `y` of an archive in this folder."""
    with np.load(Path(__file__).with_name(name), allow_pickle=False) as data:
        return data["x"], data["y"]
