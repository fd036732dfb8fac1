"""Weights from and to state dicts of PyTorch, by order, by name and by a mapping; tests/oracle has PyTorch itself."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import nncore as nn

RNG = np.random.default_rng(0)


def two_layers(*names):
    first, second = names or (None, None)
    return nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="tanh", name=first), nn.Dense(2, name=second)])


def state(first="0", second="2"):
    shapes = {f"{first}.weight": (4, 3), f"{first}.bias": (4,), f"{second}.weight": (2, 4), f"{second}.bias": (2,)}
    return {name: RNG.standard_normal(shape).astype("float32") for name, shape in shapes.items()}


def expected(arrays, x, first="0", second="2"):
    h = np.tanh(x @ arrays[f"{first}.weight"].T + arrays[f"{first}.bias"])
    return h @ arrays[f"{second}.weight"].T + arrays[f"{second}.bias"]


X = RNG.standard_normal((5, 3)).astype("float32")


@pytest.mark.parametrize("source", ["mapping", "file"])
@pytest.mark.parametrize(
    ("layers", "modules", "mapping"),
    [
        ((), ("0", "2"), None),
        ((), ("2", "10"), None),  # as numbers, not as text
        ((), ("body.9.lin", "body.11.lin"), None),
        (("fc", "a"), ("fc", "a"), None),  # by name: the order of the names is another
        (("fc", "a"), ("z", "a"), {"fc": "z"}),
        ((), ("z", "a"), {"dense": "z", "dense_1": "a"}),
    ],
)
def test_order_names_and_mapping(source, layers, modules, mapping, tmp_path):
    arrays, model = state(*modules), two_layers(*layers)
    if source == "file":
        save_file(arrays, tmp_path / "w.safetensors")
        nn.io.load_state_dict(model, tmp_path / "w.safetensors", mapping)
    else:
        nn.io.load_state_dict(model, arrays, mapping)
    np.testing.assert_allclose(model.predict(X), expected(arrays, X, *modules), rtol=1e-5, atol=1e-6)


def test_there_and_back(tmp_path):
    model = nn.Sequential(
        [nn.Input((2,)), nn.Embedding(5, 3), nn.Flatten(), nn.BatchNorm(), nn.Dense(4, activation="relu"), nn.LayerNorm(),
         nn.Dropout(0.1), nn.PReLU(), nn.Dense(4, use_bias=False), nn.RMSNorm()]
    )  # fmt: skip
    model.set_weights([abs(RNG.standard_normal(w.shape)) for w in model.get_weights()])
    nn.io.save_state_dict(model, tmp_path / "w.safetensors")
    arrays = load_file(tmp_path / "w.safetensors")
    assert {name: array.shape for name, array in arrays.items()} == {
        "0.weight": (5, 3),
        **{f"2.{name}": (6,) for name in ("weight", "bias", "running_mean", "running_var")},
        "2.num_batches_tracked": (),
        "3.weight": (4, 6),
        "3.bias": (4,),
        "5.weight": (4,),
        "5.bias": (4,),
        "7.weight": (1,),
        "8.weight": (4, 4),
        "9.weight": (4,),
    }
    other = nn.Sequential([type(layer).from_config(layer.get_config()) for layer in model.layers])
    nn.io.load_state_dict(other, tmp_path / "w.safetensors")
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_names_of_a_functional_model(tmp_path):
    x = nn.Input((3,))
    model = nn.Model(x, nn.Dense(2, name="head")(nn.Dense(4, name="body")(x)))
    nn.io.save_state_dict(model, tmp_path / "w.safetensors")
    assert set(load_file(tmp_path / "w.safetensors")) == {"body.weight", "body.bias", "head.weight", "head.bias"}
    nn.io.save_state_dict(model, tmp_path / "w.safetensors", {"body": "0", "head": "1.inner"})
    assert set(load_file(tmp_path / "w.safetensors")) == {"0.weight", "0.bias", "1.inner.weight", "1.inner.bias"}


def changed(**changes):
    arrays = {name.replace(".", "_"): array for name, array in state().items()} | changes
    return {name.replace("_", ".", 1): array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize(
    ("arrays", "mapping", "error", "message"),
    [
        (
            changed(**{"2_weight": np.zeros((2, 5))}),
            None,
            ValueError,
            r"tensor '2.weight' for layer 'dense_1': expected shape \(2, 4\), got",
        ),
        (changed(**{"2_weight": np.zeros((4, 2))}), None, ValueError, r"expected shape \(2, 4\), got \(4, 2\)"),
        (
            changed(**{"2_bias": None}),
            None,
            ValueError,
            "module '2' for layer 'dense_1': expected weight, bias, got weight",
        ),
        (
            changed(**{"2_running_mean": np.zeros(2)}),
            None,
            ValueError,
            "expected weight, bias, got weight, bias, running_mean",
        ),
        (
            changed(**{"3_weight": np.zeros(2)}),
            None,
            ValueError,
            "those of 2 modules for the layers dense, dense_1, got 3: 0, 2, 3",
        ),
        ({}, None, ValueError, "those of 2 modules .* got 0: none"),
        (state(), {"dense": "0"}, ValueError, "expected those of module 'dense_1' for layer 'dense_1', got none"),
        (
            changed(**{"3_weight": np.zeros(2)}),
            {"dense": "0", "dense_1": "2"},
            ValueError,
            "expected a layer for each module, got none for '3'",
        ),
        (state(), {"nose": "0"}, ValueError, r"mapping: expected layers with weights \(dense, dense_1\), got 'nose'"),
        (changed(**{"0_bias": np.array(["a"] * 4)}), None, TypeError, "tensor '0.bias': expected real numbers, got dtype"),
        ({0: np.zeros(3)}, None, TypeError, "weights: expected text as names, got 0"),
        (3.5, None, TypeError, "float"),
    ],
)
def test_errors_leave_the_model_as_it_was(arrays, mapping, error, message):
    model = two_layers()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        nn.io.load_state_dict(model, arrays, mapping)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


class Gain(nn.Layer):
    """A layer with weights that PyTorch does not have."""

    def declare_parameters(self, shape):
        return {"gain": (shape, "ones")}

    def forward(self, x, gain):
        return x * gain

    def backward(self, x, gain, y, dy):
        return dy * gain, (dy * x).sum(0)


def test_errors_of_files_and_models(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(ValueError, match=r"w\.pt: expected a safetensors file of float32 or float64"):
        nn.io.load_state_dict(two_layers(), tmp_path / "w.pt")
    with pytest.raises(FileNotFoundError):
        nn.io.load_state_dict(two_layers(), tmp_path / "none.safetensors")
    save_file({"0.weight": np.zeros((4, 3))}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors: weights: expected those of 2 modules"):
        nn.io.load_state_dict(two_layers(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="layer 'gain' with weights of its own"):
        nn.io.save_state_dict(nn.Sequential([nn.Input((2,)), Gain()]), tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="mapping: expected different modules, got 'a' twice"):
        nn.io.save_state_dict(two_layers(), tmp_path / "x.safetensors", {"dense": "a", "dense_1": "a"})
    with pytest.raises(ValueError, match="mapping: expected layers with weights"):
        nn.io.save_state_dict(two_layers(), tmp_path / "x.safetensors", {"nose": "a"})
    with pytest.raises(RuntimeError, match="input shape is not known"):
        nn.io.load_state_dict(nn.Sequential([nn.Dense(2)]), {})
    assert not (tmp_path / "x.safetensors").exists()
