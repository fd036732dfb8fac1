"""Damaged and hostile files: `python tests/robustness/mutants.py --count 100000` reads that many and reports.

Each is a real file with its bytes, or what they mean, changed at random. Reading it must raise a documented exception or
give something that works, in little time and memory. Mutant n of a seed is always the same.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import mmap
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from robustness.changes import change_bytes, change_npz, change_onnx, change_safetensors
from robustness.samples import KINDS, without_checksum

Make = Callable[[int], tuple[str, bytes]]  # kind and contents of a mutant by its number

SECONDS = 5  # of computing that one file may take
ROOM = 8 << 20  # bytes that reading may take beside what grows with the file
FACTOR = 64  # bytes for each of the file: it is held as JSON, as objects, as layers, as arrays
HEAD = 4096  # bytes of which other values are tried
BEYOND = 256 << 20  # address space for all that tracemalloc does not see

CHANGES = {"onnx": change_onnx, "npz": change_npz}  # beside those of safetensors, and of bytes for all


def samples() -> dict[str, list[bytes]]:
    """By kind the sample; of safetensors also without its checksum."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, kind in KINDS.items():
            kind.write(path := Path(folder, "sample"))
            found[name] = [path.read_bytes()]
            kind.read(path)  # which imports all that the processes will need
            if data_is_safetensors(found[name][0]):
                found[name].append(without_checksum(found[name][0]))
        return found


def data_is_safetensors(data: bytes) -> bool:
    return data[8:9] == b"{"


def mutant(bases: dict[str, list[bytes]], names: list[str], seed: int, number: int) -> tuple[str, bytes]:
    """Kind and contents of mutant `number`."""
    rng = random.Random(f"{seed} {number}")
    name = names[number % len(names)]
    data = rng.choice(bases[name])
    own = CHANGES.get(name) or (change_safetensors if data_is_safetensors(data) else None)
    if own is not None and rng.random() < 0.6:
        return name, own(bases[name][-1], rng)
    head = 8 + int.from_bytes(data[:8], "little") if data_is_safetensors(data) else 128
    return name, change_bytes(data, rng, head)


def check(name: str, data: bytes, path: Path) -> str:
    """Use `data` as a file of that kind; ``"valid"`` or ``"refused"``, an AssertionError where something went wrong."""
    path.write_bytes(data)
    kind, said = KINDS[name], None
    tracemalloc.start()
    try:
        kind.read(path)
    except kind.errors as error:
        said = str(error)
    except AssertionError:
        raise
    except BaseException as error:  # those of Rust are no Exceptions
        raise AssertionError(f"no documented exception: {error!r}\n{traceback.format_exc()}") from error
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < ROOM + FACTOR * len(data), f"took {peak} bytes for a file of {len(data)}"
    assert said is None or len(said) > 10, f"the error says nothing: {said!r}"
    return "valid" if said is None else "refused"


def limit_memory() -> None:
    """An allocation far beyond what is in use now fails."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BEYOND, resource.RLIM_INFINITY))


def in_child(numbers: Iterable[int], make: Make, place: mmap.mmap, path: Path, replies: int) -> None:
    """Check mutants; the number of the one that is on its way lies at `place`, findings and counts go to `replies`."""
    limit_memory()
    faulthandler.register(signal.SIGPROF, chain=True)  # says where it was, and ends
    counts: Counter[str] = Counter()
    with os.fdopen(replies, "w") as out:
        for number in numbers:
            place[:8] = number.to_bytes(8, "little")
            name, data = make(number)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            faulthandler.dump_traceback_later(30 * SECONDS, exit=True)  # where it waits, and computes nothing
            try:
                counts[f"{name}: {check(name, data, path)}"] += 1
            except AssertionError as error:
                print(json.dumps([number, str(error)]), file=out, flush=True)
            faulthandler.cancel_dump_traceback_later()
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(counts), file=out, flush=True)


def run(cases: range, make: Make, folder: Path) -> tuple[Counter[str], dict[int, str]]:
    """Check all cases in forked processes; counts, and findings by number."""
    counts: Counter[str] = Counter()
    findings: dict[int, str] = {}
    place, left = mmap.mmap(-1, 8), list(cases)
    while left:
        part = left[:2000]
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            status = 1
            try:
                in_child(part, make, place, folder / "mutant", writing)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writing)
        with os.fdopen(reading) as replies:
            for line in map(json.loads, replies):
                if isinstance(line, list):
                    findings[line[0]] = line[1]
                    print(f"mutant {line[0]}: {line[1]}", file=sys.stderr, flush=True)
                else:
                    counts.update(line)
        _, status = os.waitpid(child, 0)
        if status:
            last = int.from_bytes(place[:8], "little")
            findings[last] = f"the process ended with {os.waitstatus_to_exitcode(status)}: a crash or a hang"
            print(f"mutant {last}: {findings[last]}", file=sys.stderr, flush=True)
            left = left[left.index(last) + 1 :]
        else:
            left = left[len(part) :]
            print(f"{len(cases) - len(left)} of {len(cases)}", file=sys.stderr, flush=True)
    return counts, findings


def cut(base: bytes, at: int) -> bytes:
    return base[:at]


def with_byte(base: bytes, at: int, value: int) -> bytes:
    return base[:at] + bytes([value]) + base[at + 1 :]


def planned(args: argparse.Namespace, bases: dict[str, list[bytes]]) -> tuple[range, Make]:
    """The numbers of the files that the command asks for, and what makes them."""
    if not args.cuts and not args.values:
        return range(args.first, args.first + args.count), lambda number: mutant(bases, args.kinds, args.seed, number)
    plan: list[tuple[str, Callable[[], bytes]]] = []
    for name in args.kinds:
        base = bases[name][-1]
        if args.cuts:
            plan += [(name, partial(cut, base, at)) for at in range(len(base))]
        rng = random.Random(args.seed)
        for at in range(min(len(base), HEAD) if args.values else 0):
            others = [value for value in range(256) if value != base[at]]
            plan += [(name, partial(with_byte, base, at, value)) for value in rng.sample(others, args.values)]

    def make(number: int) -> tuple[str, bytes]:
        name, made = plan[number]
        return name, made()

    return range(len(plan)), make


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="mutants")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cuts", action="store_true", help="instead: the samples cut at every place")
    parser.add_argument("--values", type=int, default=0, help="instead: so many other values for every byte of the heads")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="a folder for the files that something is wrong with")
    args = parser.parse_args()
    began = time.monotonic()
    numbers, make = planned(args, samples())
    with tempfile.TemporaryDirectory() as folder:
        counts, findings = run(numbers, make, Path(folder))
    for number, text in findings.items():
        name, data = make(number)
        print(f"mutant {number} ({name}, {len(data)} bytes): {text}")
        if args.keep is not None:
            args.keep.mkdir(parents=True, exist_ok=True)
            (args.keep / f"{name}-{number}".replace(" ", "-")).write_bytes(data)
    for text in sorted(counts):
        print(f"{text} {counts[text]}")
    print(f"{len(numbers)} files in {time.monotonic() - began:.0f} s, {len(findings)} with something wrong")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
