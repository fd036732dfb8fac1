"""What `Engine` promises, of both engines: passes, gradients, whole runs, and what they refuse."""

import math

import numpy as np
import pytest

import networks
from nncore import reference
from nncore.engines import create
from nncore.graph import GraphBuilder
from nncore.optable import LossSpec, RuleSpec

SGD = RuleSpec("sgd", {"learning_rate": 0.1})
MSE = LossSpec("mse")
ENTROPY = LossSpec("cross_entropy")
GRAPHS = [networks.deep, networks.activations, networks.residual, networks.shared, networks.positions]


def make(engine_name, graph, dtype="float64", seed=5):
    return networks.randomize(create(engine_name, graph, dtype, seed))


def batch(graph, rows=3, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((rows, *shape)) for shape in graph.input_shapes]


def run(engine, inputs, target, **changes):
    """`Engine.run` in one batch of all samples, with the mean squared error, unless `changes` say otherwise."""
    options = {
        "order": None,
        "start": 0,
        "batch_size": 1000,
        "loss": MSE,
        "metrics": (),
        "rule": SGD,
        "deadline": math.inf,
    }
    return engine.run(inputs, target, **{**options, **changes})


def central_differences(function, x, step=1e-5):
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


# Forward and backward -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [g() for g in GRAPHS], ids=[g.__name__ for g in GRAPHS])
def test_gradients_of_a_whole_network(engine_name, graph):
    """Of all inputs and parameters, with dropout, against central differences."""
    engine = make(engine_name, graph)
    inputs = batch(graph)
    rng = np.random.default_rng(2)
    weights = [rng.standard_normal((3, *shape)) for shape in graph.output_shapes]

    def value():
        engine.draws = 7  # the same dropout masks every time
        return sum(np.sum(w * y) for w, y in zip(weights, engine.forward(inputs, training=True), strict=True))

    value()
    d_inputs = engine.backward(weights)
    d_parameters = [engine.get_gradient(i) for i in range(len(graph.parameters))]
    for i, d in enumerate(d_inputs):
        original = inputs[i]

        def of_input(x, i=i):
            inputs[i] = x
            return value()

        np.testing.assert_allclose(d, central_differences(of_input, original), rtol=1e-6, atol=1e-8)
        inputs[i] = original
    for i, d in enumerate(d_parameters):
        original = engine.get_parameter(i)

        def of_parameter(p, i=i):
            engine.set_parameter(i, p)
            return value()

        np.testing.assert_allclose(d, central_differences(of_parameter, original), rtol=1e-6, atol=1e-8)
        engine.set_parameter(i, original)


def test_forward_of_a_residual_network_by_hand(engine_name):
    engine = make(engine_name, networks.residual())
    x, z = batch(engine.graph)
    w0, b0, w1, b1 = networks.parameters(engine)
    s = x + z + 2 * np.tanh(x @ w0 + b0)
    y = 1 / (1 + np.exp(-(s @ w1 + b1)))
    for actual, expected in zip(engine.forward([x, z], training=False), (y + s, y), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-13)


def test_an_output_that_is_an_input_and_one_that_is_named_twice(engine_name):
    b = GraphBuilder()
    x = b.input((2,))
    h = b.node("tanh", [x])
    engine = create(engine_name, b.build([h, x, h]), "float64", 0)
    v = np.array([[0.3, -0.4]])
    outputs = engine.forward([v], training=True)
    np.testing.assert_allclose(outputs, [np.tanh(v), v, np.tanh(v)], rtol=1e-15)
    (dx,) = engine.backward([np.full((1, 2), 1.0), np.full((1, 2), 2.0), np.full((1, 2), 3.0)])
    np.testing.assert_allclose(dx, 4 * (1 - np.tanh(v) ** 2) + 2, rtol=1e-14)


def test_what_does_not_reach_an_output_has_no_gradient(engine_name):
    b = GraphBuilder()
    x, unused = b.input((2,)), b.input((3,))
    networks.dense(b, unused, 4, "unused")
    engine = make(engine_name, b.build([networks.dense(b, x, 2, "used")]))
    engine.forward([np.ones((2, 2)), np.ones((2, 3))], training=True)
    _, d_unused = engine.backward([np.ones((2, 2))])
    np.testing.assert_array_equal(d_unused, np.zeros((2, 3)))
    np.testing.assert_array_equal(engine.get_gradient(0), np.zeros((3, 4)))
    np.testing.assert_array_equal(engine.get_gradient(3), [2.0, 2.0])


