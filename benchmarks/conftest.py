"""Options of the benchmarks that run under pytest."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the user choose whom to measure."""
    parser.addoption("--contender", default="nncore", help="of nncore.bench.contenders (default: nncore)")
    parser.addoption("--whole-suite", action="store_true", help="all workloads, not only the quick part")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One benchmark for each workload in which the contender takes part."""
    from nncore.bench.contenders import kinds
    from nncore.bench.workloads import table

    whole, taken = metafunc.config.getoption("--whole-suite"), kinds(metafunc.config.getoption("--contender"))
    chosen = [work for work in table() if work.kind in taken and work.group != "memory" and (whole or work.quick)]
    metafunc.parametrize("workload", chosen, ids=lambda work: work.name)
