"""Model: training, inference, one's own loops, and bad input that must change nothing."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncore as nn

RNG = np.random.Generator(np.random.Philox(key=3))
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 40)
XOR_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
XOR_Y = np.array([0, 1, 1, 0])


def make(engine: str = "reference", *, dropout: float = 0.0, **options) -> nn.Sequential:
    model = nn.Sequential([nn.Input((6,)), nn.Dense(5, activation="relu"), nn.Dropout(dropout), nn.Dense(3)])
    model.compile(**{"loss": "cross_entropy", "metrics": ["accuracy"], "engine": engine, **options})
    return model


def digest(model: nn.Model) -> str:
    """A hash of everything that training changes."""
    engine = model.engine
    parts = [repr((engine.iterations, model._epochs)).encode()]
    for i in range(len(model.graph.parameters)):
        parts += [engine.get_parameter(i).tobytes()]
        parts += [engine.get_state("adam", state, i).tobytes() for state in ("m", "v")]
    return hashlib.sha256(b"".join(parts)).hexdigest()


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "loss", "target"),
    [
        ([nn.Dense(4, activation="sigmoid"), nn.Dense(1, activation="sigmoid")], "mse", XOR_Y),
        ([nn.Dense(4, activation="tanh"), nn.Dense(1)], "bce_with_logits", XOR_Y),
        ([nn.Dense(4, activation="tanh"), nn.Dense(2)], "cross_entropy", XOR_Y),
        ([nn.Dense(4, activation="tanh"), nn.Dense(2, activation="softmax")], "mse", np.eye(2)[XOR_Y]),
    ],
    ids=["mse", "bce_with_logits", "cross_entropy", "softmax"],
)
def test_xor(engine_name, head, loss, target):
    model = nn.Sequential([nn.Dense(8, activation="relu"), *head])
    model.compile(nn.Adam(0.05), loss, ["accuracy"], engine=engine_name, seed=1)
    history = model.fit(XOR_X, target, batch_size=4, epochs=200, verbose=0)
    assert history.epoch == list(range(200))
    assert history.history["accuracy"][-1] == 1.0
    assert history.history["loss"][-1] < 0.05 < history.history["loss"][0]
    assert model.evaluate(XOR_X, target)["accuracy"] == 1.0


def test_history_and_evaluation_agree(engine_name):
    """With a learning rate of 0 the epoch's means are those of evaluation, whatever the batches."""
    model = make(engine_name, optimizer=nn.SGD(0.0), metrics=["accuracy"], dtype="float64")
    history = model.fit(X, Y, batch_size=7, epochs=2, validation_data=(X[:9], Y[:9]), verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    expected, part = model.evaluate(X, Y, batch_size=40), model.evaluate(X[:9], Y[:9], batch_size=2)
    logits = model.predict(X)
    assert expected["accuracy"] == (logits.argmax(axis=1) == Y).mean()
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert expected["loss"] == pytest.approx(-log_softmax[np.arange(40), Y].mean(), rel=1e-12)
    for epoch in range(2):
        assert history["loss"][epoch] == pytest.approx(expected["loss"], rel=1e-12)
        assert history["val_loss"][epoch] == pytest.approx(part["loss"], rel=1e-12)
        assert history["accuracy"][epoch] == expected["accuracy"]
        assert history["val_accuracy"][epoch] == part["accuracy"]


def test_one_seed_one_result(engine_name):
    runs = []
    for seed in (1, 1, 2):
        model = make(engine_name, dropout=0.3, seed=seed)
        history = model.fit(X, Y, batch_size=8, epochs=3, verbose=0)
        runs.append((digest(model), history.history["loss"]))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_the_shuffle_is_the_documented_one(engine_name):
    shuffled, by_hand = make(engine_name, seed=5), make(engine_name, seed=5)
    shuffled.fit(X, Y, batch_size=8, epochs=1, verbose=0)
    shuffled.fit(X, Y, batch_size=8, epochs=1, verbose=0)  # a second call goes on with other orders
    for epoch in range(2):
        key = np.array([5, 2**63 + epoch], dtype=np.uint64)
        order = np.random.Generator(np.random.Philox(key=key)).permutation(40)
        by_hand.fit(X[order], Y[order], batch_size=8, shuffle=False, verbose=0)
    assert [w.tobytes() for w in shuffled.get_weights()] == [w.tobytes() for w in by_hand.get_weights()]


def test_fit_batches_and_train_on_batch_are_one(engine_name):
    models = [make(engine_name, dropout=0.2) for _ in range(3)]
    batches = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 40, 16)]
    first = models[0].fit(X, Y, batch_size=16, shuffle=False, verbose=0).history
    second = models[1].fit(batches, verbose=0).history
    logs = [models[2].train_on_batch(x, y) for x, y in batches]
    bits = [[w.tobytes() for w in model.get_weights()] for model in models]
    assert bits[0] == bits[1] == bits[2]
    assert first == second
    assert sum(log["loss"] * len(y) for log, (_, y) in zip(logs, batches, strict=True)) / 40 == pytest.approx(
        first["loss"][0]
    )


