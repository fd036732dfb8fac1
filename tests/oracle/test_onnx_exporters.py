"""ONNX files as PyTorch's two exporters and scikit-learn's write them, read by `nncore.onnx.load`."""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime
import pytest
import skl2onnx
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from torch import nn as tnn

import nncore as nn
from nncore.onnx.importing import read

RNG = np.random.default_rng(0)


def settled(module, *inputs):
    """`module` in evaluation mode, with weights and averages that are not the first ones."""
    with torch.no_grad():
        for tensor in [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]:
            tensor.copy_(tensor + 0.1 * torch.rand_like(tensor))
    return module.eval()


class Indices(tnn.Module):
    """An embedding whose vectors are joined with the usual idiom for a flatten."""

    def __init__(self):
        super().__init__()
        self.table = tnn.Embedding(5, 3)
        self.out = tnn.Linear(6, 2, bias=False)

    def forward(self, x):
        return self.out(self.table(x).view(x.size(0), -1))


class Branches(tnn.Module):
    """Sums, products and a concatenation, and a layer that is used twice."""

    def __init__(self):
        super().__init__()
        self.linear = tnn.Linear(4, 4)

    def forward(self, x):
        h = torch.tanh(self.linear(x)) + x
        return torch.cat([self.linear(h) * h, 1 - h / 2], dim=1)


ALL = tnn.Sequential(
    *(tnn.Linear(4, 8), tnn.BatchNorm1d(8), tnn.GELU(), tnn.LayerNorm(8), tnn.Linear(8, 6), tnn.PReLU(), tnn.Mish()),
    *(tnn.SiLU(), tnn.Hardswish(), tnn.Softplus(beta=2), tnn.GLU(), tnn.LogSigmoid(), tnn.CELU(0.5), tnn.Softsign()),
    *(tnn.ReLU6(), tnn.Dropout(), tnn.Flatten(), tnn.GELU(approximate="tanh"), tnn.Linear(3, 4), tnn.ELU(0.3), tnn.SELU()),
    *(tnn.LeakyReLU(0.2), tnn.Hardsigmoid(), tnn.Hardtanh(-0.5, 0.7), tnn.Sigmoid(), tnn.Tanh(), tnn.PReLU(4)),
    *(tnn.Linear(4, 4, bias=False), tnn.Softmax(-1)),
)
FLOATS = torch.tensor(RNG.standard_normal((6, 4)), dtype=torch.float32)
MODULES = {
    "all": (ALL, FLOATS),
    "rms norm": (tnn.Sequential(tnn.Linear(4, 6), tnn.RMSNorm(6, eps=1e-5), tnn.LogSoftmax(1)), FLOATS),
    "positions": (tnn.Sequential(tnn.Linear(4, 6), tnn.ReLU(), tnn.Linear(6, 2)), FLOATS.reshape(2, 3, 4)),
    "reshaped": (tnn.Sequential(tnn.Unflatten(1, (2, 2)), tnn.Tanh(), tnn.Flatten(), tnn.Linear(4, 2)), FLOATS),
    "indices": (Indices(), torch.tensor(RNG.integers(0, 5, (6, 2)))),
    "branches": (Branches(), FLOATS),
    "float64": (tnn.Sequential(tnn.Linear(4, 5), tnn.ELU(), tnn.Linear(5, 1)).double(), FLOATS.double()),
}


def exported(module, x, path, opset):
    with warnings.catch_warnings():  # of what is deprecated inside the exporters
        warnings.simplefilter("ignore")
        if opset is None:
            shapes = ({0: torch.export.Dim("batch")},)
            torch.onnx.export(module, (x,), path, dynamo=True, dynamic_shapes=shapes, external_data=False, verbose=False)
        else:
            torch.onnx.export(
                module, (x,), path, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}}, opset_version=opset
            )


# A run of the exporter of PyTorch's that is not by TorchScript takes seconds; only that one has an RMSNorm.
BY_DYNAMO = ["all", "rms norm", "indices"]
RUNS = [(name, None) for name in BY_DYNAMO] + [
    (name, opset) for name in MODULES if name != "rms norm" for opset in (13, 20)
]


@pytest.mark.parametrize(("name", "opset"), RUNS)
def test_pytorch(name, opset, tmp_path):
    module, x = MODULES[name]
    settled(module)
    exported(module, x, tmp_path / "m.onnx", opset)
    model = nn.onnx.load(tmp_path / "m.onnx")
    expected = module(x).detach().numpy()
    assert model.dtype == expected.dtype
    tolerance = 1e-5 if model.dtype == "float32" else 1e-7  # ONNX has attributes in float32
    np.testing.assert_allclose(model.predict(x.numpy()), expected, rtol=tolerance, atol=tolerance)
    again = read(nn.onnx.exporting.proto_of(model).SerializeToString())
    np.testing.assert_allclose(again.predict(x.numpy()), expected, rtol=tolerance, atol=tolerance)


