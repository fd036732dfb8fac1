"""Checkpoints: training that goes on from one is, bit for bit, training that was never interrupted."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import nncore as nn
from nncore import state
from nncore.callbacks import CSVLogger, EarlyStopping, LambdaCallback, LearningRateScheduler, ReduceLROnPlateau
from nncore.data import DataLoader

RNG = np.random.default_rng(11)
X = RNG.standard_normal((60, 5))
Y = RNG.integers(0, 3, 60)
W = RNG.random(60)


def make(optimizer="adam", engine="native", dtype="float32", seed=4):
    layers = [nn.Input((5,)), nn.Dense(7, activation="tanh"), nn.BatchNorm(), nn.Dropout(0.3), nn.Dense(3)]
    model = nn.Sequential(layers)
    model.compile(optimizer, "cross_entropy", ["accuracy"], engine=engine, dtype=dtype, seed=seed)
    return model


def digest(model):
    """A hash of everything that training changes."""
    parts = []

    def walk(value):
        if isinstance(value, dict):
            for key in sorted(value):
                parts.append(key.encode())
                walk(value[key])
        elif isinstance(value, list):
            for item in value:
                walk(item)
        else:
            parts.append(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())

    walk(state.capture(model))
    return hashlib.sha256(b"|".join(parts)).hexdigest()


OPTIMIZERS = {
    "sgd": lambda: nn.SGD(0.1),
    "momentum": lambda: nn.SGD(0.1, momentum=0.9, dampening=0.5),
    "rmsprop": lambda: nn.RMSprop(0.01, centered=True, momentum=0.9),
    "adagrad": lambda: nn.Adagrad(0.05),
    "adadelta": lambda: nn.Adadelta(),
    "adam": lambda: nn.Adam(0.01, amsgrad=True),
    "adamw": lambda: nn.AdamW(0.01),
    "adamax": lambda: nn.Adamax(),
    "nadam": lambda: nn.NAdam(),
    "radam": lambda: nn.RAdam(0.01),
    "lion": lambda: nn.Lion(1e-3),
    "lamb": lambda: nn.LAMB(0.01),
    "lbfgs": lambda: nn.LBFGS(max_iter=3, history_size=4),
    "accumulation": lambda: nn.Adam(0.01, gradient_accumulation_steps=7),
    "average": lambda: nn.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "average before an update": lambda: nn.SGD(0.1, use_ema=True, gradient_accumulation_steps=30),
    "schedule": lambda: nn.SGD(nn.schedules.Cosine(0.2, 40)),
    "schedule per epoch": lambda: nn.SGD(nn.schedules.Step(0.2, 1, 0.5, per="epoch")),
    "clipping": lambda: nn.AdamW(0.01, global_clipnorm=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_halves_are_the_whole(name, engine_name, tmp_path):
    options = {"batch_size": 16, "verbose": 0, "validation_data": (X[:9], Y[:9]), "sample_weight": W}
    whole = make(OPTIMIZERS[name](), engine_name)
    expected = whole.fit(X, Y, epochs=4, **options)
    first = make(OPTIMIZERS[name](), engine_name)
    first.fit(X, Y, epochs=2, checkpoint=tmp_path, resume=True, **options)
    second = make(OPTIMIZERS[name](), engine_name)
    history = second.fit(X, Y, epochs=4, checkpoint=tmp_path, resume=True, **options)
    assert digest(second) == digest(whole) != digest(first)
    assert history.history == expected.history
    assert history.learning_rate == expected.learning_rate
    assert history.epoch == list(range(4))
    assert len(history.seconds) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"checkpoint-0000{i}.safetensors" for i in (3, 4)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_by_hand_with_single_steps(engine_name, dtype, tmp_path):
    """save_checkpoint and load_checkpoint, amid train_on_batch and an unfinished accumulation."""
    models = [make(nn.Adam(0.01, gradient_accumulation_steps=4), engine_name, dtype) for _ in range(3)]
    for model in models[:2]:
        model.fit(X, Y, batch_size=16, verbose=0)
        model.train_on_batch(X[:9], Y[:9])
    models[1].save_checkpoint(tmp_path / "c")
    models[2].load_checkpoint(tmp_path / "c")
    logs = [model.train_on_batch(X[9:20], Y[9:20]) for model in models]
    for model in models:
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    assert logs[0] == logs[1] == logs[2]
    assert digest(models[0]) == digest(models[1]) == digest(models[2])


def test_a_learning_rate_that_was_changed_is_kept(tmp_path):
    model, other = make(nn.Adam(0.1)), make(nn.Adam(0.1))
    model.optimizer.learning_rate = 0.025
    model.save_checkpoint(tmp_path / "c")
    other.load_checkpoint(tmp_path / "c")
    assert other.optimizer.learning_rate == 0.025


def several_outputs(engine):
    a = nn.Input((5,))
    h = nn.Dropout(0.2)(nn.Dense(4, activation="tanh")(a))
    model = nn.Model(a, {"u": nn.Dense(3, name="p")(h), "v": nn.Dense(1, name="q")(h)})
    model.compile("adam", {"u": "cross_entropy", "v": "mse"}, engine=engine, seed=2)
    return model


def test_models_that_are_stepped_from_python(engine_name, tmp_path):
    models = [several_outputs(engine_name) for _ in range(3)]
    options = {"y": {"u": Y, "v": X[:, 0]}, "batch_size": 25, "verbose": 0}
    models[0].fit(X, epochs=4, **options)
    models[1].fit(X, epochs=2, checkpoint=tmp_path, **options)
    models[2].fit(X, epochs=4, checkpoint=tmp_path, resume=True, **options)
    assert digest(models[2]) == digest(models[0])


# -- data with an order of its own -------------------------------------------------------------------------------------


class Own(DataLoader):
    def __iter__(self):
        return ((x + 0.5, y) for x, y in super().__iter__())


def stream():
    """Batches without end."""
    rng = np.random.default_rng(5)
    while True:
        rows = rng.integers(0, 60, 10)
        yield X[rows], Y[rows]


FEEDS = {
    "loader": lambda: {"x": DataLoader(X, Y, batch_size=16, shuffle=True, seed=3)},
    "loader of one's own": lambda: {"x": Own(X, Y, batch_size=16, shuffle=True, seed=3)},
    "loader with weights": lambda: {"x": DataLoader(X, Y, batch_size=16, shuffle=True, drop_last=True, sample_weight=W)},
    "parts of a loader": lambda: {"x": DataLoader(X, Y, batch_size=16, shuffle=True), "steps_per_epoch": 3},
    "generator": lambda: {"x": stream(), "steps_per_epoch": 3},
    "list": lambda: {"x": [(X[i : i + 20], Y[i : i + 20]) for i in (0, 20, 40)], "steps_per_epoch": 2},
    "memory-mapped loader": lambda: {"x": nn.data.MappedLoader(X, Y, batch_size=16, shuffle=True, block_size=16)},
    "validation by a loader": lambda: {"x": X, "y": Y, "validation_data": DataLoader(X, Y, batch_size=7, shuffle=True)},
}


@pytest.mark.parametrize("name", FEEDS)
def test_data_goes_on_where_it_was(name, tmp_path):
    models = [make() for _ in range(3)]
    expected = models[0].fit(**FEEDS[name](), epochs=6, verbose=0)
    models[1].fit(**FEEDS[name](), epochs=2, verbose=0, checkpoint=tmp_path)
    history = models[2].fit(**FEEDS[name](), epochs=6, verbose=0, checkpoint=tmp_path, resume=True)
    assert digest(models[2]) == digest(models[0])
    assert history.history == expected.history


# -- callbacks ---------------------------------------------------------------------------------------------------------


def watchers(folder):
    """Callbacks with a state, beside scripted values that make them do something."""
    values = [5, 4, 3, 3.5, 3.4, 3.6, 3.7, 3.8, 3.9, 4, 4, 4]

    def put(epoch, logs):
        logs["score"] = values[epoch]

    return [
        LambdaCallback(on_epoch_end=put),
        ReduceLROnPlateau("score", 0.5, patience=2, mode="min", cooldown=1),
        EarlyStopping("score", patience=5, mode="min", restore_best_weights=True),
        nn.callbacks.ModelCheckpoint(folder / "best", "score", mode="min", save_best_only=True),
        CSVLogger(folder / "log.csv"),
    ]


@pytest.mark.parametrize("cut", [1, 3, 5, 7, 8])
def test_callbacks_go_on_with_what_they_know(tmp_path, cut):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = make(nn.Adam(0.01))
    expected = whole.fit(X, Y, epochs=12, verbose=0, callbacks=watchers(tmp_path / "whole"))
    assert expected.epoch[-1] == 7  # five epochs after the best, which was epoch 2
    assert expected.learning_rate[-1] < 0.01
    parts = []
    for epochs in (cut, 12, 12):  # the third time there is nothing left to do
        model = make(nn.Adam(0.01))
        callbacks = watchers(tmp_path / "parts")
        options = {"checkpoint": tmp_path / "c", "resume": True, "callbacks": callbacks}
        parts.append(model.fit(X, Y, epochs=epochs, verbose=0, **options))
        if epochs == 12:
            assert digest(model) == digest(whole)
            assert parts[-1].history == expected.history
            assert parts[-1].learning_rate == expected.learning_rate
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "parts")]
    without_times = [[line.rsplit(",", 1)[0] for line in log] for log in logs]
    assert without_times[0] == without_times[1]
    best = [nn.load(tmp_path / name / "best").get_weights() for name in ("whole", "parts")]
    assert [w.tobytes() for w in best[0]] == [w.tobytes() for w in best[1]]


def test_after_an_interruption_in_the_middle_of_an_epoch(tmp_path):
    whole, model = make(), make()
    whole.fit(X, Y, batch_size=8, epochs=4, verbose=0)

    def press(batch, logs):
        if model.engine.iterations == 19:  # in the third epoch of eight steps
            raise KeyboardInterrupt

    options = {"batch_size": 8, "epochs": 4, "verbose": 0, "checkpoint": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, callbacks=LambdaCallback(on_train_batch_end=press), **options)
    assert model.history.epoch == [0, 1]
    assert model.history.unfinished["samples"] == 24
    history = model.fit(X, Y, resume=True, **options)
    assert digest(model) == digest(whole)
    assert history.epoch == [0, 1, 2, 3]
    assert history.unfinished == {}


def test_states_that_do_not_fit(tmp_path):
    class Odd(nn.callbacks.Callback):
        def get_state(self):
            return {"one": 1}

        def set_state(self, state):
            self.two = state["two"]

    class Unwritable(nn.callbacks.Callback):
        def get_state(self):
            return {"set": {1, 2}}

    make().fit(X, Y, verbose=0, checkpoint=tmp_path, callbacks=Odd())
    model = make()
    before = digest(model)
    with pytest.raises(ValueError, match=r"checkpoint: expected one of such callbacks and data, got .*KeyError\('two'\)"):
        model.fit(X, Y, epochs=2, verbose=0, checkpoint=tmp_path, resume=True, callbacks=Odd())
    assert digest(model) == before
    with pytest.raises(ValueError, match="callbacks: expected states that JSON can hold"):
        model.fit(X, Y, verbose=0, checkpoint=tmp_path / "other", callbacks=Unwritable())
    assert os.listdir(tmp_path / "other") == []
    with pytest.raises(TypeError, match="checkpoint: expected the path of a folder, got 3"):
        model.fit(X, Y, verbose=0, checkpoint=3)


def test_callbacks_that_come_and_go(tmp_path):
    make().fit(X, Y, epochs=2, verbose=0, checkpoint=tmp_path, callbacks=EarlyStopping("loss", patience=9))
    plateau = ReduceLROnPlateau("loss")
    model = make()
    history = model.fit(X, Y, epochs=3, verbose=0, checkpoint=tmp_path, resume=True, callbacks=plateau)
    assert history.epoch == [0, 1, 2]
    assert plateau.best == history.history["loss"][2]


# -- another process, and none that ends well --------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_checkpoints import everything, digest
model, history = everything(sys.argv[2], int(sys.argv[3]))
print(digest(model), history.history["val_loss"], history.learning_rate)
"""


