"""Writes the table of all ops, losses and optimizer rules into docs/ops.md, from the sources that the tests use.

Usage: ``python benchmarks/op_table.py [--repeats 50]``, in a checkout, with PyTorch installed. Names, options and bounds
are those of the op table, equations those of the reference's docstrings, tolerances those of tests/op_cases.py, and what a
row is compared with is the oracle of tests/oracle; so a new row shows up by itself. ``--repeats 0`` leaves the times out.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import nncore as nn
from nncore import ops, reference
from nncore.bench import machine
from nncore.optable import LOSSES, OPS, RULES, Attr, Row

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "ops.md"
BEGIN, END = "<!-- ops: begin (benchmarks/op_table.py writes up to the end mark) -->", "<!-- ops: end -->"
SIZE = 1_000_000
ROUNDS = 5  # in which the contenders take turns
REST = 0.01  # seconds; threads of the other contender, which wait for work in a loop, would take a core from this one
NO_PEER = "no peer"
HEADS = ("name", "equation", "domain", "options", "tolerance", "error float32", "error float64", "forward", "backward")

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "oracle")]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=50, help="how often each time is taken; the least counts")
    args = parser.parse_args()
    text = PAGE.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE}: expected the marks {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n\n{page(args.repeats)}\n{END}{after}")


def page(repeats: int) -> str:
    """All tables in Markdown."""
    import torch

    torch.set_num_threads(nn.get_num_threads())
    cases = import_module("op_cases")
    lines = [
        f"Measured on {machine.cpu_name()}, {nn.get_num_threads()} threads, beside PyTorch {torch.__version__}; times in"
        f" microseconds, the least of {repeats}." if repeats else "Times have not been measured.",
    ]  # fmt: skip
    for title, rows in (
        ("Ops", [op_row(case, repeats) for case in cases.OP_CASES]),
        ("Losses", [loss_row(case, repeats) for case in cases.LOSS_CASES]),
        ("Optimizer rules", [rule_row(case, repeats) for case in cases.RULE_CASES]),
    ):
        lines += ["", f"## {title}", "", *table(HEADS, rows)]
    return "\n".join(lines) + "\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; a bar in a cell is no border."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *cells)]


# What is written down somewhere -------------------------------------------------------------------------------------------


def described(function: Callable[..., Any], row: Row | None, tolerance: Any) -> list[str]:  # noqa: ANN401 - of the tests
    """Equation, domain, options and tolerance."""
    both = [f"{d}: {t.rtol:.0e} · y + {t.atol:.0e}" for d in ("float32", "float64") if (t := tolerance[d]).rtol or t.atol]
    return [
        equation(function.__doc__ or ""),
        domain(function.__doc__ or ""),
        "<br>".join(option(name, attr) for name, attr in row.attrs.items()) if row else "",
        "<br>".join(both) or "exact",
    ]


def equation(doc: str) -> str:
    """The first paragraph without its source, and the lines of a block that belongs to it."""
    summary, *rest = re.split(r"\n\s*\n", doc.strip())
    text = re.sub(r"\s+", " ", re.sub(r"\bSource: .*", "", summary, flags=re.DOTALL)).strip()
    text = text.replace("``", "`").replace("` `", "`")
    if not rest or not rest[0].rstrip().endswith("::"):
        return text
    leads = re.sub(r"\s+", " ", rest[0].strip())[:-2]
    block = [re.sub(r"\s{2,}", "  ", line.strip()) for line in rest[1].splitlines()]
    return "<br>".join([f"{text} {leads}".strip() + ":" * bool(leads), *(f"`{line}`" for line in block)])


def domain(doc: str) -> str:
    """What the docstring says of the arrays, without the last stop; by default any shape."""
    found = re.findall(r"^\s+(x|xs|a|b|w|alpha|input|target|gamma, beta): (.*(?:\n {12}.*)*)", doc, flags=re.MULTILINE)
    texts = (f"{name}: {' '.join(text.split()).rstrip('.')}" for name, text in found)
    return "<br>".join(texts).replace("``", "`") or "any shape"


def option(name: str, attr: Attr) -> str:
    """Name, default and allowed values."""
    default = (
        ""
        if attr.default is None
        else f" = {attr.default!r}"
        if isinstance(attr.default, str)
        else f" = {attr.default:.5g}"
    )
    if attr.type is bool:
        return f"`{name} = {attr.default}`"
    if attr.choices:
        return f"`{name}{default}` of {', '.join(f'`{c}`' for c in attr.choices)}"
    left, right = "(" if attr.open_low else "[", ")" if attr.open_high or math.isinf(attr.high) else "]"
    bounds = "" if math.isinf(attr.low) and math.isinf(attr.high) else f" in {left}{attr.low:g}, {attr.high:g}{right}"
    return f"`{name}{default}`{bounds}"


# Rows ---------------------------------------------------------------------------------------------------------------------


def op_row(case: Any, repeats: int) -> list[str]:  # noqa: ANN401 - of the tests
    """An op against its PyTorch function."""
    row = OPS.get(case.name)
    cells = [f"`{case.name}`", *described(getattr(reference, case.name), row, case.tolerance)]
    oracle = oracles("FUNCTIONS").get(case.name)
    errors = {dtype: op_errors(case, oracle, dtype) if oracle else [] for dtype in ("float32", "float64")}
    return cells + [", ".join(map(short, errors[d])) or NO_PEER for d in errors] + op_times(case, oracle, repeats)


def op_errors(case: Any, oracle: Callable[..., Any], dtype: str) -> list[float]:  # noqa: ANN401
    """The largest errors of result and gradients over all of the row's cases, against PyTorch in float64."""
    import torch

    worst = [0.0, 0.0]
    for shapes in case.shapes:
        for attrs in case.attrs:
            if "training" in attrs:  # random
                continue
            arrays = case.arrays(shapes, dtype)
            tensors = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
            try:
                expected = oracle(*tensors, **attrs)
            except (IndexError, ValueError):  # PyTorch refuses some arrays without elements or with one row
                continue
            y = case.forward(ops, arrays, attrs)
            dy = np.random.default_rng(0).standard_normal(y.shape).astype(dtype)
            expected.backward(torch.tensor(dy, dtype=torch.float64))
            gradients = case.backward(ops, arrays, y, dy, attrs)
            worst[0] = max(worst[0], error(y, expected.detach()))
            worst[1] = max([worst[1], *(error(g, t.grad) for g, t in zip(gradients, tensors, strict=True))])
    return worst


