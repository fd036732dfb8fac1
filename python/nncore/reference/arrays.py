"""What every reference function does with the arrays it is given: check them, agree on one dtype, fill `out`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nncore.foreign import as_array as numpy_array

__all__ = [
    "Array",
    "alike",
    "as_array",
    "as_float",
    "as_floats",
    "as_integer",
    "as_shape",
    "check_out",
    "deliver",
    "sum_over",
]

Array = npt.NDArray[Any]
_MOST_AXES = 64  # that an array of NumPy can have


def as_array(name: str, value: npt.ArrayLike) -> Array:
    """`value` as an array, of whatever package; a ragged sequence is a ValueError that names the argument."""
    if type(value) is np.ndarray:
        return value
    try:
        return numpy_array(value, name)
    except ValueError as error:
        if isinstance(value, np.ndarray):
            raise
        raise ValueError(f"{name}: expected an array of numbers, got a ragged sequence") from error


def as_float(name: str, value: npt.ArrayLike) -> Array:
    """`value` as a native-endian float32 or float64 array.

    Both are kept, float16 becomes float32, integers and booleans become float64.

    Raises:
        TypeError: any other dtype.

    >>> as_float("x", [1, 2])
    array([1., 2.])
    """
    array = as_array(name, value)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind in "biu":
        return array.astype(np.float64)
    if kind == "f" and size <= 8:
        return array.astype(np.float64 if size == 8 else np.float32, copy=False)
    raise TypeError(f"{name}: expected real numbers of at most 64 bits, got dtype {array.dtype}")


def as_floats(**values: npt.ArrayLike) -> list[Array]:
    """Each value as by `as_float`, all in the dtype to which NumPy promotes them.

    >>> [a.dtype.name for a in as_floats(x=np.float32(1), dy=np.float64(1))]
    ['float64', 'float64']
    """
    arrays = [as_float(name, value) for name, value in values.items()]
    dtype = np.result_type(*arrays)
    return [array.astype(dtype, copy=False) for array in arrays]


def alike(**values: npt.ArrayLike) -> list[Array]:
    """As `as_floats`, for arrays that must also have equal shapes."""
    arrays = as_floats(**values)
    (first, *others) = values
    for name, array in zip(others, arrays[1:], strict=True):
        if array.shape != arrays[0].shape:
            raise ValueError(f"{name}: expected the shape of {first}, {arrays[0].shape}, got {array.shape}")
    return arrays


def as_integer(name: str, value: int, low: int = -(2**63), high: int = 2**63 - 1) -> int:
    """`value` as an int in [low, high].

    Raises:
        TypeError: no integer.
        ValueError: one that is out of bounds.
    """
    try:
        number = value.__index__()
    except Exception:  # as NumPy's scalars may raise anything here
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if isinstance(value, (bool, np.bool_, np.ma.MaskedArray)):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not low <= number <= high:
        raise ValueError(f"{name}: expected an integer in [{low}, {high}], got {value!r}")
    return number


def as_shape(name: str, value: Sequence[int], low: int = 0) -> tuple[int, ...]:
    """`value` as a shape, with no length below `low`.

    Raises:
        TypeError: no sequence of integers.
        ValueError: a smaller length, or more axes than an array can have.
    """
    given: Any = value  # Any: what users pass is checked here
    if not isinstance(given, (list, tuple, range)) and not (isinstance(given, np.ndarray) and given.ndim == 1):
        raise TypeError(f"{name}: expected a sequence of integers, got {value!r}")
    if len(value) > _MOST_AXES:
        raise ValueError(f"{name}: expected at most {_MOST_AXES} axes, got {len(value)}")
    return tuple(as_integer(f"{name}[{i}]", n, low) for i, n in enumerate(value))


def sum_over(x: Array, axes: int | tuple[int, ...]) -> Array:
    """The sum over some axes, added up in float64: in float32, sums over millions of rows would lose their digits."""
    return np.asarray(x.sum(axes, dtype=np.float64), x.dtype)


def deliver(result: npt.ArrayLike, out: Array | None, any_strides: bool = False) -> Array:
    """`result` itself, or copied into `out` when the caller gave one.

    As the whole result is there before `out` is written, `out` may share memory with any input. Raises as `check_out`.
    """
    result = np.asarray(result)
    if out is None:
        return result
    check_out(out, result.shape, result.dtype, any_strides)
    out[...] = result
    return out


def check_out(out: Array, shape: tuple[int, ...], dtype: np.dtype[Any], any_strides: bool = False) -> None:
    """Raise unless a result can be written to `out`.

    Raises:
        TypeError: `out` is not an array of the result's dtype.
        ValueError: `out` has another shape, is read-only, or is not C-contiguous (unless `any_strides`).
    """
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected a NumPy array, got {type(out).__name__}")
    if out.dtype != dtype:
        raise TypeError(f"out: expected dtype {dtype}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out: expected shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out: expected a writeable array, got a read-only one")
    if not any_strides and not out.flags.c_contiguous:
        raise ValueError(f"out: expected a C-contiguous array, got strides {out.strides}")
