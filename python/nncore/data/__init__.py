"""Feeding data to a model: files, batches from arrays and files of any size, and a split into training and test part."""

from __future__ import annotations

from nncore.data.chunks import Chunk, ChunkLoader
from nncore.data.loader import DataLoader
from nncore.data.mapped import MappedLoader
from nncore.data.npz import read_npz
from nncore.data.schema import TableSchema
from nncore.data.split import train_test_split
from nncore.data.stream import TableLoader
from nncore.data.tables import Table, learn_schema, read_csv, read_parquet, stream_table
from nncore.datasets.idx import read_idx

__all__ = [
    "Chunk",
    "ChunkLoader",
    "DataLoader",
    "MappedLoader",
    "Table",
    "TableLoader",
    "TableSchema",
    "learn_schema",
    "read_csv",
    "read_idx",
    "read_npz",
    "read_parquet",
    "stream_table",
    "train_test_split",
]