def op_times(case: Any, oracle: Callable[..., Any] | None, repeats: int) -> list[str]:  # noqa: ANN401
    """Forward and backward on arrays of a million elements."""
    import torch

    if not repeats:
        return ["", ""]
    largest = max(case.shapes, key=lambda shapes: math.prod(shapes[0]))
    count = round(SIZE / math.prod(largest[0][1:]))
    shapes = [(count, *s[1:]) if len(s) == len(largest[0]) and s[0] == largest[0][0] else s for s in largest]
    attrs = max(case.attrs, key=lambda attrs: attrs.get("rate", 0.0))  # a rate of 0 drops nothing
    arrays = case.arrays(shapes, "float32")
    y = case.forward(ops, arrays, attrs)
    dy = np.random.default_rng(0).standard_normal(y.shape).astype("float32")
    calls = [lambda: case.forward(ops, arrays, attrs), lambda: case.backward(ops, arrays, y, dy, attrs)]
    function = peers().get(case.name, oracle)
    if function is None:
        return [cell(call, None, repeats) for call in calls]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    result = function(*tensors, **attrs)

    def forward() -> None:
        with torch.no_grad():
            function(*tensors, **attrs)

    d = torch.tensor(dy)
    back = (lambda: torch.autograd.grad(result, tensors, d, retain_graph=True)) if result.requires_grad else None
    return [cell(calls[0], forward, repeats), cell(calls[1], back, repeats)]


def loss_row(case: Any, repeats: int) -> list[str]:  # noqa: ANN401
    """A loss against its PyTorch function."""
    import torch

    cells = [f"`{case.name}`, {case.targets}", *described(getattr(reference, case.name), LOSSES[case.name], case.tolerance)]
    oracle = oracles("LOSSES").get(case.name)
    if oracle is None:
        return [*cells, NO_PEER, NO_PEER, "", ""]
    for dtype in ("float32", "float64"):
        worst = [0.0, 0.0]
        for shapes in case.shapes:
            for attrs in case.attrs:
                x, t = case.arrays(shapes, dtype)
                tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
                expected = import_module("test_torch").torch_loss(case, tensor, double(t), case.options(x, attrs))
                if torch.isnan(expected).any():  # the mean of nothing, which is 0 here
                    continue
                expected.sum().backward()
                worst[0] = max(worst[0], error(case.forward(ops, (x, t), attrs), expected.detach()))
                worst[1] = max(worst[1], error(case.backward(ops, (x, t), attrs), tensor.grad))
        cells.append(", ".join(map(short, worst)))
    return cells + (loss_times(case, oracle, repeats) if repeats else ["", ""])


def loss_times(case: Any, oracle: Callable[..., Any], repeats: int) -> list[str]:  # noqa: ANN401
    """The mean loss of a million elements, and its gradient."""
    import torch

    largest = max(case.shapes, key=lambda shapes: math.prod(shapes[0]))
    shape = (round(SIZE / math.prod(largest[0][1:])), *largest[0][1:])
    x, t = case.arrays((shape,), "float32")
    tensor, target = torch.tensor(x, requires_grad=True), torch.tensor(t)
    attrs = next(attrs for attrs in case.attrs if attrs["reduction"] == "mean")
    options = {
        key: torch.tensor(value, dtype=torch.float32) if isinstance(value, np.ndarray) else value
        for key, value in case.options(x, attrs).items()
    }
    loss = oracle(tensor, target, **options)

    def forward() -> None:
        with torch.no_grad():
            oracle(tensor, target, **options)

    def backward() -> None:
        torch.autograd.grad(loss, tensor, retain_graph=True)

    return [
        cell(lambda: case.forward(ops, (x, t), attrs), forward, repeats),
        cell(lambda: case.backward(ops, (x, t), attrs), backward, repeats),
    ]


