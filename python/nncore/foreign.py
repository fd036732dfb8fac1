"""Arrays of other packages as NumPy's: by ``__array__``, the buffer protocol or DLPack, without a copy where possible."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["as_array", "is_array"]

_IN_MEMORY = (1, 3, 11)  # DLPack's numbers of devices whose memory the CPU reads: CPU, and pinned by CUDA or by ROCm


def is_array(value: object) -> bool:
    """Whether `value` is one array as a whole, of whatever package, and no sequence of things."""
    return isinstance(value, memoryview) or hasattr(value, "__array__") or hasattr(value, "__dlpack__")


def as_array(value: Any, what: str) -> npt.NDArray[Any]:  # noqa: ANN401 - of whatever package
    """`value` as a NumPy array, which shares the memory of an array, a buffer or a tensor on the CPU.

    Raises:
        TypeError: a tensor on another device, one that requires a gradient, or of a type that NumPy does not have;
            messages call it `what`.
        ValueError: a nested sequence of unequal lengths, or an array with masked elements.

    >>> buffer = bytearray(b"abc")
    >>> array = as_array(memoryview(buffer), "x")
    >>> buffer[0] = 0
    >>> array.tolist()
    [0, 98, 99]
    """
    if isinstance(value, np.ndarray):
        if type(value) is not np.ndarray and np.ma.is_masked(value):
            raise ValueError(f"{what}: expected values, got a masked array with masked elements (fill or drop them first)")
        return np.asarray(value)
    try:
        if hasattr(value, "__array__") or not hasattr(value, "__dlpack__"):
            return np.asarray(value)
        if _device(value) not in _IN_MEMORY:
            raise BufferError("unreachable")
        return np.from_dlpack(value)
    except (TypeError, RuntimeError, BufferError) as error:
        raise TypeError(f"{what}: {_reason(value, error)}") from None
    except ValueError as error:
        if is_array(value):
            raise TypeError(f"{what}: {_reason(value, error)}") from None
        raise ValueError(f"{what}: expected an array, got a sequence that makes none ({error})") from None


def _reason(value: Any, error: Exception) -> str:  # noqa: ANN401
    """Why NumPy cannot read `value`, and what to do about it."""
    kind = type(value).__name__
    if getattr(value, "requires_grad", False) is True:
        return f"expected data without a gradient, got a {kind} that requires one (pass its detach())"
    if _device(value) not in _IN_MEMORY:
        where = getattr(value, "device", f"number {_device(value)} of DLPack")
        return f"expected an array in the CPU's memory, got a {kind} on device {where} (copy it to the CPU first)"
    return f"expected an array that NumPy can read, got a {kind} ({error})"


def _device(value: Any) -> int:  # noqa: ANN401
    """DLPack's number for the kind of device that `value` is on, 0 where it has none."""
    try:
        return int(value.__dlpack_device__()[0])
    except (AttributeError, TypeError, ValueError, IndexError, RuntimeError, BufferError):
        return _IN_MEMORY[0] if str(getattr(value, "device", "cpu")) == "cpu" else 0
