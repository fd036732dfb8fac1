"""Models with several outputs, and losses written in Python: training, logs, data in lists and dicts, and errors."""

from __future__ import annotations

import numpy as np
import pytest

import nncore as nn

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((30, 4)), RNG.standard_normal((30, 3))
LABELS, VALUES = RNG.integers(0, 3, 30), RNG.standard_normal((30, 1))
W = RNG.random(30)


def network(kind=list, engine="reference", **options):
    """Residual, with two inputs and two outputs of which one is consumed."""
    x, z = nn.Input((4,), name="x"), nn.Input((3,), name="z")
    h = nn.Dense(4, activation="tanh")(nn.Concatenate()([x, z]))
    h = nn.Add()([h, x])
    value = nn.Dense(1, name="value")(h)
    label = nn.Dense(3, name="label")(nn.Concatenate()([h, value]))
    outputs = {"label": label, "value": value} if kind is dict else [label, value]
    model = nn.Model([x, z], outputs)
    settings = {"loss": ["cross_entropy", "mse"], "metrics": [["accuracy"], ["mae"]], "loss_weights": [1.0, 0.25]}
    model.compile(nn.Adam(0.01), engine=engine, dtype="float64", seed=2, **{**settings, **options})
    return model


def parts(model, weights=None):
    """The losses and their gradients, by the loss objects."""
    label, value = model._outputs.split(model.forward([X, Z], training=True), "outputs")
    first, d_first = nn.CrossEntropyLoss()(label, LABELS, weights)
    second, d_second = nn.MSELoss()(value, VALUES, weights)
    return first, second, [d_first, 0.25 * d_second]


@pytest.mark.parametrize("weights", [None, W])
def test_a_step_is_the_weighted_sum_of_the_losses(engine_name, weights):
    model, by_hand = network(engine=engine_name), network(engine=engine_name)
    first, second, gradients = parts(by_hand, weights)
    by_hand.backward(gradients)
    by_hand.apply_gradients(by_hand.optimizer)
    logs = model.train_on_batch([X, Z], [LABELS, VALUES], sample_weight=weights)
    assert list(logs) == ["loss", "label_loss", "value_loss", "label_accuracy", "value_mae"]
    assert logs["label_loss"] == pytest.approx(first, rel=1e-12)
    assert logs["value_loss"] == pytest.approx(second, rel=1e-12)
    assert logs["loss"] == pytest.approx(first + 0.25 * second, rel=1e-12)
    for a, b in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_both_engines_train_alike():
    results = []
    for engine in ("reference", "native"):
        model = network(engine=engine)
        history = model.fit([X, Z], [LABELS, VALUES], batch_size=7, epochs=5, validation_split=0.2, verbose=0).history
        results.append((history, model.get_weights(), model.evaluate([X, Z], [LABELS, VALUES])))
    for name, values in results[0][0].items():
        np.testing.assert_allclose(results[1][0][name], values, rtol=1e-10, err_msg=name)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
    assert results[1][2] == pytest.approx(results[0][2], rel=1e-10)


def test_lists_dicts_loaders_and_batches_are_one(engine_name):
    in_lists = network(engine=engine_name)
    expected = in_lists.fit([X, Z], [LABELS, VALUES], batch_size=8, shuffle=False, epochs=2, verbose=0).history
    x, y = {"z": Z, "x": X}, {"value": VALUES, "label": LABELS}
    options = {
        "loss": {"label": "cross_entropy", "value": "mse"},
        "metrics": {"value": "mae", "label": ["accuracy"]},
        "loss_weights": {"value": 0.25},
    }
    feeds = {
        "dict": (dict, (x, y)),
        "tuple": (list, ((X, Z), (LABELS, VALUES))),
        "loader": (list, (nn.data.DataLoader((X, Z), (LABELS, VALUES), batch_size=8),)),
        "loader of dicts": (dict, (nn.data.DataLoader(x, y, batch_size=8),)),
        "batches": (
            list,
            ([((X[i : i + 8], Z[i : i + 8]), (LABELS[i : i + 8], VALUES[i : i + 8])) for i in (0, 8, 16, 24)],),
        ),
    }
    for name, (kind, data) in feeds.items():
        model = network(kind, engine_name, **options)
        assert model.fit(*data, batch_size=8, shuffle=False, epochs=2, verbose=0).history == expected, name
    predicted = model.predict(x)
    np.testing.assert_array_equal(predicted[1], in_lists.predict([X, Z])[1])