def test_dropout_acts_in_training_only(engine_name):
    b = GraphBuilder()
    engine = create(engine_name, b.build([b.node("dropout", [b.input((50,))], {"rate": 0.5})]), "float64", seed=3)
    x = np.ones((20, 50))
    np.testing.assert_array_equal(engine.forward([x], training=False)[0], x)
    assert engine.draws == 0
    (first,), (second,) = engine.forward([x], training=True), engine.forward([x], training=True)
    assert engine.draws == 2
    assert set(np.unique(first)) == {0.0, 2.0}
    assert not np.array_equal(first, second)
    engine.draws = 0
    np.testing.assert_array_equal(engine.forward([x], training=True)[0], first)
    np.testing.assert_array_equal(engine.backward([x])[0], first)


def test_dropout_counter_is_node_and_draw(engine_name):
    """The mask is that of the public function, for the node's index and the engine's count of draws."""
    b = GraphBuilder()
    graph = b.build([b.node("dropout", [b.node("identity", [b.input((2, 7))])], {"rate": 0.4})])
    engine = create(engine_name, graph, "float32", seed=2**63 + 1)
    x = np.ones((5, 2, 7), "float32")
    engine.draws = 11
    expected = reference.dropout(x, 0.4, seed=2**63 + 1, node=2, step=11)
    np.testing.assert_array_equal(engine.forward([x], training=True)[0], expected)


def test_arrays_that_go_in_or_out_are_not_aliased(engine_name):
    b = GraphBuilder()
    engine = create(engine_name, b.build([b.node("tanh", [b.node("identity", [b.input((3,))])])]), "float64", 0)
    x, dy = np.full((2, 3), 0.5), np.ones((2, 3))
    (y,) = engine.forward([x], training=True)
    expected = 1 - y**2
    x[...] = 9
    y[...] = 9
    np.testing.assert_allclose(engine.backward([dy])[0], expected, rtol=1e-14)
    np.testing.assert_array_equal(dy, np.ones((2, 3)))


def test_backward_needs_a_training_forward(engine_name):
    engine = make(engine_name, networks.deep())
    inputs, dy = batch(engine.graph), np.ones((3, 3))
    with pytest.raises(RuntimeError, match="forward"):
        engine.backward([dy])
    engine.forward(inputs, training=False)
    with pytest.raises(RuntimeError, match="forward"):
        engine.backward([dy])
    engine.forward(inputs, training=True)
    engine.backward([dy])
    with pytest.raises(RuntimeError, match="forward"):
        engine.backward([dy])


