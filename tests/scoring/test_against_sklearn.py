"""Every metric equals scikit-learn's to 1e-12, with ties and weights, whatever pieces the samples come in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from nncore import metrics

TIGHT = {"rel": 1e-12, "abs": 1e-12}
SAMPLES = 157


def generator(salt: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[7, salt]))


def streamed(metric, true, predicted, weight=None, piece=50):
    """The metric's result over pieces of `piece` samples."""
    for start in range(0, len(true), piece):
        part = slice(start, start + piece)
        metric.update(true[part], predicted[part], None if weight is None else weight[part])
    return metric.result()


def probabilities(rows, classes, ties, salt=0):
    p = generator(salt).random((rows, classes)) ** 2
    if ties:
        p = np.round(p * 4) + 1
    return p / p.sum(axis=1, keepdims=True)


WEIGHTS = pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
TIES = pytest.mark.parametrize("ties", [False, True], ids=["", "ties"])


def weight_of(weighted):
    return np.round(generator(9).random(SAMPLES) * 5) / 2 if weighted else None  # some are zero


VALUES = {
    metrics.MSE: sk.mean_squared_error,
    metrics.RMSE: sk.root_mean_squared_error,
    metrics.MAE: sk.mean_absolute_error,
    metrics.MAPE: sk.mean_absolute_percentage_error,
    metrics.R2: sk.r2_score,
    metrics.CosineSimilarity: lambda t, y, sample_weight: np.average(
        np.diag(cosine_similarity(t.reshape(len(t), -1), y.reshape(len(y), -1))), weights=sample_weight
    ),
}


@WEIGHTS
@pytest.mark.parametrize("shape", [(), (1,), (4,)])
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_values(kind, shape, offset, weighted):
    true = generator().normal(size=(SAMPLES, *shape)) + offset
    predicted = true + 0.3 * generator(1).normal(size=true.shape)
    weight = weight_of(weighted)
    expected = VALUES[kind](true, predicted, sample_weight=weight)
    # Far from zero the spread of the targets is itself known only to so many digits.
    tolerance = {"rel": 1e-9} if kind is metrics.R2 and offset else TIGHT
    for piece in (1, 10, SAMPLES):
        assert streamed(kind(), true, predicted, weight, piece) == pytest.approx(expected, **tolerance)


def test_zeros_and_constants():
    zero, one = np.zeros((3, 2)), np.ones((3, 2))
    assert streamed(metrics.CosineSimilarity(), zero, one) == 0.0
    assert streamed(metrics.MAPE(), zero, one) == pytest.approx(sk.mean_absolute_percentage_error(zero, one), rel=1e-15)
    for true, predicted in ((one, one), (one, zero), (one, np.array([[1.0, 0.0]] * 3))):
        assert streamed(metrics.R2(), true, predicted, piece=2) == sk.r2_score(true, predicted)
    assert streamed(metrics.R2(), np.full(9, 0.1), np.full(9, 0.1), piece=2) == 1.0
    assert math.isnan(streamed(metrics.R2(), one[:1], one[:1]))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_cosine_of_very_long_and_very_short_vectors(scale):
    true, predicted = generator().normal(size=(9, 3)), generator(1).normal(size=(9, 3))
    expected = streamed(metrics.CosineSimilarity(), true, predicted)
    assert streamed(metrics.CosineSimilarity(), true * scale, predicted) == pytest.approx(expected, rel=1e-14)


PER_CLASS = {metrics.Precision: sk.precision_score, metrics.Recall: sk.recall_score, metrics.F1: sk.f1_score}


@WEIGHTS
@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize("kind", PER_CLASS, ids=lambda kind: kind.__name__)
def test_per_class(kind, average, weighted):
    scores = probabilities(SAMPLES, 5, ties=True)
    scores[:, 3] = 0.0  # a class that is never predicted,
    true = generator(1).integers(0, 4, SAMPLES)  # and one that never occurs
    weight = weight_of(weighted)
    expected = PER_CLASS[kind](true, scores.argmax(axis=1), average=average, sample_weight=weight, zero_division=0.0)
    for piece in (1, 40, SAMPLES):
        assert streamed(kind(average), true, scores, weight, piece) == pytest.approx(expected, **TIGHT)
    assert streamed(kind(average), true, scores.argmax(axis=1), weight) == pytest.approx(expected, **TIGHT)
    assert streamed(kind(average), np.eye(5)[true], scores, weight) == pytest.approx(expected, **TIGHT)


