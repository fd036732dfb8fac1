"""Every contender by name; its own are those of this package, the first of which the others are compared with."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from nncore.bench.case import Contender

__all__ = ["CONTENDERS", "OWN", "PEERS", "create", "installed", "kinds", "modules"]

# Name: module of this package, class.
CONTENDERS = {
    "nncore": ("native", "Native"),
    "nncore per batch": ("native", "PerBatch"),
    "torch": ("pytorch", "Torch"),
    "torch compile": ("pytorch", "Compiled"),
    "torch loader": ("pytorch", "Loader"),
    "jax": ("xla", "Jax"),
    "jax scan": ("xla", "Scan"),
    "keras": ("keras_on_jax", "Keras"),
    "sklearn": ("scikit", "Scikit"),
    "onnxruntime": ("onnx_runtime", "OnnxRuntime"),
    "numpy": ("plain_numpy", "NumPy"),
}
OWN = tuple(name for name, (module, _) in CONTENDERS.items() if module == "native")
PEERS = tuple(name for name in CONTENDERS if name not in OWN)


def _class(name: str) -> type[Contender]:
    module, symbol = CONTENDERS[name]
    found: type[Contender] = getattr(importlib.import_module(f"nncore.bench.contenders.{module}"), symbol)
    return found


def installed(name: str) -> bool:
    """Whether all that the contender needs is installed."""
    return all(find_spec(module) for module in _class(name).modules)


def modules(name: str) -> tuple[str, ...]:
    """What the contender imports."""
    return _class(name).modules


def kinds(name: str) -> tuple[str, ...]:
    """The kinds of workloads that the contender takes part in."""
    return _class(name).kinds


def create(name: str, threads: int) -> Contender:
    """The contender, ready in this process."""
    return _class(name)(threads)
