"""Callbacks: hooks and their order, what they cost, and each one against what Keras or PyTorch says that it does."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pandas as pd
import pytest

import nncore as nn
from nncore.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    JSONLogger,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)
from nncore.metrics import METRICS, NAMES

RNG = np.random.default_rng(7)
X = RNG.standard_normal((40, 3))
Y = RNG.integers(0, 2, 40)


def make(engine="native", rate=0.1, **options):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="tanh"), nn.Dense(2)])
    model.compile(nn.SGD(rate), "cross_entropy", ["accuracy"], engine=engine, dtype="float64", **options)
    return model


class Scripted(Callback):
    """Puts given values into the logs, as if the model had reached them."""

    def __init__(self, **values):
        self.values = values

    def on_epoch_end(self, epoch, logs):
        logs.update({name: values[epoch] for name, values in self.values.items()})


class Recorder(Callback):
    """Writes down every call."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs):
        self.calls.append("begin")

    def on_train_end(self, logs):
        self.calls.append(("end", sorted(logs)))

    def on_epoch_begin(self, epoch, logs):
        self.calls.append(("epoch", epoch))

    def on_epoch_end(self, epoch, logs):
        self.calls.append(("epoch end", epoch, sorted(logs)))

    def close(self):
        self.calls.append("close")


class StepRecorder(Callback):
    def __init__(self):
        self.begun, self.ended = [], []

    def on_train_batch_begin(self, batch, logs):
        self.begun.append(batch)

    def on_train_batch_end(self, batch, logs):
        self.ended.append((batch, dict(logs), self.model.engine.iterations))


# -- hooks -------------------------------------------------------------------------------------------------------------


def test_the_order_of_hooks(engine_name):
    recorder, model = Recorder(), make(engine_name)
    history = model.fit(X, Y, epochs=5, initial_epoch=3, validation_data=(X, Y), verbose=0, callbacks=recorder)
    names = ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert recorder.calls == [
        "begin",
        ("epoch", 3),
        ("epoch end", 3, names),
        ("epoch", 4),
        ("epoch end", 4, names),
        ("end", names),
        "close",
    ]
    assert recorder.params == {"epochs": 5, "initial_epoch": 3, "validation": True, "verbose": 0}
    assert recorder.model is model
    assert history is model.history
    assert history.epoch == [3, 4]


