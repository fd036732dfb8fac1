"""Checks of arrays that come from users: any real array-like in, a native row-major array or a clear error out."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.foreign import as_array
from nncore.frames import is_table, table_as_array
from nncore.optable import Shape

__all__ = ["Array", "as_rows", "batch_shape", "check_finite", "check_sample_shape", "positive", "real"]

Array = npt.NDArray[Any]


def real(value: npt.ArrayLike, what: str) -> Array:
    """`value` as a row-major array in this machine's byte order, itself where it is one already.

    A frame of pandas or polars, or a table of Arrow, is an array [n, columns]. What has ``__array__``, the buffer protocol
    or DLPack shares its memory with the result, if that needs no conversion.

    Raises:
        TypeError: not bool, integer or floating-point numbers, or a tensor on another device or with a gradient.
        ValueError: a nested sequence of unequal lengths, or a table with missing values.
    """
    if type(value) is np.ndarray:
        array: Array = value
    elif is_table(value):
        array = table_as_array(value, what)
    else:
        array = as_array(value, what)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what}: expected real numbers, got dtype {array.dtype}")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):  # half and long double: no engine reads them
        array = array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    return array.view(np.uint8) if array.dtype.kind == "b" else array


def positive(value: int, what: str) -> int:
    """`value` as an int of at least 1; a ValueError that calls it `what` otherwise."""
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except Exception:  # as NumPy's scalars may raise anything here
        number = 0
    if not 1 <= number < 2**63:
        raise ValueError(f"{what}: expected an integer >= 1{' and below 2**63' if number > 1 else ''}, got {value!r}")
    return number


def as_rows(value: npt.ArrayLike, what: str) -> Array:
    """`value` as an array with at least one sample along axis 0."""
    array = real(value, what)
    if array.ndim == 0:
        raise ValueError(f"{what}: expected an array with one sample per row, got a scalar")
    if array.size == 0:
        raise ValueError(f"{what}: expected at least one sample, got an empty array of shape {array.shape}")
    return array


def batch_shape(sample: Shape) -> str:
    """How a batch of samples of shape `sample` is written in messages: ``(n, 784)``."""
    return f"(n, {', '.join(map(str, sample))})" if sample else "(n,)"


def check_sample_shape(array: Array, sample: Shape, what: str) -> None:
    """Raise ValueError unless `array` [n, *sample] holds samples of that shape."""
    if array.shape[1:] != sample or not array.ndim:
        raise ValueError(f"{what}: expected shape {batch_shape(sample)}, got {array.shape}")


def check_finite(array: Array, what: str, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise ValueError that names the first row of `array` with NaN, infinity or a value outside [low, high]."""
    bad = ~np.isfinite(array)
    if low > -math.inf:
        bad |= array < low
    if high < math.inf:
        bad |= array > high
    if bad.any():
        place = np.unravel_index(int(bad.argmax()), array.shape)
        bounds = "" if low == -math.inf else f" in [{low:g}, {high:g}]" if high < math.inf else f" >= {low:g}"
        raise ValueError(f"{what}: expected finite values{bounds}, got {array[place]} in row {place[0]}")
