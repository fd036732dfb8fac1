"""How a file is changed at random: its bytes, or what they mean."""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from collections.abc import Iterator
from typing import Any

import onnx

from nncore.layers import LAYERS
from robustness.samples import packed

NUMBERS: list[Any] = [
    *(0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, 2**40, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf"), -float("inf"), True, False, None),
]
TEXTS = [
    *("", "a", "\0", "\ud800", "é", "a" * 5000, "../../etc", "F64", "BF16", "F8_E4M3", "I64", "BOOL", "relu", "softmax"),
    *("maxout", "prelu", "list", "dict", "one", "Sequential", "Model", *LAYERS),
]
STRUCTURES: list[Any] = [
    *([], {}, [[]], [0], [-1], [2**40], [2**20, 2**20, 2**20], [0, 0], [2, 3]),
    *({"array": 0}, {"array": -1}, {"array": 10**9}, {"same": [0]}, {"same": []}),
    {"class": "Dense", "config": {"units": 2**30}},
    {"class": "OneHot", "config": {"depth": 2**39}},
    {"class": "Embedding", "config": {"input_dim": 2**20, "output_dim": 2**20}},
    [{"class": "Flatten", "config": {}} for _ in range(3000)],
]
ONNX_NAMES = [
    "",
    "x",
    "Relu",
    "Gemm",
    "Reshape",
    "Concat",
    "Gather",
    "OneHot",
    "Softmax",
    "Add",
    "Split",
    "input",
    "output",
]


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value] if levels % 2 else {"layers": value}
    return value


def change_bytes(data: bytes, rng: random.Random, head: int | None = None) -> bytes:
    """Some bytes changed, put in, left out, moved or repeated; more often than not within the first `head`."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        end = len(changed) if head is None or rng.random() < 0.2 else min(head, len(changed))
        at, length = rng.randrange(end + 1), min(rng.choice([1, 1, 2, 4, 8, 30, 300]), len(changed))
        what = rng.randrange(8)
        if what == 0 and changed:
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
        elif what == 1 and changed:
            changed[at % len(changed)] = rng.randrange(256)
        elif what == 2:
            changed[at:at] = rng.randbytes(length)
        elif what == 3:
            del changed[at : at + length]
        elif what == 4:
            start = rng.randrange(len(changed) + 1)
            changed[at : at + length] = changed[start : start + length]
        elif what == 5:
            changed[at:at] = changed[at : at + length] * rng.choice([1, 1, 2, 50])
        elif what == 6:
            del changed[at:]
        else:
            number = rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1, len(changed)])
            size = rng.choice([1, 2, 4, 8])
            changed[at : at + size] = (number % 256**size).to_bytes(size, rng.choice(["little", "big"]))
    return bytes(changed)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Everywhere within JSON data: a container and a key or an index."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        owner = todo.pop()
        items = owner.items() if isinstance(owner, dict) else enumerate(owner) if isinstance(owner, list) else ()
        for key, part in items:
            found.append((owner, key))
            todo.append(part)
    return found


def change_json(value: Any, rng: random.Random) -> None:
    """JSON data changed where it lies: values, keys, lists of other lengths, parts in other places."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if not 0 < len(found := places(value)) < 20_000:  # it may have grown
            return
        owner, key = rng.choice(found)
        what = rng.randrange(9)
        if what <= 2:
            owner[key] = copy.deepcopy(rng.choice(rng.choice([NUMBERS, NUMBERS, TEXTS, STRUCTURES])))
        elif what == 3:
            del owner[key]
        elif what == 4:
            other, place = rng.choice(found)
            if place in other if isinstance(other, dict) else place < len(other):
                owner[key] = json.loads(json.dumps(other[place]))
        elif what == 5 and isinstance(owner, list):
            few = len(places(owner[key])) < 50  # the file stays small
            owner[key:key] = [owner[key]] * rng.choice([1, 1, 2, 300 if few else 1])
        elif what == 6 and isinstance(owner, list):
            owner.insert(rng.randrange(len(owner) + 1), owner.pop(key))
        elif what == 7 and isinstance(owner, dict):
            owner[rng.choice([*(k for _, k in found if isinstance(k, str)), "\0", "\ud800", "", "x"])] = owner.pop(key)
        elif isinstance(owner[key], int) and not isinstance(owner[key], bool):
            owner[key] += rng.choice([-1, 1, 8, -8, 2**32])
        else:
            owner[key] = deep(rng.choice([3, 90, 200, 201]))


