"""``nncore bench``: measures the package."""

from __future__ import annotations

import argparse

from nncore.commands.arguments import Commands, output, plot_output, whole_numbers

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Tell the parser."""
    bench = commands.add_parser("bench", help="measure the package, this machine and whichever peers are installed")
    bench.add_argument("--quick", action="store_true", help="only the workloads that matter most, in less time")
    bench.add_argument("--only", default="", metavar="TEXT", help="only workloads with this in their names")
    bench.add_argument("--threads", type=whole_numbers(1, 4096), default=(), metavar="N,...", help="default: 1 and all")
    bench.add_argument("--peers", metavar="NAME,...", help="default: all that are installed; '' for none")
    bench.add_argument("--json", type=output, help="write all results into this file")
    bench.add_argument("--plot", type=plot_output, metavar="PNG", help="draw the ratios into this file")
    bench.add_argument("--markdown", type=output, metavar="MD", help="write tables between the marks of this file")
    bench.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, and tell each result when it is there."""
    from nncore.bench.command import measure  # here: nothing else needs it

    peers = None if args.peers is None else [name for name in args.peers.split(",") if name]
    measure(args.quick, args.only, args.threads, peers, args.json, args.plot, args.markdown)
