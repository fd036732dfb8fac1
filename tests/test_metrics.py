"""The metric table and the choice of accuracy."""

from __future__ import annotations

import pytest

from nncore.engines.reference import METRICS as IMPLEMENTED
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
        ([1], TypeError, "names"),
        (["acc"], ValueError, "accuracy.*'acc'"),
        (["mse", "mse"], ValueError, "different"),
    ],
)
def test_bad_names(names, error, words):
    with pytest.raises(error, match=words):
        check(names)