def test_validation_split_takes_the_end_before_shuffling(engine_name):
    split, by_hand = make(engine_name), make(engine_name)
    first = split.fit(X, Y, validation_split=0.26, epochs=2, verbose=0)  # floor(40 * 0.74) = 29
    second = by_hand.fit(X[:29], Y[:29], validation_data=(X[29:], Y[29:]), epochs=2, verbose=0)
    assert first.history == second.history
    assert digest(split) == digest(by_hand)


def test_validation_does_not_change_training(engine_name):
    with_it, without = make(engine_name, dropout=0.4), make(engine_name, dropout=0.4)
    with_it.fit(X, Y, epochs=3, validation_data=[(X, Y)], verbose=0)
    without.fit(X, Y, epochs=3, verbose=0)
    assert digest(with_it) == digest(without)


def test_a_class_of_batches_that_restarts(engine_name):
    class Loader:
        def __iter__(self):
            yield X[:20], Y[:20]
            yield X[20:], Y[20:]

    assert len(make(engine_name).fit(Loader(), epochs=3, verbose=0).epoch) == 3


def test_data_loaders(engine_name):
    model, by_hand = make(engine_name), make(engine_name)
    loader = nn.data.DataLoader(X, Y, batch_size=16)
    assert model.fit(loader, epochs=2, validation_data=loader, verbose=0).epoch == [0, 1]
    by_hand.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    assert digest(model) == digest(by_hand)
    assert model.evaluate(loader) == by_hand.evaluate(X, Y, batch_size=16)


def test_every_metric_reports(engine_name):
    target = RNG.random((40, 3))
    model = make(
        engine_name, loss="mse", metrics=["mse", "mae", "binary_accuracy", "binary_accuracy_logits"], dtype="float64"
    )
    logs = model.evaluate(X, target, batch_size=7)
    y = model.predict(X)
    assert logs == {
        "loss": pytest.approx(((y - target) ** 2).mean()),
        "mse": pytest.approx(((y - target) ** 2).mean()),
        "mae": pytest.approx(np.abs(y - target).mean()),
        "binary_accuracy": pytest.approx(((y > 0.5) == (target > 0.5)).mean()),
        "binary_accuracy_logits": pytest.approx(((y > 0) == (target > 0.5)).mean()),
    }


def test_the_learning_rate_may_change_between_steps(engine_name):
    model = make(engine_name, optimizer=nn.SGD(0.1))
    before = digest(model)
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(X, Y)
    weights = model.get_weights()
    model.optimizer.learning_rate = 0.1
    model.train_on_batch(X, Y)
    assert before != digest(model)
    assert any((a != b).any() for a, b in zip(weights, model.get_weights(), strict=True))


def test_one_optimizer_for_two_models(engine_name):
    shared = nn.Adam(0.01)
    one, two = make(engine_name, optimizer=shared), make(engine_name, optimizer=shared)
    alone = make(engine_name, optimizer=nn.Adam(0.01))
    for _ in range(3):
        one.train_on_batch(X, Y)
        two.train_on_batch(X[:5], Y[:5])
        alone.train_on_batch(X, Y)
    assert digest(one) == digest(alone)


