"""What models are made and trained with: losses, metrics, optimizers, schedules, initializers, regularizers, callbacks."""

from __future__ import annotations

from typing import Any

import numpy as np

import nncore as nn
from nncore import callbacks, initializers, losses, metrics, optimizers, regularizers, schedules
from nncore.graph import ParameterSpec
from robustness.hostile import NONE, Entry
from robustness.models import X, constructor

OPTIONS = {
    "clipnorm": 1.0, "clipvalue": None, "global_clipnorm": None, "use_ema": True, "ema_momentum": 0.9,
    "ema_overwrite_frequency": None, "gradient_accumulation_steps": 2, "groups": [{"match": "*bias", "weight_decay": 0.0}],
}  # fmt: skip
_SCHEDULES: dict[str, dict[str, Any]] = {
    "Constant": {"learning_rate": 0.1},
    "Cosine": {"initial_learning_rate": 0.1, "decay_steps": 5},
    "CosineRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 5},
    "Exponential": {"initial_learning_rate": 0.1, "decay_rate": 0.9},
    "Function": {"function": lambda step: 0.1},
    "InverseTime": {"initial_learning_rate": 0.1, "decay_rate": 0.9},
    "MultiStep": {"initial_learning_rate": 0.1, "milestones": (3, 5)},
    "OneCycle": {"max_learning_rate": 0.1, "total_steps": 10},
    "Polynomial": {"initial_learning_rate": 0.1, "decay_steps": 5},
    "Step": {"initial_learning_rate": 0.1, "step_size": 2},
    "Warmup": {"schedule": schedules.Constant(0.1), "warmup_steps": 3},
}
_CALLBACKS: dict[str, dict[str, Any]] = {
    "CSVLogger": {"filename": "log.csv"},
    "JSONLogger": {"filename": "log.jsonl"},
    "LearningRateScheduler": {"schedule": lambda epoch: 0.1},
    "ModelCheckpoint": {"filepath": "model.safetensors"},
    "TensorBoard": {"log_dir": "logs"},
}


def _then(entry: Entry, use: Any) -> Entry:
    """`entry`, and what is made is used."""

    def call(**given: Any) -> Any:
        use(entry.call(**given))

    return Entry(**{**entry.__dict__, "call": call})


def _abstract(module: Any, name: str) -> Entry:
    """An entry for what only subclasses are made of."""
    entry = constructor(module, name)
    return Entry(entry.name, entry.call, entry.good, only=NONE)


def _loss_call(name: str) -> Entry:
    target: Any = np.array([0, 1, 1, 0]) if name in ("NLLLoss", "MultiMarginLoss") else np.full((4, 2), 0.5, np.float32)
    if "Hinge" in name:
        target = np.ones((4, 2), np.float32)
    if name == "GaussianNLLLoss":
        target = target[:, :1]
    good = {"y": np.full((4, 2), 0.5, np.float32), "t": target, "sample_weight": None}

    def call(y: Any, t: Any, sample_weight: Any) -> Any:
        return getattr(losses, name)()(y, t, sample_weight)

    return Entry(f"losses.{name}.__call__", call, lambda: dict(good), aliases=("input", "target", "output"))


def _metric_calls(name: str) -> Entry:
    scores = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])

    def call(y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        metric = metrics.TopKAccuracy(1) if name == "TopKAccuracy" else getattr(metrics, name)()
        metric.update(y_true, y_pred, sample_weight)
        return metric.result()

    targets: Any = np.array([0, 1, 1])
    if name in ("MAE", "MSE", "RMSE", "MAPE", "R2", "CosineSimilarity", "BinaryAccuracy"):
        targets = scores.copy()
    return Entry(f"metrics.{name}.update", call, lambda: {"y_true": targets, "y_pred": scores, "sample_weight": None})


METRICS = [
    name
    for name in metrics.__all__
    if isinstance(getattr(metrics, name), type) and issubclass(getattr(metrics, name), metrics.Metric) and name != "Metric"
]
LOSSES = [name for name in losses.__all__ if name.endswith("Loss") and name != "Loss"]
INITIALIZERS = [cls.__name__ for cls in initializers.INITIALIZERS.values()]
SETTINGS = ("Optimizer", "LBFGS", "Options", "OPTIMIZERS", "get")

ENTRIES = [
    *(constructor(losses, name) for name in LOSSES),
    *(_loss_call(name) for name in LOSSES),
    _abstract(losses, "Loss"),
    constructor(losses, "get", value="mse"),
    *(constructor(metrics, name) for name in METRICS),
    _abstract(metrics, "Metric"),
    *(_metric_calls(name) for name in METRICS),
    Entry("metrics.RowMetric", metrics.RowMetric, lambda: {"name": "mse", "targets": ("values",)}, only=NONE),
    constructor(metrics, "get", value="f1"),
    constructor(metrics, "check", metrics=["accuracy", "f1"]),
    Entry("metrics.resolve", metrics.resolve, lambda: {"name": "mae", "loss": "mse", "output": (3,)}, only=NONE),
    *(constructor(optimizers, name, **OPTIONS) for name in optimizers.__all__ if name not in SETTINGS),
    constructor(optimizers, "LBFGS"),
    constructor(optimizers, "Optimizer", rule="sgd", attrs={}, learning_rate=0.1, options={}),
    constructor(optimizers, "get", value="adam"),
    _abstract(schedules, "Schedule"),
    *(_then(constructor(schedules, name, **good), lambda s: s.rates([0, 3]))
      for name, good in _SCHEDULES.items()),
    *(constructor(initializers, name) for name in INITIALIZERS),
    constructor(initializers, "create", name="constant", options={"value": 0.5}),
    constructor(initializers, "get", value="zeros"),
    Entry("initializers.draw", initializers.draw, lambda: {"spec": ParameterSpec("w", (2,)), "rng": None}, only=NONE),
    *(constructor(regularizers, name) for name in ("L1", "L1L2", "L2", "MaxNorm")),
    Entry("regularizers.get", regularizers.get, lambda: {"value": "l2"}, aliases=("regularizer",)),
    Entry("regularizers.get_constraint", regularizers.get_constraint, lambda: {"value": None}, aliases=("constraint",)),
    *(constructor(callbacks, name, **_CALLBACKS.get(name, {})) for name in callbacks.__all__),
    Entry("set_num_threads", nn.set_num_threads, lambda: {"n": nn.get_num_threads()}),
    Entry("get_num_threads", nn.get_num_threads, dict),
    Entry("average_weights", nn.average_weights, lambda: {"models": [{"w": X}, {"w": X}], "weights": [0.5, 0.5]}),
]  # fmt: skip
