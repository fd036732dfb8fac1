"""Sample weights, class weights and ignored rows in whole steps, with both engines."""

from __future__ import annotations

import math

import numpy as np
import pytest

import networks
import nncore as nn
from nncore.engines import create
from nncore.optable import LossSpec, RuleSpec

MSE, SGD, ADAM = LossSpec("mse"), RuleSpec("sgd", {"learning_rate": 0.1}), RuleSpec("adam", {"learning_rate": 0.01})
CLASSES = LossSpec("cross_entropy", {"ignore_index": -1, "label_smoothing": 0.1}, {"weight": (0.5, 2.0, 1.0)})
OPTIONS = {"order": None, "start": 0, "batch_size": 1000, "metrics": (), "rule": SGD, "deadline": math.inf}


def make(engine_name, dtype="float64", rate=0.0):
    return networks.randomize(create(engine_name, networks.deep(rate), dtype, 5))


def data(rows=13):
    rng = np.random.default_rng(3)
    return rng.standard_normal((rows, 2, 3)), rng.standard_normal((rows, 3)), rng.integers(-1, 3, rows)


def run(engine, x, t, loss, **changes):
    return engine.run([x], t, loss=loss, **{**OPTIONS, **changes})


def assert_equal_parameters(a, b, **tolerance):
    for p, q in zip(networks.parameters(a), networks.parameters(b), strict=True):
        np.testing.assert_allclose(p, q, **tolerance)


