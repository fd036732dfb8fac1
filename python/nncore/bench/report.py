"""What a run has found, as text, JSON, a Markdown table and a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nncore.bench.contenders import OWN, PEERS
from nncore.bench.suite import SCHEMA, Report, Result
from nncore.files import replacing, write_file

__all__ = ["as_json", "line", "markdown", "plot", "result_json", "summary", "write_markdown"]

_BEGIN, _END = "<!-- measured: begin (nncore bench --markdown writes up to the end mark) -->", "<!-- measured: end -->"
Json = Mapping[str, Any]


def as_json(report: Report) -> dict[str, Any]:
    """All of a report, in types that JSON has."""
    return {
        "schema": SCHEMA,
        "machine": report.machine,
        "versions": report.versions,
        "settings": report.settings,
        "notes": report.notes,
        "sizes": report.sizes,
        "peaks": [{"threads": threads, **asdict(peaks)} for threads, peaks in report.peaks.items()],
        "results": [result_json(report, result) for result in report.results],
    }


def result_json(report: Report, result: Result) -> dict[str, Any]:
    """One result, as in the file."""
    work, roofline = result.workload, report.roofline(result)
    return {
        "workload": work.name,
        "group": work.group,
        "threads": result.threads,
        "unit": result.unit,
        "flops": work.flops,
        "bytes": work.bytes,
        "roofline": roofline,
        "best_peer": result.best_peer,
        "ratios": result.ratios,
        "failures": {name: why.strip().splitlines()[-1] for name, why in result.failures.items()},
        "contenders": {
            name: {
                "median": median,
                "gflops": work.flops / median / 1e9 if work.flops and result.unit == "seconds" else None,
                "fraction": None if roofline is None else roofline / median,
                "samples": result.samples[name],
            }
            for name, median in result.medians.items()
        },
    }


def line(result: Json) -> str:
    """A result, as in the JSON, on one line."""
    own = result["contenders"].get(OWN[0])
    parts = [f"{result['workload']:<40} {result['threads']:>2} threads", *_own(result)]
    ratios = result["ratios"]
    if own is None:
        parts += [f"{name} {_amount(found['median'], result['unit'])}" for name, found in result["contenders"].items()]
    parts.append("  ".join(f"{name} {ratio:.2f}x" for name, ratio in sorted(ratios.items(), key=lambda item: item[1])))
    parts += [f"{name} FAILED" for name in result["failures"]]
    return "  ".join(parts).rstrip()


def _own(result: Json) -> list[str]:
    """Time, GFLOP/s and fraction of the roofline of nncore, in columns."""
    own = result["contenders"].get(OWN[0])
    if own is None:
        return [" " * 28]
    speed = f"{own['gflops']:8.1f} GFLOP/s" if own["gflops"] and result["group"] not in ("elementwise", "optimizer") else ""
    speed = (
        f"{result['bytes'] / own['median'] / 1e9:8.1f} GB/s" if result["group"] in ("elementwise", "optimizer") else speed
    )
    fraction = "" if own["fraction"] is None else f"{100 * own['fraction']:4.0f} % of roofline"
    return [f"{_amount(own['median'], result['unit']):>9}", f"{speed:<16}", f"{fraction:<20}"]


def _amount(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    for factor, name in ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms")):
        if value < 1000 * factor:
            return f"{value / factor:.3g} {name}"
    return f"{value:.3g} s"


def summary(data: Json) -> str:
    """Machine and peaks, in a few lines."""
    lines = [", ".join(f"{name} {value}" for name, value in data[part].items()) for part in ("machine", "versions")]
    for peaks in data["peaks"]:
        largest = list(peaks["bandwidth"].values())[-1]
        rates = ", ".join(f"{kind.replace('_', ' ')} {rate / 1e9:.1f} GB/s" for kind, rate in largest.items())
        lines.append(
            f"{peaks['threads']} threads, {peaks['isa']}: {peaks['flops'] / 1e9:.1f} GFLOP/s; from memory: {rates}"
        )
    sizes = (f"{name} {size['installed'] / 2**20:.1f} MiB" for name, size in data["sizes"].items())
    lines.append(f"installed: {', '.join(sizes)}; nncore zipped: {data['sizes']['nncore']['zipped'] / 2**20:.2f} MiB")
    return "\n".join([*lines, *data["notes"]])


def markdown(data: Json) -> str:
    """Machine, versions, peaks and a table for each group."""
    parts = [summary(data).replace("\n", "\n\n")]
    groups = dict.fromkeys(result["group"] for result in data["results"])
    for group in groups:
        results = [result for result in data["results"] if result["group"] == group]
        names = [name for name in (*OWN[1:], *PEERS) if any(name in result["contenders"] for result in results)]
        heads = ["workload", "threads", "nncore", "GFLOP/s", "of roofline", *names]
        parts.append(f"### {group.capitalize()}")
        parts.append("\n".join(_table(heads, [_cells(result, names) for result in results])))
    return "\n\n".join(parts) + "\n"


def _cells(result: Json, names: Iterable[str]) -> list[str]:
    found = result["contenders"]
    own = found.get(OWN[0], {"median": None, "gflops": None, "fraction": None})
    cells = [
        result["workload"].partition("/")[2],
        str(result["threads"]),
        "" if own["median"] is None else _amount(own["median"], result["unit"]),
        f"{own['gflops']:.1f}" if own["gflops"] else "",
        "" if own["fraction"] is None else f"{100 * own['fraction']:.0f} %",
    ]
    for name in names:
        ratio = result["ratios"].get(name)
        cells.append("" if name not in found else _amount(found[name]["median"], result["unit"]))
        cells[-1] += "" if ratio is None else f" ({ratio:.2f}x)"
        if name == result["best_peer"]:
            cells[-1] = f"**{cells[-1]}**"
    return cells


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    ruler = ["---", *("---:" for _ in heads[1:])]
    return ["| " + " | ".join(cells) + " |" for cells in (heads, ruler, *rows)]


def write_markdown(data: Json, path: Path) -> None:
    """Put the tables between the marks of the file, or, where it has none, make it of them."""
    text = path.read_text() if path.exists() else ""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        before, after = text + "\n" * bool(text), "\n"
    write_file(path, f"{before}{_BEGIN}\n\n{markdown(data)}\n{_END}{after}".encode())


def plot(data: Json, path: Path) -> None:
    """Draw, for each group, the time of every contender relative to nncore's, into a PNG file."""
    from matplotlib.figure import Figure  # here: an optional package

    most = max((result["threads"] for result in data["results"]), default=1)
    results = [r for r in data["results"] if r["threads"] == most and OWN[0] in r["contenders"]]
    groups = list(dict.fromkeys(result["group"] for result in results))
    rows = {group: [result for result in results if result["group"] == group] for group in groups}
    heights = [len(rows[group]) + 4 for group in groups]
    figure = Figure(figsize=(10, 1.5 + 0.16 * sum(heights)), layout="constrained")
    grid = figure.add_gridspec(max(1, len(groups)), 1, height_ratios=heights or [1])
    for row, group in enumerate(groups):
        _draw(figure.add_subplot(grid[row]), group, rows[group])
    figure.suptitle(f"Relative to nncore on {most} threads (right of 1: nncore is ahead); {data['machine']['cpu']}")
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=110)


def _draw(ax: Any, group: str, results: Sequence[Json]) -> None:  # noqa: ANN401 - an optional package's type
    """One group: a row for each workload, a marker for each contender."""
    for number, name in enumerate((*OWN[1:], *PEERS)):
        points = [(r["ratios"][name], row) for row, r in enumerate(results) if name in r["ratios"]]
        if points:
            ax.plot(*zip(*points, strict=True), "osD^v<>Px*"[number % 10], label=name, markersize=5, alpha=0.8)
    ax.axvline(1, color="black", linewidth=1)
    ax.set(xscale="log", ylim=(len(results) - 0.5, -0.5), title=group)
    ax.set_yticks(range(len(results)), [result["workload"].partition("/")[2] for result in results], fontsize=6)
    ax.grid(alpha=0.3)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
