"""NumPy's archives: what numpy.savez wrote comes back, and nothing is executed."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from nncore.data import read_npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(tmp_path, save):
    x = np.arange(12, dtype=">i2").reshape(3, 4)
    save(tmp_path / "a.npz", x=x, y=np.array([0.5]))
    arrays = read_npz(tmp_path / "a.npz")
    assert list(arrays) == ["x", "y"]
    np.testing.assert_array_equal(arrays["x"], x)
    assert arrays["y"].tolist() == [0.5]


def test_files_that_are_none(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError):
        read_npz(path)
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"a\.npy: expected an archive of arrays \(\.npz\), got another file"):
        read_npz(tmp_path / "a.npy")
    np.savez(path, x=np.array([print], object))
    with pytest.raises(ValueError, match=r"a\.npz: .*got a damaged one .*pickle"):
        read_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(ValueError, match=r"expected arrays only, got a file 'notes\.txt'"):
        read_npz(path)


def test_damage_is_found(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(1000))
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz: .*got a damaged one"):
        read_npz(path)