def everything(folder, epochs):
    """Training with dropout, accumulation, an average, a loader, sample weights and callbacks."""
    model = make(nn.AdamW(0.02, gradient_accumulation_steps=3, use_ema=True), dtype="float64")
    callbacks = [
        EarlyStopping(patience=50, restore_best_weights=True),
        LearningRateScheduler(lambda epoch, rate: rate * 0.9),
    ]
    loader = DataLoader(X, Y, batch_size=16, shuffle=True, sample_weight=W)
    options = {"validation_data": (X, Y, W), "checkpoint": folder, "resume": True, "callbacks": callbacks}
    return model, model.fit(loader, epochs=epochs, verbose=0, class_weight={0: 2.0}, **options)


def test_a_new_process_goes_on(tmp_path):
    def run(folder, epochs):
        command = [sys.executable, "-c", SCRIPT, os.path.dirname(__file__), str(tmp_path / folder), str(epochs)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    run("halves", 5)
    whole, history = everything(tmp_path / "whole", 10)
    assert run("halves", 10) == f"{digest(whole)} {history.history['val_loss']} {history.learning_rate}\n"


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    make().fit(X, Y, verbose=0, checkpoint=tmp_path)
    (tmp_path / ".checkpoint-00002.safetensors.0123456789abcdef.tmp").write_bytes(b"half")
    (tmp_path / "mine.tmp").write_bytes(b"keep")
    make().fit(X, Y, epochs=2, verbose=0, checkpoint=tmp_path, resume=True)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint-00001.safetensors", "checkpoint-00002.safetensors", "mine.tmp"]


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_folder_that_is_in_use(tmp_path):
    model = make()
    model.fit(X, Y, verbose=0, checkpoint=tmp_path)
    other = make()
    with pytest.raises(ValueError, match=r"checkpoint: expected resume=True or .* got one with checkpoint-00001"):
        other.fit(X, Y, verbose=0, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="resume: expected a folder as checkpoint beside it, got None"):
        other.fit(X, Y, verbose=0, resume=True)
    with pytest.raises(TypeError, match="resume: expected True or False"):
        other.fit(X, Y, verbose=0, checkpoint=tmp_path, resume="yes")
    assert other.engine.iterations == 0


def test_the_last_that_can_be_read_is_taken(tmp_path):
    make().fit(X, Y, epochs=3, verbose=0, checkpoint=tmp_path)
    last = tmp_path / "checkpoint-00003.safetensors"
    last.write_bytes(last.read_bytes()[:-3])
    whole, model = make(), make()
    whole.fit(X, Y, epochs=4, verbose=0)
    with pytest.warns(UserWarning, match="checkpoint-00003.safetensors: not a checkpoint: .*; the one before it is taken"):
        model.fit(X, Y, epochs=4, verbose=0, checkpoint=tmp_path, resume=True)
    assert digest(model) == digest(whole)


@pytest.mark.filterwarnings("ignore:.*the one before it is taken")
def test_a_folder_of_ruins(tmp_path):
    (tmp_path / "checkpoint-00001.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"checkpoint-00001.safetensors: not a checkpoint"):
        make().fit(X, Y, verbose=0, checkpoint=tmp_path, resume=True)


@pytest.mark.parametrize("data", [b"", b"abc", b"\xff" * 100, (2**40).to_bytes(8, "little") + b"{}"])
def test_no_safetensors_file(tmp_path, data):
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(ValueError, match="c: not a checkpoint"):
        make().load_checkpoint(tmp_path / "c")


def test_every_cut_of_a_file(tmp_path):
    model = make()
    model.save_checkpoint(tmp_path / "c")
    data, before = (tmp_path / "c").read_bytes(), digest(model)
    for length in range(0, len(data), 97):
        (tmp_path / "c").write_bytes(data[:length])
        with pytest.raises(ValueError, match="c: not a checkpoint"):
            model.load_checkpoint(tmp_path / "c")
    assert digest(model) == before


def test_files_that_cannot_be_reached(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        make().load_checkpoint(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        make().save_checkpoint(tmp_path / "no" / "file")
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    for call in (model.save_checkpoint, model.load_checkpoint):
        with pytest.raises(RuntimeError, match="compile"):
            call(tmp_path / "c")


def test_a_model_s_file_is_no_checkpoint_and_the_reverse(tmp_path):
    model = make()
    model.save(tmp_path / "m")
    model.save_checkpoint(tmp_path / "c")
    with pytest.raises(ValueError, match=r"m: not a checkpoint: .* expected 'nncore checkpoint', got 'nncore'"):
        model.load_checkpoint(tmp_path / "m")
    with pytest.raises(ValueError, match="c: not a model saved by nncore"):
        nn.load(tmp_path / "c")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: make(nn.SGD(0.1)), "optimizer: expected that of the model, SGD, got 'Adam'"),
        (
            lambda: make(nn.Adam(amsgrad=True)),
            "expected the states amsgrad/m, amsgrad/v, amsgrad/largest, got adam/m",
        ),
        (lambda: make(nn.Adam(nn.schedules.Cosine(0.1, 9))), "learning_rate: expected one as the model has, Cosine"),
        (lambda: make(seed=5), "seed: expected that of the model, 5, got 4"),
        (lambda: make(dtype="float64"), r"parameter 'dense.kernel': expected float64 of shape \(5, 7\), got float32"),
        (lambda: several_outputs("native"), "parameters: expected dense.kernel, .*p.kernel.*, got .*batch_norm"),
    ],
)
def test_another_model(tmp_path, other, words):
    make().fit(X, Y, verbose=0, checkpoint=tmp_path)
    model = other()
    before = digest(model)
    with pytest.raises(ValueError, match=f"checkpoint-00001.safetensors: not a checkpoint of such a model: .*{words}"):
        model.load_checkpoint(tmp_path / "checkpoint-00001.safetensors")
    if not isinstance(model.graph.output_shapes, tuple) or len(model.graph.output_shapes) == 1:
        with pytest.raises(ValueError, match=words):
            model.fit(X, Y, verbose=0, checkpoint=tmp_path, resume=True)
    assert digest(model) == before


def change(content, *path, value):
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["model"], 3, "parameters: expected named values, got None"),
        (["model", "iterations"], -1, "iterations: expected an integer from 0"),
        (["model", "iterations"], 1.5, "iterations: expected an integer, got 1.5"),
        (["model", "draws"], 2**64, "draws: expected an integer from 0"),
        (["model", "epochs"], 2**63, "epochs: expected an integer from 0"),
        (["model", "epochs"], True, "epochs: expected an integer, got True"),
        (["model", "optimizer"], None, "optimizer: expected named values"),
        (["model", "optimizer", "learning_rate"], math.inf, "learning_rate: expected a finite number"),
        (["model", "optimizer", "learning_rate"], "0.1", "learning_rate: expected a finite number"),
        (["model", "optimizer", "learning_rate"], True, "learning_rate: expected a finite number"),
        (["model", "optimizer", "learning_rate"], 2**63 - 1, "learning_rate: expected a finite number"),
        (["model", "optimizer", "learning_rate"], 10**400, "learning_rate: expected a finite number"),
        (["model", "optimizer", "states", "adam/m"], [], "state 'adam/m': expected 8 arrays"),
        (["model", "optimizer", "states", "adam/m", 0], {"array": 0}, None),
        (["model", "optimizer", "states", "adam/m", 0], {"array": 999}, "tensor 999 is missing"),
        (["model", "optimizer", "states", "adam/m", 0], 0.0, "state 'adam/m' of 'dense.kernel': expected float32"),
        (["model", "parameters", "dense.bias"], {"array": 0}, r"parameter 'dense.bias': expected float32 of shape \(7,\)"),
        (["epoch"], None, "epoch: expected a int"),
        (["history"], {}, "history: expected epoch, history"),
        (["history", "history"], [], "history: expected lists of at most 1 values"),
        (["history", "history", "loss"], [1.0, 2.0], "history: expected lists of at most 1 values"),
        (["history", "seconds"], 3, "history: expected lists of at most 1 values"),
        (["callbacks"], {}, "callbacks: expected a list"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*the one before it is taken")
def test_foreign_content(tmp_path, path, value, words):
    make().fit(X, Y, verbose=0, checkpoint=tmp_path)
    name = tmp_path / "checkpoint-00001.safetensors"
    with safe_open(name, framework="np") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dict
        metadata = file.metadata()
    content = json.loads(metadata["content"])
    change(content, *path, value=value)
    save_file(arrays, name, {"format": metadata["format"], "version": metadata["version"], "content": json.dumps(content)})
    model = make()
    model.fit(X, Y, epochs=2, verbose=0)
    before = digest(model)
    if words is None:
        model.load_checkpoint(name)
        return
    with pytest.raises(ValueError, match=f"not a checkpoint.*{words}"):
        model.fit(X, Y, verbose=0, checkpoint=tmp_path, resume=True)
    assert digest(model) == before