def rule_row(case: Any, repeats: int) -> list[str]:  # noqa: ANN401
    """A rule: twenty steps against PyTorch's optimizer, and the time of one."""
    import torch

    cells = [
        f"`{case.name}`",
        *described(getattr(reference, f"{case.name}_step"), RULES[case.name], case.tolerance),
    ]
    oracle = import_module("test_rules")
    if case.name not in oracle.OPTIMIZERS:
        return [*cells, NO_PEER, NO_PEER, "", ""]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # of the numbers in PyTorch's states
    cells += [short(rule_error(case, oracle, dtype)) for dtype in ("float32", "float64")]
    torch.set_default_dtype(before)
    if not repeats:
        return [*cells, "", ""]
    cls, options = oracle.OPTIMIZERS[case.name]
    arrays = case.arrays(((SIZE,),), "float32")
    tensor = torch.tensor(arrays[0], requires_grad=True)
    tensor.grad = torch.tensor(arrays[1])
    peer = cls([tensor], **options)
    return [*cells, cell(lambda: case.step(ops, arrays, case.attrs[0]), peer.step, repeats), ""]


def rule_error(case: Any, oracle: Any, dtype: str) -> float:  # noqa: ANN401
    """The largest error of a parameter over twenty steps, in all of the row's cases."""
    import torch

    worst, counted = 0.0, any("iteration" in attrs for attrs in case.attrs)
    for attrs in ({k: v for k, v in attrs.items() if k != "iteration"} for attrs in case.attrs):
        if attrs.get("nesterov") and attrs.get("dampening"):  # PyTorch has no such thing
            continue
        rng = np.random.default_rng(0)
        p = rng.standard_normal((3, 17)).astype(dtype)
        step = oracle.torch_stepper(case.name, attrs, torch.tensor(p, dtype=torch.float64, requires_grad=True))
        states = tuple(np.zeros_like(p) for _ in range(case.states))
        for t in range(1, 21):
            g = rng.standard_normal(p.shape).astype(dtype)
            case.step(ops, (p, g, *states), {**attrs, **({"iteration": t} if counted else {})})
            worst = max(worst, error(p, step(g.astype("float64"))))
    return worst


# Tools --------------------------------------------------------------------------------------------------------------------


def oracles(name: str) -> Mapping[str, Callable[..., Any]]:
    """The dictionaries of that name in all modules of tests/oracle, as one."""
    found: dict[str, Callable[..., Any]] = {}
    for path in sorted((ROOT / "tests" / "oracle").glob("test_*.py")):
        held = getattr(import_module(path.stem), name, {})
        found |= held if isinstance(held, dict) else {}
    return found


def peers() -> Mapping[str, Callable[..., Any]]:
    """What somebody in a hurry would write in PyTorch where the oracle is slower than need be, or is none."""
    import torch
    import torch.nn.functional as F

    return {
        "hard_sigmoid": F.hardsigmoid,
        "step": lambda x: (x >= 0).to(x.dtype),
        "multiply": lambda *xs: reduce(torch.mul, xs),
        "average": lambda *xs: reduce(torch.add, xs) / len(xs),
        "maxout": lambda x, groups=2, axis=-1: x.unflatten(axis, (groups, -1)).amax(axis - 1),
        "dropout": lambda x, rate, **draw: F.dropout(x, rate),
    }


def double(target: np.ndarray[Any, Any]) -> Any:  # noqa: ANN401 - a tensor
    """The target as PyTorch takes it beside a float64 prediction."""
    import torch

    return torch.tensor(target.astype("float64") if target.dtype.kind == "f" else target)


def error(actual: Any, expected: Any) -> float:  # noqa: ANN401 - arrays of any library
    """The largest error of an element, relative where the right number is above 1."""
    a, e = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return float(np.max(np.abs(a - e) / np.maximum(np.abs(e), 1), initial=0.0))


def short(number: float) -> str:
    """One digit and a power of ten."""
    return f"{number:.0e}" if number else "0"


def cell(own: Callable[[], object], peer: Callable[[], object] | None, repeats: int) -> str:
    """The least time of `own` in microseconds, and how many times as long the peer takes; the two take turns."""
    calls = [own] if peer is None else [own, peer]
    times = np.array([[least(call, math.ceil(repeats / ROUNDS)) for call in calls] for _ in range(ROUNDS)]).min(axis=0)
    return f"{times[0]:.0f}" if peer is None else f"{times[0]:.0f} ({times[1] / times[0]:.1f}x)"


def least(call: Callable[[], object], repeats: int) -> float:
    """The least time of a call, in microseconds."""
    time.sleep(REST)
    return min(timeit.repeat(call, number=1, repeat=repeats + 1)) * 1e6


if __name__ == "__main__":
    main()
