"""Saving and loading models: one safetensors file with the weights by name and the architecture as JSON metadata."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore.arrays import Array
from nncore.description import describe, make
from nncore.layers import Layer

if TYPE_CHECKING:
    from nncore.model import Model

__all__ = ["load", "save", "write_file"]

_FORMAT = "nncore"
_VERSION = "1"
_DTYPES = {"float32": "F32", "float64": "F64"}  # ours and safetensors' names


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`; see `Model.save`."""
    from safetensors.numpy import save as serialize  # here: importing it takes longer than importing nncore

    parameters = model.parameters()  # first: a model whose input shape is unknown has none, and says so
    metadata = {"format": _FORMAT, "version": _VERSION, "dtype": model.dtype, "model": _as_json(model)}
    if not _is_text_by_name(model.metadata):
        raise ValueError(f"metadata: expected a dict of text by name, got {model.metadata!r}")
    if model.metadata:
        metadata["metadata"] = json.dumps(model.metadata)
    write_file(os.path.realpath(os.fspath(path)), serialize(parameters, metadata))


def _as_json(model: Model) -> str:
    try:
        return json.dumps(describe(model))
    except TypeError as error:  # by a layer's get_config
        raise ValueError(f"layers: expected options that JSON can hold ({error})") from None


def _is_text_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)


def load(path: str | os.PathLike[str], custom_objects: Mapping[str, type[Layer]] | None = None) -> Model:
    """The model that `Model.save` wrote to `path`; it predicts the same bits, and can be compiled and trained on.

    Nothing in the file is executed: it may only name the layer classes in `nncore.layers.LAYERS` and `custom_objects`.

    Args:
        path: the file.
        custom_objects: your own layer classes by name; each makes its layers by ``from_config``.

    Raises:
        ValueError: the file is no such model; the message says what is wrong with it.
        OSError: the file cannot be read.

    >>> import os, tempfile, nncore as nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "m.safetensors"))
    ...     same = nn.load(os.path.join(folder, "m.safetensors"))
    >>> bool((same.predict([[1, 2, 3, 4]]) == model.predict([[1, 2, 3, 4]])).all())
    True
    """
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    with open(name, "rb"):
        pass  # an OSError that names the file, where it cannot be read
    try:
        with safe_open(name, framework="np") as file:
            return _read(file, custom_objects or {})
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{name}: not a model saved by nncore: {error}") from None


def _read(file: Any, custom_objects: Mapping[str, type[Layer]]) -> Model:  # noqa: ANN401 - safetensors has no stubs
    metadata: Mapping[str, str] = file.metadata() or {}
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"metadata 'format': expected {_FORMAT!r}, got {metadata.get('format')!r}")
    if metadata.get("version") != _VERSION:
        raise ValueError(f"metadata 'version': expected {_VERSION!r}, got {metadata.get('version')!r}")
    dtype = metadata.get("dtype", "")
    if dtype not in _DTYPES:
        raise ValueError(f"metadata 'dtype': expected one of {', '.join(_DTYPES)}, got {dtype!r}")
    model = _build(metadata.get("model", ""), custom_objects)

    specs = {spec.name: spec for spec in model.graph.parameters}
    names = set(file.keys())
    if missing := sorted(set(specs) - names):
        raise ValueError(f"tensor {missing[0]!r} is missing")
    if extra := sorted(names - set(specs)):
        raise ValueError(f"tensor {extra[0]!r} belongs to no layer")
    for name, spec in specs.items():
        header = file.get_slice(name)
        shape, kind = tuple(header.get_shape()), header.get_dtype()
        if shape != spec.shape or kind != _DTYPES[dtype]:
            raise ValueError(
                f"tensor {name!r}: expected {_DTYPES[dtype]} of shape {spec.shape}, got {kind} of shape {shape}"
            )
    weights: list[Array] = [np.array(file.get_tensor(name)) for name in specs]
    model._restore(weights, dtype)
    model.metadata = _own_metadata(metadata.get("metadata", "{}"))
    return model


def _own_metadata(text: str) -> dict[str, str]:
    try:
        value: dict[str, str] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"metadata 'metadata': not JSON ({error})") from None
    if not _is_text_by_name(value):
        raise ValueError("metadata 'metadata': expected an object of texts")
    return value


def _build(text: str, custom_objects: Mapping[str, type[Layer]]) -> Model:
    """The model that the JSON `text` describes, without weights."""
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"metadata 'model': not JSON ({error})") from None
    try:
        model = make(description, custom_objects)
        _ = model.graph
    except RuntimeError:
        raise ValueError("metadata 'model': expected an Input as the first layer") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"metadata 'model': {error}") from None
    return model


def write_file(path: str, data: bytes) -> None:
    """Replace the file at `path` by `data`, at once and as a whole, even if the machine stops meanwhile."""
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
