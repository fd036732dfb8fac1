"""The optional package onnx, imported where it is needed and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["load_onnx"]


def load_onnx() -> Any:  # noqa: ANN401 - the module has no types that mypy reads
    """The package onnx (not this one).

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_module("onnx")
    except ImportError as error:
        raise ImportError('nncore.onnx needs the package onnx; get it with: pip install "nncore[onnx]"') from error
