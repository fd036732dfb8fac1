"""The thread setting's checks; what it does is tested with the native engine."""

from __future__ import annotations

import pytest

import nncore as nn


@pytest.mark.parametrize("n", [0, -1, 4097, 2.0, "2", None, True])
def test_bad_numbers(n):
    with pytest.raises(ValueError, match="n: expected an integer from 1 to 4096"):
        nn.set_num_threads(n)


def test_set_and_get():
    before = nn.get_num_threads()
    try:
        nn.set_num_threads(2)
        assert nn.get_num_threads() == 2
    finally:
        nn.set_num_threads(before)