def test_several_inputs_and_one_output_run_in_the_engine(engine_name, monkeypatch):
    x, z = nn.Input((4,)), nn.Input((3,))
    model = nn.Model([x, z], nn.Dense(3)(nn.Concatenate()([x, z])))
    model.compile(nn.SGD(0.1), "cross_entropy", metrics=["accuracy", "f1_macro"], engine=engine_name, dtype="float64")
    joined = nn.Sequential([nn.Input((7,)), nn.Dense(3)])
    joined.compile(nn.SGD(0.1), "cross_entropy", metrics=["accuracy", "f1_macro"], engine=engine_name, dtype="float64")
    joined.set_weights(model.get_weights())
    monkeypatch.setattr("nncore.model._DEADLINE", float("inf"))
    calls = []
    run = model.engine.run
    monkeypatch.setattr(model.engine, "run", lambda *a, **k: calls.append(1) or run(*a, **k))
    history = model.fit([X, Z], LABELS, epochs=2, batch_size=4, verbose=0)
    assert calls == [1, 1]
    both = np.concatenate([X, Z], axis=1)
    assert history.history == joined.fit(both, LABELS, epochs=2, batch_size=4, verbose=0).history
    assert model.evaluate([X, Z], LABELS) == joined.evaluate(both, LABELS)


def test_metrics_of_the_outputs_and_an_output_without_a_loss(engine_name):
    model = network(dict, engine_name, loss={"label": "cross_entropy"}, loss_weights=None, metrics={"label": ["f1_macro"]})
    before = model.parameters()["value.bias"]
    logs = model.fit([X, Z], {"label": LABELS}, verbose=0, validation_data=([X, Z], {"label": LABELS})).history
    assert set(logs) == {"loss", "label_loss", "val_loss", "val_label_loss", "val_label_f1_macro"}
    assert logs["loss"] == logs["label_loss"]
    labels = model.predict([X, Z])["label"]
    metric = nn.metrics.get("f1_macro") if hasattr(nn.metrics, "get") else None
    if metric is not None:
        metric.update(LABELS, labels)
        assert model.evaluate([X, Z], {"label": LABELS})["label_f1_macro"] == pytest.approx(metric.result())
    assert model.loss["value"] is None
    assert (model.parameters()["value.bias"] != before).any()  # as the label depends on it


def test_the_bits_for_any_number_of_threads():
    before = nn.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 4):
            nn.set_num_threads(threads)
            x = nn.Input((64,))
            h = nn.Dense(300, activation="relu")(x)
            h = nn.Add()([nn.Dense(300)(h), h])
            model = nn.Model(x, [nn.Dense(3)(h), nn.Dense(2)(h)])
            model.compile("adam", loss=["cross_entropy", "mse"])
            rng = np.random.default_rng(1)
            data = rng.standard_normal((300, 64)), [rng.integers(0, 3, 300), rng.standard_normal((300, 2))]
            history = model.fit(*data, batch_size=128, epochs=2, verbose=0).history
            results.append((history, [w.tobytes() for w in model.get_weights()]))
    finally:
        nn.set_num_threads(before)
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"loss": ["mse"]}, ValueError, r"loss: expected one for each of the outputs \['label', 'value'\], got 1"),
        ({"loss": {"labels": "mse"}}, ValueError, r"expected some of the names .* got 'labels'"),
        ({"loss": [None, None]}, ValueError, "at least one output"),
        ({"loss": 3}, TypeError, "loss: expected a list or a dict"),
        ({"loss": ["mse", "cross_entropy"]}, ValueError, "classes >= 2"),
        ({"loss_weights": 0.5}, TypeError, "loss_weights: expected a list or a dict"),
        ({"loss_weights": [1.0, -1.0]}, ValueError, "not negative, got -1.0"),
        ({"loss_weights": [1.0, "a"]}, TypeError, "numbers, got 'a'"),
        ({"metrics": ["accuracy"]}, ValueError, "metrics: expected one for each"),
        ({"metrics": {"label": "goofy"}}, ValueError, "goofy"),
        ({"loss": ["mse", None], "metrics": {"value": "mae"}}, ValueError, "none for output 'value', which has no loss"),
        ({"loss": None, "metrics": (), "loss_weights": [1, 1]}, ValueError, "loss_weights: expected none without a loss"),
    ],
)
def test_bad_options_leave_the_model_as_it_was(options, error, words):
    model = network()
    settings = {"loss": ["cross_entropy", "mse"], **options}
    with pytest.raises(error, match=words):
        model.compile("sgd", **settings)
    assert set(model.train_on_batch([X, Z], [LABELS, VALUES])) > {"label_loss", "value_loss", "value_mae"}


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "words"),
    [
        ([X, Z], LABELS, {}, TypeError, "y: expected a list or a dict by names"),
        ([X, Z], [LABELS], {}, ValueError, "y: expected one for each of"),
        ([X, Z], [LABELS, None], {}, ValueError, r"y\[1\]: expected targets for its loss"),
        ([X, Z], [LABELS, VALUES[:9]], {}, ValueError, r"y\[1\]: expected as many targets as samples \(30\), got 9"),
        ([X, Z], [VALUES, VALUES], {}, TypeError, r"y\[0\]: expected integer class indices"),
        ([X, Z], {"label": LABELS, "other": VALUES}, {}, ValueError, "y: expected the names"),
        ([X, Z], [LABELS, VALUES], {"class_weight": {0: 2.0}}, ValueError, "class_weight: expected None"),
        ([X, Z], [LABELS, VALUES], {"sample_weight": [W]}, ValueError, "sample_weight: expected one for each"),
        ([X, Z], [LABELS, VALUES], {"sample_weight": [W, -W]}, ValueError, r"sample_weight\[1\]: .*not negative"),
    ],
)
def test_bad_data_leaves_the_model_as_it_was(engine_name, x, y, options, error, words):
    model = network(engine=engine_name)
    before = model.get_weights()
    with pytest.raises(error, match=words):
        model.fit(x, y, verbose=0, **options)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_that_is_not_finite_leaves_the_model_as_it_was(engine_name):
    x = nn.Input((4,))
    h = nn.Dropout(0.5)(nn.BatchNorm()(x))
    model = nn.Model(x, [nn.Dense(2, name="a")(h), nn.Dense(1, name="b")(h)])
    model.compile("sgd", loss="mse", engine=engine_name)
    y = [np.zeros((30, 2)), VALUES]
    model.train_on_batch(X, y)
    before, draws = model.get_weights(), model.engine.draws
    model.set_weights([w if spec != "b.bias" else w + 1e30 for spec, w in model.parameters().items()])
    with pytest.raises(FloatingPointError, match="b_loss of samples 0 to 29 is not finite"):
        model.train_on_batch(X, y)
    after = dict(zip(model.parameters(), before, strict=True))
    for name, value in model.parameters().items():
        if name != "b.bias":
            np.testing.assert_array_equal(value, after[name])
    assert model.engine.draws == draws


