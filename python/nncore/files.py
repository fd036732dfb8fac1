"""Files that are replaced as a whole or not at all, and files of tensors with a checksum of all that they hold."""

from __future__ import annotations

import json
import os
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO

from nncore.arrays import Array
from nncore.paths import as_path

__all__ = ["check_sum", "make_folder", "remove_leftovers", "replacing", "serialized", "write_file", "write_tensors"]

_CHECKSUM = "checksum"  # among the metadata of a file of tensors


def write_tensors(path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Replace the file at `path` by a safetensors file of `arrays` and `metadata`, with a checksum among the latter."""
    write_file(path, serialized(arrays, {**metadata, _CHECKSUM: _checksum(arrays, metadata)}))


def serialized(arrays: Mapping[str, Array], metadata: dict[str, str] | None = None) -> bytes:
    """A safetensors file.

    Raises:
        ValueError: a name that it cannot hold.
    """
    from safetensors.numpy import save  # here: importing it takes longer than importing nncore

    try:
        data: bytes = save(dict(arrays), metadata)
    except UnicodeEncodeError as error:
        raise ValueError(f"names of tensors: expected text that can be written as UTF-8, got {error.object!r}") from None
    return data


def check_sum(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Raise ValueError where a file has a checksum and what was read, `arrays` and `metadata`, has another."""
    expected = metadata.get(_CHECKSUM)  # files of earlier versions have none
    if expected is not None and (got := _checksum(arrays, metadata)) != expected:
        raise ValueError(f"checksum: expected {expected!r}, got {got!r}: the file is damaged")


def _checksum(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    """CRC-32 of names, types, shapes, values and texts, in the order of their names: of what is read, not of the bytes."""
    value = 0
    for key in sorted(set(metadata) - {_CHECKSUM}):
        value = zlib.crc32(json.dumps([key, metadata[key]]).encode(), value)
    for name in sorted(arrays):
        array = arrays[name]
        value = zlib.crc32(json.dumps([name, array.dtype.str, array.shape]).encode(), value)
        value = zlib.crc32(array.data, value)
    return f"{value:08x}"


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the file at `path`, or the one that a link there names, by `data`; see `replacing`."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write, which then takes the place of that at `path`: at once, as a whole, even if the machine stops.

    It is a temporary one in the same folder. Those that killed processes left of the same file are removed. A device or a
    pipe is written to as it is.

    Raises:
        OSError: it cannot be written; the error names `path`, the file there is the old one, and nothing else is left.
    """
    name = os.path.realpath(as_path(path))
    folder, stem = os.path.split(name)
    temporary = os.path.join(folder, f".{stem}.{secrets.token_hex(8)}.tmp")
    try:
        if os.path.exists(name) and not os.path.isfile(name):
            with open(name, "wb") as file:
                yield file
            return
        remove_leftovers(folder, re.escape(stem))
        try:
            with _locked(temporary) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, name)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        _sync(folder)
    except OSError as error:
        if error.errno is None or error.filename not in (None, temporary, folder):
            raise
        raise OSError(error.errno, error.strerror, name) from error


def remove_leftovers(folder: str, stem: str) -> None:
    """Delete what killed processes left of files in `folder` whose names match the expression `stem`."""
    for name in os.listdir(folder):
        if name.startswith(".") and re.fullmatch(rf"\.{stem}\.[0-9a-f]{{16}}\.tmp", name):
            leftover = os.path.join(folder, name)
            with suppress(OSError), open(leftover, "rb") as file:
                if _lock(file, wait=False):  # nobody is writing it
                    os.unlink(leftover)


def make_folder(path: str) -> None:
    """Make the folder `path` and those above it that are missing, such that they stay if the machine stops."""
    if not os.path.isdir(path):
        above = os.path.dirname(os.path.abspath(path))
        make_folder(above)
        os.makedirs(path, exist_ok=True)  # and where it is a file, say so
        _sync(above)


def _locked(path: str) -> BinaryIO:
    """A new file at `path`, locked: the system unlocks it when its process ends, however it does."""
    while True:
        file = open(path, "xb")  # noqa: SIM115 - the caller closes it
        _lock(file, wait=True)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # another process took it for a leftover before it was locked


def _lock(file: IO[bytes], wait: bool) -> bool:
    """Whether `file` could be locked; some systems of files have no locks."""
    try:
        import fcntl  # here: Windows has none

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


def _sync(folder: str) -> None:
    """Have the disk keep the names in `folder`."""
    if os.name == "nt":  # where a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
