"""MNIST, read from the four IDX files in which it was published."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nncore.datasets.idx import read_idx
from nncore.paths import as_path

__all__ = ["load_mnist"]

_Part = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

_STEMS = ("train-images{}idx3-ubyte", "train-labels{}idx1-ubyte", "t10k-images{}idx3-ubyte", "t10k-labels{}idx1-ubyte")
_FILES = tuple(stem.format("-") for stem in _STEMS)


def load_mnist(root: str | os.PathLike[str] | None = None) -> tuple[_Part, _Part]:
    r"""The MNIST digits from files on this machine; nothing is downloaded.

    The files are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
    ``t10k-labels-idx1-ubyte``, each plain or with ``.gz``, also spelt with a dot (``train-images.idx3-ubyte``). All four
    must lie in one folder. Sets published in the same form and under the same names, such as Fashion-MNIST, load as well.

    Args:
        root: the folder, or one with a subfolder ``mnist``. Without it: the folder in the environment variable
            ``NNCORE_DATA``, then the user's cache folder (``~/.cache/nncore`` or ``$XDG_CACHE_HOME/nncore``;
            ``~/Library/Caches/nncore`` on macOS, ``%LOCALAPPDATA%\nncore`` on Windows), both also with ``mnist``.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x uint8 [n, 28, 28], 0 (paper) to 255 (ink), and y uint8 [n], 0..9;
        n is 60000 and 10000.

    Raises:
        FileNotFoundError: some files are missing; the message says which, and every folder looked in.
        ValueError: a file is damaged or holds something else; the message names it.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition,
    Proceedings of the IEEE 86 (1998) 2278-2324.

    >>> (x, y), (x_test, y_test) = load_mnist("data")  # doctest: +SKIP
    >>> x.shape, x.dtype, y_test.shape  # doctest: +SKIP
    ((60000, 28, 28), dtype('uint8'), (10000,))
    """
    train_images, train_labels, test_images, test_labels = _find(_folders(root))
    return _part(train_images, train_labels), _part(test_images, test_labels)


def _folders(root: str | os.PathLike[str] | None) -> list[Path]:
    """Every folder to look in, first choice first."""
    if root is not None:
        roots = [Path(as_path(root, "root"))]
    else:
        roots = [Path(os.environ["NNCORE_DATA"])] if os.environ.get("NNCORE_DATA") else []
        roots.append(_cache_folder())
    return [folder for root in roots for folder in (root, root / "mnist")]


def _cache_folder() -> Path:
    """The package's folder among the user's caches, where the platform has them."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nncore"


def _find(folders: list[Path]) -> list[Path]:
    """The four files, in the order of `_STEMS`, from the first folder that has them all."""
    report = []
    for folder in folders:
        found = [_first_file(folder, stem) for stem in _STEMS]
        paths = [path for path in found if path is not None]
        if len(paths) == len(found):
            return paths
        missing = [name for name, path in zip(_FILES, found, strict=True) if path is None]
        what = "no such folder" if not folder.is_dir() else "missing " + ("all" if not paths else ", ".join(missing))
        report.append(f"{folder} ({what})")
    raise FileNotFoundError(
        f"MNIST not found: expected {', '.join(_FILES)}, plain or .gz, in one folder; looked in {'; '.join(report)}. "
        "Pass the folder as root or name it in the environment variable NNCORE_DATA"
    )


def _first_file(folder: Path, stem: str) -> Path | None:
    """The file of one of the usual names, or None."""
    names = (stem.format(separator) + suffix for separator in "-." for suffix in ("", ".gz"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _part(image_path: Path, label_path: Path) -> _Part:
    """Images [n, 28, 28] and labels [n] of one half, checked against each other."""
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise ValueError(f"{image_path}: expected uint8 images [n, 28, 28], got {images.dtype} {list(images.shape)}")
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise ValueError(f"{label_path}: expected uint8 labels [n], got {labels.dtype} {list(labels.shape)}")
    if len(images) != len(labels):
        raise ValueError(f"{label_path}: expected one label for each of the {len(images)} images, got {len(labels)} labels")
    if labels.size and labels.max() > 9:
        raise ValueError(f"{label_path}: expected labels 0..9, got {labels.max()} at index {labels.argmax()}")
    return images, labels
