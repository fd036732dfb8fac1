"""Feeding data to a model: batches from arrays, and a split into training and test part."""

from __future__ import annotations

from nncore.data.loader import DataLoader
from nncore.data.split import train_test_split

__all__ = ["DataLoader", "train_test_split"]
