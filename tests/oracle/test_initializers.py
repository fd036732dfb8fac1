"""Initialisers against those of PyTorch: the same bounds, standard deviations and orthogonal matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nncore as nn

SHAPE = (400, 500)  # ours [in, out]; PyTorch's is transposed


def rng() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=3))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.GlorotUniform(), torch.nn.init.xavier_uniform_),
        (nn.HeUniform(), lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu")),
        (nn.LecunUniform(), lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="linear")),
        (
            nn.VarianceScaling(2.0, "fan_out", "uniform"),
            lambda w: torch.nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bounds(ours, theirs):
    expected = theirs(torch.empty(SHAPE[::-1], dtype=torch.float64)).abs().max().item()
    assert np.abs(ours(SHAPE, rng())).max() == pytest.approx(expected, rel=1e-3)  # each within about 1e-5 of the bound


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.GlorotNormal(), torch.nn.init.xavier_normal_),
        (nn.HeNormal(), lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu")),
        (nn.LecunNormal(), lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="linear")),
        (nn.TruncatedNormal(0.5, 2.0), lambda w: torch.nn.init.trunc_normal_(w, 0.5, 2.0, -3.5, 4.5)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_standard_deviations(ours, theirs):
    expected = theirs(torch.empty(SHAPE[::-1], dtype=torch.float64)).std().item()
    assert ours(SHAPE, rng()).std() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_orthogonal_from_the_same_normal_numbers(shape, monkeypatch):
    """PyTorch's matrix is [out, in]: of the numbers that make ours it makes the transpose."""
    tall = (max(shape), min(shape))
    normal = rng().standard_normal(tall)
    drawn = torch.tensor(normal if shape[0] < shape[1] else normal.T.copy())
    monkeypatch.setattr(torch.Tensor, "normal_", lambda self, mean=0, std=1, generator=None: self.copy_(drawn))
    theirs = torch.nn.init.orthogonal_(torch.empty(shape[::-1], dtype=torch.float64), gain=1.5)
    np.testing.assert_allclose(nn.Orthogonal(1.5)(shape, rng()), theirs.numpy().T, atol=1e-13)
