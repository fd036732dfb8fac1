"""Reads the results of ``nncore bench --json`` and says which of the project's promises this run keeps.

Usage: ``python benchmarks/report.py RESULTS.json [--plot PNG] [--markdown MD]``, the latter two from the same results.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nncore.bench import report
from nncore.bench.contenders import OWN

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Promise:
    """What every workload whose name begins with `name` must reach.

    Attributes:
        threads: numbers of threads; 0 stands for all.
        ahead: how many times the best peer's time must be nncore's.
        fraction: the least fraction of the roofline.
    """

    name: str
    ahead: float = 1.0
    fraction: float = 0.0
    threads: tuple[int, ...] = (0,)


# Many steps in one compiled call. The promised multiples are those over peers that make a call for each step, as training
# loops do; this one must only not be faster.
MANY_STEPS = "jax scan"

# The first that fits a workload holds; for all others, that no peer is faster.
PROMISES = (
    Promise("step/4-64-64-2/32", 10),
    Promise("step/784-128-10/32", 6),
    Promise("step/784-300-100-10/50", 4),
    Promise("step/784-512-256-10/128", 2),
    Promise("step/100-1024-1024-1024-1/256", 1.6),
    Promise("step/1024-4096-4096-1024/1024", 1.1, 0.9),
    Promise("epoch/", 6),
    Promise("predict/784-128-10/1", 2),
    Promise("predict/100-1024-1024-1024-1/1", 1.1),
    Promise("product/forward/1024x1024x1024", 1, 0.9, (1,)),
    Promise("layer/32x1024x1024", 1, 0.8),
    *(Promise(f"elementwise/{op}/1e7", 1, 0.85) for op in ("relu", "tanh", "gelu", "softmax")),
    Promise("optimizer/adam/2.5e7", 1, 0.85),
    Promise("optimizer/sgd/2.5e7", 1, 0.85),
)


def main() -> None:
    """Print the promises, the broken ones last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--plot", type=Path, metavar="PNG")
    parser.add_argument("--markdown", type=Path, metavar="MD")
    args = parser.parse_args()
    data = json.loads(args.results.read_text())
    for line in sorted(verdicts(data), key=lambda line: line.startswith("SHORT")):
        print(line)
    if args.plot is not None:
        report.plot(data, args.plot)
    if args.markdown is not None:
        report.write_markdown(data, args.markdown)


def verdicts(data: Json) -> Iterator[str]:
    """A line for each result: kept or short, and by what."""
    everywhere = data["machine"]["threads"]
    for result in data["results"]:
        fitting = (p for p in PROMISES if result["workload"].startswith(p.name))
        promise = next((p for p in fitting if result["threads"] in [n or everywhere for n in p.threads]), Promise(""))
        own = result["contenders"].get(OWN[0])
        peers = {name: ratio for name, ratio in result["ratios"].items() if name not in OWN}
        if own is None or not peers:
            continue
        wanted = {name: 1.0 if name == MANY_STEPS else promise.ahead for name in peers}
        peer = min(peers, key=lambda name: peers[name] / wanted[name])
        ahead, fraction = peers[peer], own["fraction"] or 0.0
        verdict = "kept " if ahead >= wanted[peer] and fraction >= promise.fraction else "SHORT"
        yield (
            f"{verdict} {result['workload']:<40} {result['threads']:>2} threads: {ahead:6.2f}x {peer}"
            f" (promised {wanted[peer]:g}x), {100 * fraction:3.0f} % of roofline (promised {100 * promise.fraction:.0f} %)"
        )
    yield from speed_up(data)


def speed_up(data: Json) -> Iterator[str]:
    """Whether two threads multiply at least 1.85 times as fast as one."""
    name = "product/forward/1024x1024x1024"
    times = {
        result["threads"]: result["contenders"][OWN[0]]["median"]
        for result in data["results"]
        if result["workload"] == name
    }
    if {1, 2} <= times.keys():
        ratio = times[1] / times[2]
        yield f"{'kept ' if ratio >= 1.85 else 'SHORT'} {name}, 2 threads: {ratio:.2f} times one thread (promised 1.85)"


if __name__ == "__main__":
    main()
