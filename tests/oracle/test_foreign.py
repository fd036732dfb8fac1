"""PyTorch's tensors as arrays: shared memory, and clear errors for those that NumPy cannot read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nncore as nn
from nncore import arrays, ops


class OnlyDLPack:
    """A tensor by DLPack alone."""

    def __init__(self, tensor):
        self.__dlpack__, self.__dlpack_device__ = tensor.__dlpack__, tensor.__dlpack_device__


def test_tensors_are_read_where_they_lie():
    x = torch.arange(12.0).reshape(3, 4)
    for value in (x, OnlyDLPack(x)):
        assert np.shares_memory(arrays.real(value, "x"), x.numpy())
        np.testing.assert_array_equal(ops.relu(value), x.numpy())
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    model.compile("sgd", "mse")
    history = model.fit(x, torch.ones(3, 2), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert type(model.predict(x)) is np.ndarray


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(3, 4, requires_grad=True), "x: expected data without a gradient, got a Tensor that requires one"),
        (torch.nn.Parameter(torch.ones(3, 4)), "x: expected data without a gradient, got a Parameter that requires one"),
        (torch.ones(3, 4, device="meta"), "x: expected an array in the CPU's memory, got a Tensor on device meta"),
        (torch.ones(3, 4, dtype=torch.bfloat16), "x: expected an array that NumPy can read, got a Tensor .*BFloat16"),
        (torch.ones(3, 4, dtype=torch.complex64), "x: expected real numbers, got dtype complex64"),
    ],
)
def test_errors(tensor, message):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    with pytest.raises(TypeError, match=message):
        model.predict(tensor)