@pytest.mark.parametrize("loss", [MSE, LossSpec("cross_entropy"), LossSpec("mse", {"reduction": "sum"}), CLASSES])
def test_a_weight_counts_how_often_a_sample_is_there(engine_name, loss):
    x, t, labels = data()
    target = labels if loss is CLASSES else np.abs(labels) if loss.name == "cross_entropy" else t
    times = np.arange(13) % 4
    a, b = make(engine_name), make(engine_name)
    metrics = ("accuracy",) if target.ndim == 1 else ("mse", "mae")
    weighted = run(a, x, target, loss, metrics=metrics, sample_weight=times.astype(float))
    repeated = run(b, np.repeat(x, times, axis=0), np.repeat(target, times, axis=0), loss, metrics=metrics)
    np.testing.assert_allclose(weighted.sums, repeated.sums, rtol=1e-12)
    assert_equal_parameters(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", [MSE, CLASSES], ids=["values", "classes"])
def test_the_engines_agree_over_training_steps(loss, dtype):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((36, 2, 3)), rng.integers(0, 4, 36) / 2
    t = rng.integers(-1, 3, 36) if loss is CLASSES else rng.standard_normal((36, 3))
    metrics = ("accuracy",) if loss is CLASSES else ("mse",)
    pair = [make(name, dtype, rate=0.3) for name in ("reference", "native")]
    tolerance = {"float32": 1e-4, "float64": 1e-10}[dtype]
    for epoch in range(10):
        order = np.random.default_rng(epoch).permutation(36)
        results = [
            run(engine, x, t, loss, order=order, batch_size=8, metrics=metrics, rule=ADAM, sample_weight=w)
            for engine in pair
        ]
        np.testing.assert_allclose(results[1].sums, results[0].sums, atol=36 * tolerance)
    assert_equal_parameters(pair[1], pair[0], rtol=0, atol=tolerance)


def test_threads_do_not_show():
    rng = np.random.default_rng(1)
    x, w, t = rng.standard_normal((2000, 2, 3)), rng.random(2000), rng.integers(-1, 3, 2000)
    results = []
    for count in (1, 2, 3):
        before = nn.get_num_threads()
        nn.set_num_threads(count)
        try:
            engine = make("native", "float32")
            result = run(engine, x, t, CLASSES, batch_size=700, metrics=("accuracy",), sample_weight=w)
        finally:
            nn.set_num_threads(before)
        results.append((result, networks.parameters(engine)))
    for result, parameters in results[1:]:
        assert result == results[0][0]
        for p, q in zip(parameters, results[0][1], strict=True):
            np.testing.assert_array_equal(p, q)


def test_means_are_weighted(engine_name):
    x, t, _ = data()
    w = np.arange(13) / 3
    engine = make(engine_name)
    (y,) = engine.forward([x], training=False)
    result = run(engine, x, t, MSE, rule=None, metrics=("mae",), batch_size=4, sample_weight=w)
    assert result.loss / result.loss_weight == pytest.approx(np.average(((y - t) ** 2).mean(axis=1), weights=w), rel=1e-12)
    assert result.metrics[0] / result.metric_weight == pytest.approx(
        np.average(abs(y - t).mean(axis=1), weights=w), rel=1e-12
    )


def test_ignored_rows_count_in_no_mean(engine_name):
    x, _, labels = data()
    engine, known = make(engine_name), labels >= 0
    loss = LossSpec("cross_entropy", {"ignore_index": -1})
    some = run(engine, x, labels, loss, rule=None, metrics=("accuracy",))
    rest = run(engine, x[known], labels[known], loss, rule=None, metrics=("accuracy",))
    assert 0 < known.sum() < 13
    assert some.sums == pytest.approx(rest.sums, rel=1e-13)


def test_an_ignored_class_may_be_one_of_the_output_s(engine_name):
    x, _, labels = data()
    result = run(make(engine_name), x, abs(labels), LossSpec("cross_entropy", {"ignore_index": 1}), rule=None)
    assert result.loss_weight == (abs(labels) != 1).sum()


@pytest.mark.parametrize(
    ("loss", "target", "weights"),
    [
        (CLASSES, np.full(3, -1), None),
        (CLASSES, np.array([0, 1, -1]), np.array([0.0, 0.0, 1.0])),
        (MSE, np.ones((3, 3)), np.zeros(3)),
        (LossSpec("cross_entropy", {}, {"weight": (0.0, 1.0, 1.0)}), np.zeros(3, int), None),
    ],
    ids=["ignored", "both", "samples", "classes"],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_that_weighs_nothing_updates_nothing(engine_name, loss, target, weights, reduction):
    engine = make(engine_name)
    spec = LossSpec(loss.name, {**loss.attrs, "reduction": reduction}, loss.arrays)
    before = networks.parameters(engine)
    result = run(engine, data(3)[0], target, spec, rule=RuleSpec("adam", {"weight_decay": 0.1}), sample_weight=weights)
    assert (result.steps, result.loss, result.loss_weight) == (1, 0.0, 0.0)
    assert engine.iterations == 0
    for p, q in zip(networks.parameters(engine), before, strict=True):
        np.testing.assert_array_equal(p, q)


def test_a_sample_that_weighs_nothing_is_still_refused_where_it_is_not_a_number(engine_name):
    """Its gradient would reach the weights by way of its activations."""
    for loss, target in ((MSE, np.ones((3, 3))), (CLASSES, np.array([0, -1, 1]))):
        engine, (x, _, _) = make(engine_name), data(3)
        x[1] = np.nan
        with pytest.raises(FloatingPointError, match="nan"):
            run(engine, x, target, loss, sample_weight=np.array([1.0, 0.0, 1.0]))


def test_a_run_goes_on_where_the_deadline_stopped_it(engine_name):
    x, _, labels = data()
    w = np.arange(13) / 7
    whole, pieces = make(engine_name), make(engine_name)
    expected = run(whole, x, labels, CLASSES, batch_size=4, metrics=("accuracy",), sample_weight=w)
    position, sums = 0, ()
    while position < 13:
        result = run(
            pieces, x, labels, CLASSES, batch_size=4, metrics=("accuracy",), sample_weight=w,
            start=position, deadline=0.0, sums=sums,
        )  # fmt: skip
        position, sums = result.position, result.sums
    assert sums == expected.sums


@pytest.mark.parametrize(
    ("error", "match", "changes"),
    [
        (ValueError, r"sample_weight.*each of 13.*\(12,\)", {"sample_weight": np.ones(12)}),
        (ValueError, r"sample_weight.*\(13, 1\)", {"sample_weight": np.ones((13, 1))}),
        (ValueError, r"sample_weight.*-0.5 in row 2", {"sample_weight": np.array([1, 1, -0.5] + [1] * 10)}),
        (ValueError, r"sample_weight.*nan in row 0", {"sample_weight": np.full(13, np.nan)}),
        (ValueError, r"sample_weight.*inf in row 0", {"sample_weight": np.full(13, np.inf)}),
        (TypeError, r"sample_weight", {"sample_weight": np.full(13, "a")}),
        (
            ValueError,
            r"weight: .*each of 3 .*got 2",
            {"loss": LossSpec("cross_entropy", CLASSES.attrs, {"weight": (1.0, 2.0)})},
        ),
        (ValueError, r"-1 in row", {"loss": LossSpec("cross_entropy")}),
        (ValueError, r"sums", {"sums": (0.0,)}),
    ],
)
def test_what_does_not_fit_is_refused_untouched(engine_name, error, match, changes):
    engine = make(engine_name)
    before = networks.parameters(engine)
    x, _, labels = data()
    with pytest.raises(error, match=match):
        run(engine, x, labels, **{"loss": CLASSES, **changes})
    for p, q in zip(networks.parameters(engine), before, strict=True):
        np.testing.assert_array_equal(p, q)
