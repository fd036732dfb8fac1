"""Philox against Random123's published known answers, and what makes it a counter-based generator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncore.reference.random import stream

WORD = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(backend, counter, key, expected):
    """The vectors `philox4x32 10` of Random123's ``tests/kat_vectors``."""
    words = backend.philox4x32(*([int(word, 16) for word in text.split()] for text in (counter, key)))
    assert words.dtype == np.uint32
    assert " ".join(f"{word:08x}" for word in words) == expected


@given(counters=st.lists(st.tuples(WORD, WORD, WORD, WORD), min_size=1, max_size=5), key=st.tuples(WORD, WORD))
def test_many_counters_are_each_one(backend, counters, key):
    words = backend.philox4x32(np.array(counters, np.uint32), np.array(key, np.uint32))
    for counter, row in zip(counters, words, strict=True):
        np.testing.assert_array_equal(backend.philox4x32(counter, key), row)


def test_leading_axes_broadcast(backend):
    counters = np.arange(24, dtype=np.uint32).reshape(3, 2, 4)
    keys = np.arange(4, dtype=np.uint32).reshape(2, 2)
    words = backend.philox4x32(counters, keys)
    assert words.shape == (3, 2, 4)
    np.testing.assert_array_equal(words[2, 1], backend.philox4x32(counters[2, 1], keys[1]))
    assert backend.philox4x32(np.zeros((0, 4), np.uint32), [0, 0]).shape == (0, 4)


@given(rows=st.integers(0, 5), features=st.integers(0, 9), seed=st.integers(0, 2**64 - 1), step=st.integers(0, 2**40))
def test_an_element_does_not_depend_on_the_batch(rows, features, seed, step):
    words = stream(rows, features, seed=seed, node=7, step=step)
    np.testing.assert_array_equal(words, stream(8, 12, seed=seed, node=7, step=step)[:rows, :features])


def test_seeds_nodes_and_steps_draw_differently():
    base = {"seed": 1, "node": 2, "step": 3}
    first = stream(4, 8, **base)
    for change in ({"seed": 2}, {"seed": 1 + 2**32}, {"node": 3}, {"step": 4}):
        assert not np.any(first == stream(4, 8, **{**base, **change}))
    np.testing.assert_array_equal(first, stream(4, 8, **{**base, "step": 3 + 2**32}))