def test_an_epoch_stays_one_call_unless_a_callback_asks_for_steps(monkeypatch):
    monkeypatch.setattr("nncore.model._DEADLINE", float("inf"))
    quiet = [
        EarlyStopping("loss"),
        ReduceLROnPlateau("loss"),
        TerminateOnNaN(),
        LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        Recorder(),
    ]
    for callbacks, expected in ((quiet, 2), ([*quiet, StepRecorder()], 2 * 5)):
        model, calls = make(), []
        run = model.engine.run
        monkeypatch.setattr(model.engine, "run", lambda *a, r=run, c=calls, **k: c.append(1) or r(*a, **k))
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks)
        assert len(calls) == expected


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("kind", ["arrays", "loader", "batches"])
def test_steps_change_no_bit(engine_name, kind, shuffle):
    def data():
        if kind == "arrays":
            return {"x": X, "y": Y, "shuffle": shuffle, "sample_weight": np.arange(40.0)}
        loader = nn.data.DataLoader(X, Y, batch_size=12, shuffle=shuffle)
        return {"x": loader if kind == "loader" else list(loader)}

    plain, stepped, recorder = make(engine_name), make(engine_name), StepRecorder()
    expected = plain.fit(**data(), batch_size=12, epochs=2, verbose=0)
    history = stepped.fit(**data(), batch_size=12, epochs=2, verbose=0, callbacks=[recorder])
    assert history.history == expected.history
    for a, b in zip(plain.get_weights(), stepped.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    assert recorder.begun == [0, 1, 2, 3] * 2
    assert [batch for batch, _, _ in recorder.ended] == [0, 1, 2, 3] * 2
    assert [iterations for _, _, iterations in recorder.ended] == list(range(1, 9))
    assert recorder.ended[3][1] == {name: values[0] for name, values in history.history.items()}


def test_steps_of_models_that_are_stepped_from_python(engine_name):
    a = nn.Input((3,))
    model = nn.Model(a, [nn.Dense(1, name="u")(a), nn.Dense(1, name="v")(a)])
    model.compile("sgd", "mse", engine=engine_name)
    recorder = StepRecorder()
    history = model.fit(X, [X[:, :1], X[:, 1:2]], batch_size=16, verbose=0, callbacks=recorder)
    assert [batch for batch, _, _ in recorder.ended] == [0, 1, 2]
    assert recorder.ended[-1][1]["u_loss"] == history.history["u_loss"][0]


def test_a_callback_stops_training(engine_name):
    model = make(engine_name)

    def stop(epoch, logs):
        model.stop_training = epoch == 1

    assert model.fit(X, Y, epochs=9, verbose=0, callbacks=LambdaCallback(on_epoch_end=stop)).epoch == [0, 1]
    assert len(model.fit(X, Y, epochs=3, verbose=0).epoch) == 3  # which forgets the stop

    def stop_early(batch, logs):
        model.stop_training = batch == 1

    before = model.engine.iterations
    recorder = Recorder()
    callbacks = [LambdaCallback(on_train_batch_end=stop_early), recorder]
    history = model.fit(X, Y, batch_size=8, epochs=9, verbose=0, validation_data=(X, Y), callbacks=callbacks)
    assert model.engine.iterations == before + 2
    assert history.epoch == [0]  # as in Keras: the epoch ends, with validation
    assert history.history["val_loss"] == [pytest.approx(model.evaluate(X, Y)["loss"])]
    assert [call[0] for call in recorder.calls[1:]] == ["epoch", "epoch end", "end", "c"]


def test_layers_may_thaw_on_the_way(engine_name):
    """A callback that unfreezes layers is the same as two trainings with all of it in between."""
    gradual, by_hand = make(engine_name), make(engine_name)
    for model in (gradual, by_hand):
        model.freeze("dense")
    thaw = LambdaCallback(on_epoch_begin=lambda epoch, logs: gradual.unfreeze() if epoch == 2 else None)
    history = gradual.fit(X, Y, epochs=4, verbose=0, callbacks=[thaw], validation_data=(X, Y))
    first = by_hand.fit(X, Y, epochs=2, verbose=0)
    by_hand.unfreeze()
    second = by_hand.fit(X, Y, epochs=2, verbose=0)
    assert history.history["loss"] == first.history["loss"] + second.history["loss"]
    assert gradual.get_weights()[0].tobytes() == by_hand.get_weights()[0].tobytes()


def test_what_callbacks_put_into_the_logs_is_in_the_history():
    model = make()
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[Scripted(score=[3.0, 1.0, 2.0])])
    assert history.history["score"] == [3.0, 1.0, 2.0]


def test_something_that_is_no_callback():
    model = make()
    for bad, words in ((EarlyStopping, "the class; make an object"), (print, "got <built-in")):
        with pytest.raises(TypeError, match=f"callbacks: expected a Callback at position 0.*{words}"):
            model.fit(X, Y, verbose=0, callbacks=[bad])
    with pytest.raises(TypeError, match="callbacks: expected a Callback or a list of them, got 3"):
        model.fit(X, Y, verbose=0, callbacks=3)
    assert model.engine.iterations == 0


def test_callbacks_are_closed_whatever_happens():
    recorder, model = Recorder(), make()

    def fail(epoch, logs):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        model.fit(X, Y, verbose=0, callbacks=[recorder, LambdaCallback(on_epoch_end=fail)])
    assert recorder.calls[-1] == "close"
    assert ("end", ["accuracy", "loss"]) not in recorder.calls
    assert model.history.epoch == [0]


# -- early stopping ----------------------------------------------------------------------------------------------------

