"""One program, two engines: outputs, losses, gradients and parameters after fifty optimizer steps agree."""

import math
from functools import partial

import numpy as np
import pytest

import networks
from nncore.engines import create
from nncore.optable import RULES as RULE_ROWS
from nncore.optable import GroupSpec, LossSpec, RuleSpec

ATOL = {"float32": 1e-4, "float64": 1e-10}

RULES = [
    RuleSpec("sgd", {"learning_rate": 0.1}),
    RuleSpec("momentum", {"learning_rate": 0.05}),
    RuleSpec("momentum", {"learning_rate": 0.05, "nesterov": True, "weight_decay": 0.01}),
    RuleSpec("adam", {"learning_rate": 0.01}),
    RuleSpec("adamw", {"learning_rate": 0.01, "weight_decay": 0.1}),
    RuleSpec("rmsprop", {"learning_rate": 0.005}),
    *(
        RuleSpec(name, {"learning_rate": 0.5 if name == "adadelta" else 0.005, "weight_decay": 0.1, **attrs})
        for name, row in RULE_ROWS.items()
        if name not in ("adam", "adamw")
        for attrs in ({}, {"decoupled_weight_decay": True})
        if attrs.keys() <= row.attrs.keys()
    ),
]
SURROUNDINGS = [
    {"clipvalue": 0.02},
    {"clipnorm": 0.1},
    {"global_clipnorm": 0.1},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 4, "global_clipnorm": 0.1, "ema_momentum": 0.9},
    {"ema_momentum": 0.5},
    {"ema_momentum": 0.8, "ema_overwrite_frequency": 7},
    {"groups": (GroupSpec("*.bias", 0.5, 0.0), GroupSpec("d1.*", 0.0), GroupSpec("*", weight_decay=0.2))},
]

NORMALIZED = [networks.normalized, partial(networks.normalized, frozen=True)]


def engines(graph, dtype, seed=2**40 + 3):
    return [networks.randomize(create(name, graph, dtype, seed)) for name in ("reference", "native")]


def train(pair, rule, dtype, rates=()):
    """Ten epochs of five batches, the last smaller; the results of both engines agree all the way."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((36, 2, 3)), rng.integers(0, 3, 36)
    for epoch in range(10):
        order = np.random.default_rng(epoch).permutation(36)
        results = [
            engine.run(
                [x],
                t,
                order=order,
                start=0,
                batch_size=8,
                loss=LossSpec("cross_entropy"),
                metrics=("accuracy",),
                rule=rule,
                rates=rates,
                deadline=math.inf,
            )
            for engine in pair
        ]
        assert results[0].steps == results[1].steps == 5
        assert results[0].loss == pytest.approx(results[1].loss, abs=36 * ATOL[dtype])
        assert results[0].metrics == results[1].metrics
    assert pair[0].iterations == pair[1].iterations
    assert pair[0].accumulated == pair[1].accumulated
    assert pair[0].draws == pair[1].draws == 50
    for i, spec in enumerate(pair[0].graph.parameters):
        expected, actual = (engine.get_parameter(i) for engine in pair)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=ATOL[dtype], err_msg=spec.name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{'-'.join(rule.attrs)}")
def test_fifty_steps(rule, dtype):
    """Of a network of four layers with dropout."""
    pair = engines(networks.deep(), dtype)
    train(pair, rule, dtype)
    assert pair[0].iterations == 50


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fifty_steps_with_batch_normalisation(dtype):
    pair = engines(networks.normalized(), dtype)
    train(pair, RULES[2], dtype)
    assert pair[0].iterations == 50


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", ["momentum", "adamw", "lamb"])
@pytest.mark.parametrize("options", SURROUNDINGS, ids=lambda options: "-".join(options))
def test_fifty_steps_with_what_surrounds_a_rule(options, rule, dtype):
    spec = RuleSpec(rule, {"learning_rate": 0.01, "weight_decay": 0.1}, **options)
    pair = engines(networks.deep(), dtype)
    train(pair, spec, dtype, rates=np.linspace(0.01, 0.02, 5))
    assert pair[0].iterations == 50 // spec.gradient_accumulation_steps
    owners = {"ema": ["average"]} if spec.ema_momentum else {}
    owners |= {"accumulation": ["gradient"]} if spec.gradient_accumulation_steps > 1 else {}
    for owner, states in owners.items():
        for state in states:
            for i in range(len(pair[0].graph.parameters)):
                expected, actual = (engine.get_state(owner, state, i) for engine in pair)
                assert expected.any()
                np.testing.assert_allclose(actual, expected, rtol=0, atol=ATOL[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "make",
    [
        *(
            networks.deep,
            networks.activations,
            networks.axes,
            networks.residual,
            networks.shared,
            networks.merging,
            networks.lookups,
        ),
        *(networks.positions, partial(networks.positions, (16, 150)), partial(networks.positions, (33, 64))),
        *NORMALIZED,
    ],
)
def test_outputs_and_every_gradient(make, dtype):
    graph = make()
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal((9, *shape)) for shape in graph.input_shapes]
    # Sums over positions too are of the size of one number, of which the tolerance is a part.
    gradients = [rng.standard_normal((9, *shape)) / math.prod(shape[:-1]) ** 0.5 for shape in graph.output_shapes]
    pair = engines(graph, dtype)
    tolerance = {"float32": 1e-5, "float64": 1e-13}[dtype]
    results = []
    for engine in pair:
        outputs = engine.forward(inputs, training=True)
        d_inputs = engine.backward(gradients)
        d_parameters = [engine.get_gradient(i) for i in range(len(graph.parameters))]
        results.append([*outputs, *d_inputs, *d_parameters, *engine.predict(inputs, batch_size=4)])
    for expected, actual in zip(*results, strict=True):
        assert actual.dtype == expected.dtype == dtype
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("loss", ["mse", "bce_with_logits", "cross_entropy"])
def test_losses_and_metrics(loss):
    graph = networks.deep()
    rng = np.random.default_rng(2)
    x, t = rng.standard_normal((11, 2, 3)), rng.dirichlet(np.ones(3), 11)
    metrics = ("accuracy", "binary_accuracy", "binary_accuracy_logits", "mse", "mae")
    results = [
        engine.run(
            [x], t, order=None, start=0, batch_size=4, loss=LossSpec(loss), metrics=metrics, rule=None, deadline=math.inf
        )
        for engine in engines(graph, "float64")
    ]
    assert results[1].loss == pytest.approx(results[0].loss, rel=1e-12)
    np.testing.assert_allclose(results[1].metrics, results[0].metrics, rtol=1e-12)
