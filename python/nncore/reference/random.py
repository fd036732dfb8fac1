"""The counter-based random numbers behind every stochastic op: Philox 4x32-10."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nncore.reference.arrays import as_array, as_integer

__all__ = ["philox4x32"]

Words = npt.NDArray[np.uint32]

_ROUNDS = 10
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)  # golden ratio, sqrt(3) - 1
_LOW = np.uint64(0xFFFFFFFF)
_BITS = np.uint64(32)


def philox4x32(counter: npt.ArrayLike, key: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Four random 32-bit words from a 128-bit counter and a 64-bit key, in ten rounds.

    There is no state: equal arguments give equal words, in any order and on any machine, which is what lets two engines
    (and a backward pass) draw the same dropout mask. One round turns the words (c0, c1, c2, c3) into::

        (high(c2 * M1) ^ c1 ^ k0,  low(c2 * M1),  high(c0 * M0) ^ c3 ^ k1,  low(c0 * M0))

    with `high` and `low` the halves of the 64-bit product; between rounds a constant is added to each key word.

    Args:
        counter: ``[..., 4]``, integers that fit in 32 bits.
        key: ``[..., 2]``, the same; leading axes broadcast with the counter's.

    Returns:
        ``[..., 4]`` uint32.

    Raises:
        TypeError: not integers.
        ValueError: a last axis of another length, an integer outside [0, 2**32 - 1], leading axes that do not broadcast.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (the Random123 library).

    >>> [f"{word:08x}" for word in philox4x32([0, 0, 0, 0], [0, 0])]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c, k = words(counter, key)
    c0, c1, c2, c3 = (c[..., i] for i in range(4))
    k0, k1 = k[..., 0], k[..., 1]
    for _ in range(_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = (product1 >> _BITS) ^ c1 ^ k0, product1 & _LOW
        c2, c3 = (product0 >> _BITS) ^ c3 ^ k1, product0 & _LOW
        k0, k1 = (k0 + _KEY_STEPS[0]) & _LOW, (k1 + _KEY_STEPS[1]) & _LOW
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def stream(rows: int, features: int, *, seed: int, node: int, step: int) -> Words:
    """The words ``[rows, features]`` that a stochastic op draws for a batch.

    Element (row, j) is word j % 4 of the Philox block with counter (j // 4, row, step mod 2**32, node) and key (low, high)
    half of `seed`: a number depends on who draws it, never on the batch size or the order of drawing.

    Args:
        rows: how many samples.
        features: how many numbers for each.
        seed: 0 .. 2**64 - 1.
        node: index of the op in its graph, 0 .. 2**32 - 1.
        step: how many training passes came before, not negative.
    """
    seed, node, step = check_stream(seed, node, step)
    blocks = -(-features // 4)
    counter = np.empty((rows, blocks, 4), np.uint32)
    counter[..., 0] = np.arange(blocks)
    counter[..., 1] = np.arange(rows)[:, None]
    counter[..., 2] = step % 2**32
    counter[..., 3] = node
    drawn = philox4x32(counter, [seed % 2**32, seed >> 32])
    return drawn.reshape(rows, 4 * blocks)[:, :features]


def check_stream(seed: int, node: int, step: int) -> tuple[int, int, int]:
    """The numbers as ints; a TypeError or ValueError unless they are integers in the ranges that `stream` takes."""
    seed, node = as_integer("seed", seed, 0, 2**64 - 1), as_integer("node", node, 0, 2**32 - 1)
    return seed, node, as_integer("step", step, 0)


def words(counter: npt.ArrayLike, key: npt.ArrayLike) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Counter and key of `philox4x32` checked, with equal leading axes, each word in 64 bits for the products to come."""
    c, k = _words("counter", counter, 4), _words("key", key, 2)
    try:
        axes = np.broadcast_shapes(c.shape[:-1], k.shape[:-1])
    except ValueError:
        raise ValueError(f"key: expected leading axes that fit the counter's {c.shape[:-1]}, got {k.shape[:-1]}") from None
    return np.broadcast_to(c, (*axes, 4)), np.broadcast_to(k, (*axes, 2))


def _words(name: str, value: npt.ArrayLike, length: int) -> npt.NDArray[np.uint64]:
    """`value` as 32-bit words, checked; the last axis has the length given."""
    array = as_array(name, value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got dtype {array.dtype}")
    if array.ndim == 0 or array.shape[-1] != length:
        raise ValueError(f"{name}: expected a last axis of length {length}, got shape {array.shape}")
    if array.size and (array.min() < 0 or array.max() > 0xFFFFFFFF):
        raise ValueError(f"{name}: expected integers in [0, 2**32 - 1], got {array.min()} to {array.max()}")
    return array.astype(np.uint64)