def texts(header: Any) -> Iterator[tuple[Any, str]]:
    """The texts among the metadata that are JSON themselves."""
    metadata = header.get("__metadata__")
    if isinstance(metadata, dict):
        for key, text in metadata.items():
            if isinstance(text, str) and text[:1] in "{[":
                yield metadata, key


def repeat_a_key(text: str, rng: random.Random) -> str:
    """JSON in which one object has a key twice."""
    commas = [i for i, c in enumerate(text) if c == ","]
    if not commas:
        return text
    at = rng.choice(commas)
    start = text.rfind('"', 0, text.rfind(":", 0, at) + 1)
    start = text.rfind('"', 0, max(start, 0)) if start > 0 else at
    return text[:at] + "," + text[max(start, 0) : at] + text[at:]


def change_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header, or the description within it, changed as JSON."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    inner = list(texts(header))
    if inner and rng.random() < 0.8:
        metadata, key = rng.choice(inner)
        value = json.loads(metadata[key])
        change_json(value, rng)
        metadata[key] = json.dumps(value)
        if rng.random() < 0.1:
            metadata[key] = repeat_a_key(metadata[key], rng)
    else:
        change_json(header, rng)
    text = json.dumps(header, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.05:
        text = repeat_a_key(text, rng)
    if rng.random() < 0.03:
        at, levels = rng.randrange(len(text)), rng.choice([500, 900, 100_000])
        text = text[:at] + "[" * levels + "]" * rng.choice([0, levels]) + text[at:]
    return packed(text.encode(errors="surrogatepass"), data[8 + size :])


def change_message(message: Any, rng: random.Random) -> None:
    """One field of a protobuf message, or of one within it, changed."""
    fields = message.ListFields()
    while fields:
        field, value = rng.choice(fields)
        several = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if several and callable(several):
            several = several()
        if field.type == field.TYPE_MESSAGE and rng.random() < 0.85:
            message = rng.choice(list(value)) if several else value
            fields = message.ListFields()
            continue
        if rng.random() < 0.15:
            message.ClearField(field.name)
        elif several:
            at = rng.randrange(len(value))
            if field.type == field.TYPE_MESSAGE and rng.random() < 0.5:
                value.add().CopyFrom(value[at])
            elif field.type != field.TYPE_MESSAGE and rng.random() < 0.7:
                value[at] = junk(value[at], rng)
            else:
                del value[at]
        elif field.type != field.TYPE_MESSAGE:
            setattr(message, field.name, junk(value, rng))
        return


def junk(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, bytes)):
        return value
    if isinstance(value, str):
        return rng.choice([*ONNX_NAMES, value * 2, value[:-1]])
    if isinstance(value, bytes):
        return change_bytes(value, rng)
    return rng.choice([0, 1, -1, 2, 7, 11, 2**31 - 1, value + 1, max(-(2**31), value - 1)])


def change_onnx(data: bytes, rng: random.Random) -> bytes:
    """Some fields of the model changed."""
    proto = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        try:
            change_message(proto, rng)
        except (ValueError, TypeError):  # a number that the field cannot hold
            continue
    return proto.SerializeToString()


def change_npz(data: bytes, rng: random.Random) -> bytes:
    """An array in the archive changed, with a checksum that fits."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w", rng.choice([0, 8, 8, 12])) as new:
        for name in old.namelist():
            inner = old.read(name)
            new.writestr(name, change_bytes(inner, rng, 128) if rng.random() < 0.6 else inner)
    return made.getvalue()
