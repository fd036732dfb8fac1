"""Checkpoints: files from which training goes on bit for bit, and the folder in which `fit` keeps them.

A file is safetensors: all arrays, and as metadata everything else as JSON, with ``{"array": 3}`` in the place of an array.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from functools import partial
from reprlib import repr as short  # what a file holds instead may be long
from typing import TYPE_CHECKING, Any

import numpy as np

from nncore import state
from nncore.arrays import Array
from nncore.files import check_sum, make_folder, remove_leftovers, write_tensors
from nncore.history import History
from nncore.paths import as_path

if TYPE_CHECKING:
    from nncore.callbacks.base import CallbackList
    from nncore.feeds import Feed
    from nncore.model import Model
    from nncore.network import Network

__all__ = ["Folder", "load", "save"]

_FORMAT, _VERSION = "nncore checkpoint", "1"
_KEPT = 2  # of a folder: the last, and one before it for a disk that has lost the last
_HISTORY = ("epoch", "history", "learning_rate", "seconds")
_ARRAY = "array"


def save(model: Network, path: str | os.PathLike[str]) -> None:
    """See `Model.save_checkpoint`."""
    _ = model.optimizer  # its absence is an error
    _write(as_path(path), {"model": state.capture(model)})


def load(model: Network, path: str | os.PathLike[str]) -> None:
    """See `Model.load_checkpoint`."""
    _ = model.optimizer
    content = _read(as_path(path))
    try:
        state.check(model, content.get("model"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{as_path(path)}: not a checkpoint of such a model: {error}") from None
    with model._turns.take("load_checkpoint", within=True):
        state.restore(model, content["model"])


class Folder:
    """The checkpoints of one training, ``checkpoint-00012.safetensors`` after 12 epochs.

    Args:
        path: the folder, made if it is not there.
        resume: whether there may be checkpoints in it.

    Raises:
        ValueError: there are some, and nobody wants to go on from them.
        OSError: the folder cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str], resume: bool) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"checkpoint: expected the path of a folder, got {path!r}")
        self._path = as_path(path, "checkpoint")
        make_folder(self._path)
        self._found = self._files() if resume else []
        if not resume and (files := self._files()):
            raise ValueError(f"checkpoint: expected resume=True or a folder without checkpoints, got one with {files[-1]}")
        remove_leftovers(self._path, r"checkpoint-\d+\.safetensors")

    def _files(self) -> list[str]:
        """All checkpoints, the oldest first."""
        names = [name for name in os.listdir(self._path) if re.fullmatch(r"checkpoint-\d+\.safetensors", name)]
        return sorted(names, key=lambda name: int(name[11:-12]))

    def latest(self, model: Model) -> Mapping[str, Any] | None:
        """The last complete checkpoint, checked to fit `model`; None where there is none.

        Raises:
            ValueError: there are some, and none can be read, or the last that can does not fit.
        """
        failure: ValueError | None = None
        for name in reversed(self._found):
            path = os.path.join(self._path, name)
            try:
                content = _read(path)
            except ValueError as error:
                warnings.warn(f"{error}; the one before it is taken", stacklevel=2)
                failure = error
                continue
            try:
                state.check(model, content.get("model"))
                _check_progress(content)
            except (TypeError, ValueError, RecursionError) as error:
                raise ValueError(f"{path}: not a checkpoint of such a model: {error}") from None
            return content
        if failure is not None:
            raise failure
        return None

    def save(self, model: Model, epoch: int, callbacks: CallbackList, feeds: list[Feed]) -> None:
        """Write a checkpoint after `epoch` epochs, and delete what is too old."""
        content = {
            "model": state.capture(model),
            "epoch": epoch,
            "stopped": model.stop_training,
            "history": {name: getattr(model.history, name) for name in _HISTORY},
            "callbacks": callbacks.get_state(),
            "feeds": [feed.get_state() for feed in feeds],
        }
        _write(os.path.join(self._path, f"checkpoint-{epoch:05d}.safetensors"), content)
        for name in self._files()[:-_KEPT]:
            os.unlink(os.path.join(self._path, name))


def resume(model: Model, content: Mapping[str, Any], callbacks: CallbackList, feeds: list[Feed]) -> None:
    """Put `model`, callbacks and data where a folder's checkpoint, which fits the model, was.

    Raises:
        ValueError: it does not fit callbacks or data; the model is unchanged.
    """
    try:
        callbacks.set_state(content["callbacks"])
        for feed, kept in zip(feeds, content["feeds"], strict=False):  # there may be other validation data now
            feed.set_state(kept)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"checkpoint: expected one of such callbacks and data, got another ({error!r})") from error
    state.restore(model, content["model"])
    model.history = History(**content["history"])
    model.stop_training = content["stopped"]


def _check_progress(content: Mapping[str, Any]) -> None:
    """Raise ValueError unless a checkpoint has all that a folder's have beside the model."""
    kinds = {"epoch": int, "stopped": bool, "history": dict, "callbacks": list, "feeds": list}
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"{name}: expected a {kind.__name__}, got {short(content.get(name))}")
    if set(content["history"]) != set(_HISTORY):
        raise ValueError(f"history: expected {', '.join(_HISTORY)}, got {', '.join(content['history'])}")
    curves = content["history"]["history"]
    lists = [content["history"][name] for name in _HISTORY if name != "history"]
    lists += list(curves.values()) if isinstance(curves, dict) else [None]
    if not all(isinstance(values, list) and len(values) <= content["epoch"] for values in lists):
        raise ValueError(f"history: expected lists of at most {content['epoch']} values, got something else")


def _write(path: str, content: Mapping[str, Any]) -> None:
    arrays: dict[str, Array] = {}
    try:
        text = json.dumps(_pack(content, arrays))
    except TypeError as error:  # by a callback's get_state
        raise ValueError(f"callbacks: expected states that JSON can hold ({error})") from None
    write_tensors(path, arrays, {"format": _FORMAT, "version": _VERSION, "content": text})


def _read(path: str) -> dict[str, Any]:
    """What `_write` wrote; a ValueError for anything else."""
    from safetensors import SafetensorError, safe_open

    with open(path, "rb"):
        pass  # an OSError that names the file, where it cannot be read
    try:
        with safe_open(path, framework="np") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            for key, expected in (("format", _FORMAT), ("version", _VERSION)):
                if metadata.get(key) != expected:
                    raise ValueError(f"metadata {key!r}: expected {expected!r}, got {metadata.get(key)!r}")
            arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - no dict
            check_sum(arrays, metadata)
            content = json.loads(metadata.get("content", ""), object_hook=partial(_unpack, arrays))
            if not isinstance(content, dict):
                raise ValueError(f"metadata 'content': expected an object, got {short(content)}")
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a checkpoint: {error}") from None
    return content


def _pack(value: Any, arrays: dict[str, Array]) -> Any:  # noqa: ANN401 - whatever JSON can hold, and arrays
    """`value` with its arrays moved to `arrays`."""
    if isinstance(value, np.ndarray):
        arrays[str(len(arrays))] = np.asarray(value, order="C")
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _pack(part, arrays) for key, part in value.items()}
    return [_pack(part, arrays) for part in value] if isinstance(value, (list, tuple)) else value


def _unpack(arrays: Mapping[str, Array], value: dict[str, Any]) -> Any:  # noqa: ANN401
    """The array that an object of the JSON stands for, or the object."""
    if value.keys() != {_ARRAY} or not isinstance(value[_ARRAY], int):
        return value
    if str(value[_ARRAY]) not in arrays:
        raise ValueError(f"tensor {value[_ARRAY]!r} is missing")
    return arrays[str(value[_ARRAY])]
