"""The metric table and the choice of accuracy."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk

import nncore as nn
from nncore.engines.operations import METRICS as IMPLEMENTED
from nncore.metrics import METRICS, check, resolve


def test_the_engine_has_every_row():
    assert set(METRICS) == set(IMPLEMENTED)


@pytest.mark.parametrize(
    ("loss", "output", "expected"),
    [
        ("cross_entropy", (10,), "accuracy"),
        ("mse", (10,), "accuracy"),
        ("mse", (1,), "binary_accuracy"),
        ("bce_with_logits", (1,), "binary_accuracy_logits"),
        ("bce_with_logits", (5,), "binary_accuracy_logits"),
    ],
)
def test_accuracy_is_that_of_the_task(loss, output, expected):
    assert resolve("accuracy", loss, output) == expected
    assert resolve("mae", loss, output) == "mae"


def test_accuracy_of_classes_wants_a_vector():
    with pytest.raises(ValueError, match="one vector per sample"):
        resolve("accuracy", "mse", (3, 4))


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        ("accuracy", TypeError, "list of names"),
        ([1], TypeError, "a name or an object"),
        (nn.metrics.F1(), TypeError, "list of names"),
        ([nn.metrics.F1], TypeError, "object of a class"),
        (["f1", nn.metrics.F1()], ValueError, "different"),
        (["mse", nn.metrics.MSE()], ValueError, "different"),
        ([nn.metrics.MSE(name="loss")], ValueError, "'loss'"),
        (["acc"], ValueError, "accuracy.*'acc'"),
        (["mse", "mse"], ValueError, "different"),
    ],
)
def test_bad_names(names, error, words):
    with pytest.raises(error, match=words):
        check(names)


def test_a_metric_without_a_name():
    class Nameless(nn.metrics.Metric):
        def __init__(self):
            self.reset()

        def reset(self):
            self.samples = 0

        def update(self, y_true, y_pred, sample_weight=None):
            self.samples += len(y_true)

        def result(self):
            return float(self.samples)

    with pytest.raises(TypeError, match=r"Nameless.*super\(\).__init__"):
        check([Nameless()])


RNG = np.random.Generator(np.random.Philox(key=11))
X = RNG.normal(size=(70, 4))
CLASSES = RNG.integers(0, 3, 70)


def network(outputs, engine, loss, metrics, activation=None, dtype="float64"):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(5, activation="tanh"), nn.Dropout(0.5), nn.Dense(outputs, activation)])
    model.compile("sgd", loss, metrics=metrics, engine=engine, dtype=dtype, seed=2)
    return model


def softmax(y):
    e = np.exp(y - y.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("batch_size", [1, 32, 2000])
def test_evaluate_computes_them_of_the_outputs(engine_name, batch_size):
    """Logits beside cross-entropy: metrics of probabilities get their softmax, others the outputs."""
    model = network(3, engine_name, "cross_entropy", ["accuracy", "f1_macro", "log_loss", "roc_auc_ovr"])
    logs = model.evaluate(X, CLASSES, batch_size=batch_size)
    p = softmax(model.predict(X))
    assert list(logs) == ["loss", "accuracy", "f1_macro", "log_loss", "roc_auc_ovr"]
    assert logs["loss"] == pytest.approx(logs["log_loss"], rel=1e-12)
    for name, value in (
        ("accuracy", sk.accuracy_score(CLASSES, p.argmax(axis=1))),
        ("f1_macro", sk.f1_score(CLASSES, p.argmax(axis=1), average="macro")),
        ("log_loss", sk.log_loss(CLASSES, p)),
        ("roc_auc_ovr", sk.roc_auc_score(CLASSES, p, multi_class="ovr")),
    ):
        assert logs[name] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [7, 32, 2000])
def test_loss_and_the_metrics_of_the_engine_are_the_same_beside_others(batch_size, dtype):
    x, y = RNG.normal(size=(3000, 4)), RNG.integers(0, 3, 3000)
    alone = network(3, "native", "cross_entropy", ["accuracy"], dtype=dtype).evaluate(x, y, batch_size=batch_size)
    beside = network(3, "native", "cross_entropy", ["accuracy", "recall_macro"], dtype=dtype)
    logs = beside.evaluate(x, y, batch_size=batch_size)
    assert {name: logs[name] for name in alone} == pytest.approx(alone, rel=1e-15)


def test_binary_scores_beside_a_loss_on_logits(engine_name):
    y = (CLASSES > 0).astype(float)
    names = ["accuracy", "precision", nn.metrics.Recall(threshold=0.7), "average_precision"]
    model = network(1, engine_name, "bce_with_logits", names)
    logs = model.evaluate(X, y)
    p = 1 / (1 + np.exp(-model.predict(X)[:, 0]))
    assert logs["precision"] == pytest.approx(sk.precision_score(y, p > 0.5), rel=1e-12)
    assert logs["recall"] == pytest.approx(sk.recall_score(y, p > 0.7), rel=1e-12)
    assert logs["average_precision"] == pytest.approx(sk.average_precision_score(y, p), rel=1e-12)


def test_values_are_compared_with_the_outputs_themselves(engine_name):
    y = RNG.normal(size=(70, 2))
    logs = (model := network(2, engine_name, "mse", ["mae", "r2", "rmse"])).evaluate(X, y)
    assert logs["r2"] == pytest.approx(sk.r2_score(y, model.predict(X)), rel=1e-12)
    assert logs["rmse"] == pytest.approx(sk.root_mean_squared_error(y, model.predict(X)), rel=1e-12)
    assert logs["mae"] == pytest.approx(sk.mean_absolute_error(y, model.predict(X)), rel=1e-12)


def test_fit_reports_them_for_validation(engine_name):
    model = network(3, engine_name, "cross_entropy", ["accuracy", "f1_weighted"])
    history = model.fit(X, CLASSES, epochs=3, validation_split=0.3, verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "val_f1_weighted"}
    assert len(history["val_f1_weighted"]) == 3
    last = model.evaluate(X[49:], CLASSES[49:])
    assert {name: history[f"val_{name}"][-1] for name in last} == last
    assert set(model.train_on_batch(X, CLASSES)) == {"loss", "accuracy"}


def test_other_sources_of_data(engine_name):
    model = network(3, engine_name, "cross_entropy", ["recall_macro"])
    expected = model.evaluate(X, CLASSES)
    batches = [(X[i : i + 20], CLASSES[i : i + 20]) for i in range(0, 70, 20)]
    assert model.evaluate(batches) == pytest.approx(expected, rel=1e-12)
    loader = nn.data.DataLoader(X, CLASSES, batch_size=32, shuffle=True, seed=0)
    assert model.evaluate(loader) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("outputs", "loss", "metric", "words"),
    [
        (3, "cross_entropy", "f1", "f1.*got 3 classes.*f1_macro"),
        (3, "cross_entropy", "roc_auc", "roc_auc_ovr"),
        (3, "cross_entropy", "top_5_accuracy", "more than 5 classes"),
        (3, "cross_entropy", nn.metrics.ConfusionMatrix(), "result is a number"),
    ],
)
def test_metrics_that_do_not_fit_the_output(outputs, loss, metric, words):
    with pytest.raises(ValueError, match=words):
        network(outputs, "reference", loss, [metric])
    model = nn.Sequential([nn.Dense(outputs)])  # its shape still open
    model.compile("sgd", loss, metrics=[metric], engine="reference")
    with pytest.raises(ValueError, match=words):
        model.fit(X, CLASSES, verbose=0)


def test_targets_that_do_not_fit_are_refused_before_training(engine_name):
    model = network(3, engine_name, "cross_entropy", ["mape"])
    before = model.get_weights()
    with pytest.raises(ValueError, match="y_true: expected the shape of y_pred"):
        model.fit(X, CLASSES, validation_data=(X, CLASSES), verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_samples_of_an_ignored_class_do_not_count(engine_name):
    y = np.where(np.arange(70) % 3 == 0, -100, CLASSES)
    model = network(3, engine_name, nn.CrossEntropyLoss(ignore_index=-100), ["f1_macro"])
    history = model.fit(X, y, validation_data=(X, y), verbose=0).history
    expected = sk.f1_score(y[y >= 0], model.predict(X[y >= 0]).argmax(axis=1), average="macro")
    assert history["val_f1_macro"] == [pytest.approx(expected, rel=1e-12)]


def test_sample_weights(engine_name):
    weight, y = RNG.random(70), (CLASSES > 0).astype(float)
    model = network(1, engine_name, "bce_with_logits", ["roc_auc", "precision"])
    logs, score = model.evaluate(X, y, sample_weight=weight), model.predict(X)[:, 0]
    assert logs["roc_auc"] == pytest.approx(sk.roc_auc_score(y, score, sample_weight=weight.astype(np.float32)), rel=1e-6)
    assert logs["precision"] == pytest.approx(sk.precision_score(y, score > 0, sample_weight=weight), rel=1e-6)


def test_weights_that_a_metric_does_not_take_are_refused_before_training(engine_name):
    model = network(3, engine_name, "cross_entropy", ["roc_auc_ovo"])
    before = model.get_weights()
    with pytest.raises(ValueError, match="sample_weight: expected None"):
        model.fit(X, CLASSES, validation_data=(X, CLASSES, np.ones(70)), verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_a_loss_that_is_not_finite(engine_name):
    model = network(3, engine_name, "mse", ["r2"])
    model.set_weights([np.full(w.shape, 1e308) for w in model.get_weights()])
    with pytest.raises(FloatingPointError, match="samples 0 to 69"):
        model.evaluate(X, np.zeros((70, 3)))


def test_metrics_want_a_loss():
    with pytest.raises(ValueError, match="without a loss"):
        nn.Sequential([nn.Dense(1)]).compile(metrics=["r2"])
