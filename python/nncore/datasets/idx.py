"""Reader of the IDX format, in which MNIST and its relatives are published: a short header, then one array."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.paths import as_path

__all__ = ["read_idx"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_DEFLATE_LIMIT = 1032  # deflate spends at least 2 bits on 258 bytes, so no stream grows by more than this factor
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read one IDX file, plain or gzipped (told by its content, not by its name).

    The file is: two zero bytes, a type code, the number of axes n, n lengths as big-endian uint32, then the values in row
    order, big-endian. Type codes: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64. The header is checked
    against the file's size before memory is set aside, and no more is unpacked than it promises.

    Args:
        path: the file.

    Returns:
        The array in the machine's byte order, shape as the header says.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is not an IDX file, or is shorter or longer than its header says; the message names the file.

    Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, section File formats.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "pairs.idx")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9]))
    ...     read_idx(path)
    array([[7, 9]], dtype=uint8)
    """
    name = as_path(path)
    with open(name, "rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        limit = os.fstat(file.fileno()).st_size * (_DEFLATE_LIMIT if compressed else 1)
        try:
            return _parse(gzip.GzipFile(fileobj=file) if compressed else file, limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{name}: damaged gzip file ({error})") from error
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def _parse(stream: io.BufferedIOBase, limit: int) -> npt.NDArray[Any]:
    """The array in `stream`, which holds at most `limit` bytes."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        codes = ", ".join(f"{code:02x}" for code in _DTYPES)
        raise ValueError(f"not an IDX file: expected it to begin 0000, a type of {codes} and a rank, got {magic.hex()!r}")
    dtype, rank = np.dtype(_DTYPES[magic[2]]), magic[3]
    header = stream.read(4 * rank)
    if len(header) < 4 * rank:
        raise ValueError(f"truncated: the header of {rank} axes ends after {len(header)} of {4 * rank} bytes")
    shape = struct.unpack(f">{rank}I", header)
    size = math.prod(shape) * dtype.itemsize
    promise = f"the header promises {size} bytes of data (shape {shape})"
    if len(magic) + len(header) + size > limit:
        raise ValueError(f"truncated: {promise}, more than the file can hold")

    values = np.empty(size, np.uint8)
    array = values.view(dtype).reshape(shape)
    view, filled = values.data, 0
    while filled < size:
        count = stream.readinto(view[filled : filled + _CHUNK])
        if not count:
            raise ValueError(f"truncated: {promise}, the file holds {filled}")
        filled += count
    if stream.read(1):  # at the end of a gzip stream this also checks its checksum
        raise ValueError(f"too long: {promise}, the file holds more")
    return array.astype(dtype.newbyteorder("="), copy=False)
