"""One model in several Python threads: what is answered, what is refused, and what nobody sees half done."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import nncore as nn
from nncore import state
from nncore.callbacks import Callback, LambdaCallback

RNG = np.random.default_rng(2)
X, Y = RNG.standard_normal((400, 6)).astype("float32"), RNG.integers(0, 3, 400)


def make(engine="native", optimizer="adam", units=40):
    model = nn.Sequential([nn.Input((6,)), nn.Dense(units, activation="tanh"), nn.BatchNorm(), nn.Dense(3)])
    model.compile(optimizer, "cross_entropy", engine=engine, seed=5)
    return model


def in_threads(count, work):
    """The results of `work` (0 ..) begun at once in so many threads."""
    barrier = threading.Barrier(count)

    def begin(k):
        barrier.wait()
        return work(k)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count), timeout=60))


class Pausing:
    """A training in another thread that stops before its epoch until it is told to go on."""

    def __init__(self, model, begin="on_epoch_begin"):
        self.reached, self.go_on, self.errors = threading.Event(), threading.Event(), []
        self._model, self._begin = model, begin
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        def wait(*_):
            self.reached.set()
            self.go_on.wait(60)

        try:
            self._model.fit(X, Y, epochs=3, verbose=0, callbacks=LambdaCallback(**{self._begin: wait}))
        except BaseException as error:
            self.errors.append(error)

    def __enter__(self):
        self._thread.start()
        assert self.reached.wait(60)
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self._thread.join()
        assert self.errors == []


def test_two_threads_predict_the_same_bits_in_any_batches(engine_name):
    model, x = make(engine_name), X if engine_name == "native" else X[:12]
    expected = model.predict(x)

    def ask(k):
        sizes = np.random.default_rng(k).integers(1, len(x), 20)
        return all(
            model.predict(x[:n], batch_size=int(b)).tobytes() == expected[:n].tobytes() for n in sizes[:5] for b in sizes
        )

    assert in_threads(2, ask) == [True, True]


def test_the_first_use_by_many_threads_is_one_model(engine_name):
    for _ in range(5):
        model = nn.Sequential([nn.Dense(50), nn.Dense(3)])
        model.compile("adam", "cross_entropy", engine=engine_name)
        assert len({y.tobytes() for y in in_threads(4, lambda k, model=model: model.predict(X[:4]))}) == 1


def test_a_second_training_is_refused_and_the_first_goes_on(engine_name):
    model, alone = make(engine_name), make(engine_name)
    alone.fit(X, Y, epochs=3, verbose=0)
    calls = {
        "fit": lambda: model.fit(X, Y, verbose=0),
        "partial_fit": lambda: model.partial_fit(X, Y),
        "train_on_batch": lambda: model.train_on_batch(X[:8], Y[:8]),
        "compile": lambda: model.compile("sgd", "cross_entropy"),
        "freeze": lambda: model.freeze("dense"),
    }
    with Pausing(model):
        for name, call in calls.items():
            with pytest.raises(RuntimeError, match=f"{name}: expected a model that is not being trained, got one in fit"):
                call()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(model.get_weights(), alone.get_weights(), strict=True))
    model.fit(X, Y, verbose=0)  # the turn was given back


def test_loading_a_checkpoint_into_a_model_in_training_is_refused(tmp_path):
    model = make()
    model.save_checkpoint(tmp_path / "c")
    with Pausing(model), pytest.raises(RuntimeError, match="load_checkpoint: expected a model that is not being trained"):
        model.load_checkpoint(tmp_path / "c")


def test_train_on_batch_by_its_short_way_is_refused_too():
    model = make()
    for _ in range(3):
        model.train_on_batch(X[:8], Y[:8])
    with Pausing(model), pytest.raises(RuntimeError, match="train_on_batch: expected"):
        model.train_on_batch(X[:8], Y[:8])
    model.train_on_batch(X[:8], Y[:8])


def test_a_callback_may_freeze_and_load_but_not_fit(tmp_path):
    model = make()
    model.save_checkpoint(tmp_path / "c")

    class Own(Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.freeze("dense")
            self.model.load_checkpoint(tmp_path / "c")
            with pytest.raises(RuntimeError, match="in fit in this thread"):
                self.model.fit(X, Y, verbose=0)

    assert model.fit(X, Y, epochs=2, verbose=0, callbacks=Own()).epoch == [0, 1]


def test_a_training_that_fails_gives_the_turn_back():
    model = make()
    with pytest.raises(ValueError, match="x: "):
        model.fit(X[:, :2], Y, verbose=0)
    with pytest.raises(FloatingPointError):
        model.fit(np.full_like(X, np.nan), Y, verbose=0)
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("optimizer", ["adam", nn.LBFGS(max_iter=2)])
def test_predictions_during_training_are_those_of_some_moment(engine_name, optimizer):
    model, alone = make(engine_name, optimizer, 8), make(engine_name, optimizer, 8)
    rows = X[:60], Y[:60]
    alone.fit(*rows, epochs=4, verbose=0)
    done = threading.Event()

    def work(k):
        if k == 0:
            try:
                model.fit(*rows, epochs=4, verbose=0)
            finally:
                done.set()
            return True
        good = True
        while not done.is_set():
            good &= bool(np.isfinite(model.predict(X[:7])).all())
            good &= len(state.capture(model)["parameters"]) == len(model.get_weights())
        return good

    assert in_threads(3, work) == [True] * 3
    assert all(a.tobytes() == b.tobytes() for a, b in zip(model.get_weights(), alone.get_weights(), strict=True))


def test_nobody_sees_weights_that_are_half_set(engine_name):
    """All weights are 1, or all are 2; whoever looks sees no mixture."""
    model = nn.Sequential([nn.Input((3,)), *(nn.Dense(3) for _ in range(6))])
    model.compile(engine=engine_name)
    sets = [[np.full_like(w, value) for w in model.get_weights()] for value in (1, 2)]
    answers = []
    for weights in sets:
        model.set_weights(weights)
        answers.append(model.predict(np.ones((2, 3))).tobytes())
    done = threading.Event()

    def work(k):
        if k == 0:
            for i in range(300):
                model.set_weights(sets[i % 2]) if i % 3 else model.set_parameters(
                    dict(zip(model.parameters(), sets[i % 2], strict=True))
                )
            done.set()
            return True
        good = True
        while not done.is_set():
            good &= model.predict(np.ones((2, 3))).tobytes() in answers
            good &= len({float(w.flat[0]) for w in model.get_weights()}) == 1
        return good

    assert in_threads(3, work) == [True] * 3


def test_single_steps_by_two_threads_are_whole():
    """Of a model that is stepped from Python, too: no step takes the activations of another."""
    a = nn.Input((6,))
    model = nn.Model(a, [nn.Dense(4, name="u")(a), nn.Dense(1, name="v")(a)])
    model.compile(nn.SGD(0.0), "mse")
    batches = [(X[:n], [X[:n, :4], X[:n, :1]]) for n in (5, 64)]
    expected = [model.train_on_batch(*batch) for batch in batches]
    assert (
        in_threads(2, lambda k: [model.train_on_batch(*batches[k]) for _ in range(40)] == [expected[k]] * 40) == [True] * 2
    )


def test_held_calls_follow_each_other(engine_name):
    model = make(engine_name)
    engine, done = model.engine, threading.Event()
    other = threading.Thread(target=lambda: (model.predict(X[:2]), done.set()))
    with engine.held(), engine.held():
        other.start()
        model.predict(X[:2])
        assert not done.wait(0.05)
    other.join()
    assert done.is_set()
