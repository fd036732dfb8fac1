"""Every workload under pytest-benchmark, in this process: to follow one contender's speed from change to change."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import nncore as nn
from nncore.bench import contenders
from nncore.bench.case import Contender
from nncore.bench.workloads import Workload

pytestmark = pytest.mark.filterwarnings("default")  # peers may warn


@pytest.fixture(scope="session")
def contender(request: pytest.FixtureRequest) -> Contender:
    """The one that was chosen, on as many threads as nncore would use."""
    return contenders.create(request.config.getoption("--contender"), nn.get_num_threads())


def test_workload(workload: Workload, contender: Contender, benchmark: BenchmarkFixture) -> None:
    """Times the runs of one workload; ``extra_info`` says of how many steps a run is."""
    case = contender.prepare(workload)
    if case is None:
        pytest.skip("takes no part")

    def run() -> None:
        case.run()
        case.sync()

    benchmark.extra_info["units"] = case.units
    benchmark.pedantic(run, rounds=5, iterations=case.runs(0.05))
