"""The benchmark suite on tiny sizes: every contender computes the same, and what is written can be read."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nncore as nn
from nncore import cli
from nncore.bench import case, command, contenders, machine, report, suite, workloads
from nncore.bench.machine import Peaks
from nncore.bench.suite import Report, Result, Settings
from nncore.bench.workloads import ELEMENTWISE, RULE_BYTES, Network, Workload
from nncore.optable import OPS, RULES

NETWORKS = [Network((20, 16, 4), 8, "cross_entropy"), Network((5, 12, 1), 4, "mse"), Network((6, 8, 8, 3), 5, "mse")]
TINY = [
    *(workloads.product(form, 5, 40, 30) for form in ("forward", "data", "weight")),
    *(
        workloads.elementwise(op, backward, 1000)
        for op, (_, _, arrays) in ELEMENTWISE.items()
        for backward in (False, True)
        if arrays or not backward
    ),
    *(workloads.update(rule, 1000) for rule in RULE_BYTES),
    *(workloads.step(f"step/{workloads.label(net)}", net) for net in NETWORKS),
    *(workloads.predict(f"predict/{workloads.label(net)}", net) for net in NETWORKS),
    Workload("start/first step", "first_step", NETWORKS[0]),
]
SHORT = Settings(peers=["numpy"], threads=[1], seconds=1e-4, repeats=2)


def measure(settings: Settings, chosen: list[Workload]) -> Report:
    return suite.run(settings, chosen, lambda found, result: None)


@pytest.fixture(scope="module")
def found() -> Report:
    chosen = [*TINY, replace(TINY[-2], name="memory/tiny", kind="step", flops=0)] if sys.platform == "linux" else TINY
    return measure(SHORT, chosen)


@pytest.fixture(scope="module")
def data(found):
    return json.loads(json.dumps(report.as_json(found)))


# Workloads ----------------------------------------------------------------------------------------------------------------


def test_table():
    table = workloads.table()
    names = [work.name for work in table]
    assert len(set(names)) == len(names)
    assert {work.group for work in table if work.quick} == {work.group for work in table} - {"scaling"}
    taken = {kind for name in contenders.CONTENDERS for kind in contenders.kinds(name)}
    assert {work.kind for work in table} == taken
    for name in contenders.CONTENDERS:
        for kind in contenders.kinds(name):
            assert hasattr(contenders._class(name), kind)


def test_ops_and_rules_are_those_of_the_op_table():
    # Not here are ops that only copy, that learn, or that no peer has as one op, and the rules that join two of these;
    # docs/ops.md has the times of all.
    copies, learn = {"identity", "flatten", "reshape", "concatenate"}, {"dense", "prelu", "embedding"}
    norms, others = {"batch_norm", "layer_norm", "rms_norm"}, {"step", "glu", "maxout", "one_hot"}
    random = {"rrelu", "gaussian_noise", "alpha_dropout"}
    assert {*ELEMENTWISE} - {"gelu_tanh"} == {*OPS} - copies - learn - norms - others - random
    joined = {"rmsprop_momentum", "rmsprop_centered", "rmsprop_centered_momentum", "lamb"}
    assert {*RULE_BYTES} == {*RULES} - joined
    for rule, moved in RULE_BYTES.items():  # parameter and states to and fro, the gradient in; four bytes each
        assert moved == 4 * (3 + 2 * len(RULES[rule].states))


def test_work_of_a_network():
    net = Network((3, 5, 2), 7, "mse")
    assert net.parameters == 3 * 5 + 5 + 5 * 2 + 2
    assert workloads.predict("", net).flops == 2 * 7 * (15 + 10)
    # Forward and weight gradient of both layers, data gradient of the second.
    assert workloads.step("", net).flops == 2 * 7 * (2 * 15 + 3 * 10)


# Agreement ----------------------------------------------------------------------------------------------------------------


def test_contenders_agree(found):
    assert found.failures == []
    for result in found.results:
        assert "nncore" in result.medians
        assert result.workload.kind != "step" or {"nncore per batch", "numpy"} <= result.medians.keys()
        assert all(len(samples) == (1 if result.unit == "bytes" else 2) for samples in result.samples.values())
        assert all(sample > 0 for samples in result.samples.values() for sample in samples)


@pytest.mark.parametrize("name", [name for name in contenders.PEERS if name != "numpy"])
def test_peers_agree(name):
    if not contenders.installed(name):
        pytest.skip("not installed")
    chosen = [work for work in TINY if work.kind in contenders.kinds(name)]
    if name == "torch compile":
        chosen = chosen[:1]  # each takes long
    if not chosen:
        pytest.skip("only takes part in what is too long for a test")
    found = measure(replace(SHORT, peers=[name]), chosen)
    assert found.failures == []
    lacks = {"torch": {"lion"}, "jax": {"nadam", "radam"}}.get(name, set())
    without = {r.workload.name for r in found.results if name not in r.medians}
    assert without == {workloads.update(rule, 1000).name for rule in lacks}


def test_an_epoch_of_each_contender(monkeypatch):
    rng = np.random.default_rng(1)
    y = rng.integers(4, size=1003)
    x = (rng.standard_normal((4, 20))[y] + 0.1 * rng.standard_normal((1003, 20))).astype(np.float32)
    monkeypatch.setattr(case, "mnist", lambda: (x, y, "a few samples"))
    threads = nn.get_num_threads()
    work = workloads.epoch(NETWORKS[0], len(x))
    own, other = (contenders.create(name, 1).prepare(work) for name in ("nncore", "numpy"))
    nn.set_num_threads(threads)
    assert own is not None
    assert other is not None
    suite._compare(own.check(), other.check(), work.tolerance)


def test_the_epoch_falls_back_on_random_numbers(monkeypatch, tmp_path):
    monkeypatch.setenv("NNCORE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    x, y, source = case.mnist()
    assert (x.shape, x.dtype, y.shape) == ((60_000, 784), np.float32, (60_000,))
    assert source.startswith("random")


def test_another_result_is_a_failure(monkeypatch):
    wrong = replace(TINY[-3], tolerance=0.0)
    found = measure(SHORT, [wrong])
    assert [line.split(":")[0] for line in found.failures] == [f"{wrong.name}, 1 threads, numpy"]
    assert "wrong result: off by" in found.failures[0]
    assert "numpy" not in found.results[0].samples
    monkeypatch.setattr(command, "table", lambda: (wrong,))
    monkeypatch.setattr(suite, "run", lambda settings, table, tell: found)
    with pytest.raises(RuntimeError, match="wrong result"):
        command.measure(False, "", (1,), ["numpy"], None, None, None)


@pytest.mark.parametrize(("right", "other"), [([1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0, np.nan]), ([1.0, 2.0], [2.0, 1.0])])
def test_compare(right, other):
    suite._compare(np.array(right), np.array(right), 0.0)
    with pytest.raises(ArithmeticError, match="wrong result"):
        suite._compare(np.array(right), np.array(other), 0.1)


# Workers ------------------------------------------------------------------------------------------------------------------


def test_a_worker_is_stopped_unless_asked():
    with suite.Worker("nncore", 1) as worker:
        worker.ask("ready")
        if sys.platform == "linux":
            stat = Path(f"/proc/{worker._process.pid}/stat")
            while (state := stat.read_text().rsplit(")")[1].split()[0]) in "RS":
                pass
            assert state == "T"
        with pytest.raises(suite.WorkerError, match="KeyError"):
            worker.ask("nonsense")
        worker.ask("ready")
    assert worker._process.returncode is not None


def test_a_worker_that_ends():
    with suite.Worker("nobody", 1) as worker, pytest.raises(suite.WorkerError, match="nobody"):
        worker.ask("ready")


# Machine ------------------------------------------------------------------------------------------------------------------


def test_rooflines():
    rows = {
        2**10: {"read": 9.0, "triad": 8.0, "triad_streaming": 2.0},
        2**20: {"read": 3.0, "triad": 1.0, "triad_streaming": 4.0},
    }
    peaks = Peaks("avx2", 100.0, rows)
    assert [peaks.traffic(size) for size in (0, 2**10, 2**15, 2**20, 2**30)] == pytest.approx([8, 8, 6, 4, 4])
    assert peaks.seconds(200, 8, 2**10) == 2.0
    assert peaks.seconds(200, 80, 2**10) == 10.0
    better = peaks.best(Peaks("avx2", 90.0, {size: dict.fromkeys(row, 5.0) for size, row in rows.items()}))
    assert (better.flops, better.bandwidth[2**20]) == (100.0, dict.fromkeys(rows[2**20], 5.0))


def test_probes():
    from nncore import _core, _probe

    for isa in _core.supported_isas():
        assert _probe.flops(isa, 1, 1e-4) > 1e8
        for kind in ("read", "triad", "triad_streaming"):
            assert _probe.bandwidth(isa, kind, 2**16, 2, 1e-4) > 1e7
    with pytest.raises(ValueError, match=r"isa: .*'mmx'"):
        _probe.flops("mmx", 1, 1e-4)
    with pytest.raises(ValueError, match=r"kind: .*'write'"):
        _probe.bandwidth("baseline", "write", 2**16, 1, 1e-4)


def test_machine():
    assert machine.versions(("numpy",)) == {"numpy": np.__version__}
    assert 1e5 < machine.zipped_size("nncore") < machine.installed_size(("nncore",))
    assert set(machine.describe()) == {"cpu", "cores", "threads", "last-level cache", "system", "python"}


# Report -------------------------------------------------------------------------------------------------------------------


def test_ratios():
    samples = {"nncore": [2.0, 1.0, 9.0], "nncore per batch": [1.0], "jax": [8.0], "torch": [5.0, 3.0, 4.0]}
    result = Result(TINY[0], 1, samples)
    assert result.ratios == {"nncore per batch": 0.5, "jax": 4.0, "torch": 2.0}
    assert result.best_peer == "torch"
    assert Result(TINY[0], 1, {"jax": [1.0]}).ratios == {}
    assert Result(TINY[0], 1, {"nncore": [1.0]}).best_peer is None


def test_json(data):
    assert set(data) == {"schema", "machine", "versions", "settings", "notes", "sizes", "peaks", "results"}
    assert data["schema"] == suite.SCHEMA
    assert set(data["versions"]) == {"nncore", "numpy"}
    assert data["sizes"]["nncore"]["installed"] > data["sizes"]["nncore"]["zipped"] > 0
    (peaks,) = data["peaks"]
    assert set(peaks) == {"threads", "isa", "flops", "bandwidth"}
    for result in data["results"]:
        assert {"workload", "group", "threads", "unit", "best_peer", "ratios", "failures"} < set(result)
        own = result["contenders"]["nncore"]
        assert set(own) == {"median", "gflops", "fraction", "samples"}
        if result["roofline"] is not None:
            assert own["fraction"] == pytest.approx(result["roofline"] / own["median"])
            assert own["gflops"] == pytest.approx(result["flops"] / own["median"] / 1e9)


def test_lines(data):
    lines = [report.line(result) for result in data["results"]]
    assert all(line.startswith(result["workload"]) for line, result in zip(lines, data["results"], strict=True))
    assert "GFLOP/s" in lines[0]
    assert "% of roofline" in lines[0]
    assert "numpy" in lines[0]
    assert "GB/s" in lines[5]
    assert "installed: nncore" in report.summary(data)


def test_markdown(data, tmp_path):
    text = report.markdown(data)
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == len({result["group"] for result in data["results"]})
    assert sum(len(table) - 2 for table in tables) == len(data["results"])
    for table in tables:
        assert len({row.count("|") for row in table}) == 1
    path = tmp_path / "performance.md"
    path.write_text("# Before\n")
    for _ in range(2):
        report.write_markdown(data, path)
        assert path.read_text().count("### Step") == 1
    assert path.read_text().startswith("# Before\n\n<!-- measured: begin")
    path.write_text(path.read_text() + "After\n")
    report.write_markdown({**data, "results": []}, path)
    assert "### Step" not in path.read_text()
    assert path.read_text().endswith("measured: end -->\nAfter\n")


def test_plot(data, tmp_path):
    for results in (data["results"], []):
        report.plot({**data, "results": results}, tmp_path / "a")
        assert (tmp_path / "a").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


# Command ------------------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path, capsys):
    options = ["--only", "product/forward/32x", "--threads", "1", "--peers", "", "--json", str(tmp_path / "a.json")]
    assert cli.main(["bench", *options, "--markdown", str(tmp_path / "a.md")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("product/forward/32x32x32")
    assert "1 threads, " in out
    assert [r["workload"] for r in json.loads((tmp_path / "a.json").read_text())["results"]] == [
        "product/forward/32x32x32",
        "product/forward/32x1024x1024",
    ]
    assert "### Product" in (tmp_path / "a.md").read_text()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--only", "no such thing"], "only: expected a part of a workload's name, got 'no such thing'"),
        (["--peers", "mkl"], "peers: expected some of torch, .*, got 'mkl'"),
    ],
)
def test_wrong_choices(options, why, capsys):
    assert cli.main(["bench", *options]) == 1
    assert re.fullmatch(f"nncore bench: error: {why}\n", capsys.readouterr().err)


def test_wrong_threads(capsys):
    with pytest.raises(SystemExit):
        cli.main(["bench", "--threads", "1,zero"])
    assert "expected an integer from 1 to 4096, got 'zero'" in capsys.readouterr().err
