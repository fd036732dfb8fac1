"""The summary table."""

from __future__ import annotations

import nncore as nn


def lines(model: nn.Model) -> list[str]:
    result: list[str] = []
    model.summary(print_fn=result.append)
    return result


def test_layers_totals_and_memory():
    layers = [nn.Input((28, 28)), nn.Flatten(), nn.Dense(300, activation="relu"), nn.Dropout(0.2), nn.Dense(10)]
    model = nn.Sequential(layers)
    model.compile(optimizer="adam", engine="reference", dtype="float64")
    assert lines(model) == [
        "layer    type     output shape  parameters",
        "------------------------------------------",
        "input    Input    (n, 28, 28)            0",
        "flatten  Flatten  (n, 784)               0",
        "dense    Dense    (n, 300)         235,500",
        "dropout  Dropout  (n, 300)               0",
        "dense_1  Dense    (n, 10)            3,010",
        "------------------------------------------",
        "parameters: 238,510, trainable: 238,510",
        "memory: 1.82 MiB of float64 parameters, 7.28 MiB with gradients and optimizer state",
        "flops: 476,400 per sample in matrix products",  # 2 * (784 * 300 + 300 * 10)
    ]


def test_an_open_shape():
    assert lines(nn.Sequential([nn.Dense(3)]))[2:] == [
        "dense  Dense  ?                      ?",
        "--------------------------------------",
        "The input shape is not known yet.",
    ]
