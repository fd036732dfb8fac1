"""Normalisations of large arrays: the same bits in any number of threads."""

import numpy as np
import pytest

import nncore as nn
from nncore import ops

RNG = np.random.default_rng(3)
X, DY = RNG.standard_normal((300, 7, 130)), RNG.standard_normal((300, 7, 130))
GAMMA, BETA, MEAN, VARIANCE = RNG.random((4, 130)) + 0.5
CALLS = {
    "layer_norm": lambda: (ops.layer_norm(X, GAMMA, BETA), *ops.layer_norm_backward(X, GAMMA, BETA, X, DY)),
    "rms_norm": lambda: (ops.rms_norm(X, GAMMA), *ops.rms_norm_backward(X, GAMMA, X, DY)),
    "batch_norm": lambda: (ops.batch_norm(X, GAMMA, BETA), *ops.batch_norm_backward(X, GAMMA, BETA, X, DY)),
    "batch_norm by averages": lambda: (
        ops.batch_norm(X, GAMMA, BETA, MEAN, VARIANCE),
        *ops.batch_norm_backward(X, GAMMA, BETA, X, DY, MEAN, VARIANCE),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_any_number_of_threads(name):
    before = nn.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            nn.set_num_threads(threads)
            results.append(CALLS[name]())
    finally:
        nn.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
