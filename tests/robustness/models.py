"""What a model can do, its layers and what it is compiled with, beginning with good arguments."""

from __future__ import annotations

import inspect
import operator
import os
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

import nncore as nn
from nncore import layers
from robustness.hostile import NONE, Entry, copied

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
Y = np.array([0, 1, 1, 0, 1, 0])
KEPT: dict[str, nn.Model] = {}


def state(arguments: dict[str, Any]) -> object:
    """What training changes in the model that an entry works on."""
    model = arguments.get("model", KEPT.get("model"))
    if not isinstance(model, nn.Model):
        return None
    return [array.tobytes() for array in model.get_weights()], model.engine.iterations, model.engine.draws, model.optimizer


def _made(kind: str, engine: str = "native") -> nn.Model:
    if kind == "several":
        a, b = nn.Input((3,), name="a"), nn.Input((3,), name="b")
        h = nn.Concatenate()([a, b])
        model = nn.Model({"a": a, "b": b}, {"p": nn.Dense(2, name="p")(h), "q": nn.Dense(1, name="q")(h)})
        model.compile("adam", {"p": "cross_entropy", "q": "mse"}, engine=engine)
    elif kind == "embedding":
        model = nn.Sequential([nn.Input((3,)), nn.Embedding(5, 2), nn.Flatten(), nn.Dense(2)])
        model.compile("sgd", "cross_entropy", engine=engine)
    elif kind == "regression":
        model = nn.Sequential([nn.Input((3,)), nn.Dense(1)])
        model.compile("adam", "mse", metrics=["mae", "r2"], engine=engine)
    else:
        model = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="relu"), nn.BatchNorm(), nn.Dense(2)])
        model.compile("adam", "cross_entropy", metrics=["accuracy"], engine=engine)
    _ = model.engine
    return model


@cache
def _prototype(kind: str, engine: str) -> tuple[nn.Model, list[np.ndarray]]:
    model = _made(kind, engine)
    return model, model.get_weights()


def fresh(kind: str = "classes", engine: str = "native", reuse: bool = True) -> nn.Model:
    """A compiled model with its first weights; one and the same where entries leave all but weights alone."""
    if not reuse:
        return _made(kind, engine)
    model, weights = _prototype(kind, engine)
    model.set_weights(weights)
    return model


def _method(
    name: str, label: str = "", kind: str = "classes", reuse: bool = True, engine: str = "native", **good: Any
) -> Entry:
    """An entry for a method of a model, with its default arguments and these."""
    parameters = inspect.signature(getattr(nn.Model, name)).parameters
    defaults = {p.name: p.default for p in parameters.values() if p.default is not p.empty}
    for left in ("checkpoint", "resume", "print_fn", "custom_objects"):
        defaults.pop(left, None)
    arguments = copied({**defaults, **good})

    def make() -> dict[str, Any]:
        KEPT["model"] = model = fresh(kind, engine, reuse)
        if name in ("backward", "apply_gradients"):
            model.forward(X, training=True)
        if name == "apply_gradients":
            model.backward(np.ones((6, 2)))
        if name == "load_checkpoint" and not os.path.exists("checkpoint.safetensors"):
            model.save_checkpoint("checkpoint.safetensors")
        return arguments()

    def call(**given: Any) -> Any:
        model = KEPT["model"]
        if name in ("freeze", "unfreeze"):
            chosen = given["layers"]
            return getattr(model, name)(*(chosen if isinstance(chosen, (list, tuple)) else [chosen]))
        return getattr(model, name)(**given)

    raises = (FloatingPointError, RuntimeError, OSError) if "path" in good else (FloatingPointError, RuntimeError)
    return Entry(f"Model.{name}{label}", call, make, raises, state, aliases=("input of", "metric"))


def constructor(module: Any, name: str, /, **good: Any) -> Entry:
    """An entry for a class or function, with its default arguments and these."""
    thing = getattr(module, name)
    parameters = inspect.signature(thing).parameters.values()
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty and p.kind not in kinds}
    place = module.__name__.removeprefix("nncore.")
    aliases = ("loss", "metric", "optimizer", "initializer", "regularizer", "constraint", "attribute")
    return Entry(f"{place}.{name}", thing, copied({**defaults, **good}), aliases=aliases)


FIT = {"x": X, "y": Y, "epochs": 1, "batch_size": 3, "verbose": 0}
SEVERAL = {"x": {"a": X, "b": X}, "y": {"p": Y, "q": X[:, :1]}}


