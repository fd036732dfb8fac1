"""Files that are damaged or hostile: an exception that says so, or something that works, and never a crash or a hang.

The commands that are run here with few files are for many of them; see CONTRIBUTING.md.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import nncore as nn
from nncore import graph
from robustness.samples import KINDS, X, read_training, sequential, train, trained

COMMAND = [sys.executable, "-W", "error", str(Path(__file__).with_name("mutants.py"))]
INPUT = {"class": "Input", "config": {"shape": [1]}}
FLATTEN = {"class": "Flatten", "config": {}}
ONE = {"kind": "one", "names": ["x"]}


@pytest.mark.parametrize("name", KINDS)
def test_the_samples_themselves_are_valid(name, tmp_path):
    KINDS[name].write(tmp_path / "sample")
    KINDS[name].read(tmp_path / "sample")


@pytest.mark.parametrize(
    "options",
    [
        ["--cuts", "--kinds", "model", "state dict", "npz", "npy", "idx", "zipped idx"],
        ["--values", "3", "--kinds", "small model"],
        ["--count", "500", "--seed", "7"],
    ],
    ids=["cut at every place", "every byte of the heads", "changed at random"],
)
def test_damaged_files(options):
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 with something wrong" in done.stdout


# -- a checksum --------------------------------------------------------------------------------------------------------


def contents(path):
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 - no dict


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_a_changed_bit_of_a_weight_is_noticed(kind, tmp_path):
    path = tmp_path / "file"
    KINDS[kind].write(path)
    data = path.read_bytes()
    first = 8 + int.from_bytes(data[:8], "little")
    for place in range(first, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(ValueError, match=r"file: not a .*checksum: expected '[0-9a-f]{8}', got .*damaged"):
            KINDS[kind].read(path)


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_files_of_earlier_versions_have_no_checksum(kind, tmp_path):
    path = tmp_path / "file"
    KINDS[kind].write(path)
    arrays, metadata = contents(path)
    del metadata["checksum"]
    save_file(arrays, path, metadata)
    KINDS[kind].read(path)


# -- models ------------------------------------------------------------------------------------------------------------


def refused(tmp_path, description, words, text=None):
    path = tmp_path / "m"
    metadata = {"format": "nncore", "version": "1", "dtype": "float32", "model": text or json.dumps(description)}
    save_file({}, path, metadata)
    with pytest.raises(ValueError, match=words) as caught:
        nn.load(path)
    assert len(str(caught.value)) < 10_000


def nested(levels, calls):
    """Models in a model, each of which calls the next so many times."""
    inner = {"class": "Sequential", "layers": [INPUT, FLATTEN]}
    uses = [{"layer": 0, "inputs": []}, *({"layer": 1, "inputs": [[i, 0]]} for i in range(calls))]
    for _ in range(levels):
        inner = {
            "class": "Model",
            "layers": [INPUT, inner],
            "calls": uses,
            "inputs": ONE,
            "outputs": ONE,
            "ends": [[calls, 0]],
        }
    return inner


def test_a_file_of_a_few_bytes_cannot_ask_for_a_network_without_end(tmp_path, monkeypatch):
    """Each level has twice the nodes of that below."""
    monkeypatch.setattr(graph, "_MOST_NODES", 1000)  # for the sake of time
    refused(tmp_path, nested(60, 2), "at most 1000 nodes")


def test_models_in_models_in_models(tmp_path):
    refused(tmp_path, nested(400, 1), "not a model saved by nncore")


def test_thousands_of_layers_take_no_time_that_grows_with_their_square(tmp_path):
    many = {"class": "Sequential", "layers": [INPUT, *[{"class": "Dense", "config": {"units": 1}}] * 5000]}
    refused(tmp_path, many, r"tensor 'dense\.bias' is missing")
    refused(tmp_path, {"class": "Sequential", "layers": [INPUT, *[FLATTEN] * 30_000]}, "at most 20000 nodes")


def test_calls_that_go_round_in_circles(tmp_path):
    calls = [{"layer": 0, "inputs": []}, {"layer": 1, "inputs": [[2, 0]]}, {"layer": 1, "inputs": [[1, 0]]}]
    circle = {"class": "Model", "layers": [INPUT, FLATTEN], "calls": calls, "inputs": ONE, "outputs": ONE, "ends": [[2, 0]]}
    refused(tmp_path, circle, "results of earlier calls")
    itself = {"class": "Sequential", "layers": [INPUT, {"class": "Sequential", "layers": [INPUT, {"same": [1]}]}]}
    refused(tmp_path, itself, r"place of an earlier layer, got \[1\]")


@pytest.mark.parametrize("value", [10**400, -1, 2**62, float("nan"), "\0", [1], None])
def test_options_that_are_no_such_numbers(value, tmp_path):
    """An integer beyond all floats was an OverflowError."""
    dense = {"class": "Dense", "config": {"units": 1, "kernel_regularizer": {"l1": 0.0, "l2": value}}}
    refused(tmp_path, {"class": "Sequential", "layers": [INPUT, dense]}, "layers: Dense cannot be made|is missing|elements")


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "é" * 300, "../../x"])
def test_names_of_any_letters(name, tmp_path):
    """They come back as they were, or are refused before anything is written."""
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1, name=name)])
    if name == "\ud800":
        for save in (model.save, lambda path: nn.io.save_state_dict(model, path, {name: name})):
            with pytest.raises(ValueError, match=r"names of tensors: expected .* UTF-8, got '\\ud800\."):
                save(tmp_path / "m")
        assert list(tmp_path.iterdir()) == []
        return
    model.save(tmp_path / "m")
    assert nn.load(tmp_path / "m").layers[1].name == name


# -- checkpoints -------------------------------------------------------------------------------------------------------


def forged(path, change):
    """The checkpoint at `path` with another content, and a checksum that fits."""
    from nncore.files import write_tensors

    arrays, metadata = contents(path)
    content = json.loads(metadata["content"])
    change(content)
    write_tensors(
        path, arrays, {"format": metadata["format"], "version": metadata["version"], "content": json.dumps(content)}
    )


def state_of(content, kind):
    return next(entry["state"] for entry in content["callbacks"] if entry["class"] == kind)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("EarlyStopping", {"best_weights": [1, 2]}),
        ("EarlyStopping", {"best_weights": [{"array": 0}] * 8}),
        ("EarlyStopping", {"best": "low"}),
        ("EarlyStopping", {"wait": 1.5}),
        ("ReduceLROnPlateau", {"cooldown_counter": None}),
        ("ModelCheckpoint", {"best": []}),
        ("ModelCheckpoint", {"files": None}),
    ],
)
def test_states_of_callbacks_that_are_none(kind, changes, tmp_path):
    """Values of another kind were taken over, and training ended with an error of its own."""
    KINDS["training"].write(tmp_path / "sample")
    forged(tmp_path / "sample", lambda content: state_of(content, kind).update(changes))
    with pytest.raises(ValueError, match="checkpoint: expected one of such callbacks and data"):
        read_training(tmp_path / "sample")


def test_a_checkpoint_cannot_have_files_of_others_deleted(tmp_path):
    """ModelCheckpoint with max_to_keep deleted whatever file a checkpoint called its own."""
    folder = tmp_path / "folder"
    folder.mkdir()
    others = [tmp_path / "model-1.safetensors", folder / "precious", folder / "model-.safetensors"]
    for path in others:
        path.write_bytes(b"mine")
    train(folder, 1)
    names = [*map(str, others), str(folder / "x" / ".." / "precious"), str(folder / "model-/../../model-1.safetensors")]
    last = folder / "checkpoint-00001.safetensors"
    forged(last, lambda content: state_of(content, "ModelCheckpoint")["files"].extend(names))
    train(folder, 3)
    assert all(path.read_bytes() == b"mine" for path in others)
    assert not (folder / "model-1.safetensors").exists()
    assert len(list(folder.glob("model-[1-9].safetensors"))) == 1


def test_a_stream_is_not_skipped_without_end(tmp_path):
    """Training that goes on takes and drops as many batches as the checkpoint says; that could be 2**60."""
    KINDS["training"].write(tmp_path / "sample")
    forged(tmp_path / "sample", lambda content: content["feeds"][0].update(taken=2**60))
    read_training(tmp_path / "sample")
    forged(tmp_path / "sample", lambda content: content["feeds"][0].update(taken=-1))
    with pytest.raises(ValueError, match="taken: expected an integer >= 0, got -1"):
        read_training(tmp_path / "sample")


@pytest.mark.parametrize("levels", [100, 400, 900, 100_000])
def test_content_that_is_nested_deeply(levels, tmp_path):
    """Unpacking it ended with a RecursionError, or a SystemError."""
    path, model = tmp_path / "c", sequential()
    trained().save_checkpoint(path)
    arrays, metadata = contents(path)
    del metadata["checksum"]
    for text in ("[" * levels + "]" * levels, '{"model":' * levels + "1" + "}" * levels):
        save_file(arrays, path, {**metadata, "content": text})
        with pytest.raises(ValueError, match="c: not a checkpoint"):
            model.load_checkpoint(path)


# -- arrays ------------------------------------------------------------------------------------------------------------


def npy(header, data=b""):
    text = header.encode("latin1") + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


HEADERS = {
    "promises too much": "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }",
    "overflows": "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551616, 0), }",
    "negative": "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }",
    "no end of a line": "{'descr': '<f8', 'fortran_order': False, 'shape': (1,",
    "nested": "(" * 3000,
    "signs": "-" * 5000 + "1",
    "null": "{'descr': '<f8\0', 'fortran_order': False, 'shape': (1,), }",
    "no dict": "[1, 2]",
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_with_headers_that_are_none(name, method, tmp_path):
    """Memory was taken for what a header promised; damage was a TokenError, a SyntaxError or an OSError."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("x.npy", npy(HEADERS[name], bytes(8)))
    with pytest.raises(ValueError, match=r"a\.npz: expected an archive of arrays"):
        nn.data.read_npz(tmp_path / "a.npz")
    (tmp_path / "x.npy").write_bytes(npy(HEADERS[name], bytes(8)))
    with pytest.raises(ValueError, match=r"x: expected a \.npy file"):
        nn.data.MappedLoader(tmp_path / "x.npy", X)


