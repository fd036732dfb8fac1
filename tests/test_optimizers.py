"""Optimizer objects: which rule and hyper-parameters they name."""

from __future__ import annotations

import inspect
import math

import pytest

import nncore as nn
from nncore import optimizers
from nncore.optable import RULES
from nncore.optimizers import OPTIMIZERS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_defaults_are_those_of_the_rule(name):
    optimizer = optimizers.get(name)
    assert dict(optimizer.attrs) == RULES[optimizer.rule].fill({})
    assert type(optimizer) is OPTIMIZERS[name]


@pytest.mark.parametrize("cls", [nn.Adam, nn.AdamW, nn.RMSprop])
def test_arguments_are_the_rule_s(cls):
    assert list(inspect.signature(cls).parameters) == [k for k in RULES[cls().rule].attrs if k != "decoupled_weight_decay"]


def test_sgd_has_the_rule_that_it_needs():
    assert nn.SGD(0.1).rule == "sgd"
    optimizer = nn.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    assert optimizer.rule == "momentum"
    given = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
    assert dict(optimizer.attrs) == RULES["momentum"].fill(given)


def test_learning_rate_may_be_set():
    optimizer = nn.Adam(0.1)
    before = optimizer.attrs
    optimizer.learning_rate = 0.01
    assert optimizer.learning_rate == optimizer.attrs["learning_rate"] == 0.01
    assert before["learning_rate"] == 0.1  # a spec already handed out does not change
    with pytest.raises(ValueError, match="learning_rate"):
        optimizer.learning_rate = -1.0
    assert optimizer.learning_rate == 0.01


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.SGD(-0.1), ValueError, "learning_rate"),
        (lambda: nn.SGD(math.nan), ValueError, "learning_rate"),
        (lambda: nn.SGD(math.inf), ValueError, "learning_rate"),
        (lambda: nn.SGD("0.1"), TypeError, "learning_rate"),
        (lambda: nn.SGD(0.1, momentum=1.0), ValueError, "momentum"),
        (lambda: nn.SGD(0.1, momentum=-0.5), ValueError, "momentum"),
        (lambda: nn.SGD(0.1, nesterov=True), ValueError, "nesterov"),
        (lambda: nn.Adam(beta_1=1.0), ValueError, "beta_1"),
        (lambda: nn.AdamW(weight_decay=-1.0), ValueError, "weight_decay"),
        (lambda: nn.RMSprop(rho=2.0), ValueError, "rho"),
        (lambda: optimizers.get("sgdd"), ValueError, "sgd, adam, adamw, rmsprop"),
        (lambda: optimizers.get(nn.SGD), TypeError, "optimizer"),
    ],
)
def test_bad_options(make, error, words):
    with pytest.raises(error, match=words):
        make()
