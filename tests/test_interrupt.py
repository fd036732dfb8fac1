"""Ctrl-C in long native work: an answer within 200 ms, after a whole step, and a model that goes on."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

import nncore as nn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((200_000, 32)).astype(np.float32)
Y = RNG.integers(0, 4, len(X))
ANSWER = 0.2  # seconds


def make():
    model = nn.Sequential([nn.Input((32,)), nn.Dense(256, activation="tanh"), nn.Dropout(0.1), nn.Dense(4)])
    model.compile(nn.Adam(1e-3), "cross_entropy", ["accuracy"], seed=1)
    return model


def interrupted(work, after=0.15):
    """Press Ctrl-C `after` seconds from now, while `work` runs; how long it takes to be answered."""
    pressed = []

    def press():
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, press)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        return time.perf_counter() - pressed[0]
    finally:
        timer.join()


def best_of(work, tries=4):
    """The shortest of some answers: whatever else the machine does can only add."""
    times = []
    while len(times) < tries and (not times or min(times) > ANSWER):
        times.append(interrupted(work))
    return min(times)


def test_a_long_epoch():
    model = make()
    model.predict(X[:1])
    assert best_of(lambda: model.fit(X, Y, batch_size=32, epochs=50, verbose=0)) < ANSWER
    history = model.history
    assert history.epoch == []  # of the first epoch there is a part
    assert 0 < history.unfinished["samples"] < len(X)
    assert history.unfinished["samples"] % 32 == 0
    assert 0 < history.unfinished["loss"] < 3


def test_what_was_done_is_a_whole_number_of_steps():
    model, by_hand = make(), make()
    interrupted(lambda: model.fit(X, Y, batch_size=50, epochs=50, verbose=0))
    samples = int(model.history.unfinished["samples"])
    assert model.engine.iterations * 50 >= samples  # the last call's steps may be made and not yet counted
    order = np.random.Generator(np.random.Philox(key=np.array([1, 2**63], np.uint64))).permutation(len(X))
    done = order[: model.engine.iterations * 50]
    by_hand.fit(X[done], Y[done], batch_size=50, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    # and it goes on
    history = model.fit(X[:1000], Y[:1000], verbose=0)
    assert history.epoch == [0]
    assert history.unfinished == {}


def test_between_epochs():
    model = make()
    interrupted(lambda: model.fit(X[:500], Y[:500], epochs=10**6, verbose=0))
    done = model.history
    assert done.epoch == list(range(len(done.epoch)))
    assert len(done.epoch) > 0
    assert [len(values) for values in done.history.values()] == [len(done.epoch)] * 2
    assert len(done.seconds) == len(done.learning_rate) == len(done.epoch)


def test_evaluation_and_prediction():
    model = make()
    x = np.concatenate([X] * 4)
    y = np.concatenate([Y] * 4)
    model.predict(X[:1])
    assert best_of(lambda: [model.evaluate(x, y) for _ in range(100)]) < ANSWER
    assert best_of(lambda: [model.predict(x) for _ in range(100)]) < ANSWER


def test_quasi_newton_steps():
    model = make()
    model.compile(nn.LBFGS(max_iter=1000), "cross_entropy")
    before = model.get_weights()
    interrupted(lambda: model.fit(X[:20_000], Y[:20_000], verbose=0), after=0.5)
    for a, b in zip(model.get_weights(), before, strict=True):
        assert a.tobytes() == b.tobytes()  # an epoch is one step
