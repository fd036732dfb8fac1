"""Reader of NumPy's .npz archives, without the pickles that would run code."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read_npz"]


def read_npz(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """The arrays in a .npz file, by name.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no archive of arrays, is damaged, or has arrays of Python objects; the message names the file.

    Source: ``numpy.savez``.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(pathlib.Path(folder, "a.npz"), x=np.arange(3), y=[True])
    ...     read_npz(pathlib.Path(folder, "a.npz"))
    {'x': array([0, 1, 2]), 'y': array([ True])}
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{name}: expected an archive of arrays (.npz), got another file")
    try:
        with np.load(name, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"{name}: expected an archive of arrays (.npz), got a damaged one ({error})") from None
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy gives what is no array as bytes
            raise ValueError(f"{name}: expected arrays only, got a file {key!r}")
    return arrays
