"""The summary's flops against PyTorch's counter."""

import torch
from torch.utils.flop_counter import FlopCounterMode

import nncore as nn


def test_flops():
    model = nn.Sequential([nn.Input((7, 20)), nn.Dense(33, activation="relu"), nn.Flatten(), nn.Dense(10)])
    twin = torch.nn.Sequential(torch.nn.Linear(20, 33), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(7 * 33, 10))
    with FlopCounterMode(display=False) as counter:
        twin(torch.zeros(1, 7, 20))
    lines = []
    model.summary(print_fn=lines.append)
    assert lines[-1] == f"flops: {counter.get_total_flops():,} per sample in matrix products"
