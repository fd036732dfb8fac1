"""load_mnist: where it looks, which names it knows, what it refuses, and the real files where they are."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from nncore.datasets import load_mnist

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def contents(train: int = 5, test: int = 3) -> dict[str, bytes]:
    """Four small IDX files; image i is filled with i, its label is i % 10."""
    files = {}
    for prefix, n in (("train", train), ("t10k", test)):
        pixels = b"".join(bytes([i]) * 784 for i in range(n))
        files[f"{prefix}-images-idx3-ubyte"] = bytes([0, 0, 8, 3]) + struct.pack(">3I", n, 28, 28) + pixels
        files[f"{prefix}-labels-idx1-ubyte"] = bytes([0, 0, 8, 1]) + struct.pack(">I", n) + bytes(i % 10 for i in range(n))
    return files


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def check(root: Path | str | None) -> None:
    (x_train, y_train), (x_test, y_test) = load_mnist(root)
    assert [a.dtype for a in (x_train, y_train, x_test, y_test)] == [np.uint8] * 4
    assert (x_train.shape, x_test.shape) == ((5, 28, 28), (3, 28, 28))
    assert (x_train[4] == 4).all()
    assert y_train.tolist() == [0, 1, 2, 3, 4]
    assert y_test.tolist() == [0, 1, 2]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder of NNCORE_DATA and the cache folder, both empty."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("NNCORE_DATA", str(data))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return data, cache / "nncore"


def test_root(tmp_path: Path) -> None:
    check(write(tmp_path, contents()))
    check(str(tmp_path))


def test_subfolder_of_root(tmp_path: Path) -> None:
    write(tmp_path / "mnist", contents())
    check(tmp_path)


def test_gzipped_and_dotted_names_mixed(tmp_path: Path) -> None:
    images, labels, test_images, test_labels = (contents()[name] for name in NAMES)
    write(tmp_path, {
        "train-images-idx3-ubyte.gz": gzip.compress(images), "train-labels.idx1-ubyte": labels,
        "t10k-images.idx3-ubyte.gz": gzip.compress(test_images), "t10k-labels-idx1-ubyte": test_labels,
    })  # fmt: skip
    check(tmp_path)


def test_environment_before_cache(places: tuple[Path, Path]) -> None:
    data, cache = places
    write(cache / "mnist", contents())
    check(None)
    write(cache / "mnist", contents(train=1))
    write(data, contents())
    check(None)


def test_environment_subfolder(places: tuple[Path, Path]) -> None:
    write(places[0] / "mnist", contents())
    check(None)


def test_home_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NNCORE_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    for platform, folder in (("linux", ".cache"), ("darwin", "Library/Caches"), ("win32", "AppData/Local")):
        monkeypatch.setattr("sys.platform", platform)
        with pytest.raises(FileNotFoundError):
            load_mnist()
        write(tmp_path / folder / "nncore" / "mnist", contents())
        check(None)


def test_missing_files_are_named_with_every_place(places: tuple[Path, Path]) -> None:
    data, cache = places
    write(data, {name: content for name, content in contents().items() if "t10k" not in name})
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist()
    message = str(caught.value)
    assert f"{data} (missing t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte)" in message
    for folder in (data / "mnist", cache, cache / "mnist"):
        assert f"{folder} (no such folder)" in message
    assert "NNCORE_DATA" in message
    assert "\n" not in message
    cache.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"nncore \(missing all\)"):
        load_mnist()


def header(code: int, *shape: int) -> bytes:
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


@pytest.mark.parametrize(("name", "content", "message"), [
    (NAMES[0], header(8, 5, 28, 27) + bytes(5 * 28 * 27), r"expected uint8 images \[n, 28, 28\], got uint8 \[5, 28, 27\]"),
    (NAMES[0], header(8, 5) + bytes(5), r"got uint8 \[5\]"),
    (NAMES[2], header(9, 3, 28, 28) + bytes(3 * 784), "got int8"),
    (NAMES[1], header(8, 5, 1) + bytes(5), r"expected uint8 labels \[n\], got uint8 \[5, 1\]"),
    (NAMES[1], header(8, 4) + bytes(4), "one label for each of the 5 images, got 4 labels"),
    (NAMES[3], header(8, 3) + bytes([1, 10, 2]), r"expected labels 0\.\.9, got 10 at index 1"),
    (NAMES[3], b"<html>404</html>", "not an IDX file"),
    (NAMES[2], contents()[NAMES[2]][:-1], "truncated"),
])  # fmt: skip
def test_malformed_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    write(tmp_path, contents() | {name: content})
    with pytest.raises(ValueError, match=message) as caught:
        load_mnist(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_the_real_files() -> None:
    try:
        (x_train, y_train), (x_test, y_test) = load_mnist()
    except FileNotFoundError:
        if "NNCORE_DATA" in os.environ:  # who names a folder wants this test to run
            raise
        pytest.skip("MNIST is not on this machine: name its folder in NNCORE_DATA")
    assert (x_train.shape, x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    # Counts of the digits, and mean and standard deviation of the training pixels, as widely published.
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert round(float(x_train.mean()) / 255, 4) == 0.1307
    assert round(float(x_train.std()) / 255, 4) == 0.3081