class Squared(nn.Loss):
    """What nn.MSELoss does for one column."""

    def forward(self, y, t):
        return ((y - t) ** 2)[:, 0]

    def backward(self, y, t):
        return 2 * (y - t)


@pytest.mark.parametrize("weights", [None, W])
def test_a_loss_of_ones_own_trains_like_the_one_that_it_imitates(engine_name, weights):
    results = []
    for loss in ("mse", Squared()):
        model = nn.Sequential([nn.Input((4,)), nn.Dense(5, activation="tanh"), nn.Dropout(0.2), nn.Dense(1)])
        model.compile(nn.Adam(0.01), loss, metrics=["mae"], engine=engine_name, dtype="float64")
        history = model.fit(X, VALUES, batch_size=8, epochs=4, verbose=0, sample_weight=weights).history
        results.append((history, model.get_weights(), model.evaluate(X, VALUES)))
    for name in ("loss", "mae"):
        np.testing.assert_allclose(results[1][0][name], results[0][0][name], rtol=1e-12)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-13)
    assert results[1][2] == pytest.approx(results[0][2], rel=1e-12)


def test_a_loss_of_ones_own_by_hand():
    y, t = RNG.standard_normal((5, 1)), RNG.standard_normal((5, 1))
    for weights in (None, W[:5]):
        value, gradient = Squared()(y, t, weights)
        right, slope = nn.MSELoss()(y, t, weights)
        assert value == pytest.approx(right, rel=1e-14)
        np.testing.assert_allclose(gradient, slope, rtol=1e-13)
    assert Squared.name == "squared"
    assert repr(Squared()) == "Squared()"


@pytest.mark.parametrize(
    ("methods", "error", "words"),
    [
        ({"forward": lambda self, y, t: y - t}, ValueError, r"Bad.forward: expected shape \(30,\), got \(30, 1\)"),
        ({"forward": lambda self, y, t: None}, TypeError, "Bad.forward: expected an array of real numbers, got None"),
        ({"backward": lambda self, y, t: 1.0}, ValueError, r"Bad.backward: expected shape \(30, 1\), got \(\)"),
        ({"backward": None}, TypeError, "Bad: expected a method 'backward'"),
        ({"forward": lambda self, y, t: {}[3]}, KeyError, "3"),
    ],
)
def test_bad_losses_of_ones_own(engine_name, methods, error, words):
    loss = type("Bad", (Squared,), methods)()
    model = nn.Sequential([nn.Input((4,)), nn.Dropout(0.5), nn.Dense(1)])
    model.compile("sgd", loss, engine=engine_name)
    before, draws = model.get_weights(), model.engine.draws
    with pytest.raises(error, match=words):
        model.fit(X, VALUES, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.engine.draws == draws


@pytest.mark.parametrize("weights", [[0.5], {"dense": 0.5}])
def test_the_loss_of_a_single_output_is_weighted_too(engine_name, weights):
    """Half the loss at twice the learning rate is the same step."""
    half, whole = (nn.Sequential([nn.Input((4,)), nn.Dense(1)]) for _ in range(2))
    half.compile(nn.SGD(0.2), "mse", engine=engine_name, dtype="float64", loss_weights=weights)
    whole.compile(nn.SGD(0.1), "mse", engine=engine_name, dtype="float64")
    logs = [model.fit(X, VALUES, verbose=0, shuffle=False).history["loss"][0] for model in (half, whole)]
    assert logs[0] == pytest.approx(0.5 * logs[1], rel=1e-12)
    for a, b in zip(half.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