@WEIGHTS
@pytest.mark.parametrize("average", ["binary", "micro", "macro", "weighted"])
@pytest.mark.parametrize("threshold", [0.5, 0.2])
@pytest.mark.parametrize("kind", PER_CLASS, ids=lambda kind: kind.__name__)
def test_per_class_of_two(kind, threshold, average, weighted):
    score, true, weight = generator().random(SAMPLES), generator(1).integers(0, 2, SAMPLES), weight_of(weighted)
    expected = PER_CLASS[kind](true, score > threshold, average=average, sample_weight=weight)
    assert streamed(kind(average, threshold), true, score, weight) == pytest.approx(expected, **TIGHT)
    assert streamed(kind(average, threshold), true[:, None], score[:, None], weight, 1) == pytest.approx(expected, **TIGHT)


@pytest.mark.parametrize("average", ["binary", "micro", "macro", "weighted"])
@pytest.mark.parametrize("kind", PER_CLASS, ids=lambda kind: kind.__name__)
def test_nothing_to_find_and_nothing_found(kind, average):
    for true, predicted in (([0, 0], [0, 0]), ([0, 0], [1, 1]), ([1, 1], [0, 0]), ([1, 1], [1, 1])):
        expected = PER_CLASS[kind](true, predicted, average=average, zero_division=0.0)
        assert streamed(kind(average), true, predicted) == expected


@WEIGHTS
def test_accuracies_and_confusion(weighted):
    scores, true, weight = probabilities(SAMPLES, 4, ties=False), generator(1).integers(0, 4, SAMPLES), weight_of(weighted)
    predicted = scores.argmax(axis=1)
    for piece in (1, 60):
        accuracy = streamed(metrics.Accuracy(), true, scores, weight, piece)
        assert accuracy == pytest.approx(sk.accuracy_score(true, predicted, sample_weight=weight), **TIGHT)
        confusion = streamed(metrics.ConfusionMatrix(), true, scores, weight, piece)
        expected = sk.confusion_matrix(true, predicted, sample_weight=weight)
        assert confusion.dtype == expected.dtype
        np.testing.assert_allclose(confusion, expected, rtol=1e-12)
        binary = streamed(metrics.BinaryAccuracy(0.3), true > 1, scores[:, 0], weight, piece)
        assert binary == pytest.approx(sk.accuracy_score(true > 1, scores[:, 0] > 0.3, sample_weight=weight), **TIGHT)


def test_a_confusion_matrix_grows():
    metric = metrics.ConfusionMatrix()
    for true, predicted in (([0, 1], [1, 1]), ([3], [0]), ([1], [2])):
        metric.update(true, predicted)
    assert (metric.result() == sk.confusion_matrix([0, 1, 3, 1], [1, 1, 0, 2])).all()


@WEIGHTS
@TIES
@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k(k, ties, weighted):
    scores, true, weight = probabilities(SAMPLES, 4, ties), generator(1).integers(0, 4, SAMPLES), weight_of(weighted)
    expected = sk.top_k_accuracy_score(true, scores, k=k, sample_weight=weight)
    assert streamed(metrics.TopKAccuracy(k), true, scores, weight) == pytest.approx(expected, **TIGHT)


@WEIGHTS
def test_log_loss(weighted):
    p, true, weight = probabilities(SAMPLES, 3, ties=False), generator(1).integers(0, 3, SAMPLES), weight_of(weighted)
    p[:5] = np.eye(3)[[0, 1, 2, 0, 1]]  # certain, and partly wrong
    for piece in (1, 70):
        expected = sk.log_loss(true, p, sample_weight=weight)
        assert streamed(metrics.LogLoss(), true, p, weight, piece) == pytest.approx(expected, **TIGHT)
        assert streamed(metrics.LogLoss(), np.eye(3)[true], p, weight, piece) == pytest.approx(expected, **TIGHT)
        expected = sk.log_loss(true > 0, p[:, 0], sample_weight=weight)
        assert streamed(metrics.LogLoss(), true > 0, p[:, 0], weight, piece) == pytest.approx(expected, **TIGHT)


def test_log_loss_of_probable_targets():
    p, t = probabilities(9, 3, ties=False), probabilities(9, 3, ties=False, salt=1)
    assert streamed(metrics.LogLoss(), t, p) == pytest.approx(-(t * np.log(p)).sum(axis=1).mean(), **TIGHT)