# Values, options, the last epoch and the best one, by the rules of keras.callbacks.EarlyStopping (Keras 3).
STOPS = [
    ([5, 4, 3, 2, 1], {"patience": 0}, 4, 4),
    ([5, 4, 4.5, 3, 2], {"patience": 0}, 2, 1),
    ([5, 4, 4, 3, 2], {"patience": 1}, 2, 1),
    ([5, 4, 4.5, 4.2, 1], {"patience": 2}, 3, 1),
    ([5, 4, 4.5, 3.5, 3.6, 3.7, 1], {"patience": 2}, 5, 3),
    ([5, 4.9, 4.8, 4.7, 1], {"patience": 2, "min_delta": 0.5}, 2, 0),
    ([5, 4.9, 4.8, 4.4, 4.3, 4.2, 1], {"patience": 3, "min_delta": 0.5}, 6, 6),
    ([1, 2, 3, 3, 3, 9], {"patience": 2, "mode": "max"}, 4, 2),
    ([5, 4, 3, 2, 1], {"patience": 2, "baseline": 2.5}, 4, 4),
    ([5, 4, 4.5, 2, 1], {"patience": 2, "baseline": 2.5}, 2, 1),
    ([1, 2, 3, 2.5, 2.4, 2.6, 1], {"patience": 1, "start_from_epoch": 3}, 5, 4),
    ([1, 2], {"patience": 0}, 1, 0),
]


@pytest.mark.parametrize(("values", "options", "last", "best"), STOPS)
def test_early_stopping(values, options, last, best):
    model = make(rate=0.5)
    weights = {}
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.update({epoch: model.get_weights()}))
    stop = EarlyStopping("score", restore_best_weights=True, **{"mode": "min", **options})
    history = model.fit(X, Y, epochs=len(values), verbose=0, callbacks=[Scripted(score=values), keep, stop])
    assert history.epoch[-1] == last
    assert stop.best_epoch == best
    assert stop.stopped_epoch == (last if last < len(values) - 1 or values == [1, 2] else 0)
    for mine, kept in zip(model.get_weights(), weights[best], strict=True):
        assert mine.tobytes() == kept.tobytes()


def test_early_stopping_without_restoring_keeps_the_last_weights(capsys):
    model, twin = make(), make()
    stop = EarlyStopping("score", mode="min", verbose=1)
    model.fit(X, Y, epochs=9, verbose=0, callbacks=[Scripted(score=[1, 2]), stop])
    twin.fit(X, Y, epochs=2, verbose=0)
    assert model.get_weights()[0].tobytes() == twin.get_weights()[0].tobytes()
    assert capsys.readouterr().out == "epoch 2: early stopping; the best was epoch 1\n"


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("val_loss", "min"),
        ("digit_loss", "min"),
        ("rmse", "min"),
        ("val_accuracy", "max"),
        ("f1_macro", "max"),
        ("val_roc_auc_ovr", "max"),
        ("top_5_accuracy", "max"),
        ("r2", "max"),
        ("log_loss", "min"),
    ],
)
def test_modes_by_name(name, mode):
    assert EarlyStopping(name).mode == mode


def test_every_name_of_ours_has_a_mode():
    for name in ("loss", *METRICS, *NAMES):
        for prefix in ("", "val_", "output_"):
            assert EarlyStopping(prefix + name).mode in ("min", "max")


