"""Saving and loading models: one safetensors file with the weights by name and the architecture as JSON metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nncore.arrays import Array
from nncore.description import describe, make
from nncore.files import check_sum, serialized, write_file, write_tensors
from nncore.layers import Layer
from nncore.paths import as_path

if TYPE_CHECKING:
    from nncore.model import Model
    from nncore.network import Network

__all__ = ["load", "load_state_dict", "save", "save_state_dict"]

_FORMAT = "nncore"
_VERSION = "1"
_DTYPES = {"float32": "F32", "float64": "F64"}  # ours and safetensors' names


def save(model: Network, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`; see `Model.save`."""
    _check_model(model)
    parameters = model.parameters()  # first: a model whose input shape is unknown has none, and says so
    metadata = {"format": _FORMAT, "version": _VERSION, "dtype": model.dtype, "model": _as_json(model)}
    if own := checked_metadata(model):
        metadata["metadata"] = json.dumps(own)
    write_tensors(path, parameters, metadata)


def _check_model(model: object) -> None:
    from nncore.network import check_model  # here: models import this module

    check_model(model)


def _as_json(model: Network) -> str:
    try:
        return json.dumps(describe(model))
    except TypeError as error:  # by a layer's get_config
        raise ValueError(f"layers: expected options that JSON can hold ({error})") from None


def checked_metadata(model: Network) -> dict[str, str]:
    """The text that goes with `model`; a ValueError where it is something else."""
    if not _is_text_by_name(model.metadata):
        raise ValueError(f"metadata: expected a dict of text by name, got {model.metadata!r}")
    return model.metadata


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

    name = as_path(path)
    if custom_objects is not None and not isinstance(custom_objects, Mapping):
        raise TypeError(f"custom_objects: expected a mapping of names to classes, got {type(custom_objects).__name__}")
    with open(name, "rb"):
        pass  # an OSError that names the file, where it cannot be read
    try:
        with safe_open(name, framework="np") as file:
            return _read(file, custom_objects or {})
    except (SafetensorError, ValueError, RecursionError) as error:
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
    weights: dict[str, Array] = {name: np.array(file.get_tensor(name)) for name in specs}
    check_sum(weights, metadata)
    model._restore(list(weights.values()), dtype)
    model.metadata = _own_metadata(metadata.get("metadata", "{}"))
    return model


def load_state_dict(
    model: Model,
    weights: str | os.PathLike[str] | Mapping[str, npt.ArrayLike],
    mapping: Mapping[str, str] | None = None,
) -> None:
    """Overwrite all weights of `model` by those of a PyTorch module, such as an ``nn.Sequential``.

    A Linear goes into a Dense, with its matrix transposed; BatchNorm1d, LayerNorm, RMSNorm, PReLU and Embedding go into the
    layers of these names. A state dict has weights and no options: for equal predictions give the layers PyTorch's, such as
    ``nn.BatchNorm(momentum=0.9, epsilon=1e-5)`` and ``nn.LayerNorm(epsilon=1e-5)``.

    Args:
        model: its input shape must be known.
        weights: a safetensors file, or arrays or tensors by name, as ``module.state_dict()`` gives them.
        mapping: the module for each layer, by names: ``{"dense": "encoder.0"}``; a layer that is not in it has the name of
            its module. Without a mapping names count where all are equal, else the order: of a file the order of the
            names, numbers as numbers.

    Raises:
        TypeError, ValueError: weights that do not fit, too many or too few; the model is unchanged.
        OSError: the file cannot be read.

    Source: ``torch.nn.Module.load_state_dict``.

    >>> import numpy as np, nncore as nn
    >>> model = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
    >>> nn.io.load_state_dict(model, {"0.weight": [[1, 2, 3], [4, 5, 6]], "0.bias": [0.5, 0]})
    >>> model.predict([[1, 0, 1]]).tolist()
    [[4.5, 10.0]]
    """
    from nncore.state_dict import apply

    _check_model(model)
    if isinstance(weights, Mapping):
        apply(model, weights, mapping, ordered=True)
        return
    from safetensors import SafetensorError
    from safetensors.numpy import load as parse

    name = as_path(weights, "weights")
    with open(name, "rb") as file:
        data = file.read()
    try:
        arrays = parse(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{name}: expected a safetensors file of float32 or float64, as safetensors.torch.save_file writes it ({error})"
        ) from None
    try:
        apply(model, arrays, mapping, ordered=False)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def save_state_dict(model: Model, path: str | os.PathLike[str], mapping: Mapping[str, str] | None = None) -> None:
    """Write all weights of `model` to a safetensors file, as a PyTorch module's ``load_state_dict`` takes them.

    Args:
        model: its input shape must be known.
        path: the file; it is replaced as a whole or not at all. PyTorch reads it by
            ``module.load_state_dict(safetensors.torch.load_file(path))``.
        mapping: what the module of each layer is called, by names; a layer that is not in it has the name of its module.
            Without one the layers of a `Sequential` are numbered as in an ``nn.Sequential`` that has a module for each,
            and for each activation that a Dense names.

    Raises:
        ValueError: a layer with weights that PyTorch does not have, or a mapping that does not fit.
        OSError: the file cannot be written.

    >>> import os, tempfile, nncore as nn
    >>> from safetensors.numpy import load_file
    >>> model = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="relu"), nn.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.io.save_state_dict(model, os.path.join(folder, "weights.safetensors"))
    ...     weights = load_file(os.path.join(folder, "weights.safetensors"))
    >>> {name: array.shape for name, array in sorted(weights.items())}
    {'0.bias': (4,), '0.weight': (4, 3), '2.bias': (2,), '2.weight': (2, 4)}
    """
    from nncore.state_dict import collect

    _check_model(model)
    write_file(path, serialized(collect(model, mapping)))


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
