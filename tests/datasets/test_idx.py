"""read_idx: every value type, gzip, and files that are not what they say."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore.datasets import read_idx

# Type code, struct's letter and NumPy's name, from the description of the format.
TYPES = [
    (0x08, "B", "uint8"), (0x09, "b", "int8"), (0x0B, "h", "int16"),
    (0x0C, "i", "int32"), (0x0D, "f", "float32"), (0x0E, "d", "float64"),
]  # fmt: skip


def idx(code: int, shape: tuple[int, ...], data: bytes) -> bytes:
    """An IDX file, written by hand."""
    return struct.pack(">HBB", 0, code, len(shape)) + b"".join(struct.pack(">I", n) for n in shape) + data


def write(folder: Path, content: bytes, name: str = "some-file") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("code", "letter", "dtype"), TYPES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_type(tmp_path: Path, code: int, letter: str, dtype: str, pack: Any) -> None:
    values = [0, 1, 2, 100, 127, 5] if letter in "bB" else [0, -1, 300, 12345, 7, -32768]
    array = read_idx(write(tmp_path, pack(idx(code, (3, 2), struct.pack(f">6{letter}", *values)))))
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    assert array.tolist() == [values[:2], values[2:4], values[4:]]
    assert array.flags.c_contiguous
    assert array.flags.writeable


@pytest.mark.parametrize("shape", [(), (0,), (4, 0, 2), (1,) * 64])
def test_unusual_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape, dtype=int))
    assert read_idx(write(tmp_path, idx(8, shape, bytes(count)))).shape == shape


def test_path_may_be_a_string(tmp_path: Path) -> None:
    assert read_idx(os.fspath(write(tmp_path, idx(8, (2,), b"ab")))).tolist() == [97, 98]


def test_zeros_compress_as_far_as_deflate_can(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(idx(8, (20_000_000,), bytes(20_000_000)), 9))
    assert 20_000_000 / path.stat().st_size > 1000
    assert not read_idx(path).any()


GOOD = idx(8, (2, 3), b"abcdef")


@pytest.mark.parametrize(("content", "message"), [
    (b"", "not an IDX file"),
    (b"\0\0\x08", "not an IDX file"),
    (b"PK\x03\x04 a zip file", "not an IDX file.*504b0304"),
    (idx(0x0A, (1,), b"a"), "not an IDX file"),
    (idx(8, (2, 3), b"")[:9], "header of 2 axes ends after 5 of 8 bytes"),
    (GOOD[:-1], r"truncated: the header promises 6 bytes of data \(shape \(2, 3\)\)"),
    (GOOD + b"g", r"too long: the header promises 6 bytes of data \(shape \(2, 3\)\)"),
    (idx(14, (2**32 - 1,) * 3, b""), "truncated: .*more than the file can hold"),
    (idx(8, (0, *(2**32 - 1,) * 3), b""), "some-file: "),
    (idx(8, (1,) * 65, b"a"), "some-file: .*dimension"),
    (gzip.compress(GOOD, mtime=0)[:-9], "damaged gzip file"),
    (gzip.compress(GOOD, mtime=0)[:12], "damaged gzip file"),
    (gzip.compress(GOOD, mtime=0)[:-5] + b"\0\0\0\0\0", "damaged gzip file"),
    (b"\x1f\x8b but no gzip file", "damaged gzip file"),
    (gzip.compress(GOOD[:-1], mtime=0), "truncated: .*the file holds 5"),
    (gzip.compress(GOOD + b"g", mtime=0), "too long"),
    (gzip.compress(idx(8, (2**31,), b""), mtime=0), "truncated: .*more than the file can hold"),
])  # fmt: skip
def test_malformed(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert os.fspath(path) in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nowhere")


def test_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(idx(8, (3,), bytes(200_000_000)), 1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too long"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=60), st.booleans(), st.integers(0, 2**32 - 1))
def test_any_bytes_give_an_array_or_a_value_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, packed: bool, length: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for data in (content, idx(8, (length,), content)):
        path = write(folder, gzip.compress(data) if packed else data, "fuzz")
        with suppress(ValueError):
            assert read_idx(path).nbytes <= len(data)
