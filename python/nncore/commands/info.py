"""``nncore info``: what the package found here."""

from __future__ import annotations

import argparse
import platform

import numpy as np

import nncore as nn
from nncore.commands.arguments import Commands

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Tell the parser."""
    info = commands.add_parser("info", help="print version, CPU, instruction set and threads")
    info.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """What a report of a problem should contain."""
    from nncore import _core  # here: importing nncore must not load the compiled module
    from nncore.bench.machine import cpu_name

    rows = {
        "nncore": nn.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu features": " ".join(_core.cpu_features()),
        "compiled isas": " ".join(_core.compiled_isas()),
        "usable isas": " ".join(_core.supported_isas()),
        "chosen isa": _core.isa(),
        "threads": str(nn.get_num_threads()),
    }
    for name, value in rows.items():
        print(f"{name:<14} {value}".rstrip())