def test_ctrl_c_between_calls_keeps_whole_steps(engine_name, monkeypatch):
    model = make(engine_name)
    run, calls = model.engine.run, []

    def interrupted(*args, **options):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(options["start"])
        return run(*args, **{**options, "deadline": 0.0})

    monkeypatch.setattr(model.engine, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=8, verbose=0)
    assert calls == [0, 8]
    assert model.engine.iterations == 2


# -- compiling ---------------------------------------------------------------------------------------------------------


def test_compiling_again_keeps_weights_and_resets_the_optimizer(engine_name):
    model = make(engine_name, dtype="float64")
    model.fit(X, Y, verbose=0)
    weights = model.get_weights()
    model.compile(loss="cross_entropy", engine=engine_name, dtype="float32", seed=9)
    assert model.engine.iterations == 0
    assert (model.engine.get_state("adam", "m", 0) == 0).all()
    assert model.dtype == "float32"
    for old, new in zip(weights, model.get_weights(), strict=True):
        assert new.dtype == np.float32
        assert (new == old.astype(np.float32)).all()


def test_both_engines_start_from_the_same_weights():
    one, two = make("reference"), make("native")
    assert [w.tobytes() for w in one.get_weights()] == [w.tobytes() for w in two.get_weights()]


def test_weights_set_before_compile_are_kept(engine_name):
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    model.set_weights([[[1.0], [2.0]], [3.0]])
    model.compile(engine=engine_name, loss="mse")
    assert model.predict([[1, 1]]).tolist() == [[6.0]]


def test_a_model_works_without_compile():
    model = nn.Sequential([nn.Dense(3)])
    assert model.predict(X).shape == (40, 3)
    assert model.predict(X).dtype == np.float32
    with pytest.raises(RuntimeError, match="compile"):
        model.fit(X, Y)
    with pytest.raises(RuntimeError, match="compile"):
        _ = model.optimizer


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"optimizer": "adamm"}, ValueError, "sgd, rmsprop, adagrad"),
        ({"loss": "nlll"}, ValueError, "mse, cross_entropy, bce_with_logits"),
        ({"loss": nn.CrossEntropyLoss(reduction="sum")}, ValueError, "reduction 'mean'"),
        ({"metrics": ["f2"]}, ValueError, "binary_accuracy"),
        ({"metrics": "accuracy"}, TypeError, "list of names"),
        ({"loss": None}, ValueError, "without a loss"),
        ({"engine": "cuda"}, ValueError, "'native', 'reference'"),
        ({"dtype": "float16"}, ValueError, "float32"),
        ({"dtype": "int32"}, ValueError, "float32"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 1.5}, ValueError, "seed"),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["shape known", "shape open"])
def test_bad_compile_options(options, error, words, known):
    model = nn.Sequential([*([nn.Input((6,))] if known else []), nn.Dense(3)])
    model.compile("adam", "cross_entropy", engine="reference")
    if not known:
        with pytest.raises(error, match=words):
            model.compile(**{"loss": "mse", "metrics": ["accuracy"], "engine": "reference", **options})
        assert model.loss.name == "cross_entropy"
        return
    model.train_on_batch(X, Y)
    before = digest(model)
    with pytest.raises(error, match=words):
        model.compile(**{"loss": "mse", "metrics": ["accuracy"], "engine": "reference", **options})
    assert (digest(model), model.loss.name) == (before, "cross_entropy")


def test_cross_entropy_wants_logits_of_classes():
    for layers in ([nn.Input((6,)), nn.Dense(1)], [nn.Dense(1)]):
        model = nn.Sequential(layers)
        with pytest.raises(ValueError, match=r"got \(n, 1\); for one logit use bce_with_logits"):  # noqa: PT012
            model.compile(loss="cross_entropy", engine="reference")
            model.fit(X, Y, verbose=0)


# -- one's own loops ---------------------------------------------------------------------------------------------------