@pytest.mark.parametrize(
    ("make_callback", "error", "words"),
    [
        (lambda: EarlyStopping("layer2"), ValueError, "mode of EarlyStopping: expected 'min' or 'max' for 'layer2'"),
        (lambda: EarlyStopping("score"), ValueError, "mode of EarlyStopping: expected 'min' or 'max' for 'score'"),
        (lambda: EarlyStopping("loss", mode="up"), ValueError, "mode of EarlyStopping: .*'up'"),
        (lambda: EarlyStopping(3), TypeError, "monitor of EarlyStopping"),
        (lambda: EarlyStopping("loss", patience=-1), ValueError, "patience of EarlyStopping"),
        (lambda: EarlyStopping("loss", min_delta=math.nan), ValueError, "min_delta of EarlyStopping"),
        (lambda: ReduceLROnPlateau("loss", factor=1.0), ValueError, "factor of ReduceLROnPlateau"),
        (lambda: ReduceLROnPlateau("loss", patience=0), ValueError, "patience"),
        (lambda: ModelCheckpoint("x", max_to_keep=0), ValueError, "max_to_keep"),
        (lambda: LearningRateScheduler(0.1), TypeError, "schedule of LearningRateScheduler"),
        (lambda: LearningRateScheduler(lambda: 0.1), TypeError, "schedule of LearningRateScheduler"),
        (lambda: EarlyStopping("loss", baseline="1"), TypeError, "baseline of EarlyStopping"),
        (lambda: EarlyStopping("loss", baseline=math.inf), ValueError, "baseline of EarlyStopping"),
        (lambda: EarlyStopping("loss", restore_best_weights=1), TypeError, "restore_best_weights"),
        (lambda: ModelCheckpoint("x", initial_value_threshold="1"), TypeError, "initial_value_threshold"),
        (lambda: LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end of LambdaCallback"),
        (lambda: CSVLogger("x", separator=";;"), ValueError, "separator"),
    ],
)
def test_bad_options(make_callback, error, words):
    with pytest.raises(error, match=words):
        make_callback()


def test_a_value_that_is_not_there():
    model = make()
    with pytest.raises(ValueError, match="monitor of EarlyStopping: expected validation data for 'val_loss', got none"):
        model.fit(X, Y, verbose=0, callbacks=[EarlyStopping()])
    assert model.engine.iterations == 0
    with pytest.raises(ValueError, match="monitor of EarlyStopping: expected one of loss, accuracy, got 'f1'"):
        model.fit(X, Y, verbose=0, callbacks=[EarlyStopping("f1")])


# -- learning rates ----------------------------------------------------------------------------------------------------


def test_a_scheduler_is_the_schedule_per_epoch(engine_name):
    given = nn.schedules.Step(0.5, 2, gamma=0.1)
    scheduled, called = make(engine_name), make(engine_name)
    scheduled.compile(nn.SGD(nn.schedules.Step(0.5, 2, gamma=0.1, per="epoch")), "cross_entropy", engine=engine_name)
    called.compile(nn.SGD(1.0), "cross_entropy", engine=engine_name)
    a = scheduled.fit(X, Y, epochs=5, verbose=0)
    b = called.fit(X, Y, epochs=5, verbose=0, callbacks=LearningRateScheduler(given))
    assert a.learning_rate == b.learning_rate == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.005])
    assert a.history == b.history


def test_a_scheduler_may_see_the_rate_before(capsys):
    rates = make().fit(X, Y, epochs=3, verbose=0, callbacks=LearningRateScheduler(lambda e, r: r / 2, verbose=1))
    assert rates.learning_rate == [0.05, 0.025, 0.0125]
    assert capsys.readouterr().out.splitlines()[1] == "epoch 2: learning rate 0.025"


def test_a_bad_rate_and_a_schedule_beside_a_scheduler():
    model = make()
    with pytest.raises(ValueError, match=r"schedule\(0\) of LearningRateScheduler: expected a finite number >= 0, got nan"):
        model.fit(X, Y, verbose=0, callbacks=LearningRateScheduler(lambda epoch: math.nan))
    with pytest.raises(TypeError, match=r"schedule\(0\) of LearningRateScheduler: expected a number, got 'a'"):
        model.fit(X, Y, verbose=0, callbacks=LearningRateScheduler(lambda epoch: "a"))
    model.compile(nn.SGD(nn.schedules.Constant(0.1)), "cross_entropy")
    for callback in (LearningRateScheduler(lambda epoch: 0.1), ReduceLROnPlateau("loss")):
        with pytest.raises(ValueError, match="expected a number as the optimizer's learning rate, got Constant"):
            model.fit(X, Y, verbose=0, callbacks=callback)


# Values, options, and the learning rate in which each epoch ends, by the rules of keras.callbacks.ReduceLROnPlateau.
PLATEAUS = [
    ([5, 4, 3, 2], {"patience": 1}, [1, 1, 1, 1]),
    ([5, 5, 5, 5], {"patience": 1}, [1, 0.5, 0.25, 0.125]),
    ([5, 5, 5, 5, 5], {"patience": 2}, [1, 1, 0.5, 0.5, 0.25]),
    ([5, 5, 5, 5, 5, 5], {"patience": 2, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.5, 0.25]),
    ([5, 5, 5, 5], {"patience": 1, "min_lr": 0.3}, [1, 0.5, 0.3, 0.3]),
    ([5, 4.9, 4.8, 3], {"patience": 2, "min_delta": 0.5}, [1, 1, 0.5, 0.5]),
    ([1, 2, 2, 2, 3, 3], {"patience": 2, "mode": "max"}, [1, 1, 1, 0.5, 0.5, 0.5]),
]


