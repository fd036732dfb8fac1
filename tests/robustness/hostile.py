"""Bad input: values that no argument expects, what makes a good array bad, and what a public entry may do with them."""

from __future__ import annotations

import re
import resource
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

DOCUMENTED = (ValueError, TypeError, MemoryError)
"""What any entry may raise; the rest its own docstring names."""


@dataclass(frozen=True)
class Bad:
    """One way to make an argument bad: `make` gets the good value."""

    name: str
    make: Callable[[Any], Any]

    def __repr__(self) -> str:
        return self.name


def _records() -> Any:
    return np.zeros(2, [("a", "f4"), ("b", "i8")])


def _huge(dtype: str, shape: tuple[int, ...]) -> Callable[[], Any]:
    """An array that claims to be huge and is one element."""
    return lambda: np.broadcast_to(np.ones((), dtype), shape)


_NUMBERS = [
    *(0, 1, -1, 2, 7, 2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(0.0, -0.0, 0.5, -0.5, 1.5, 1e-320, 1e308, float("nan"), float("inf"), -float("inf"), 2.0**31, 1j),
    *(True, False, np.True_, np.int8(-1), np.uint64(2**64 - 1), np.float16(0.5), np.float32("nan"), np.longdouble(1)),
    *(np.datetime64("2020-01-01"), np.timedelta64(1, "s"), np.str_("1")),
]
_THINGS = [
    *(None, "", "relu", "mean", "nonsense", "\0", "é" * 50, "1", b"bytes", [], (), {}, [1, 2], (3,), (2, 3), [0.5, "a"]),
    *([[1.0], [2.0, 3.0]], [None], [[]], [-1], [2**63], (2**31, 2**31), {"a": 1}, {1: [2]}, {"x": [1.0]}, set(), range(3)),
    *(slice(None), ..., NotImplemented, int, object, np.float32, len, Ellipsis, iter([1, 2]), "int8", np.dtype("f4")),
]
_ARRAYS: dict[str, Callable[[], Any]] = {
    **{
        f"zeros({kind})": lambda kind=kind: np.zeros((2, 3), kind)
        for kind in ("?", "b", "B", "h", "u8", "f2", "g", "D", "O")
    },
    **{f"zeros({kind})": lambda kind=kind: np.zeros((2, 3), kind) for kind in ("U3", "S3", "M8[s]", "m8[s]", ">f4", "V5")},
    **{
        f"ones{shape}": lambda shape=shape: np.ones(shape)
        for shape in ((), (0,), (0, 3), (3, 0), (1,), (2, 0, 3), (1,) * 33)
    },
    "records": _records,
    "record": lambda: _records()[0],
    "array of None": lambda: np.array([None, 1.0], object),
    "ragged": lambda: np.array([np.ones(2), np.ones(3)], object),
    "masked": lambda: np.ma.masked_array(np.ones((2, 3)), [[0, 1, 0], [0, 0, 0]]),
    "matrix": lambda: np.ones((2, 3)).view(np.matrix),
    "2^31 + 1 floats": _huge("f4", (2**31 + 1,)),
    "2^33 bytes": _huge("u1", (2**33,)),
    "2^31 rows": _huge("f4", (2**31, 3)),
    "2^31 columns": _huge("f8", (2, 2**31)),
    "2^60 elements": _huge("f4", (2**30, 2**30)),
    "rows without columns": lambda: np.ones((2**40, 0)),
    "an array of another package that fails": lambda: _Failing(),
}


class _Failing:
    """Says that it is an array, and is none."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("no array")


def _arrays(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A change of the good array, or of the first array in what is given; other values become an array first."""

    def make(good: Any) -> Any:
        if isinstance(good, (list, tuple)) and good and isinstance(good[0], np.ndarray):
            return type(good)([change(good[0]), *good[1:]])
        return change(np.asarray(good))

    return make


def _with(array: Any, value: Any) -> Any:
    array = np.array(array, np.result_type(array.dtype, type(value)) if array.dtype.kind in "biuf" else array.dtype)
    if array.size:
        array[(0,) * array.ndim] = value
    return array


def _unaligned(array: Any) -> Any:
    if array.dtype.hasobject:
        return array
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    memory[...] = array
    return memory


_CHANGES: dict[str, Callable[[Any], Any]] = {
    "one row less": lambda a: a[1:] if a.ndim else a,
    "one row more": lambda a: np.concatenate([a, a[:1]]) if a.ndim else a,
    "no rows": lambda a: a[:0] if a.ndim else a,
    "one column less": lambda a: a[..., :-1] if a.ndim else a,
    "another axis": lambda a: a[..., None],
    "an axis in front": lambda a: a[None],
    "flat": lambda a: a.ravel(),
    "turned": lambda a: a.T,
    "reversed": lambda a: a[::-1] if a.ndim else a,
    "every second": lambda a: np.repeat(a, 2, 0)[::2] if a.ndim else a,
    "without strides": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim else a,
    "column-major": np.asfortranarray,
    "unaligned": _unaligned,
    "with NaN": lambda a: _with(a, float("nan")),
    "with infinity": lambda a: _with(a, float("inf")),
    "with 1e30": lambda a: _with(a, 1e30),
    "with -1": lambda a: _with(a, -1),
    "with 2^31": lambda a: _with(a, 2**31),
    "subnormal": lambda a: np.full(a.shape, 1e-42, np.float32),
    "masked": lambda a: np.ma.masked_array(a, np.ones(a.shape, bool)),
    "a list": lambda a: a.tolist(),
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    **{f"as {kind}": lambda a, kind=kind: a.astype(kind) for kind in ("f2", "g", "i1", "u8", "?", "D", "O", "U9", ">f8")},
}

BAD: list[Bad] = [
    *(Bad(repr(value)[:40], lambda good, value=value: value) for value in _NUMBERS + _THINGS),
    *(Bad(name, lambda good, make=make: make()) for name, make in _ARRAYS.items()),
    *(Bad(name, _arrays(change)) for name, change in _CHANGES.items()),
    Bad("None instead of the first", lambda good: [None, *good[1:]] if isinstance(good, (list, tuple)) and good else None),
    Bad("one thing more", lambda good: [*good, *good[:1]] if isinstance(good, (list, tuple)) else [good, good]),
    Bad("Path", lambda good: Path("nowhere", "at", "all")),
]

picks = st.tuples(st.integers(0, 2**16), st.sampled_from(BAD), st.one_of(st.none(), st.none(), st.sampled_from(BAD)))
"""Which arguments of an entry become bad, and how: one, and sometimes another."""


NONE: frozenset[str] = frozenset()
"""Of the arguments of an entry: for those that only nncore itself calls."""


@dataclass(frozen=True)
class Entry:
    """A public entry and how to call it.

    Attributes:
        name: its public name, such as ``"ops.relu"``, or ``"Model.fit: what is special"``.
        call: takes the arguments by name.
        good: makes good arguments.
        raises: exceptions that its docstring names beside ValueError, TypeError and MemoryError.
        model: what a bad call must leave as it was: from the arguments to something comparable.
        only: the arguments to make bad, if not all.
        aliases: what messages may call arguments beside their names.
    """

    name: str
    call: Callable[..., Any]
    good: Callable[[], dict[str, Any]]
    raises: tuple[type[BaseException], ...] = ()
    model: Callable[[dict[str, Any]], object] | None = None
    only: frozenset[str] | None = None
    aliases: tuple[str, ...] = ("input of",)


def probe(entry: Entry, first: int, one: Bad, two: Bad | None) -> None:
    """Call `entry` with one or two bad arguments; an AssertionError if it does what no entry may do."""
    arguments = entry.good()
    names = [name for name in arguments if entry.only is None or name in entry.only]  # none: made by other entries only
    if not names:
        return
    place = (first + zlib.crc32(entry.name.encode())) % len(names)
    chosen = {names[place]: one}
    if two is not None and len(names) > 1:
        chosen[names[(place + 1 + first // len(names)) % len(names)]] = two
    described = ", ".join(f"{name}={bad!r}" for name, bad in chosen.items())
    for name, bad in chosen.items():
        try:
            arguments[name] = bad.make(arguments[name])
        except (ValueError, TypeError, OverflowError, MemoryError):  # this change does not apply to that value
            return
    before = entry.model(arguments) if entry.model else None
    try:
        result = entry.call(**arguments)
        if isinstance(result, Iterator):
            next(result, None)
    except (*DOCUMENTED, *entry.raises) as error:
        message, kind = str(error), type(error)
    except Exception as error:
        raise AssertionError(f"{entry.name}({described}) raised {type(error).__name__}: {error}") from error
    else:
        return
    if entry.model and kind is not FloatingPointError and "validation_data" not in chosen:  # which come after whole steps
        assert entry.model(arguments) == before, f"{entry.name}({described}) changed the model before {message}"
    users = any(callable(arguments[name]) for name in chosen)  # whose own errors come through as they are
    memory = "array is too big" in message  # NumPy's word for too little of it
    if kind in (ValueError, TypeError) and not users and not memory:
        assert message, f"{entry.name}({described}): an empty message"
        # Of two arguments that do not fit each other either one may be named, and a file by its path.
        texts = {str(arguments[name]) for name in chosen if isinstance(arguments[name], (str, Path))} - {""}
        words = [*map(re.escape, {*arguments, *texts}), *entry.aliases]
        named = re.search(rf"(?<![A-Za-z])({'|'.join(words)})(?![a-z])", message)
        assert named, f"{entry.name}({described}) does not name the argument: {message}"


@contextmanager
def limited() -> Iterator[None]:
    """No memory beyond 1 GiB more than is there, so that what asks for the impossible fails at once; and no warnings."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, hard))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def copied(arguments: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Makes good arguments from these: arrays are new ones each time."""
    return lambda: {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
