"""Reader of NumPy's .npz archives, without the pickles that would run code."""

from __future__ import annotations

import errno
import math
import os
import struct
import tokenize
import zipfile
import zlib
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from nncore.paths import as_path

__all__ = ["DAMAGES", "read_npz"]

# What reading a header of NumPy's raises where it is damaged: it is a literal of Python, and parsed as one.
DAMAGES = (ValueError, TypeError, SyntaxError, tokenize.TokenError, EOFError, OverflowError, RecursionError)
_DAMAGED_ARCHIVE = (*DAMAGES, LookupError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error)
_DEFLATE_LIMIT = 1032  # deflate spends at least 2 bits on 258 bytes, so no stream grows by more than this factor
_CHUNK = 1 << 20
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """The arrays in a .npz file, by name.

    What the file says of sizes is checked against its own before memory is set aside.

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
    name = as_path(path)
    with open(name, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{name}: expected an archive of arrays (.npz), got another file")
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
                others = [info.filename for info in infos if not info.filename.endswith(".npy")]
                arrays = {} if others else {info.filename.removesuffix(".npy"): _member(archive, info) for info in infos}
        except (*_DAMAGED_ARCHIVE, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that is a place before the file's beginning
                raise
            raise ValueError(f"{name}: expected an archive of arrays (.npz), got a damaged one ({error})") from None
    if others:
        raise ValueError(f"{name}: expected arrays only, got a file {others[0]!r}")
    return arrays


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise ValueError(f"{info.filename!r} is not stored as numpy.savez does")
    if info.file_size > _DEFLATE_LIMIT * info.compress_size:
        raise ValueError(f"{info.filename!r} cannot hold {info.file_size} bytes")
    with archive.open(info) as file:
        return _array(file, info)


def _array(file: IO[bytes], info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """The array that the whole of `file` is."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{info.filename!r} is of version {version}")
    shape, fortran_order, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError(f"{info.filename!r} has Python objects, that is, a pickle")
    size, held = math.prod(shape) * dtype.itemsize, info.file_size - file.tell()
    if size != held:
        raise ValueError(f"{info.filename!r} promises {size} bytes, and holds {held}")
    data, filled = np.empty(size, np.uint8), 0
    while part := file.read(_CHUNK):  # to the end, where the checksum is compared
        data[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled += len(part)
    if filled != size:
        raise ValueError(f"{info.filename!r} promises {size} bytes, and holds {filled}")
    return np.ndarray(shape, dtype, data, order="F" if fortran_order else "C")