def test_a_batch_of_no_rows(engine_name):
    engine = make(engine_name, networks.deep())
    (y,) = engine.forward([np.zeros((0, 2, 3))], training=True)
    assert y.shape == (0, 3)
    (dx,) = engine.backward([y])
    assert dx.shape == (0, 2, 3)
    assert not any(engine.get_gradient(i).any() for i in range(len(engine.graph.parameters)))
    assert engine.predict([np.zeros((0, 2, 3))], batch_size=4)[0].shape == (0, 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_gives_equal_bits_for_any_batch_size(engine_name, dtype):
    engine = make(engine_name, networks.deep(), dtype)
    x = batch(engine.graph, rows=11)
    (expected,) = engine.predict(x, batch_size=11)
    assert expected.dtype == dtype
    for batch_size in (1, 2, 3, 10, 100):
        np.testing.assert_array_equal(engine.predict(x, batch_size)[0], expected)
    # Sums of terms about 1 large: an element near zero is no more exact than they are.
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(engine.forward(x, training=False)[0], expected, rtol=10 * tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float16", "float32", ">f8"])
def test_inputs_of_any_real_dtype(engine_name, dtype):
    engine = make(engine_name, networks.deep())
    x = np.abs(batch(engine.graph)[0] * 3).astype(dtype)
    expected = engine.predict([x.astype("float64")], batch_size=2)[0]
    np.testing.assert_array_equal(engine.predict([x], batch_size=2)[0], expected)
    results = [make(engine_name, networks.deep()) for _ in range(2)]
    for engine, inputs in zip(results, (x, np.asfortranarray(x.astype("float64"))), strict=True):
        run(engine, [inputs], np.zeros((3, 3)))
    for a, b in zip(*map(networks.parameters, results), strict=True):
        np.testing.assert_array_equal(a, b)


# Parameters and optimizer states ------------------------------------------------------------------------------------------


def test_parameters_start_as_zeros_and_are_copied(engine_name):
    engine = create(engine_name, networks.deep(), "float32", 0)
    p = engine.get_parameter(0)
    assert p.dtype == np.float32
    assert not p.any()
    p[...] = 1
    assert not engine.get_parameter(0).any()
    engine.set_parameter(0, np.full(p.shape, 2, dtype=">i4"))
    np.testing.assert_array_equal(engine.get_parameter(0), np.full(p.shape, 2.0))
    with pytest.raises(ValueError, match=r"d0\.kernel"):
        engine.set_parameter(0, np.zeros((9, 6)))
    with pytest.raises(TypeError, match=r"d0\.kernel"):
        engine.set_parameter(0, np.zeros(p.shape, complex))


def test_states_are_zeros_and_survive_a_round_trip(engine_name):
    """Copying parameters, states and counters to another engine continues training as if nothing had happened."""
    rule = RuleSpec("adam", {"learning_rate": 0.01})
    graph = networks.deep()
    x, t = batch(graph), np.ones((3, 3))
    a, b = make(engine_name, graph), create(engine_name, graph, "float64", 5)
    assert not a.get_state("adam", "m", 0).any()
    run(a, x, t, rule=rule)
    assert a.get_state("adam", "m", 0).any()
    for i in range(len(graph.parameters)):
        b.set_parameter(i, a.get_parameter(i))
        for state in ("m", "v"):
            b.set_state("adam", state, i, a.get_state("adam", state, i))
    b.iterations, b.draws = a.iterations, a.draws
    for engine in (a, b):
        run(engine, x, t, rule=rule)
    for p, q in zip(networks.parameters(a), networks.parameters(b), strict=True):
        np.testing.assert_array_equal(p, q)
    for rule_name, state in (("adam", "velocity"), ("sgd", "m"), ("nonsense", "m")):
        with pytest.raises(ValueError, match="state"):
            a.get_state(rule_name, state, 0)


def test_update_after_backward_is_one_run(engine_name):
    graph = networks.deep()
    x, t = batch(graph), np.ones((3, 3))
    a, b = make(engine_name, graph), make(engine_name, graph)
    run(a, x, t)
    (y,) = b.forward(x, training=True)
    b.backward([reference.mse_backward(y, t)])
    b.update(SGD)
    assert (a.iterations, a.draws) == (b.iterations, b.draws) == (1, 1)
    for p, q in zip(networks.parameters(a), networks.parameters(b), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-13, atol=1e-15)


def test_a_parameter_that_is_not_trainable_stays(engine_name):
    graph = networks.shared()
    engine = make(engine_name, graph)
    kernel, bias = networks.parameters(engine)
    for name in ("sgd", "momentum", "adam", "adamw", "rmsprop"):
        run(engine, batch(graph), np.ones((3, 4)), rule=RuleSpec(name, {"weight_decay": 0.1}))
    np.testing.assert_array_equal(engine.get_parameter(1), bias)
    assert not np.array_equal(engine.get_parameter(0), kernel)
    assert engine.iterations == 5


# Whole runs ---------------------------------------------------------------------------------------------------------------


def test_a_run_is_its_batches(engine_name):
    """In the given order, from the given start, with a smaller last batch; loss and metrics are sums over samples."""
    graph = networks.deep(rate=0.0)
    x, t = batch(graph, rows=10), np.random.default_rng(3).standard_normal((10, 3))
    order = np.random.default_rng(4).permutation(10)
    a, b = make(engine_name, graph), make(engine_name, graph)
    result = run(a, x, t, order=order, start=4, batch_size=4, metrics=("mse", "mae"))
    loss, squares, absolutes = 0.0, 0.0, 0.0
    for rows in (order[4:8], order[8:10]):
        (y,) = b.forward([x[0][rows]], training=False)
        loss += float(np.mean((y - t[rows]) ** 2)) * len(rows)
        squares += np.sum(np.mean((y - t[rows]) ** 2, axis=1))
        absolutes += np.sum(np.mean(np.abs(y - t[rows]), axis=1))
        one = run(b, [x[0][rows]], t[rows])
        assert (one.position, one.samples, one.steps) == (len(rows), len(rows), 1)
    assert (result.position, result.samples, result.steps) == (10, 6, 2)
    np.testing.assert_allclose((result.loss, *result.metrics), (loss, squares, absolutes), rtol=1e-12)
    for p, q in zip(networks.parameters(a), networks.parameters(b), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-15)


def test_an_order_may_name_some_samples_and_repeat_others(engine_name):
    engine = make(engine_name, networks.deep())
    x, t = batch(engine.graph, rows=6), np.zeros((6, 3))
    result = run(engine, x, t, order=np.array([5, 5, 0]), batch_size=2, rule=None)
    (y,) = engine.forward([x[0][[5, 5, 0]]], training=False)
    assert (result.position, result.samples, result.steps) == (3, 3, 2)
    assert result.loss == pytest.approx(np.sum(np.mean(y**2, axis=1)), rel=1e-12)


def test_evaluation_changes_nothing(engine_name):
    engine = make(engine_name, networks.deep())
    x, t = batch(engine.graph, rows=7), np.array([0, 1, 2, 0, 1, 2, 0])
    before = networks.parameters(engine)
    first = run(engine, x, t, loss=ENTROPY, metrics=("accuracy",), rule=None, batch_size=3)
    assert (engine.iterations, engine.draws) == (0, 0)
    assert run(engine, x, t, loss=ENTROPY, metrics=("accuracy",), rule=None, batch_size=3) == first
    for p, q in zip(networks.parameters(engine), before, strict=True):
        np.testing.assert_array_equal(p, q)
    (y,) = engine.forward(x, training=False)
    assert first.metrics == (float(np.sum(y.argmax(axis=1) == t)),)


def test_evaluation_between_forward_and_backward_leaves_the_pass(engine_name):
    engine = make(engine_name, networks.deep())
    x = batch(engine.graph)
    engine.forward(x, training=True)
    run(engine, batch(engine.graph, rows=5), np.zeros((5, 3)), rule=None)
    engine.predict(batch(engine.graph, rows=5), batch_size=2)
    (dx,) = engine.backward([np.ones((3, 3))])
    engine.draws = 0
    engine.forward(x, training=True)
    np.testing.assert_array_equal(engine.backward([np.ones((3, 3))])[0], dx)


def test_a_deadline_stops_after_a_whole_step_and_the_run_goes_on(engine_name):
    graph = networks.deep()
    x, t = batch(graph, rows=10), np.ones((10, 3))
    whole, pieces = make(engine_name, graph), make(engine_name, graph)
    expected = run(whole, x, t, batch_size=4)
    position, steps, loss = 0, 0, 0.0
    while position < 10:
        result = run(pieces, x, t, batch_size=4, start=position, deadline=0.0)
        assert result.steps == 1
        position, steps, loss = result.position, steps + 1, loss + result.loss
    assert (position, steps) == (expected.position, expected.steps) == (10, 3)
    assert loss == pytest.approx(expected.loss, rel=1e-12)
    for p, q in zip(networks.parameters(whole), networks.parameters(pieces), strict=True):
        np.testing.assert_array_equal(p, q)


def test_no_samples_are_no_steps(engine_name):
    engine = make(engine_name, networks.deep())
    assert run(engine, [np.zeros((0, 2, 3))], np.zeros((0, 3)), metrics=("mse",)).steps == 0
    result = run(engine, batch(engine.graph), np.zeros((3, 3)), start=3, metrics=("mse",))
    assert (result.position, result.samples, result.steps, result.loss, result.metrics) == (3, 0, 0, 0.0, (0.0,))


def test_metrics(engine_name):
    """Each metric on an identity network, by hand."""
    b = GraphBuilder()
    engine = create(engine_name, b.build([b.node("identity", [b.input((3,))])]), "float64", 0)
    x = np.array([[0.1, 0.9, 0.9], [0.6, 0.2, -0.1], [-2.0, -1.0, 0.7]])
    t = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    names = ("accuracy", "binary_accuracy", "binary_accuracy_logits", "mse", "mae")
    result = run(engine, [x], t, metrics=names, rule=None, batch_size=2)
    expected = (2, (2 + 1 + 3) / 3, (1 + 2 + 3) / 3, np.mean((x - t) ** 2) * 3, np.mean(np.abs(x - t)) * 3)
    np.testing.assert_allclose(result.metrics, expected, rtol=1e-14)
    assert run(engine, [x], np.array([1, 1, 2]), loss=ENTROPY, metrics=("accuracy",), rule=None).metrics == (2.0,)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits", "mse"])
def test_losses_of_a_run(engine_name, loss):
    engine = make(engine_name, networks.deep())
    x, t = batch(engine.graph, rows=5), np.full((5, 3), 1 / 3)
    (y,) = engine.forward(x, training=False)
    expected = getattr(reference, loss)(y, t) * 5
    assert run(engine, x, t, loss=LossSpec(loss), rule=None).loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits", "mse"])
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_loss_that_is_summed_is_reported_as_a_mean(engine_name, loss, reduction):
    """Its gradient is that of the sum: as many times the mean's as the mean has terms."""
    graph = networks.deep(rate=0.0)
    x, t = batch(graph, rows=5), np.full((5, 3), 1 / 3)
    summed, mean = make(engine_name, graph), make(engine_name, graph)
    terms = 5 if loss == "cross_entropy" else 15
    a = run(summed, x, t, loss=LossSpec(loss, {"reduction": reduction}), rule=RuleSpec("sgd", {"learning_rate": 0.01}))
    b = run(mean, x, t, loss=LossSpec(loss), rule=RuleSpec("sgd", {"learning_rate": 0.01 * terms}))
    assert a.loss == pytest.approx(b.loss, rel=1e-13)
    for p, q in zip(networks.parameters(summed), networks.parameters(mean), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-14)


# Refusals -----------------------------------------------------------------------------------------------------------------


def frozen(engine):
    """All that a refused batch must leave as it is."""
    states = [
        engine.get_state(rule, state, i)
        for rule, names in (("momentum", ["velocity"]), ("adam", ["m", "v"]))
        for state in names
        for i in range(len(engine.graph.parameters))
    ]
    return [*networks.parameters(engine), *states, np.array(engine.iterations)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam"])
def test_a_loss_that_is_not_finite_is_refused_before_its_update(engine_name, rule, bad):
    engine = make(engine_name, networks.deep())
    x, t = batch(engine.graph, rows=6), np.ones((6, 3))
    t[4, 1] = bad
    good = make(engine_name, networks.deep())
    run(good, [x[0][:4]], t[:4], batch_size=2, rule=RuleSpec(rule))
    with pytest.raises(FloatingPointError, match=rf"batch 2\b.*{bad}"):
        run(engine, x, t, batch_size=2, rule=RuleSpec(rule))
    for a, b in zip(frozen(engine), frozen(good), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(RuntimeError, match="forward"):
        engine.backward([np.ones((2, 3))])


def test_an_input_that_is_not_a_number_is_refused_before_its_update(engine_name):
    engine = make(engine_name, networks.deep(), "float32")
    x = batch(engine.graph)
    x[0][1, 0, 0] = np.nan
    before = frozen(engine)
    with pytest.raises(FloatingPointError, match=r"batch 0\b.*nan"):
        run(engine, x, np.ones((3, 3)))
    with pytest.raises(FloatingPointError, match=r"batch 0\b.*nan"):
        run(engine, x, np.ones((3, 3)), rule=None)
    for a, b in zip(frozen(engine), before, strict=True):
        np.testing.assert_array_equal(a, b)


X, T = np.zeros((6, 2, 3)), np.zeros((6, 3))


@pytest.mark.parametrize(
    ("error", "match", "changes"),
    [
        (ValueError, r"inputs\b", {"inputs": []}),
        (ValueError, r"inputs\b", {"inputs": [X, X]}),
        (ValueError, r"inputs\[0\]", {"inputs": [np.zeros((6, 3, 2))]}),
        (ValueError, r"inputs\[0\]", {"inputs": [np.zeros((6, 6))]}),
        (ValueError, r"inputs\[0\]", {"inputs": [np.float64(1)]}),
        (TypeError, r"inputs\[0\]", {"inputs": [X.astype(complex)]}),
        (TypeError, r"inputs\[0\]", {"inputs": [X.astype(object)]}),
        (ValueError, "target", {"target": T[:5]}),
        (ValueError, "target", {"target": T[:, :2]}),
        (ValueError, "target", {"target": T[:, 0]}),
        (TypeError, "target", {"target": T.astype("U1")}),
        (TypeError, "target", {"target": T[:, 0], "loss": ENTROPY}),
        (ValueError, "3 in row 4", {"target": np.array([0, 1, 2, 0, 3, -1]), "loss": ENTROPY}),
        (ValueError, "-1 in row 5", {"target": np.array([0, 1, 2, 0, 2, -1]), "loss": ENTROPY}),
        (ValueError, "target", {"target": np.array([0, 1, 2, 0, 2]), "loss": ENTROPY}),
        (ValueError, "order", {"order": np.array([0, 6])}),
        (ValueError, "order", {"order": np.array([-1, 0])}),
        (ValueError, "order", {"order": np.zeros((2, 1), np.int64)}),
        (ValueError, "start", {"start": 7}),
        (ValueError, "start", {"start": -1}),
        (ValueError, "batch_size", {"batch_size": 0}),
        (ValueError, "loss", {"loss": LossSpec("hinges")}),
        (ValueError, "reduction", {"loss": LossSpec("mse", {"reduction": "max"})}),
        (ValueError, "metrics", {"metrics": ("recall",)}),
        (ValueError, "rule", {"rule": RuleSpec("nonsense")}),
        (ValueError, "learning_rate", {"rule": RuleSpec("sgd", {"learning_rate": -1.0})}),
    ],
)
def test_a_run_that_does_not_fit_is_refused_untouched(engine_name, error, match, changes):
    engine = make(engine_name, networks.deep())
    before = frozen(engine)
    arguments = {"inputs": [X], "target": T, "batch_size": 2, **changes}
    with pytest.raises(error, match=match):
        run(engine, **arguments)
    for a, b in zip(frozen(engine), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_metrics_that_do_not_fit_the_target_are_refused_untouched(engine_name):
    engine = make(engine_name, networks.deep())
    before = frozen(engine)
    with pytest.raises(ValueError, match="metric"):
        run(engine, [X], np.zeros(6, int), loss=ENTROPY, metrics=("mse",), batch_size=2)
    for a, b in zip(frozen(engine), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_passes_that_do_not_fit_are_refused(engine_name):
    engine = make(engine_name, networks.residual())
    x = np.zeros((3, 4))
    for inputs in ([x], [x, x[:2]], [x, x[:, :3]], [x[0], x[0]]):
        with pytest.raises(ValueError, match="inputs"):
            engine.forward(inputs, training=False)
        with pytest.raises(ValueError, match="inputs"):
            engine.predict(inputs, batch_size=2)
    with pytest.raises(ValueError, match="batch_size"):
        engine.predict([x, x], batch_size=0)
    engine.forward([x, x], training=True)
    for gradients in ([x], [x[:2], x[:2]], [x, x[:, :3]]):
        with pytest.raises(ValueError, match="gradients"):
            engine.backward(gradients)
    engine.backward([x, x])  # a refused call has not used up the pass
    with pytest.raises(ValueError, match="output"):
        run(engine, [x, x], x)


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        ("'native', 'reference'", {"name": "cuda"}),
        ("dtype", {"dtype": "float16"}),
        ("seed", {"seed": -1}),
        ("seed", {"seed": 2**64}),
        ("seed", {"seed": 0.5}),
    ],
)
def test_create_refuses(match, changes):
    arguments = {"name": "reference", "graph": networks.deep(), "dtype": "float32", "seed": 0, **changes}
    with pytest.raises(ValueError, match=match):
        create(**arguments)