def _few_epochs(entry: Entry) -> Entry:
    """`entry`, but with a bound on what it trains: an integer that is good is not a hang, and may take for ever."""

    def call(**given: Any) -> Any:
        for name in ("epochs", "steps_per_epoch"):
            with suppress(Exception):  # no integer: refused, or not there
                if operator.index(given[name]) > 100:
                    given[name] = 2
        return entry.call(**given)

    return Entry(**{**entry.__dict__, "call": call})


METHODS = [
    _few_epochs(_method("fit", **FIT)),
    _few_epochs(_method("fit", ": reference", engine="reference", **FIT)),
    _few_epochs(_method("fit", ": values", kind="regression", **FIT | {"y": X[:, :1]})),
    _few_epochs(_method("fit", ": several", kind="several", **FIT | SEVERAL)),
    _few_epochs(_method("fit", ": indices", kind="embedding", **FIT | {"x": np.abs(X.astype(int))})),
    _method("evaluate", **{k: v for k, v in FIT.items() if k not in ("epochs",)}),
    _method("evaluate", ": several", kind="several", **SEVERAL),
    _method("partial_fit", x=X, y=Y),
    _method("train_on_batch", x=X, y=Y),
    _method("train_on_batch", ": reference", engine="reference", x=X, y=Y),
    _method("train_on_batch", ": several", kind="several", **SEVERAL),
    _method("predict", x=X),
    _method("predict", ": reference", engine="reference", x=X),
    _method("predict", ": several", kind="several", x=SEVERAL["x"]),
    _method("predict", ": indices", kind="embedding", x=np.abs(X.astype(int))),
    _method("forward", x=X, training=True),
    _method("get_weights"),
    _method("set_weights", weights=[np.ones((3, 4)), np.ones(4), *(np.ones(4),) * 4, np.ones((4, 2)), np.ones(2)]),
    _method("backward", dy=np.ones((6, 2))),
    _method("apply_gradients", optimizer=nn.SGD(0.1)),
    _method("set_parameters", values={"dense.bias": np.ones(4)}, strict=False),
    _method("freeze", layers=["dense"]),
    _method("unfreeze", layers=["dense"]),
    _method("clone"),
    _method("compile", reuse=False, loss="mse"),
    _method("compile", ": several", kind="several", reuse=False, loss={"p": "mse"}, loss_weights={"p": 1.0}),
    _method("save", path="model.safetensors"),
    _method("save_checkpoint", path="checkpoint.safetensors"),
    _method("load_checkpoint", path="checkpoint.safetensors"),
    Entry("Model.__call__", lambda inputs: fresh()(inputs), lambda: {"inputs": nn.Input((3,))}, aliases=("layer",)),
    Entry(
        "Model.from_config",
        lambda config: nn.Sequential.from_config(config),
        lambda: {"config": fresh().get_config()},
        aliases=("description",),
    ),
]

_GOOD: dict[str, dict[str, Any]] = {
    "Activation": {"activation": "relu"},
    "AlphaDropout": {"rate": 0.5},
    "Dense": {"units": 3},
    "Dropout": {"rate": 0.5},
    "Embedding": {"input_dim": 5, "output_dim": 2},
    "GaussianNoise": {"stddev": 0.1},
    "Input": {"shape": (3,)},
    "OneHot": {"depth": 3},
    "Rescaling": {"scale": 0.5},
    "Reshape": {"target_shape": (3, 1)},
}


def _used(name: str) -> Entry:
    """A layer made and put into a network, which is run where it is small."""
    entry = constructor(layers, name, **_GOOD.get(name, {}))

    def call(**given: Any) -> Any:
        layer = entry.call(**given)
        if name in ("Add", "Average", "Input", "Layer", "Multiply"):
            return
        x = nn.Input((3,))
        y = layer([x, nn.Input((3,))] if name == "Concatenate" else x)
        if np.prod(y.shape) < 10**6:
            nn.Model([x, *y.call.inputs[1:]] if name == "Concatenate" else x, y).predict(
                [np.ones((2, 3))] * 2 if name == "Concatenate" else np.ones((2, 3))
            )

    return Entry(f"layers.{name}", call, entry.good, (RuntimeError,), aliases=("layer", "input of", "initializer"))


LAYERS = [
    *(_used(name) for name in layers.__all__ if name not in ("LAYERS", "Tensor")),
    Entry("layers.Tensor", layers.Tensor, lambda: {"shape": (3,), "call": nn.Input((3,)).call}, only=NONE),
]

ENTRIES = [*METHODS, *LAYERS]
