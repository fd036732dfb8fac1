"""Saving and loading: bit-equal predictions, whole files, and clear errors for everything else."""

from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import nncore as nn

X = np.linspace(-1, 1, 30).reshape(5, 6)


def make(engine: str = "reference", dtype: str = "float32") -> nn.Sequential:
    model = nn.Sequential(
        [
            nn.Input((2, 3)),
            nn.Flatten(),
            nn.Rescaling(0.5, offset=0.1),
            nn.Dense(4, activation="gelu", kernel_initializer=nn.HeNormal(), name="first"),
            nn.Dropout(0.5),
            nn.Activation("leaky_relu", negative_slope=0.125),
            nn.Dense(3, use_bias=False),
        ]
    )
    model.compile(loss="cross_entropy", engine=engine, dtype=dtype, seed=3)
    model.fit(X.reshape(5, 2, 3), [0, 1, 2, 0, 1], epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_are_bit_equal(tmp_path, engine_name, dtype):
    x, path = X.reshape(5, 2, 3), tmp_path / "m.safetensors"
    model = make(engine_name, dtype)
    model.save(path)
    loaded = nn.load(path)
    assert loaded.dtype == dtype
    loaded.compile(engine=engine_name, dtype=dtype, loss="cross_entropy")
    assert loaded.predict(x).tobytes() == model.predict(x).tobytes()
    assert [layer.get_config() for layer in loaded.layers[3:4]] == [model.layers[3].get_config()]
    loaded.fit(x, [0, 1, 2, 0, 1], verbose=0)  # and it can be trained on


def test_a_loaded_model_predicts_without_compile(tmp_path):
    path = tmp_path / "m.safetensors"
    model = make("native")
    model.save(path)
    x = X.reshape(5, 2, 3)
    assert nn.load(str(path)).predict(x).tobytes() == model.predict(x).tobytes()


def test_an_inferred_shape_is_kept(tmp_path):
    model = nn.Sequential([nn.Dense(2)])
    model.compile(engine="reference")
    with pytest.raises(RuntimeError, match="input shape"):
        model.save(tmp_path / "m")
    model.predict(X)
    model.save(tmp_path / "m")
    assert nn.load(tmp_path / "m").input_shape == (6,)


def test_the_file_is_plain_safetensors(tmp_path):
    model = make()
    model.save(tmp_path / "m")
    with safe_open(tmp_path / "m", framework="np") as file:
        assert file.metadata()["format"] == "nncore"
        for name, value in model.parameters().items():
            assert (file.get_tensor(name) == value).all()


def test_metadata_goes_with_the_model(tmp_path):
    model, path = make(), tmp_path / "m"
    model.save(path)
    assert nn.load(path).metadata == {}
    model.metadata = {"format": "free to use", "labels": '["a", "b"]'}
    model.save(path)
    assert nn.load(path).metadata == model.metadata
    before = path.read_bytes()
    for wrong in ({"count": 3}, {3: "count"}, None, [("a", "b")]):
        model.metadata = wrong
        with pytest.raises(ValueError, match="metadata: expected a dict of text by name, got"):
            model.save(path)
        assert path.read_bytes() == before


def test_files_are_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "m"
    model = make()
    model.save(path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    model.set_weights([w + 1 for w in model.get_weights()])
    with pytest.raises(OSError, match="disk full"):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]
    monkeypatch.undo()
    model.save(path)
    assert path.read_bytes() != before


def test_modes_and_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "m")
    old = os.umask(0o027)
    try:
        make().save(tmp_path / "link")
    finally:
        os.umask(old)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "real" / "m").stat().st_mode) == 0o640


