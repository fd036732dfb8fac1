"""Models as ONNX files, to run them elsewhere, and models from the ONNX files that others have written.

Needs the optional package onnx: ``pip install "nncore[onnx]"``.
"""

from __future__ import annotations

from nncore.onnx.exporting import export
from nncore.onnx.importing import load

__all__ = ["export", "load"]
