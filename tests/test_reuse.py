"""Copies, pickles, clones, frozen layers, and weights that move between models by name."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import sys

import numpy as np
import pytest

import nncore as nn
import processes
from test_checkpoints import OPTIMIZERS, X, Y, digest, make, several_outputs


def fitted(name="adam", engine="native"):
    model = make(OPTIMIZERS[name](), engine)
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    return model


COPIES = {"pickle": lambda model: pickle.loads(pickle.dumps(model)), "deepcopy": copy.deepcopy, "copy": copy.copy}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", ["adam", "lbfgs", "accumulation", "average", "schedule"])
def test_a_copy_goes_on_alike_and_alone(name, how, engine_name):
    model = fitted(name, engine_name)
    twin = COPIES[how](model)
    before = digest(model)
    assert digest(twin) == before
    assert twin.history == model.history
    assert twin.metadata == model.metadata
    assert twin.predict(X).tobytes() == model.predict(X).tobytes()
    first = twin.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    assert digest(model) == before
    second = model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    assert digest(twin) == digest(model) != before
    assert first.history == second.history
    assert model.evaluate(X, Y) == twin.evaluate(X, Y)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_copy_before_the_first_step(name):
    model = make(OPTIMIZERS[name]())
    model.predict(X)  # so that there is an engine to copy
    twin = copy.deepcopy(model)
    assert twin.fit(X, Y, batch_size=16, verbose=0).history == model.fit(X, Y, batch_size=16, verbose=0).history
    assert digest(twin) == digest(model)


def branched(engine="native"):
    """Shared layers, a model as a layer, and two ends."""
    encoder = nn.Sequential([nn.Input((5,)), nn.Dense(4, activation="tanh"), nn.BatchNorm()], name="encoder")
    a = nn.Input((5,), name="a")
    h = encoder(a)
    shared = nn.Dense(4, name="shared")
    model = nn.Model(a, [nn.Dense(3, name="p")(nn.Add()([shared(h), shared(shared(h))])), nn.Dense(1, name="q")(h)])
    model.compile("adam", ["cross_entropy", "mse"], engine=engine, seed=2)
    return model


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("build", [branched, several_outputs])
def test_copies_of_branched_models(build, how, engine_name):
    model = build(engine_name)
    target = [Y, X[:, 0]] if build is branched else {"u": Y, "v": X[:, 0]}
    model.fit(X, target, verbose=0)
    twin = COPIES[how](model)
    assert digest(twin) == digest(model)
    assert twin.fit(X, target, verbose=0).history == model.fit(X, target, verbose=0).history
    assert digest(twin) == digest(model)
    lines = {id(m): [] for m in (model, twin)}
    for m in (model, twin):
        m.summary(print_fn=lines[id(m)].append)
    assert lines[id(model)] == lines[id(twin)]
    assert twin.get_config() == model.get_config()


def test_a_copy_is_a_layer_like_any_other():
    """Calls of a copy are numbered anew, so that copies and new layers go together in one model."""
    encoder = pickle.loads(pickle.dumps(nn.Model(a := nn.Input((5,)), nn.Dense(3)(nn.Dense(4)(a)))))
    start = pickle.loads(pickle.dumps(nn.Input((5,), name="start")))
    model = nn.Model(start, nn.Add()([encoder(start), nn.Dense(3)(start)]))
    weights = model.get_weights()
    expected = (X @ weights[0] + weights[1]) @ weights[2] + weights[3] + X @ weights[4] + weights[5]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4, atol=1e-5)


def test_a_deep_network_needs_no_deep_recursion():
    tensor = start = nn.Input((2,))
    for _ in range(400):
        tensor = nn.Activation("relu")(tensor)
    model = nn.Model(start, tensor)
    limit = sys.getrecursionlimit()
    twin = pickle.loads(pickle.dumps(model))
    assert sys.getrecursionlimit() == limit
    assert twin.predict([[1.0, -1.0]]).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("how", COPIES)
def test_copies_before_anything_is_known(how):
    for model in (nn.Sequential([nn.Dense(3)]), nn.Sequential([nn.Input((5,)), nn.Dense(3)])):
        twin = COPIES[how](model)
        for m in (model, twin):
            m.compile("adam", "cross_entropy", seed=3)
        assert twin.fit(X, Y, verbose=0).history == model.fit(X, Y, verbose=0).history
        assert digest(twin) == digest(model)
    loaded = nn.Sequential([nn.Input((5,)), nn.Dense(3)])
    loaded._restore([np.ones((5, 3), np.float32), np.zeros(3, np.float32)], "float32")  # as nn.load does
    assert COPIES[how](loaded).get_weights()[0].tolist() == np.ones((5, 3)).tolist()


def test_a_change_of_trainable_that_is_not_compiled_yet_is_copied_so():
    model = fitted()
    model.layers[1].trainable = False
    twin = copy.deepcopy(model)
    assert [p.trainable for p in twin.graph.parameters] == [p.trainable for p in model.graph.parameters]
    assert twin.fit(X, Y, verbose=0).history == model.fit(X, Y, verbose=0).history
    assert digest(twin) == digest(model)


def test_inside_averaged_weights_there_are_no_copies():
    model = fitted("average")
    with model.averaged_weights(), pytest.raises(RuntimeError, match="copy: expected not to be called inside"):
        copy.deepcopy(model)


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_models_go_to_other_processes_and_come_back(method):
    model = fitted()
    with multiprocessing.get_context(method).Pool(1) as pool:
        there, returned = pool.apply_async(processes.train, (model, X, Y)).get(timeout=60)
    model.fit(X, Y, batch_size=16, verbose=0)
    assert there == digest(model) == digest(returned)


# -- clones ------------------------------------------------------------------------------------------------------------


def test_a_clone_begins_anew(engine_name):
    model = fitted("adam", engine_name)
    fresh = make(OPTIMIZERS["adam"](), engine_name)
    twin, other = model.clone(), model.clone(seed=99)
    assert digest(twin) == digest(fresh)
    assert twin.history.epoch == []
    assert other.get_weights()[0].tobytes() != twin.get_weights()[0].tobytes()
    assert twin.fit(X, Y, batch_size=16, verbose=0).history == fresh.fit(X, Y, batch_size=16, verbose=0).history
    assert digest(twin) == digest(fresh)
    for bad in (-1, 1.5, True):
        with pytest.raises(ValueError, match="seed"):
            model.clone(seed=bad)


def test_a_clone_of_a_model_of_models():
    model = branched()
    model.fit(X, [Y, X[:, 0]], verbose=0)
    assert digest(model.clone()) == digest(branched())


# -- frozen layers -----------------------------------------------------------------------------------------------------


def test_frozen_layers_stay_and_the_others_go_on(engine_name):
    model = make(nn.SGD(0.1), engine_name)
    model.fit(X, Y, verbose=0)
    state = copy.deepcopy(model)
    model.freeze("dense", model.layers[4])
    before = model.parameters()
    model.fit(X, Y, verbose=0, epochs=2)
    after = model.parameters()
    for name in before:
        assert (before[name].tobytes() != after[name].tobytes()) == name.startswith("batch_norm"), name
    assert model.engine.iterations == state.engine.iterations + 4
    model.unfreeze()
    assert all(a.trainable == b.trainable for a, b in zip(model.graph.parameters, state.graph.parameters, strict=True))


def test_the_optimizer_goes_on_where_it_was(engine_name):
    model, twin = fitted("adam", engine_name), fitted("adam", engine_name)
    model.freeze("dense_1")
    model.unfreeze("dense_1")
    assert digest(model) == digest(twin)
    model.fit(X, Y, verbose=0)
    twin.fit(X, Y, verbose=0)
    assert digest(model) == digest(twin)


def test_frozen_batch_normalisation_runs_as_in_inference(engine_name):
    model = fitted("adam", engine_name)
    model.freeze()
    assert not any(spec.trainable for spec in model.graph.parameters)
    before = digest(model)
    model.evaluate(X, Y)
    y = model.forward(X)
    model.unfreeze("dense*", "dropout")
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-5, atol=1e-6)
    assert digest(model) == before


def test_parts_of_parts_and_names_that_there_are_not():
    model = branched()
    model.freeze("encoder.dense")
    frozen = [spec.name for spec in model.graph.parameters if not spec.trainable]
    assert frozen[:2] == ["encoder.dense.kernel", "encoder.dense.bias"]
    assert "encoder.batch_norm.gamma" not in frozen
    model.freeze("enc*")
    assert [spec.name for spec in model.graph.parameters if spec.trainable] == [
        "shared.kernel", "shared.bias", "p.kernel", "p.bias", "q.kernel", "q.bias"
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"layers: expected some of .*shared.*, got 'none'"):
        model.freeze("shared", "none")
    with pytest.raises(ValueError, match="layers: expected some of"):
        model.freeze(nn.Dense(3))
    with pytest.raises(TypeError, match="layers: expected names or layers of the model, got 3"):
        model.unfreeze(3)
    assert next(spec.name for spec in model.graph.parameters if spec.trainable) == "shared.kernel"


def test_freezing_before_the_shape_is_known_and_with_a_quasi_newton_method():
    model = nn.Sequential([nn.Dense(4, name="one"), nn.Dense(3, name="two")])
    model.freeze("one")
    model.compile(nn.LBFGS(max_iter=2), "cross_entropy")
    model.fit(X, Y, verbose=0)
    assert [spec.trainable for spec in model.graph.parameters] == [False, False, True, True]
    model.unfreeze()
    history = model.fit(X, Y, verbose=0, epochs=3).history
    assert history["loss"][2] < history["loss"][0]


# -- weights by name ---------------------------------------------------------------------------------------------------


def test_weights_move_by_name(engine_name):
    model, other = fitted("adam", engine_name), make("adam", engine_name, seed=8)
    assert other.set_parameters(model.parameters()) == [spec.name for spec in model.graph.parameters]
    assert other.predict(X).tobytes() == model.predict(X).tobytes()
    larger = nn.Sequential([nn.Input((5,)), nn.Dense(7), nn.Dense(9)])
    before = larger.parameters()
    assert larger.set_parameters(model.parameters(), strict=False) == ["dense.kernel", "dense.bias"]
    assert larger.parameters()["dense.kernel"].tolist() == model.parameters()["dense.kernel"].tolist()
    assert larger.parameters()["dense_1.kernel"].tolist() == before["dense_1.kernel"].tolist()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda v: list(v.values()), TypeError, "values: expected arrays by name, got list"),
        (lambda v: {k: v[k] for k in list(v)[1:]}, ValueError, "values: expected a value for 'dense.kernel'"),
        (lambda v: {**v, "more": [1.0]}, ValueError, "values: expected no value for 'more'"),
        (lambda v: {**v, "dense.bias": [1.0]}, ValueError, r"values\['dense.bias'\]: expected shape \(7,\), got \(1,\)"),
        (lambda v: {**v, "dense.bias": ["a"] * 7}, TypeError, r"values\['dense.bias'\]: expected real numbers"),
    ],
)
def test_bad_values_change_nothing(change, error, words):
    model = fitted()
    before = digest(model)
    with pytest.raises(error, match=words):
        model.set_parameters(change({name: value + 1 for name, value in model.parameters().items()}))
    assert digest(model) == before


def test_averages():
    models = [make(seed=seed) for seed in range(3)]
    mean = nn.average_weights(models, weights=[1, 2, 5])
    for name, value in mean.items():
        values = np.stack([model.parameters()[name] for model in models]).astype(np.float64)
        np.testing.assert_allclose(value, np.average(values, axis=0, weights=[1, 2, 5]), rtol=1e-6, atol=1e-9)
        assert value.dtype == np.float32
    models[0].set_parameters(nn.average_weights([model.parameters() for model in models]))
    expected = np.mean([make(seed=seed).get_weights()[0] for seed in range(3)], axis=0)
    np.testing.assert_allclose(models[0].get_weights()[0], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("models", "weights", "error", "words"),
    [
        ([], None, ValueError, "models: expected at least one"),
        (3, None, TypeError, "models: expected a list of models, got int"),
        ([{"a": [1.0]}], ["a"], TypeError, "weights: expected real numbers"),
        ([3], None, TypeError, r"models\[0\]: expected a model or arrays by name, got int"),
        ([{"a": [1.0]}, {"b": [1.0]}], None, ValueError, r"models\[1\]: expected the parameters"),
        ([{"a": [1.0]}, {"a": [1.0, 2.0]}], None, ValueError, r"models\[1\]: expected the parameters"),
        ([{"a": [1.0]}], [1, 2], ValueError, "weights: expected one for each of 1 models, got shape"),
        ([{"a": [1.0]}], [0], ValueError, "weights: expected finite numbers"),
        ([{"a": [1.0]}], [float("nan")], ValueError, "weights: expected finite numbers"),
    ],
)
def test_bad_averages(models, weights, error, words):
    with pytest.raises(error, match=words):
        nn.average_weights(models, weights)


# -- descriptions ------------------------------------------------------------------------------------------------------


class Mine(nn.Layer):
    def forward(self, x):
        return 2 * x

    def backward(self, x, y, dy):
        return 2 * dy


def test_descriptions_make_equal_models():
    for build in (make, branched, lambda: several_outputs("native")):
        model = build()
        again = type(model).from_config(model.get_config())
        assert again.get_config() == model.get_config()
        assert again.graph.parameters[0].name == model.graph.parameters[0].name
        again.set_parameters(model.parameters())
        np.testing.assert_array_equal(
            np.concatenate([np.ravel(v) for v in again.get_weights()]),
            np.concatenate([np.ravel(v) for v in model.get_weights()]),
        )
    own = nn.Sequential([nn.Input((2,)), Mine()])
    assert nn.Model.from_config(own.get_config(), {"Mine": Mine}).predict([[1.0, 2.0]]).tolist() == [[2.0, 4.0]]
    with pytest.raises(ValueError, match="custom_objects, got 'Mine'"):
        nn.Model.from_config(own.get_config())
    with pytest.raises(ValueError, match="config: expected that of a Sequential, got that of a Model"):
        nn.Sequential.from_config(branched().get_config())
    with pytest.raises(ValueError, match="expected a description"):
        nn.Model.from_config({})
    assert repr(own) == "Sequential()"
    assert repr(branched().layers[1]) == "Sequential(name='encoder')"
