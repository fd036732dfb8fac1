"""Optimizer objects: which rule and hyper-parameters they name."""

from __future__ import annotations

import inspect
import math

import pytest

import nncore as nn
from nncore import optimizers
from nncore.optable import RULES
from nncore.optimizers import OPTIMIZERS

OF_RULES = [name for name in OPTIMIZERS if name != "lbfgs"]


@pytest.mark.parametrize("name", OF_RULES)
def test_defaults_are_those_of_the_rule(name):
    optimizer = optimizers.get(name)
    assert dict(optimizer.attrs) == RULES[optimizer.rule].fill({})
    assert type(optimizer) is OPTIMIZERS[name]
    assert repr(optimizer).startswith(f"{type(optimizer).__name__}(learning_rate=")


def test_every_optimizer_is_public_by_its_name():
    for cls in OPTIMIZERS.values():
        assert getattr(nn, cls.__name__) is cls
    assert isinstance(optimizers.get("lbfgs"), nn.LBFGS)


@pytest.mark.parametrize("name", OF_RULES)
def test_arguments_are_the_rule_s(name):
    """In Keras's words; what chooses between rules is an argument too."""
    cls = OPTIMIZERS[name]
    arguments = set(inspect.signature(cls).parameters) - {"options", "amsgrad", "centered"}
    variants = [nn.SGD(momentum=0.5)] if cls is nn.SGD else [nn.RMSprop(momentum=0.5)] if cls is nn.RMSprop else [cls()]
    assert arguments == set(RULES[variants[0].rule].attrs)


@pytest.mark.parametrize(
    ("optimizer", "rule", "attrs"),
    [
        (nn.RMSprop(momentum=0.5), "rmsprop_momentum", {"momentum": 0.5}),
        (nn.RMSprop(centered=True), "rmsprop_centered", {}),
        (nn.RMSprop(centered=True, momentum=0.5), "rmsprop_centered_momentum", {"momentum": 0.5}),
        (nn.Adam(amsgrad=True, weight_decay=0.1), "amsgrad", {"weight_decay": 0.1}),
        (nn.AdamW(amsgrad=True), "amsgrad", {"weight_decay": 0.01, "decoupled_weight_decay": True}),
        (nn.SGD(momentum=0.5, dampening=0.25), "momentum", {"momentum": 0.5, "dampening": 0.25}),
    ],
)
def test_options_choose_the_rule(optimizer, rule, attrs):
    assert optimizer.rule == rule
    assert dict(optimizer.attrs) == RULES[rule].fill(attrs)


def test_states_are_all_that_is_kept():
    optimizer = nn.Adam(gradient_accumulation_steps=2, use_ema=True)
    assert optimizer.states == [("adam", "m"), ("adam", "v"), ("accumulation", "gradient"), ("ema", "average")]
    assert nn.SGD().states == []


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
        (lambda: nn.SGD(0.1, dampening=0.1), ValueError, "dampening"),
        (lambda: nn.SGD(0.1, momentum=0.9, dampening=0.1, nesterov=True), ValueError, "nesterov"),
        (lambda: nn.SGD(0.1, decoupled_weight_decay=1), TypeError, "decoupled_weight_decay"),
        (lambda: nn.RMSprop(momentum=1.0), ValueError, "momentum"),
        (lambda: nn.RMSprop(centered=1), TypeError, "centered"),
        (lambda: nn.Adam(amsgrad="yes"), TypeError, "amsgrad"),
        (lambda: nn.Adagrad(initial_accumulator_value=-1.0), ValueError, "initial_accumulator_value"),
        (lambda: nn.Adadelta(rho=1.0), ValueError, "rho"),
        (lambda: nn.NAdam(momentum_decay=-1.0), ValueError, "momentum_decay"),
        (lambda: nn.Lion(beta_2=1.0), ValueError, "beta_2"),
        (lambda: nn.LAMB(epsilon=0.0), ValueError, "epsilon"),
        (lambda: nn.Adam(clipnrm=1.0), TypeError, "clipnrm"),
        (lambda: nn.Adam(clipnorm=0.0), ValueError, "clipnorm"),
        (lambda: nn.Adam(clipvalue=math.inf), ValueError, "clipvalue"),
        (lambda: nn.Adam(global_clipnorm="1"), TypeError, "global_clipnorm"),
        (lambda: nn.Adam(clipnorm=1.0, global_clipnorm=1.0), ValueError, "clipnorm and global_clipnorm"),
        (lambda: nn.Adam(gradient_accumulation_steps=0), ValueError, "gradient_accumulation_steps"),
        (lambda: nn.Adam(gradient_accumulation_steps=1.5), TypeError, "gradient_accumulation_steps"),
        (lambda: nn.Adam(use_ema=1), TypeError, "use_ema"),
        (lambda: nn.Adam(ema_momentum=0.9), ValueError, "use_ema"),
        (lambda: nn.Adam(use_ema=True, ema_momentum=1.1), ValueError, "ema_momentum"),
        (lambda: nn.Adam(ema_overwrite_frequency=5), ValueError, "ema_overwrite_frequency: expected use_ema=True"),
        (lambda: nn.Adam(use_ema=True, ema_overwrite_frequency=0), ValueError, "ema_overwrite_frequency"),
        (lambda: nn.Adam(use_ema=True, ema_overwrite_frequency=1.5), TypeError, "ema_overwrite_frequency"),
        (lambda: nn.Adam(groups=["*.bias"]), TypeError, "groups"),
        (lambda: nn.Adam(groups=[{"weight_decay": 0.0}]), TypeError, "match"),
        (lambda: nn.Adam(groups=[{"match": 3}]), TypeError, "match"),
        (lambda: nn.Adam(groups=[{"match": "*", "learning_rate": 1.0}]), ValueError, "learning_rate_factor"),
        (lambda: nn.Adam(groups=[{"match": "*", "learning_rate_factor": -1.0}]), ValueError, "learning_rate_factor"),
        (lambda: nn.Adam(groups=[{"match": "*", "weight_decay": -1.0}]), ValueError, "weight_decay"),
        (lambda: nn.Adam(lambda step: -1.0), ValueError, "learning_rate"),
        (lambda: nn.LBFGS(max_iter=0), ValueError, "max_iter"),
        (lambda: nn.LBFGS(history_size=1.5), ValueError, "history_size"),
        (lambda: nn.LBFGS(learning_rate=-1.0), ValueError, "learning_rate"),
        (lambda: nn.LBFGS(tolerance_grad="0"), TypeError, "tolerance_grad"),
        (lambda: nn.LBFGS(line_search="armijo"), ValueError, "line_search"),
        (lambda: optimizers.get("sgdd"), ValueError, ", ".join(OPTIMIZERS)),
        (lambda: optimizers.get(nn.SGD), TypeError, "optimizer"),
    ],
)
def test_bad_options(make, error, words):
    with pytest.raises(error, match=words):
        make()
