"""The command ``nncore``: train, evaluate and use models of tables; a demo; what was found here, and how fast it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import nncore as nn
from nncore.commands import bench, demo, info, tables
from nncore.commands.arguments import Parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments after the command's name; without them, the process's own.

    Returns:
        The exit status: 0 done, 1 failed (one line on standard error says why), 130 interrupted. Arguments that cannot be
        right leave through ``SystemExit(2)``.

    >>> main(["info"])  # doctest: +SKIP
    nncore        0.1.0
    ...
    """
    args = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], None] = args.run
    try:
        run(args)
    except (OSError, ImportError, RuntimeError, ValueError, ArithmeticError) as error:
        print(f"nncore {args.command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"nncore {args.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> Parser:
    parser = Parser(prog="nncore", description="Neural networks on the CPU.")
    parser.add_argument("--version", action="version", version=f"nncore {nn.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (tables, demo, info, bench):
        module.add(commands)
    return parser
