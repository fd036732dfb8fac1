"""Normalisation against PyTorch in float64: values, gradients and running averages."""

import numpy as np
import pytest
import torch

import nncore as nn
from op_cases import OP_CASES, generator, variants


def leaf(array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def batch_norm(x, gamma=None, beta=None, epsilon=1e-3):
    channels_second = x.movedim(-1, 1)
    return torch.nn.functional.batch_norm(channels_second, None, None, gamma, beta, training=True, eps=epsilon).movedim(
        1, -1
    )


def layer_norm(x, gamma=None, beta=None, epsilon=1e-3):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], gamma, beta, epsilon)


def rms_norm(x, gamma=None, epsilon=1e-6):
    return torch.nn.functional.rms_norm(x, x.shape[-1:], gamma, epsilon)


FUNCTIONS = {"batch_norm": batch_norm, "layer_norm": layer_norm, "rms_norm": rms_norm}


@pytest.mark.parametrize(
    ("case", "shapes", "attrs"),
    [p for p in variants([c for c in OP_CASES if c.name in FUNCTIONS]) if p.values[1][0][0] > 1],
)
def test_values_and_gradients(backend, case, shapes, attrs):
    arrays = case.arrays(shapes, "float64")
    tensors = [leaf(a) for a in arrays]
    expected = FUNCTIONS[case.name](*tensors, **attrs)
    y = case.forward(backend, arrays, attrs)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-12, atol=1e-13)
    dy = generator(case.name, 1).standard_normal(y.shape)
    expected.backward(torch.tensor(dy))
    for gradient, tensor in zip(case.backward(backend, arrays, y, dy, attrs), tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad, rtol=1e-11, atol=1e-12)


def test_training_of_a_network_with_batch_norm(engine_name):
    """Twenty steps of SGD; PyTorch's running variance has the divisor n - 1, all else is equal."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 6)), rng.standard_normal((40, 3))
    model = nn.Sequential([nn.Input((6,)), nn.Dense(8), nn.BatchNorm(momentum=0.9, epsilon=1e-5), nn.Dense(3)])
    model.compile(nn.SGD(0.1, momentum=0.9), "mse", engine=engine_name, dtype="float64")
    peer = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3)).double()
    start = model.parameters()
    with torch.no_grad():
        for layer, name in ((peer[0], "dense"), (peer[2], "dense_1")):
            layer.weight.copy_(torch.tensor(start[f"{name}.kernel"].T))
            layer.bias.copy_(torch.tensor(start[f"{name}.bias"]))
    optimizer = torch.optim.SGD(peer.parameters(), lr=0.1, momentum=0.9)
    variance = np.ones(8)
    for _ in range(20):
        h = peer[0](torch.tensor(x)).detach().numpy()
        variance = 0.9 * variance + 0.1 * h.var(0)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(peer(torch.tensor(x)), torch.tensor(y)).backward()
        optimizer.step()
        model.train_on_batch(x, y)
    found = model.parameters()
    np.testing.assert_allclose(found["batch_norm.gamma"], peer[1].weight.detach(), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found["batch_norm.beta"], peer[1].bias.detach(), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found["batch_norm.moving_mean"], peer[1].running_mean, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found["batch_norm.moving_variance"], variance, rtol=1e-9)
    np.testing.assert_allclose(found["dense.kernel"], peer[0].weight.detach().T, rtol=1e-9, atol=1e-10)


def test_embedding(backend):
    rng = np.random.default_rng(1)
    x, table = rng.integers(0, 9, (6, 4)), rng.standard_normal((9, 20))
    weight = leaf(table)
    expected = torch.nn.functional.embedding(torch.tensor(x), weight)
    y = backend.embedding(x, table)
    np.testing.assert_array_equal(y, expected.detach())
    dy = rng.standard_normal(y.shape)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(backend.embedding_backward(x, table, y, dy), weight.grad, rtol=1e-13, atol=1e-14)


def test_one_hot(backend):
    x = np.array([[3, 0], [1, 2], [2, 2]])
    expected = torch.nn.functional.one_hot(torch.tensor(x), 4).double().numpy()
    np.testing.assert_array_equal(backend.one_hot(x.astype(np.float64), 4), expected)