def test_a_file_that_promises_a_long_header(tmp_path):
    """NumPy took the 4 GiB that version 2 can promise."""
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"x: expected a \.npy file, got .*a header of 4294967295 bytes in a file of 112"):
        nn.data.MappedLoader(tmp_path / "x.npy", X)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(tmp_path / "x.npy", "x.npy")
    with pytest.raises(ValueError, match=r"a\.npz: expected an archive of arrays"):
        nn.data.read_npz(tmp_path / "a.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_archives_whose_arrays_are_packed_as_numpy_does_not(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1000))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
            archive.writestr("x.npy", buffer.getvalue())
        with pytest.raises(ValueError, match=r"'x\.npy' is not stored as numpy\.savez does"):
            nn.data.read_npz(tmp_path / "a.npz")


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {
        "columns": np.asfortranarray(X),
        "big": X.astype(">f8"),
        "none": np.zeros((0, 3)),
        "number": np.array(2.5),
        "empty texts": np.array(["", ""]),
        "fields": np.zeros(3, [("a", "f4"), ("b", "i2")]),
        "long": np.arange(300_000),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        for name, array in nn.data.read_npz(tmp_path / "a.npz").items():
            assert array.dtype == arrays[name].dtype
            np.testing.assert_array_equal(array, arrays[name])
            assert array.flags.writeable