@pytest.mark.parametrize(("values", "options", "rates"), PLATEAUS)
def test_plateaus(values, options, rates):
    model, seen = make(rate=1.0), []
    plateau = ReduceLROnPlateau("score", factor=0.5, **{"mode": "min", "min_delta": 0.0, **options})
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.optimizer.learning_rate))
    history = model.fit(X, Y, epochs=len(values), verbose=0, callbacks=[Scripted(score=values), plateau, look])
    assert seen == rates
    assert history.learning_rate == [1.0, *rates[:-1]]  # what each epoch was trained with


# -- NaN ---------------------------------------------------------------------------------------------------------------


def test_terminate_on_nan_keeps_the_last_finite_step(engine_name, capsys):
    x = X.copy()
    x[20, 0] = math.nan
    ended, by_hand, recorder = make(engine_name), make(engine_name), Recorder()
    history = ended.fit(x, Y, batch_size=8, shuffle=False, epochs=3, verbose=0, callbacks=[TerminateOnNaN(), recorder])
    by_hand.fit(X[:16], Y[:16], batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(ended.get_weights(), by_hand.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    assert history.epoch == []
    assert recorder.calls[-2:] == [("end", []), "close"]
    assert "loss" in capsys.readouterr().out


def test_validation_that_is_not_finite(engine_name):
    bad = X.copy()
    bad[3, 1] = math.nan
    model, twin = make(engine_name), make(engine_name)
    with pytest.raises(FloatingPointError) as caught:
        model.fit(X, Y, verbose=0, epochs=2, validation_data=(bad, Y))
    assert caught.value.__notes__ == ["in epoch 1; the weights are those after this epoch, whose validation it was"]
    twin.fit(X, Y, verbose=0)
    assert model.get_weights()[0].tobytes() == twin.get_weights()[0].tobytes()
    ended = make(engine_name).fit(X, Y, verbose=0, validation_data=(bad, Y), callbacks=TerminateOnNaN(verbose=0))
    assert ended.epoch == []
    assert ended.unfinished["samples"] == 40


def test_a_row_that_a_killed_process_began_is_dropped(tmp_path):
    for name, logger in (("log.csv", CSVLogger), ("log.jsonl", JSONLogger)):
        make().fit(X, Y, epochs=3, verbose=0, callbacks=logger(tmp_path / name))
        with open(tmp_path / name, "a") as file:
            file.write("1" if name == "log.csv" else '{"epoch": 1')
        make().fit(X, Y, epochs=4, initial_epoch=3, verbose=0, callbacks=logger(tmp_path / name))
    assert pd.read_csv(tmp_path / "log.csv")["epoch"].tolist() == [0, 1, 2, 3]
    assert [json.loads(line)["epoch"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [0, 1, 2, 3]


def test_without_it_the_error_comes_and_the_history_has_the_part(engine_name):
    x = X.copy()
    x[20, 0] = math.nan
    model, by_hand = make(engine_name), make(engine_name)
    recorder = StepRecorder()
    with pytest.raises(FloatingPointError):
        model.fit(x, Y, batch_size=8, shuffle=False, verbose=0, callbacks=recorder)
    expected = by_hand.fit(X[:16], Y[:16], batch_size=8, shuffle=False, verbose=0).history
    assert model.history.unfinished == {"samples": 16, **{name: values[0] for name, values in expected.items()}}


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_csv_log_is_the_history(tmp_path):
    path = tmp_path / "log.csv"
    model = make()
    history = model.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), callbacks=CSVLogger(path, separator=";"))
    read = pd.read_csv(path, sep=";", index_col="epoch")
    pd.testing.assert_frame_equal(read, history.to_dataframe(), rtol=1e-14, atol=0)
    model.fit(X, Y, epochs=1, verbose=0, validation_data=(X, Y), callbacks=CSVLogger(path, ";", append=True))
    assert pd.read_csv(path, sep=";")["epoch"].tolist() == [0, 1, 2, 0]
    model.fit(X, Y, epochs=4, initial_epoch=2, verbose=0, validation_data=(X, Y), callbacks=CSVLogger(path, ";"))
    assert pd.read_csv(path, sep=";")["epoch"].tolist() == [0, 1, 0, 2, 3]
    with pytest.raises(ValueError, match="expected the columns epoch, loss, accuracy, learning_rate, seconds, got epoch"):
        model.fit(X, Y, verbose=0, callbacks=CSVLogger(path, ";", append=True))
    model.fit(X, Y, verbose=0, callbacks=CSVLogger(path))
    with open(path, newline="") as file:
        assert [len(row) for row in csv.reader(file)] == [5, 5]


def test_a_log_of_json_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    model = make()
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[Scripted(s=[1.0, math.inf, math.nan]), JSONLogger(path)])
    rows = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    assert [row["s"] for row in rows] == [1.0, None, None]
    assert [row["loss"] for row in rows] == history.history["loss"]
    model.fit(X, Y, epochs=3, initial_epoch=1, verbose=0, callbacks=JSONLogger(path))
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [0, 1, 2]


def test_a_log_that_cannot_be_written_is_told_before_training(tmp_path):
    model = make()
    for callback in (CSVLogger(tmp_path / "no" / "log"), JSONLogger(tmp_path)):
        with pytest.raises(OSError, match=str(tmp_path)):
            model.fit(X, Y, verbose=0, callbacks=callback)
    assert model.engine.iterations == 0


@pytest.mark.filterwarnings("default")  # of tensorboard's own
def test_tensorboard_reads_its_own_files(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = make()
    data = {"x": X, "y": Y, "verbose": 0, "validation_data": (X, Y), "callbacks": TensorBoard(tmp_path)}
    history = model.fit(epochs=3, **data)
    resumed = model.fit(epochs=4, initial_epoch=2, **data)  # epoch 2 comes again, and counts
    losses = [*history.history["val_loss"][:2], *resumed.history["val_loss"]]
    train, validation = (EventAccumulator(str(tmp_path / part)).Reload() for part in ("train", "validation"))
    assert set(train.Tags()["scalars"]) == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"}
    assert set(validation.Tags()["scalars"]) == {"epoch_loss", "epoch_accuracy"}
    events = validation.Scalars("epoch_loss")
    assert [event.step for event in events] == [0, 1, 2, 3]
    assert [event.value for event in events] == pytest.approx(losses, rel=1e-6)
    assert [event.value for event in train.Scalars("epoch_learning_rate")] == pytest.approx([0.1] * 4)


def test_model_checkpoints(tmp_path, capsys):
    model, losses = make(), []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(model.evaluate(X, Y)["loss"]))
    callbacks = [
        Scripted(score=[3, 1, 2, 0.5, 0.7]),
        look,
        ModelCheckpoint(tmp_path / "last-{epoch:02d}-{score:.1f}.safetensors", max_to_keep=2),
        ModelCheckpoint(tmp_path / "best.safetensors", "score", mode="min", save_best_only=True, verbose=1),
        ModelCheckpoint(tmp_path / "none", "score", mode="min", save_best_only=True, initial_value_threshold=0.1),
    ]
    model.fit(X, Y, epochs=5, verbose=0, callbacks=callbacks)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.safetensors",
        "last-04-0.5.safetensors",
        "last-05-0.7.safetensors",
    ]
    for name, loss in (("best", losses[3]), ("last-04-0.5", losses[3]), ("last-05-0.7", losses[4])):
        loaded = nn.load(tmp_path / f"{name}.safetensors")
        loaded.compile(loss="cross_entropy", dtype="float64")
        assert loaded.evaluate(X, Y)["loss"] == loss
    assert capsys.readouterr().out.count("model saved to") == 3
    for name in ("{val_loss}", "{}", "{epoch:s}", "{epoch"):
        with pytest.raises(
            ValueError, match="filepath of ModelCheckpoint: expected names out of epoch, loss, accuracy, got"
        ):
            model.fit(X, Y, verbose=0, callbacks=ModelCheckpoint(tmp_path / name))
    before = model.engine.iterations
    with pytest.raises(FileNotFoundError, match="filepath of ModelCheckpoint: expected a file in an existing folder"):
        model.fit(X, Y, verbose=0, callbacks=ModelCheckpoint(tmp_path / "no" / "x"))
    assert model.engine.iterations == before