def test_an_own_loop_is_train_on_batch(engine_name):
    own, built_in = make(engine_name, dtype="float64"), make(engine_name, dtype="float64")
    loss = nn.CrossEntropyLoss()
    for _ in range(5):
        value, dy = loss(own.forward(X, training=True), Y)
        assert own.backward(dy).shape == X.shape
        own.optimizer.step(own)
        assert value == pytest.approx(built_in.train_on_batch(X, Y)["loss"], rel=1e-12)
    for mine, other in zip(own.get_weights(), built_in.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-12)


def test_hand_computed_gradients(engine_name):
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1, name="d"), nn.Activation("relu")])
    model.compile(engine=engine_name, dtype="float64", optimizer=nn.SGD(0.5))
    model.set_weights([[[1.0], [-2.0]], [0.5]])
    assert model.forward([[3.0, 1.0], [0.0, 1.0]], training=True).tolist() == [[1.5], [0.0]]
    assert model.backward([[2.0], [5.0]]).tolist() == [[2.0, -4.0], [0.0, 0.0]]
    assert {name: g.tolist() for name, g in model.gradients().items()} == {"d.kernel": [[6.0], [2.0]], "d.bias": [2.0]}
    model.optimizer.step(model)
    assert {name: p.tolist() for name, p in model.parameters().items()} == {"d.kernel": [[-2.0], [-3.0]], "d.bias": [-0.5]}


def test_what_comes_out_is_the_caller_s(engine_name):
    model = make(engine_name)
    before = digest(model)
    for array in (*model.get_weights(), *model.parameters().values(), model.predict(X), model.forward(X)):
        array[...] = 7
    assert digest(model) == before


def test_inference_between_forward_and_backward_does_no_harm(engine_name):
    model = make(engine_name)
    dy = np.ones_like(model.forward(X, training=True))
    expected = model.backward(dy)
    for use in (lambda: model.forward(X[:3]), lambda: model.predict(X), lambda: model.evaluate(X, Y)):
        model.forward(X, training=True)
        use()
        np.testing.assert_array_equal(model.backward(dy), expected)


def test_training_forgets_what_backward_needs(engine_name):
    model = make(engine_name)
    y = model.forward(X, training=True)
    model.train_on_batch(X, Y)
    with pytest.raises(RuntimeError, match="no training since"):
        model.backward(np.ones_like(y))


def test_the_order_of_calls(engine_name):
    model = make(engine_name)
    for call in (lambda: model.backward(np.ones((40, 3))), model.gradients, lambda: model.optimizer.step(model)):
        with pytest.raises(RuntimeError, match=r"forward\(x, training=True\)"):
            call()
    model.forward(X)
    with pytest.raises(RuntimeError, match="forward"):
        model.backward(np.ones((40, 3)))
    model.forward(X, training=True)
    with pytest.raises(ValueError, match=r"dy: expected the output's shape \(40, 3\), got \(40, 2\)"):
        model.backward(np.ones((40, 2)))
    with pytest.raises(TypeError, match="dy: expected real numbers"):
        model.backward(np.ones((40, 3), complex))
    model.backward(np.ones((40, 3)))
    assert set(model.gradients()) == set(model.parameters())
    with pytest.raises(RuntimeError, match="forward"):
        model.backward(np.ones((40, 3)))
    model.train_on_batch(X, Y)
    with pytest.raises(RuntimeError, match="gradients"):
        model.gradients()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda w: w[:-1], ValueError, "expected 4 arrays, got 3"),
        (lambda w: [*w[:3], np.zeros(4)], ValueError, r"weights\[3\] \(dense_1.bias\): expected shape \(3,\), got \(4,\)"),
        (lambda w: [w[0].T, *w[1:]], ValueError, r"dense.kernel"),
        (lambda w: [*w[:3], ["a", "b", "c"]], TypeError, r"weights\[3\]"),
        (lambda w: [*w[:3], np.zeros(3, complex)], TypeError, r"weights\[3\]"),
    ],
)
def test_bad_weights(engine_name, change, error, words):
    model = make(engine_name)
    before = digest(model)
    with pytest.raises(error, match=words):
        model.set_weights(change([w + 1 for w in model.get_weights()]))
    assert digest(model) == before


# -- input -------------------------------------------------------------------------------------------------------------


def as_read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


