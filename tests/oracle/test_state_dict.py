"""State dicts of PyTorch's modules in our models and back: equal predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn as tnn

import nncore as nn


def theirs(dtype):
    module = tnn.Sequential(
        *(tnn.Linear(6, 8), tnn.ReLU(), tnn.BatchNorm1d(8), tnn.Linear(8, 7, bias=False), tnn.LayerNorm(7), tnn.Dropout()),
        *(tnn.PReLU(7), tnn.Linear(7, 5), tnn.RMSNorm(5, eps=1e-6), tnn.PReLU(), tnn.BatchNorm1d(5, affine=False)),
        *(tnn.Linear(5, 5), tnn.GELU(), tnn.Linear(5, 3)),
    ).to(dtype)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor + 0.1 * torch.rand_like(tensor))
    return module.eval()


def ours(dtype):
    norm = {"momentum": 0.9, "epsilon": 1e-5}
    model = nn.Sequential(
        [
            *(nn.Input((6,)), nn.Dense(8, activation="relu"), nn.BatchNorm(**norm), nn.Dense(7, use_bias=False)),
            *(nn.LayerNorm(epsilon=1e-5), nn.Dropout(0.5), nn.PReLU(shared=False), nn.Dense(5), nn.RMSNorm(epsilon=1e-6)),
            *(nn.PReLU(), nn.BatchNorm(center=False, scale=False, **norm), nn.Dense(5, activation="gelu"), nn.Dense(3)),
        ]
    )
    model.compile(dtype=dtype)
    return model


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("by_file", [True, False])
def test_equal_predictions_there_and_back(dtype, tolerance, by_file, tmp_path):
    torch.manual_seed(0)
    module, model = theirs(getattr(torch, dtype)), ours(dtype)
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    nn.io.load_state_dict(model, tmp_path / "w.safetensors" if by_file else module.state_dict())
    x = torch.randn(20, 6, dtype=getattr(torch, dtype))
    expected = module(x).detach().numpy()
    np.testing.assert_allclose(model.predict(x.numpy()), expected, rtol=tolerance, atol=tolerance)

    model.set_weights([w + 0.1 for w in model.get_weights()])
    nn.io.save_state_dict(model, tmp_path / "back.safetensors")
    module.load_state_dict(load_file(tmp_path / "back.safetensors"))
    np.testing.assert_allclose(model.predict(x.numpy()), module(x).detach().numpy(), rtol=tolerance, atol=tolerance)


def test_an_embedding_and_names_of_ones_own(tmp_path):
    class Module(tnn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.out = tnn.Embedding(9, 4), tnn.Linear(8, 2)

        def forward(self, x):
            return self.out(self.words(x).flatten(1))

    module = Module()
    model = nn.Sequential([nn.Input((2,)), nn.Embedding(9, 4, name="table"), nn.Flatten(), nn.Dense(2, name="head")])
    nn.io.load_state_dict(model, module.state_dict(), {"table": "words", "head": "out"})
    x = torch.tensor([[0, 8], [3, 4]])
    np.testing.assert_allclose(model.predict(x.numpy()), module(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    nn.io.save_state_dict(model, tmp_path / "w.safetensors", {"table": "words", "head": "out"})
    module.load_state_dict(load_file(tmp_path / "w.safetensors"))
