"""A small file of every kind that nncore reads, and what is done with a copy that may be damaged or hostile."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import math
import pickle
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nncore as nn
from nncore import state

RNG = np.random.default_rng(5)
X = RNG.standard_normal((24, 3)).astype(np.float32)
Y = RNG.integers(0, 2, 24)
LARGE = 10**6  # elements in a sample or a result from which on a model is not tried out


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    `write` makes the sample. `read` uses a file of that kind: it returns where the file is valid, and raises one of
    `errors`, and nothing else, where it is not.
    """

    write: Callable[[Path], None]
    read: Callable[[Path], None]
    errors: tuple[type[Exception], ...] = (ValueError,)


def sequential() -> nn.Sequential:
    hidden = nn.Dense(4, nn.Activation("leaky_relu", negative_slope=0.1), kernel_regularizer=nn.L2(0.1))
    layers = [nn.Input((3,)), nn.Rescaling(0.5), hidden, nn.BatchNorm(), nn.Dropout(0.2), nn.Dense(2)]
    model = nn.Sequential(layers, "net")
    model.metadata = {"labels": '["a", "b"]'}
    model.compile("adam", "cross_entropy", ["accuracy"], seed=3)
    return model


def small() -> nn.Sequential:
    """One whose header is so short that each of its bytes can take every other value."""
    return nn.Sequential([nn.Input((1,)), nn.Dense(1, use_bias=False)])


def functional() -> nn.Model:
    """Several inputs and outputs, shared layers, and a model within."""
    a, b, c = nn.Input((3,)), nn.Input((3,), name="b"), nn.Input((2,), name="c")
    shared = nn.Dense(4, "tanh", kernel_initializer=nn.HeNormal())
    inner = nn.Sequential([nn.Input((4,)), nn.Reshape((2, 2)), nn.LayerNorm(), nn.Flatten(), nn.PReLU()], "inner")
    words = nn.Flatten()(nn.Embedding(5, 2)(c))
    joined = nn.layers.Concatenate()([inner(shared(a)), inner(shared(b)), words, nn.Flatten()(nn.OneHot(3)(c))])
    outputs = {"p": nn.Dense(2)(joined), "q": nn.layers.Add()([shared(a), shared(b)])}
    return nn.Model([a, b, c], outputs)


def trained() -> nn.Sequential:
    model = sequential()
    model.fit(X, Y, verbose=0)
    return model


def predict(model: nn.Model) -> None:
    """Results of the right shape, whatever the weights are; a network that asks for much memory is not tried."""
    if sum(math.prod(node.shape) for node in model.graph.nodes) > LARGE:
        return
    inputs = [np.zeros((2, *shape), np.float32) for shape in model.graph.input_shapes]
    with np.errstate(all="ignore"):
        outputs = model.predict(model._inputs.join(inputs))
    results = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, list) else [outputs]
    assert [(2, *shape) for shape in model.graph.output_shapes] == [result.shape for result in results]


def read_checkpoint(path: Path) -> None:
    model = MODELS["checkpoint"]
    before = pickle.dumps(state.capture(model))
    try:
        model.load_checkpoint(path)
    except ValueError:
        assert pickle.dumps(state.capture(model)) == before
        raise
    try:
        model.train_on_batch(X, Y)
    except FloatingPointError:  # of weights that are not finite
        return


def callbacks(folder: Path) -> list[nn.callbacks.Callback]:
    """All that keep a state in checkpoints."""
    return [
        nn.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True),
        nn.callbacks.ReduceLROnPlateau("loss", patience=1, cooldown=1),
        nn.callbacks.ModelCheckpoint(folder / "model-{epoch}.safetensors", max_to_keep=1),
    ]


def train(folder: Path, epochs: int) -> nn.Sequential:
    model = sequential()
    loader = nn.data.DataLoader(X, Y, batch_size=8, shuffle=True, seed=1)
    stream = itertools.chain.from_iterable(itertools.repeat(loader))
    options = {"checkpoint": folder, "resume": True, "callbacks": callbacks(folder), "validation_data": loader}
    model.fit(stream, steps_per_epoch=2, epochs=epochs, verbose=0, **options)
    return model


def write_training(path: Path) -> None:
    train(path.parent, 1)
    (path.parent / "checkpoint-00001.safetensors").rename(path)
    (path.parent / "model-1.safetensors").unlink()


def read_training(path: Path) -> None:
    folder = path.parent / "training"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "checkpoint-00001.safetensors").write_bytes(path.read_bytes())
    (folder / "mine").write_bytes(b"")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*the one before it is taken")
            train(folder, 2)
    except FloatingPointError:
        return
    finally:
        assert (folder / "mine").exists()


def write_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, x=X, y=Y, names=np.array(["a", "bc"]))


def read_npz(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Reading `.npy` or `.npz` file required additional header parsing")
        for array in nn.data.read_npz(path).values():
            assert isinstance(array, np.ndarray)


def write_idx(path: Path) -> None:
    path.write_bytes(bytes([0, 0, 13, 2]) + struct.pack(">2I", *X.shape) + X.astype(">f4").tobytes())


def write_zipped_idx(path: Path) -> None:
    write_idx(path)
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def read_idx(path: Path) -> None:
    assert isinstance(nn.data.read_idx(path), np.ndarray)


def write_npy(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, X)
    path.write_bytes(buffer.getvalue())


def read_npy(path: Path) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Reading `.npy` or `.npz` file required additional header parsing")
        for x, y in nn.data.MappedLoader(str(path), np.zeros(len(X)), batch_size=8):
            assert len(x) == len(y)


KINDS = {
    "model": Kind(lambda path: trained().save(path), lambda path: predict(nn.load(path))),
    "small model": Kind(lambda path: small().save(path), lambda path: predict(nn.load(path))),
    "functional model": Kind(lambda path: functional().save(path), lambda path: predict(nn.load(path))),
    "checkpoint": Kind(lambda path: trained().save_checkpoint(path), read_checkpoint),
    "training": Kind(write_training, read_training),
    "state dict": Kind(
        lambda path: nn.io.save_state_dict(sequential(), path),
        lambda path: nn.io.load_state_dict(MODELS["state dict"], path),
        (ValueError, TypeError),
    ),
    "onnx": Kind(lambda path: nn.onnx.export(trained(), path), lambda path: predict(nn.onnx.load(path))),
    "npz": Kind(write_npz, read_npz),
    "npy": Kind(write_npy, read_npy, (ValueError, TypeError)),
    "idx": Kind(write_idx, read_idx),
    "zipped idx": Kind(write_zipped_idx, read_idx),
}
MODELS = {"checkpoint": trained(), "state dict": sequential()}


def without_checksum(data: bytes) -> bytes:
    """A safetensors file as earlier versions wrote it: what its checks refuse, no checksum refuses first."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.get("__metadata__", {}).pop("checksum", None)
    return packed(json.dumps(header).encode(), data[8 + size :])


def packed(header: bytes, tensors: bytes) -> bytes:
    """A safetensors file."""
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + tensors
