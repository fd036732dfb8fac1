"""What all metrics have in common: names, resets, and input that they refuse unchanged."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nncore as nn
from nncore import metrics

EVERY = [*metrics.NAMES, "accuracy", "binary_accuracy", "mse", "mae"]


@pytest.mark.parametrize("name", EVERY)
def test_names_objects_and_resets(name):
    metric = metrics.get(name)
    assert metric.name == name
    assert metrics.get(metric) is metric
    assert math.isnan(metric.result())
    scores = np.array([[0.7, 0.1, 0.1, 0.05, 0.03, 0.02], [0.1, 0.5, 0.2, 0.1, 0.05, 0.05]])
    if name in ("precision", "recall", "f1", "roc_auc"):
        scores = np.array([0.2, 0.9])
    true = np.eye(6)[:2] if name in ("binary_accuracy", "mse", "mae", "rmse", "mape", "r2", "cosine_similarity") else [0, 1]
    metric.update(true, scores)
    first = metric.result()
    assert isinstance(first, float)
    fresh = metric.fresh()
    assert math.isnan(fresh.result())
    assert metric.result() == first or math.isnan(first)
    metric.update(true, scores)
    metric.reset()
    metric.update(true, scores)
    assert metric.result() == first or math.isnan(first)
    assert name in repr(metric)


def test_a_name_of_ones_own():
    assert metrics.F1("macro", name="mean_f1").name == "mean_f1"
    with pytest.raises(ValueError, match="name of MSE"):
        metrics.MSE(name="")


def test_which_way_is_better():
    worse = {"log_loss", "mse", "mae", "rmse", "mape"}
    assert {name for name in EVERY if not metrics.get(name).greater_is_better} == worse


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: metrics.Precision("samples"), "average of Precision.*'macro'.*'samples'"),
        (lambda: metrics.F1(threshold=math.nan), "threshold of F1"),
        (lambda: metrics.BinaryAccuracy(threshold="0.5"), "threshold of BinaryAccuracy"),
        (lambda: metrics.TopKAccuracy(0), "k of TopKAccuracy"),
        (lambda: metrics.TopKAccuracy(2.0), "k of TopKAccuracy"),
        (lambda: metrics.ROCAUC("ovx"), "multi_class of ROCAUC"),
        (lambda: metrics.ROCAUC("ovo", "micro"), "average of ROCAUC"),
        (lambda: metrics.AveragePrecision("binary"), "average of AveragePrecision"),
    ],
)
def test_bad_options(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("name", "true", "predicted", "weight", "error", "words"),
    [
        ("accuracy", [0], [[0.1, 0.9]] * 2, None, ValueError, "y_true.*rows as y_pred"),
        ("accuracy", 0, [1], None, ValueError, "y_true.*scalar"),
        ("accuracy", [0], [[[1.0]]], None, ValueError, "y_pred"),
        ("accuracy", [2], [[0.1, 0.9]], None, ValueError, "y_true: expected classes from 0 to 1, got 2 in row 0"),
        ("accuracy", [0, -1], [0, 1], None, ValueError, "y_true.*got -1 in row 1"),
        ("accuracy", [0.5], [1], None, ValueError, "y_true.*got 0.5 in row 0"),
        ("accuracy", [10**8], [1], None, ValueError, "y_true: expected classes"),
        ("accuracy", ["a"], [1], None, TypeError, "y_true: expected real numbers"),
        ("accuracy", [1], [[np.nan, 0.0]], None, ValueError, "y_pred: expected finite"),
        ("accuracy", [1], [1], [1.0, 2.0], ValueError, r"sample_weight: expected shape \(1,\)"),
        ("accuracy", [1], [1], [-1.0], ValueError, "sample_weight"),
        ("mse", [1.0], [1.0], [np.nan], ValueError, "sample_weight"),
        ("mse", [1.0, 2.0], [[1.0, 2.0]], None, ValueError, "y_true"),
        ("mse", [[1.0, 2.0]], [[1.0]], None, ValueError, "y_true.*shape"),
        ("mse", [np.inf], [1.0], None, ValueError, "y_true: expected finite"),
        ("r2", [[1.0, 2.0]], [[1.0]], None, ValueError, "y_true.*shape"),
        ("precision", [1], [[0.1, 0.2, 0.7]], None, ValueError, "average 'binary', got 3 classes"),
        ("precision", [1], [2], None, ValueError, "average 'binary', got 3 classes"),
        ("top_5_accuracy", [1], [[0.1] * 5], None, ValueError, "more than k = 5 classes, got 5"),
        ("log_loss", [1], [1.5], None, ValueError, "y_pred: expected probabilities"),
        ("log_loss", [1], [[0.5, 0.6]], None, ValueError, "y_pred: expected probabilities"),
        ("log_loss", [[1.5, -0.5]], [[0.5, 0.5]], None, ValueError, "y_true: expected probabilities"),
        ("roc_auc", [1], [[0.1, 0.2, 0.7]], None, ValueError, "choose multi_class"),
        ("roc_auc", [2], [0.5], None, ValueError, "y_true: expected classes from 0 to 1"),
        ("roc_auc_ovo", [1], [[0.1, 0.2, 0.7]], [1.0], ValueError, "sample_weight"),
        ("roc_auc_ovr", [1], [[[0.7]]], None, ValueError, "y_pred: expected scores"),
    ],
)
def test_bad_input(name, true, predicted, weight, error, words):
    metric = metrics.get(name)
    with pytest.raises(error, match=words):
        metric.update(true, predicted, weight)
    assert math.isnan(metric.result())  # nothing was taken in


@pytest.mark.parametrize("name", ["mse", "cosine_similarity", "r2", "average_precision"])
def test_another_width_than_before(name):
    metric = metrics.get(name)
    metric.update(np.eye(3), np.eye(3))
    with pytest.raises(ValueError, match="as before"):
        metric.update(np.eye(4), np.eye(4))


def test_a_matrix_of_too_many_classes():
    with pytest.raises(ValueError, match="at most 8192 classes"):
        metrics.ConfusionMatrix().update([9000], [0])


def test_names_that_are_none():
    with pytest.raises(ValueError, match="top_5_accuracy"):
        metrics.get("accuracies")
    with pytest.raises(TypeError, match="name or an object"):
        metrics.get(metrics.F1)
    with pytest.raises(AttributeError, match="F2"):
        _ = metrics.F2
    assert set(metrics.__all__) <= set(dir(nn.metrics))