@WEIGHTS
@TIES
def test_binary_ranking(ties, weighted):
    score, true, weight = generator().normal(size=SAMPLES), generator(1).integers(0, 2, SAMPLES), weight_of(weighted)
    score = np.round(score + true) if ties else score + true
    for kind, reference in ((metrics.ROCAUC, sk.roc_auc_score), (metrics.AveragePrecision, sk.average_precision_score)):
        expected = reference(true, score, sample_weight=weight)
        for piece in (1, 50, SAMPLES):
            assert streamed(kind(), true, score, weight, piece) == pytest.approx(expected, **TIGHT)
        assert streamed(kind(), true, np.stack([-score, score], axis=1), weight) == pytest.approx(expected, **TIGHT)


@TIES
@pytest.mark.parametrize(
    ("multi_class", "average", "weighted"),
    [
        *(("ovr", average, weighted) for average in ("macro", "weighted", "micro") for weighted in (False, True)),
        ("ovo", "macro", False),
        ("ovo", "weighted", False),
    ],
)
def test_roc_auc_of_classes(multi_class, average, weighted, ties):
    scores, true, weight = probabilities(SAMPLES, 4, ties), generator(1).integers(0, 4, SAMPLES), weight_of(weighted)
    expected = sk.roc_auc_score(true, scores, multi_class=multi_class, average=average, sample_weight=weight)
    metric = metrics.ROCAUC(multi_class, average)
    assert streamed(metric, true, scores, weight) == pytest.approx(expected, **TIGHT)


@TIES
@WEIGHTS
@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_average_precision_of_classes(average, weighted, ties):
    scores, true, weight = probabilities(SAMPLES, 4, ties), generator(1).integers(0, 4, SAMPLES), weight_of(weighted)
    expected = sk.average_precision_score(true, scores, average=average, sample_weight=weight)
    assert streamed(metrics.AveragePrecision(average), true, scores, weight) == pytest.approx(expected, **TIGHT)


def test_one_class_alone_has_no_order():
    assert math.isnan(streamed(metrics.ROCAUC(), [1, 1], [0.2, 0.4]))
    assert math.isnan(streamed(metrics.ROCAUC("ovo"), [0, 1], np.eye(3)[:2]))
    assert streamed(metrics.AveragePrecision(), [0, 0], [0.2, 0.4]) == 0.0


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(0, 3)), min_size=2, max_size=30),
    st.integers(1, 30),
)
def test_any_binary_scores(samples, piece):
    true, score, weight = (np.array(column, float) for column in zip(*samples, strict=True))
    if not (weight[true == 1].any() and weight[true == 0].any()):
        return
    for kind, reference in ((metrics.ROCAUC, sk.roc_auc_score), (metrics.AveragePrecision, sk.average_precision_score)):
        expected = reference(true, score, sample_weight=weight)
        assert streamed(kind(), true, score, weight, piece) == pytest.approx(expected, **TIGHT)


SIGNS = np.where(generator(4).random(SAMPLES) < 0.4, -1, 1)


@WEIGHTS
def test_labels_of_minus_one_and_one(weighted):
    """Beside a single score, or classes -1 and 1; in pieces that may have one of the two alone."""
    score, weight = 0.5 * SIGNS + generator(5).standard_normal(SAMPLES), weight_of(weighted)
    side = np.where(score > 0, 1, -1)
    for metric, expected in (
        (metrics.Precision(threshold=0.0), sk.precision_score(SIGNS, side, sample_weight=weight)),
        (metrics.Recall(threshold=0.0), sk.recall_score(SIGNS, side, sample_weight=weight)),
        (metrics.F1("macro", threshold=0.0), sk.f1_score(SIGNS, side, average="macro", sample_weight=weight)),
        (metrics.ROCAUC(), sk.roc_auc_score(SIGNS, score, sample_weight=weight)),
        (metrics.AveragePrecision(), sk.average_precision_score(SIGNS, score, sample_weight=weight)),
    ):
        assert streamed(metric, SIGNS, score, weight, piece=3) == pytest.approx(expected, **TIGHT)
    accuracy = sk.accuracy_score(SIGNS, side, sample_weight=weight)
    assert streamed(metrics.Accuracy(), SIGNS, side, weight, piece=3) == pytest.approx(accuracy, **TIGHT)
    np.testing.assert_array_equal(streamed(metrics.ConfusionMatrix(), SIGNS, side), sk.confusion_matrix(SIGNS, side))


def test_minus_one_is_no_class_among_several():
    for true, predicted in ((SIGNS, probabilities(SAMPLES, 3, False)), ([0, -1], [0.2, 0.7]), ([-1, 1], [0, -1])):
        with pytest.raises(ValueError, match=r"expected classes from 0 to .*, got -1"):
            metrics.Accuracy().update(true, predicted)