GOOD = {
    "fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": as_read_only,
    "list": lambda x: x.tolist(),
    "float16": lambda x: x.astype(np.float16),
    "float64": lambda x: x.astype(np.float64),
    "long double": lambda x: x.astype(np.longdouble),
    "uint8": lambda x: x.astype(np.uint8),
    "int64": lambda x: x.astype(np.int64),
    "uint16 big-endian": lambda x: x.astype(">u2"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_every_real_array_is_taken(engine_name, kind):
    whole = RNG.integers(0, 9, (40, 6)).astype(np.float32)  # exact in every type
    given = GOOD[kind](whole)
    models = [make(engine_name) for _ in range(2)]
    for model, x in zip(models, (whole, given), strict=True):
        model.fit(x, Y, batch_size=16, epochs=2, verbose=0)
    assert digest(models[0]) == digest(models[1])
    assert models[0].predict(whole).tobytes() == models[1].predict(given).tobytes()
    assert models[0].forward(whole).tobytes() == models[1].forward(given).tobytes()


def test_booleans_are_zero_and_one(engine_name):
    model = make(engine_name)
    assert (model.predict(X > 0) == model.predict((X > 0).astype(float))).all()


@given(batch_size=st.integers(1, 50))
def test_the_batch_size_of_prediction_does_not_matter(batch_size):
    model = make("reference")
    assert model.predict(X, batch_size=batch_size).tobytes() == model.predict(X).tobytes()


NAN = float("nan")
BAD_DATA = [
    (X[:, :5], Y, ValueError, r"x: expected shape \(n, 6\), got \(40, 5\)"),
    (X[0], Y[:6], ValueError, r"x: expected shape \(n, 6\), got \(6,\)"),
    (X[:, :, None], Y, ValueError, r"x: expected shape \(n, 6\), got \(40, 6, 1\)"),
    (X[:0], Y[:0], ValueError, "x: expected at least one sample"),
    (3.0, Y, ValueError, "x: .*scalar"),
    (X.astype(complex), Y, TypeError, "x: expected real numbers, got dtype complex128"),
    (X.astype(object), Y, TypeError, "x: expected real numbers, got dtype object"),
    (X.astype(str), Y, TypeError, "x: expected real numbers"),
    ([[1, 2], [3]], Y[:2], ValueError, "x: expected an array"),
    (X, Y[:39], ValueError, r"y: expected as many targets as samples \(40\), got 39"),
    (X, Y[:0], ValueError, "y: expected at least one"),
    (X, Y + 1, ValueError, "y: expected class indices from 0 to 2, got 3 in row"),
    (X, Y - 1, ValueError, "y: expected class indices from 0 to 2, got -1 in row"),
    (X, Y.astype(float), TypeError, "y: .*astype"),
    (X, np.where(np.arange(40) == 7, NAN, Y), ValueError, "y: .*nan in row 7"),
    (X, np.eye(4)[Y], ValueError, r"y: .*\(n, 3\), got \(40, 4\)"),
    (X, np.where(np.arange(40)[:, None] == 7, NAN, np.eye(3)[Y]), ValueError, "y: .*nan in row 7"),
]


@pytest.mark.parametrize(("x", "y", "error", "words"), BAD_DATA)
@pytest.mark.parametrize("call", ["fit", "fit batches", "train_on_batch", "evaluate", "validation_data"])
def test_bad_data_changes_nothing(engine_name, x, y, error, words, call):
    model = make(engine_name)
    model.train_on_batch(X, Y)
    before = digest(model)
    calls = {
        "fit": lambda: model.fit(x, y, batch_size=8, verbose=0),
        "fit batches": lambda: model.fit([(x, y)], verbose=0),
        "train_on_batch": lambda: model.train_on_batch(x, y),
        "evaluate": lambda: model.evaluate(x, y),
        "validation_data": lambda: model.fit(X, Y, validation_data=(x, y), verbose=0),
    }
    with pytest.raises(error, match=words.replace(": ", "( of validation_data)?: ", 1)):
        calls[call]()
    assert digest(model) == before


@pytest.mark.parametrize("call", ["predict", "forward"])
@pytest.mark.parametrize(("x", "error", "words"), [(x, e, w) for x, _, e, w in BAD_DATA if w.startswith("x")])
def test_bad_samples_in_inference(engine_name, call, x, error, words):
    with pytest.raises(error, match=words):
        getattr(make(engine_name), call)(x)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": 2.5}, ValueError, "batch_size"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"epochs": True}, ValueError, "epochs"),
        ({"shuffle": "yes"}, TypeError, "shuffle"),
        ({"validation_split": 1.0}, ValueError, "validation_split"),
        ({"validation_split": -0.1}, ValueError, "validation_split"),
        ({"validation_split": 0.999}, ValueError, "both sides"),
        ({"validation_split": 0.5, "validation_data": (X, Y)}, ValueError, "validation_split"),
        ({"validation_data": (X, Y, Y, Y)}, ValueError, "length 4"),
        ({"validation_data": (X, Y, Y - 1)}, ValueError, "sample_weight of validation_data: .*got -1"),
        ({"validation_data": (X,)}, ValueError, "length 1"),
        ({"validation_data": X}, ValueError, "y of validation_data: expected targets"),
        ({"y": None}, ValueError, "y: expected targets"),
        ({"x": 3, "y": None}, TypeError, "iterable of batches"),
        ({"x": [], "y": None}, ValueError, "no batches"),
        ({"x": [(X, Y, Y, Y)], "y": None}, ValueError, "tuple of length 4 at position 0"),
        ({"x": [3], "y": None}, ValueError, "got a 3 at position 0"),
        ({"x": [(X, Y)], "y": None, "validation_split": 0.5}, ValueError, "validation_split"),
        ({"x": ((X, Y) for _ in range(3)), "y": None, "epochs": 2}, ValueError, "2 epochs, got a generator"),
    ],
)
def test_bad_fit_options_change_nothing(engine_name, options, error, words):
    model = make(engine_name)
    before = digest(model)
    with pytest.raises(error, match=words):
        model.fit(**{"x": X, "y": Y, "verbose": 0, **options})
    assert digest(model) == before