def test_a_fine_tuned_model_of_pytorch_needs_pytorch_no_more(tmp_path):
    module = settled(tnn.Sequential(tnn.Linear(4, 8), tnn.BatchNorm1d(8), tnn.ReLU(), tnn.Linear(8, 3)))
    exported(module, FLOATS, tmp_path / "m.onnx", 20)
    model = nn.onnx.load(tmp_path / "m.onnx")
    x = RNG.standard_normal((120, 4)).astype("float32")
    y = x[:, :3].argmax(1)
    model.compile(nn.Adam(0.02), "cross_entropy", ["accuracy"])
    model.fit(x, y, epochs=25, verbose=0)
    assert model.evaluate(x, y)["accuracy"] > 0.9
    nn.onnx.export(model, tmp_path / "tuned.onnx")
    (theirs,) = onnxruntime.InferenceSession(tmp_path / "tuned.onnx").run(None, {"x": x})
    np.testing.assert_allclose(theirs, model.predict(x), rtol=1e-5, atol=1e-5)


X = RNG.standard_normal((90, 4)).astype("float32")
CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def fitted(estimator, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("activation", ["relu", "logistic", "tanh", "identity"])
@pytest.mark.parametrize("classes", [2, 3])
def test_classifiers_of_scikit_learn(classes, activation, scaled, zipmap):
    mlp = MLPClassifier(hidden_layer_sizes=(7, 5), activation=activation, max_iter=5, random_state=0)
    y = CLASSES.clip(0, classes - 1)
    estimator = fitted(make_pipeline(StandardScaler(), mlp) if scaled else mlp, y)
    proto = skl2onnx.to_onnx(estimator, X[:1], options={id(mlp): {"zipmap": zipmap}})
    model = read(proto.SerializeToString())
    p = estimator.predict_proba(X)
    np.testing.assert_allclose(model.predict(X), p, rtol=1e-5, atol=1e-6)
    logits = read(proto.SerializeToString(), logits=True).predict(X)
    if classes == 2:
        np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, 0])), p[:, 1], rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_allclose(nn.reference.softmax(logits), p, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "scaler",
    [MinMaxScaler(), MaxAbsScaler(), RobustScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False)],
    ids=str,
)
def test_pipelines_of_scikit_learn_whose_classes_are_words(scaler):
    mlp = MLPClassifier(hidden_layer_sizes=(5,), max_iter=5, random_state=0)
    estimator = fitted(make_pipeline(scaler, mlp), np.array(["a", "b", "c"])[CLASSES])
    model = read(skl2onnx.to_onnx(estimator, X[:1]).SerializeToString())
    np.testing.assert_allclose(model.predict(X), estimator.predict_proba(X), rtol=1e-5, atol=1e-6)


def test_a_regressor_of_scikit_learn_in_float64():
    x = X.astype("float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = MLPRegressor(hidden_layer_sizes=(6,), max_iter=5, random_state=0).fit(x, x[:, 0])
    model = read(skl2onnx.to_onnx(estimator, x[:1]).SerializeToString())
    assert model.dtype == "float64"
    np.testing.assert_allclose(model.predict(x)[:, 0], estimator.predict(x), rtol=1e-12, atol=1e-13)


def test_a_regressor_of_scikit_learn():
    estimator = fitted(MLPRegressor(hidden_layer_sizes=(6,), max_iter=5, random_state=0), X[:, 0])
    model = read(skl2onnx.to_onnx(estimator, X[:1]).SerializeToString())
    np.testing.assert_allclose(model.predict(X)[:, 0], estimator.predict(X), rtol=1e-5, atol=1e-5)


def test_a_regressor_whose_file_mixes_samples_is_refused():
    estimator = fitted(MLPRegressor(hidden_layer_sizes=(6,), max_iter=5, random_state=0), X[:, :2])
    proto = skl2onnx.to_onnx(estimator, X[:1])
    (theirs,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"X": X})
    assert theirs.shape == (2 * len(X), 1)  # skl2onnx puts all targets into one column
    with pytest.raises(ValueError, match=r"Reshape.*keeps the samples apart"):
        read(proto.SerializeToString())


def test_a_multilabel_classifier_of_scikit_learn():
    y = np.stack([CLASSES == 0, CLASSES == 1], axis=1).astype(int)
    estimator = fitted(MLPClassifier(hidden_layer_sizes=(6,), max_iter=5, random_state=0), y)
    proto = skl2onnx.to_onnx(estimator, X[:1], options={id(estimator): {"zipmap": False}})
    (_, theirs) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"X": X})
    model = read(proto.SerializeToString())
    np.testing.assert_allclose(model.predict(X), theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(X)[:, 2:], estimator.predict_proba(X), rtol=1e-5, atol=1e-6)
