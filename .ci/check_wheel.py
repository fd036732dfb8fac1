"""Checks a wheel: its size, that it holds all that a user needs, and nothing that a user does not."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

LIMIT = 3_000_000
NEEDED = ["_core.pyi", "py.typed", "datasets/digits.npz", "datasets/iris.npz", "datasets/README.md"]
ALLOWED = re.compile(
    r"nncore/.*\.(py|pyi|npz|typed|md)|nncore/_\w+\.[\w-]+\.so|nncore-[\w.]+\.dist-info/.*"
    r"|nncore\.libs/libgomp[\w.-]+"  # of a repaired one
)


def main(wheel: Path) -> None:
    """Exit with a line for each thing that is wrong."""
    size = wheel.stat().st_size
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    print(f"{wheel.name}: {size} bytes, {len(names)} files")
    problems = [f"{size} bytes, expected fewer than {LIMIT}"] if size >= LIMIT else []
    problems += [f"{name}: not there" for name in NEEDED if f"nncore/{name}" not in names]
    problems += [f"{name}: does not belong there" for name in names if not ALLOWED.fullmatch(name)]
    if not any(re.fullmatch(r".*\.dist-info/licenses/LICENSE", name) for name in names):
        problems.append("the licence: not there")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
