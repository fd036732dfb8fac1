"""Tables of any kind as Arrow record batches, and what to say where pyarrow is not installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["need_pyarrow", "numbered", "record_batches"]


def record_batches(data: Any) -> Iterable[Any]:  # noqa: ANN401
    """The Arrow record batches of whatever holds a table.

    Raises:
        ImportError: pyarrow is not installed.
        TypeError: `data` holds none.
    """
    pa = need_pyarrow()
    if isinstance(data, pa.RecordBatch):
        return [data]
    if isinstance(data, pa.Table):
        return data.to_batches()  # type: ignore[no-any-return]
    if isinstance(data, pa.RecordBatchReader) or (not hasattr(data, "__arrow_c_stream__") and isinstance(data, Iterable)):
        return _checked(data, pa)
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data).to_batches()  # type: ignore[no-any-return]
    raise TypeError(f"data: expected an Arrow table, a data frame or an iterable of record batches, got {data!r}")


def need_pyarrow() -> Any:  # noqa: ANN401
    """The module pyarrow, or an ImportError that says how to get it."""
    try:
        import pyarrow
    except ImportError:
        raise ImportError('pyarrow is not installed; get it with: pip install "nncore[data]"') from None
    return pyarrow


def _checked(batches: Iterable[Any], pa: Any) -> Iterator[Any]:  # noqa: ANN401
    for batch in batches:
        if not isinstance(batch, pa.RecordBatch):
            raise TypeError(f"data: expected an iterable of Arrow record batches, got a {type(batch).__name__} in it")
        yield batch


def numbered(batches: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Each batch with the number of its first row."""
    row = 0
    for batch in batches:
        yield row, batch
        row += batch.num_rows
