"""The command ``nncore bench``: measures, prints each result when it is there, and writes what was asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nncore.bench import report, suite
from nncore.bench.contenders import PEERS
from nncore.bench.suite import Report, Result, Settings
from nncore.bench.workloads import table
from nncore.files import write_file

__all__ = ["measure"]


def measure(
    quick: bool,
    only: str,
    threads: Sequence[int],
    peers: Sequence[str] | None,
    json_path: Path | None,
    plot_path: Path | None,
    markdown_path: Path | None,
) -> None:
    """Run the suite, or the part of it that the arguments choose.

    Raises:
        RuntimeError: the arguments choose nothing; or a contender failed or computed something else than nncore, and what
            was measured is written.
    """
    seconds, repeats = (0.05, 3) if quick else (0.1, 5)
    settings = Settings(PEERS if peers is None else peers, threads, seconds, repeats, quick, only)
    try:
        found = suite.run(settings, table(), _tell)
    except ValueError as error:
        raise RuntimeError(str(error)) from error
    data = report.as_json(found)
    print(f"\n{report.summary(data)}")
    if json_path is not None:
        write_file(json_path, f"{json.dumps(data, indent=1)}\n".encode())
    if plot_path is not None:
        report.plot(data, plot_path)
    if markdown_path is not None:
        report.write_markdown(data, markdown_path)
    if found.failures:
        raise RuntimeError("\n".join(found.failures))


def _tell(found: Report, result: Result) -> None:
    print(report.line(report.result_json(found, result)), flush=True)