def test_an_iterator_that_ends_before_the_last_epoch(engine_name):
    model = make(engine_name)
    with pytest.raises(ValueError, match="no batches in this epoch: it cannot be repeated"):
        model.fit(iter([(X, Y)]), epochs=2, verbose=0)
    assert len(model.fit(((X, Y) for _ in range(2)), epochs=1, verbose=0).epoch) == 1


def test_a_metric_of_values_beside_class_indices(engine_name):
    model = make(engine_name, metrics=["mse"])
    before = digest(model)
    with pytest.raises(ValueError, match="y: expected values for metric 'mse', got class indices"):
        model.fit(X, Y, verbose=0)
    assert digest(model) == before
    assert model.evaluate(X, np.eye(3)[Y])["mse"] > 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite(engine_name, bad):
    model = make(engine_name)
    x = X.copy()
    x[20, 0] = bad
    before = digest(model)
    with pytest.raises(FloatingPointError, match="loss"):
        model.train_on_batch(x, Y)
    assert digest(model) == before
    with pytest.raises(FloatingPointError, match="loss") as caught:
        model.fit(x, Y, batch_size=8, shuffle=False, verbose=0)
    assert "in epoch 1" in caught.value.__notes__[0]
    assert model.engine.iterations == 2  # the two whole steps before the bad batch
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_a_refused_first_batch_leaves_the_input_shape_open(engine_name):
    model = nn.Sequential([nn.Dense(8), nn.Dense(3)])
    model.compile("sgd", "cross_entropy", metrics=["accuracy"], engine=engine_name)
    with pytest.raises(ValueError, match="y: "):
        model.fit(np.zeros((6, 5)), np.full(6, 99), verbose=0)
    model.fit(np.zeros((6, 4)), np.zeros(6, int), verbose=0)
    assert model.input_shape == (4,)


def test_a_long_predict_has_the_bits_of_a_short_one(engine_name):
    model = make(engine_name)
    x = np.random.default_rng(5).standard_normal((3000, *model.input_shape))
    np.testing.assert_array_equal(model.predict(x)[[0, 1500, 2999]], model.predict(x[[0, 1500, 2999]]))
