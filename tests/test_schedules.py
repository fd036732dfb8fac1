"""Schedules: values by their formulas, how optimizers and models use them, and bad options."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nncore as nn
from nncore import schedules

X = np.random.Generator(np.random.Philox(key=5)).normal(size=(40, 3))
Y = X @ np.array([[1.0], [-2.0], [0.5]])


def make(engine_name, optimizer):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(1)])
    model.compile(optimizer, "mse", engine=engine_name, dtype="float64")
    return model


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        (schedules.Exponential(0.5, 0.9, 10), lambda t: 0.5 * 0.9 ** (t / 10)),
        (schedules.Exponential(0.5, 0.9, 10, staircase=True), lambda t: 0.5 * 0.9 ** (t // 10)),
        (schedules.InverseTime(0.5, 0.3, 10), lambda t: 0.5 / (1 + 0.3 * t / 10)),
        (schedules.InverseTime(0.5, 0.3, 10, staircase=True), lambda t: 0.5 / (1 + 0.3 * (t // 10))),
        (
            schedules.Polynomial(0.5, 30, 0.1, power=2.0),
            lambda t: (0.5 - 0.1) * (1 - min(t, 30) / 30) ** 2 + 0.1,
        ),
        (
            schedules.Polynomial(0.5, 30, 0.1, power=0.5, cycle=True),
            lambda t: 0.4 * (1 - t / (30 * max(1, math.ceil(t / 30)))) ** 0.5 + 0.1,
        ),
        (
            schedules.Cosine(0.5, 30, alpha=0.1),
            lambda t: 0.5 * (0.9 * 0.5 * (1 + math.cos(math.pi * min(t, 30) / 30)) + 0.1),
        ),
        (schedules.Function(lambda t: 1 / (t + 1)), lambda t: 1 / (t + 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_keras_formulas(schedule, formula):
    """As published at keras.io for the schedules of the same names."""
    np.testing.assert_allclose(schedule.rates(np.arange(100)), [formula(t) for t in range(100)], rtol=1e-13, atol=1e-17)
    assert schedule(7) == pytest.approx(formula(7), rel=1e-13)


def test_restarts_by_keras_s_formula():
    """Period i begins at first * (t_mul^i - 1) / (t_mul - 1), is t_mul^i as long, and m_mul^i as high."""
    first, t_mul, m_mul, alpha = 10, 1.5, 0.8, 0.2
    schedule = schedules.CosineRestarts(0.5, first, t_mul, m_mul, alpha)
    for t in range(200):
        completed = t / first
        i = math.floor(math.log(1 - completed * (1 - t_mul) + 1e-12) / math.log(t_mul))
        fraction = (completed - (1 - t_mul**i) / (1 - t_mul)) / t_mul**i
        wave = 0.5 * m_mul**i * (1 + math.cos(math.pi * fraction))
        assert schedule(t) == pytest.approx(0.5 * ((1 - alpha) * wave + alpha * m_mul**i), rel=1e-9)


@pytest.mark.parametrize("length", [1, 7, 600])
def test_an_optimizer_hands_out_the_coming_rates(length):
    optimizer = nn.SGD(schedules.Step(1.0, 10, gamma=0.5))
    rates = optimizer.rates(5, 0, length)
    assert 1 <= len(rates) <= length
    np.testing.assert_array_equal(rates, [optimizer.learning_rate(5 + i) for i in range(len(rates))])
    by_epoch = nn.SGD(schedules.Step(1.0, 1, gamma=0.5, per="epoch")).rates(5, 3, length)
    assert set(by_epoch) == {0.125}
    assert nn.SGD(0.1).rates(5, 3, length) == ()


def by_hand(rates, batch_size):
    """The weights after an epoch of plain gradient descent over the batches in order, a rate for each."""
    w, b = np.zeros((3, 1)), np.zeros(1)
    for i, rate in enumerate(rates):
        rows = slice(i * batch_size % 40, i * batch_size % 40 + batch_size)
        error = 2 * (X[rows] @ w + b - Y[rows]) / batch_size
        w, b = w - rate * X[rows].T @ error, b - rate * error.sum(axis=0)
    return w, b


@pytest.mark.parametrize(
    "rate", [schedules.Exponential(0.1, 0.9), lambda step: 0.1 * 0.9**step], ids=["schedule", "function"]
)
def test_a_model_follows_its_schedule(engine_name, rate):
    model = make(engine_name, nn.SGD(rate))
    model.set_weights([np.zeros((3, 1)), np.zeros(1)])
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for actual, expected in zip(model.get_weights(), by_hand([0.1 * 0.9**i for i in range(10)], 8), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12)
    model.train_on_batch(X[:8], Y[:8])
    for actual, expected in zip(model.get_weights(), by_hand([0.1 * 0.9**i for i in range(11)], 8), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_per_epoch(engine_name):
    model = make(engine_name, nn.SGD(schedules.MultiStep(0.1, [1, 2], per="epoch")))
    model.set_weights([np.zeros((3, 1)), np.zeros(1)])
    model.fit(X, Y, batch_size=20, epochs=1, shuffle=False, verbose=0)
    model.fit(X, Y, batch_size=20, epochs=2, shuffle=False, verbose=0)
    expected = by_hand([0.1, 0.1, 0.01, 0.01, 0.001, 0.001], 20)
    for actual, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-12)


def test_long_epochs_get_rates_in_pieces(engine_name):
    """More steps than are computed at once, with accumulation: a rate for each update."""
    seen = []

    def rate(step):
        seen.append(step)
        return 0.001

    model = make(engine_name, nn.SGD(rate, gradient_accumulation_steps=2))
    x, y = np.tile(X, (40, 1)), np.tile(Y, (40, 1))
    model.fit(x, y, batch_size=1, epochs=1, verbose=0)
    assert model.engine.iterations == 800
    assert set(range(800)) <= set(seen)


def test_the_learning_rate_may_become_a_schedule_and_back(engine_name):
    model = make(engine_name, nn.SGD(0.1))
    model.optimizer.learning_rate = schedules.Constant(0.0)
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert repr(model.optimizer).startswith("SGD(learning_rate=Constant(learning_rate=0.0)")
    model.optimizer.learning_rate = 0.1
    model.fit(X, Y, verbose=0)
    assert model.optimizer.learning_rate == 0.1
    assert (model.get_weights()[0] != before[0]).any()


def test_one_s_own_loop_follows_the_schedule(engine_name):
    model = make(engine_name, nn.SGD(schedules.Exponential(0.5, 0.5)))
    model.set_weights([np.zeros((3, 1)), np.zeros(1)])
    for _ in range(3):
        model.forward(np.zeros((1, 3)), training=True)
        model.backward(np.ones((1, 1)))
        model.optimizer.step(model)
    np.testing.assert_allclose(model.get_weights()[1], [-(0.5 + 0.25 + 0.125)])


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused_before_anything_changes(engine_name, bad):
    model = make(engine_name, nn.SGD(lambda step: 0.1 if step < 6 else bad))
    model.train_on_batch(X, Y)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"learning_rate: .* for step 6"):
        model.fit(X, Y, batch_size=4, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("make_schedule", "error", "words"),
    [
        (lambda: schedules.Constant(-1.0), ValueError, "learning_rate"),
        (lambda: schedules.Constant("1"), TypeError, "learning_rate"),
        (lambda: schedules.Constant(1.0, per="batch"), ValueError, "per"),
        (lambda: schedules.Step(1.0, 0), ValueError, "step_size"),
        (lambda: schedules.Step(1.0, 2, gamma=-1.0), ValueError, "gamma"),
        (lambda: schedules.MultiStep(1.0, [3, 2]), ValueError, "milestones"),
        (lambda: schedules.MultiStep(1.0, [0]), ValueError, "milestones"),
        (lambda: schedules.Exponential(1.0, 0.5, 1.5), ValueError, "decay_steps"),
        (lambda: schedules.Exponential(1.0, 0.5, staircase=1), TypeError, "staircase"),
        (lambda: schedules.InverseTime(1.0, -0.5), ValueError, "decay_rate"),
        (lambda: schedules.Polynomial(1.0, 5, end_learning_rate=math.nan), ValueError, "end_learning_rate"),
        (lambda: schedules.Polynomial(1.0, 5, cycle="no"), TypeError, "cycle"),
        (lambda: schedules.Cosine(1.0, 5, alpha=2.0), ValueError, "alpha"),
        (lambda: schedules.CosineRestarts(1.0, 5, t_mul=0.5), ValueError, "t_mul"),
        (lambda: schedules.Warmup(0.1, 5), TypeError, "schedule"),
        (lambda: schedules.Warmup(schedules.Constant(0.1), -1), ValueError, "warmup_steps"),
        (lambda: schedules.OneCycle(0.1, 100, pct_start=1.5), ValueError, "pct_start"),
        (lambda: schedules.OneCycle(0.1, 100, anneal="cosine"), ValueError, "anneal"),
        (lambda: schedules.OneCycle(0.1, 100, div_factor=0.0), ValueError, "div_factor"),
        (lambda: schedules.Function(0.1), TypeError, "function"),
    ],
)
def test_bad_options(make_schedule, error, words):
    with pytest.raises(error, match=words):
        make_schedule()
