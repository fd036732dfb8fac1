"""Small data sets to start from: digits and iris lie in the package, MNIST is read from its original files."""

from __future__ import annotations

from nncore.datasets.embedded import load_digits, load_iris, xor
from nncore.datasets.idx import read_idx
from nncore.datasets.mnist import load_mnist

__all__ = ["load_digits", "load_iris", "load_mnist", "read_idx", "xor"]
