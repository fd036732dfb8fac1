"""What the soak test trains: small networks of many kinds, each drawn from its number, and what they must come to."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import nncore as nn
from nncore import state
from nncore.data import DataLoader, MappedLoader
from nncore.sklearn import MLPClassifier, MLPRegressor

EPOCHS = 4
FEATURES, CLASSES = 12, 4

OPTIMIZERS: Sequence[Callable[[], Any]] = (
    lambda: nn.Adam(0.003),
    lambda: nn.SGD(0.01, momentum=0.9, nesterov=True),
    lambda: nn.AdamW(nn.schedules.Cosine(0.01, 20), global_clipnorm=1.0),
    lambda: nn.RMSprop(0.002, centered=True),
    lambda: nn.Adam(0.01, gradient_accumulation_steps=3, use_ema=True),
    lambda: nn.Lion(0.0005),
    lambda: nn.LAMB(0.01),
    lambda: nn.LBFGS(max_iter=2),
    lambda: nn.NAdam(0.004),
    lambda: nn.Adagrad(0.05),
)
CLASS_LOSSES, VALUE_LOSSES = ("cross_entropy", "multi_margin"), ("mse", "huber", "log_cosh", "mae")
FEEDS = ("arrays", "loader", "mapped", "batches")


def bits(*arrays: np.ndarray) -> str:
    """A hash of arrays, types and shapes included."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()


def digest(model: nn.Model) -> str:
    """A hash of all that training has changed in a model."""
    arrays: list[np.ndarray] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                walk(item)
        else:
            arrays.append(value if isinstance(value, np.ndarray) else np.frombuffer(repr(value).encode(), np.uint8))

    walk(state.capture(model))
    return bits(*arrays)


@dataclass(frozen=True)
class Case:
    """A network, its compilation, its data and the way that these come, all from `number`."""

    number: int

    @property
    def engine(self) -> str:
        """The reference engine for every fifth."""
        return "reference" if self.number % 5 == 4 else "native"

    @property
    def is_classes(self) -> bool:
        """Whether targets are classes."""
        return self.number % 2 == 0

    @property
    def batch(self) -> int:
        """Samples in a step."""
        return (16, 64, 50)[self.number % 3]

    @property
    def feed(self) -> str:
        """How samples come."""
        return "arrays" if isinstance(self.optimizer(), nn.LBFGS) else FEEDS[self.number // 2 % len(FEEDS)]

    def optimizer(self) -> Any:  # noqa: ANN401 - an Optimizer or LBFGS
        """A new one."""
        return OPTIMIZERS[self.number % len(OPTIMIZERS)]()

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples and targets."""
        return _data(self)

    def make(self) -> nn.Model:
        """The compiled model with its first weights."""
        wide = 20 if self.engine == "reference" else (24, 70, 160)[self.number % 3]
        outputs = CLASSES if self.is_classes else 1
        if self.number % 4 == 3:  # a residual block
            a = nn.Input((FEATURES,))
            h = nn.Dense(wide, activation="gelu")(a)
            model: nn.Model = nn.Model(a, nn.Dense(outputs)(nn.Add()([h, nn.Dense(wide, activation="tanh")(h)])))
        else:
            norm = (nn.BatchNorm, nn.LayerNorm, nn.RMSNorm)[self.number % 3]()
            hidden = [nn.Dense(wide, activation=("relu", "silu", "tanh")[self.number % 3]), norm, nn.Dropout(0.1)]
            model = nn.Sequential([nn.Input((FEATURES,)), *hidden, nn.Dense(wide // 2), nn.PReLU(), nn.Dense(outputs)])
        losses = CLASS_LOSSES if self.is_classes else VALUE_LOSSES
        dtype = "float64" if self.number % 3 == 1 else "float32"
        loss, metrics = losses[self.number // 2 % len(losses)], ["accuracy"] if self.is_classes else ["mae"]
        model.compile(self.optimizer(), loss, metrics, engine=self.engine, dtype=dtype, seed=self.number)
        return model

    def given(self) -> tuple[Any, ...]:
        """What `fit` is given, in the case's way."""
        x, y = self.data
        if self.feed == "loader":
            return (DataLoader(x, y, batch_size=self.batch, shuffle=True, seed=self.number),)
        if self.feed == "mapped":
            return (MappedLoader(x, y, batch_size=self.batch, shuffle=True, seed=self.number, memory=1 << 20),)
        if self.feed == "batches":
            return ([(x[i : i + self.batch], y[i : i + self.batch]) for i in range(0, len(x), self.batch)],)
        return x, y

    def fit(self, model: nn.Model, tally: Counter[str], epochs: int = EPOCHS, **options: Any) -> None:  # noqa: ANN401
        """Train, and count steps and samples."""
        given = options.pop("given", None) or self.given()
        before = model.engine.iterations
        model.fit(*given, batch_size=self.batch, epochs=epochs, verbose=0, **options)
        done, rows = len(model.history.epoch), len(self.data[0])
        tally["models"] += 1
        tally["updates"] += model.engine.iterations - before
        tally["samples"] += done * rows
        tally["steps"] += done * (1 if isinstance(model.optimizer, nn.LBFGS) else math.ceil(rows / self.batch))

    def estimator(self) -> Any:  # noqa: ANN401 - of scikit-learn's kind
        """Of the same task, unfitted."""
        kind = MLPClassifier if self.is_classes else MLPRegressor
        return kind(hidden_layer_sizes=(16,), max_iter=3, batch_size=self.batch, random_state=self.number)


@cache
def _data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(case.number)
    rows = 60 if case.engine == "reference" else 240
    x = rng.standard_normal((rows, FEATURES)).astype("float64" if case.number % 7 == 3 else "float32")
    if case.is_classes:
        return x, x[:, :CLASSES].argmax(axis=1)
    return x, np.tanh(x[:, :1] * x[:, 1:2]).astype(x.dtype)


@dataclass(frozen=True)
class Reference:
    """What a case comes to, as hashes and numbers."""

    trained: str
    stepped: str
    outputs: np.ndarray
    onnx: str
    estimated: str
    evaluated: dict[str, float]


def step_through(case: Case, model: nn.Model, tally: Counter[str]) -> str:
    """One pass with `train_on_batch`."""
    x, y = case.data
    for i in range(0, len(x), case.batch):
        model.train_on_batch(x[i : i + case.batch], y[i : i + case.batch])
        tally["steps"] += 1
        tally["samples"] += len(x[i : i + case.batch])
    return digest(model)


def through_onnx(model: nn.Model, x: np.ndarray, folder: Path) -> str:
    """What comes out of the model after ONNX."""
    path = folder / "model.onnx"
    nn.onnx.export(model, path)
    return bits(nn.onnx.load(path).predict(x))


def estimate(estimator: Any, x: np.ndarray) -> np.ndarray:  # noqa: ANN401
    """What a fitted estimator says of samples."""
    return estimator.predict_proba(x) if hasattr(estimator, "predict_proba") else estimator.predict(x)


def reference(case: Case) -> Reference:
    """Train and use the case by itself, on one thread."""
    (x, y), tally = case.data, Counter[str]()
    model = case.make()
    case.fit(model, tally)
    with tempfile.TemporaryDirectory() as folder:
        imported = through_onnx(model, x, Path(folder))
    return Reference(
        digest(model),
        step_through(case, case.make(), tally),
        model.predict(x),
        imported,
        bits(estimate(case.estimator().fit(x, y.ravel()), x)),
        model.evaluate(x, y),
    )