def test_files_that_cannot_be_reached(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        nn.load(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        nn.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        make().save(tmp_path / "no" / "folder")


class Odd(nn.layers.Layer):
    def build(self, builder, inputs, name):
        return builder.node("relu", inputs, name=name)


def test_a_class_of_ones_own_is_loaded_only_from_those_handed_over(tmp_path):
    model = nn.Sequential([nn.Input((2,)), Odd(name="mine")])
    model.compile(engine="reference")
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match=r"expected a class out of .*Dense.* or custom_objects, got 'Odd'"):
        nn.load(tmp_path / "m")
    loaded = nn.load(tmp_path / "m", custom_objects={"Odd": Odd})
    assert isinstance(loaded.layers[1], Odd)
    assert loaded.layers[1].name == "mine"


def test_classes_that_a_file_cannot_name(tmp_path):
    class Dense(Odd):
        pass

    class Special(nn.Sequential):
        pass

    class Unwritable(Odd):
        def get_config(self):
            return {"names": {"a", "b"}}

    for model, words in [
        (nn.Sequential([nn.Input((2,)), Dense()]), "layer 'dense'.*other than nncore's"),
        (nn.Sequential([nn.Input((2,)), Unwritable()]), "options that JSON can hold"),
        (Special([nn.Input((2,)), nn.Dense(1)]), "Model or Sequential.*Special"),
    ]:
        model.compile(engine="reference")
        with pytest.raises(ValueError, match=words):
            model.save(tmp_path / "m")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("data", [b"", b"abc", b"\xff" * 100, (2**40).to_bytes(8, "little") + b"{}"])
def test_not_a_safetensors_file(tmp_path, data):
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(ValueError, match="m: not a model saved by nncore"):
        nn.load(tmp_path / "m")


def rewrite(path, tensors=None, **metadata):
    """Write the saved model again, with some tensors or metadata replaced (``None``: left out)."""
    with safe_open(path, framework="np") as file:
        old = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        info = {**file.metadata(), "checksum": None, **metadata}
    merged = {**old, **(tensors or {})}
    save_file({k: v for k, v in merged.items() if v is not None}, path, {k: v for k, v in info.items() if v is not None})


def description(**changes):
    layers = [
        {"class": "Input", "config": {"shape": [2], "name": "input"}},
        {"class": "Flatten", "config": {"name": "flatten"}},
    ]
    return json.dumps({"class": "Sequential", "layers": layers, **changes})


def layer(kind, **config):
    return description(layers=[{"class": "Input", "config": {"shape": [2]}}, {"class": kind, "config": config}])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": None}, "'format'.*None"),
        ({"format": "pt"}, "'format'.*'pt'"),
        ({"version": "2"}, "'version'.*'2'"),
        ({"dtype": "float16"}, "'dtype'.*'float16'"),
        ({"dtype": "float64"}, "expected F64 of shape .* got F32"),
        ({"model": None}, "not JSON"),
        ({"model": "{"}, "not JSON"),
        ({"model": "[" * 100_000}, "not JSON"),
        ({"model": "[]"}, "Sequential"),
        ({"model": description(**{"class": "os.system"})}, "Sequential"),
        ({"model": description(layers=3)}, "list of layers"),
        ({"model": description(layers=[])}, "at least one layer"),
        ({"model": description(layers=[3])}, "a class and a config"),
        ({"model": description(layers=[{"class": "Flatten", "config": {}}])}, "Input"),
        ({"metadata": "{"}, "'metadata': not JSON"),
        ({"metadata": '{"count": 3}'}, "'metadata': expected an object of texts"),
        ({"model": layer("Lambda")}, "Dense.*'Lambda'"),
        ({"model": layer("Dense")}, "Dense cannot be made"),
        ({"model": layer("Dropout", rate=2)}, "rate"),
        ({"model": layer("Dropout", rate=0.5, evil=1)}, "evil"),
        ({"model": layer("Flatten", name=3)}, "name"),
        ({"model": description()}, "tensor 'dense.kernel' belongs to no layer"),
        ({"tensors": {"first.bias": None}}, "tensor 'first.bias' is missing"),
        ({"tensors": {"more": np.zeros(2, np.float32)}}, "tensor 'more' belongs to no layer"),
        ({"tensors": {"first.bias": np.zeros(5, np.float32)}}, r"'first.bias'.*\(4,\).*\(5,\)"),
        ({"tensors": {"first.bias": np.zeros(4, np.int32)}}, "'first.bias'.*I32"),
    ],
)
def test_bad_files(tmp_path, changes, words):
    path = tmp_path / "m"
    make().save(path)
    rewrite(path, **changes)
    with pytest.raises(ValueError, match=rf"(?s)m: not a model saved by nncore: .*{words}"):
        nn.load(path)


def test_a_truncated_file(tmp_path):
    path = tmp_path / "m"
    make().save(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="not a model"):
        nn.load(path)
