"""Values, gradients and training against PyTorch, in float64; collected only where PyTorch is installed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nncore.engines import create
from nncore.graph import GraphBuilder
from nncore.optable import OPS, LossSpec, RuleSpec
from op_cases import LOSS_CASES, OP_CASES, generator, variants

FUNCTIONS = {
    # Activations that PyTorch has under the same name.
    **{name: getattr(F, name) for name, row in OPS.items() if row.activation and hasattr(F, name)},
    "identity": lambda x: x.clone(),
    "step": lambda x: torch.heaviside(x.detach(), torch.ones((), dtype=x.dtype)) + 0 * x,
    "hard_tanh": F.hardtanh,
    "hard_sigmoid": lambda x: F.relu6(x + 3) / 6,  # the slope of F.hardsigmoid is 1/6 in float32 even in float64
    "hard_swish": F.hardswish,
    "log_sigmoid": F.logsigmoid,
    "softmax": lambda x, axis=-1: F.softmax(x, dim=axis),
    "log_softmax": lambda x, axis=-1: F.log_softmax(x, dim=axis),
    "glu": lambda x, axis=-1: F.glu(x, dim=axis),
    "maxout": lambda x, groups=2, axis=-1: torch.stack(x.chunk(groups, axis)).amax(0),
    "prelu": lambda x, alpha: F.prelu(x, alpha) if len(alpha) == 1 else torch.where(x > 0, x, alpha * x),
    "rrelu": lambda x, lower=1 / 8, upper=1 / 3: F.rrelu(x, lower, upper),
    "rescaling": lambda x, scale, offset=0.0: x * scale + offset,
    "flatten": lambda x: torch.flatten(x, 1) if x.ndim > 1 else x[:, None],
    "add": lambda *xs: sum(xs[1:], xs[0]),
    "multiply": lambda *xs: torch.stack(xs).prod(0),
    "average": lambda *xs: torch.stack(xs).mean(0),
    "concatenate": lambda *xs, axis=-1: torch.cat(xs, axis),
    "reshape": lambda x, target_shape: torch.unflatten(torch.flatten(x, 1), 1, target_shape) if target_shape else x[:, 0],
    "matmul": torch.matmul,
    "dense": lambda x, w, b=None, activation="identity": FUNCTIONS[activation](F.linear(x, w.T, b)),
}


def reduced(values, reduction):
    return {"none": lambda: values, "sum": values.sum, "mean": values.mean}[reduction]()


def log_cosh(x, t, reduction):
    return reduced(torch.logaddexp(x - t, t - x) - np.log(2.0), reduction)


def quantile(x, t, reduction, quantile=0.5):
    q, e = torch.tensor(quantile, dtype=x.dtype), t - x
    return reduced(torch.maximum(q * e, (q - 1) * e), reduction)


def gaussian_nll(x, t, reduction, **options):
    mean, variance = x.chunk(2, dim=-1)
    return F.gaussian_nll_loss(mean, t, variance, reduction=reduction, **options)


def hinge(x, t, reduction, power=1):
    return reduced(F.relu(1 - torch.where(t > 0, 1.0, -1.0) * x) ** power, reduction)


def focal(x, t, reduction, alpha=0.25, gamma=2.0):
    """The formula of torchvision's sigmoid_focal_loss."""
    p, entropy = torch.sigmoid(x), F.binary_cross_entropy_with_logits(x, t, reduction="none")
    loss = entropy * (1 - (p * t + (1 - p) * (1 - t))) ** gamma
    return reduced((alpha * t + (1 - alpha) * (1 - t)) * loss if alpha >= 0 else loss, reduction)


LOSSES = {
    "mse": F.mse_loss,
    "mae": F.l1_loss,
    "huber": F.huber_loss,
    "smooth_l1": F.smooth_l1_loss,
    "log_cosh": log_cosh,
    "quantile": quantile,
    "poisson": F.poisson_nll_loss,
    "gaussian_nll": gaussian_nll,
    "cosine": lambda x, t, reduction, eps=1e-8: reduced(1 - F.cosine_similarity(x, t, dim=1, eps=eps), reduction),
    "kl_div": lambda x, t, reduction, **options: reduced(F.kl_div(x, t, reduction="none", **options), reduction),
    "hinge": hinge,
    "squared_hinge": lambda x, t, reduction: hinge(x, t, reduction, 2),
    "multi_margin": F.multi_margin_loss,
    "bce": F.binary_cross_entropy,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
    "nll": F.nll_loss,
    "cross_entropy": F.cross_entropy,
    "focal": focal,
}


ELSEWHERE = {
    *("batch_norm", "layer_norm", "rms_norm", "embedding", "one_hot"),  # in test_normalization.py
    *("dropout", "alpha_dropout", "gaussian_noise"),  # PyTorch draws other numbers: in tests/layers and tests/reference
}


def test_every_op_and_loss_has_an_oracle():
    assert set(FUNCTIONS) | ELSEWHERE == {*OPS, "matmul"}
    assert set(LOSSES) == {case.name for case in LOSS_CASES}


def leaf(array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


DETERMINISTIC = [
    variant
    for variant in variants([case for case in OP_CASES if case.name in FUNCTIONS])
    if "training" not in variant.values[2]
]


@pytest.mark.parametrize(("case", "shapes", "attrs"), DETERMINISTIC)
def test_op(backend, case, shapes, attrs):
    arrays = case.arrays(shapes, "float64")
    tensors = [leaf(a) for a in arrays]
    expected = FUNCTIONS[case.name](*tensors, **attrs)
    y = case.forward(backend, arrays, attrs)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    dy = generator(case.name, salt=1).standard_normal(y.shape)
    expected.backward(torch.tensor(dy))
    for gradient, tensor in zip(case.backward(backend, arrays, y, dy, attrs), tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", [case for case in OP_CASES if case.exact and case.name in FUNCTIONS], ids=lambda c: c.name)
def test_kinks(backend, case):
    """At 0 and far out the slopes are PyTorch's too."""
    x = np.array([0.0, -0.0, 40.0, -40.0, 1e6, -1e6])
    tensor = leaf(x)
    attrs = case.attrs[0]
    FUNCTIONS[case.name](tensor, **attrs).sum().backward()
    y = case.forward(backend, (x,), attrs)
    (dx,) = case.backward(backend, (x,), y, np.ones_like(x), attrs)
    np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=1e-12, atol=1e-15)


def torch_loss(case, x, t, options):
    """PyTorch's loss; weights of samples, which it has not, multiply the values and make the mean a weighted one."""
    options = {key: torch.tensor(value) if isinstance(value, np.ndarray) else value for key, value in options.items()}
    for name in ("weight", "pos_weight"):
        if isinstance(options.get(name), float):
            options[name] = torch.tensor(options[name], dtype=torch.float64)
    weights = options.pop("sample_weight", None)
    value = LOSSES[case.name](x, t, **options)
    if weights is None:
        return value
    values = LOSSES[case.name](x, t, **{**options, "reduction": "none"})
    values = weights.reshape(-1, *[1] * (values.ndim - 1)) * values
    if options["reduction"] != "mean":
        return values if options["reduction"] == "none" else values.sum()
    shares = weights if t.dtype.is_floating_point else weights * (t != options.get("ignore_index"))
    if case.name in ("cross_entropy", "nll") and "weight" in options and not t.dtype.is_floating_point:
        shares = shares * options["weight"][t]
    return values.sum() / (shares.sum() * values[0].numel())


@pytest.mark.parametrize(("case", "shapes", "attrs"), variants(LOSS_CASES))
def test_loss(backend, case, shapes, attrs):
    x, t = case.arrays(shapes, "float64")
    tensor = leaf(x)
    expected = torch_loss(case, tensor, torch.tensor(t), case.options(x, attrs))
    if torch.isnan(expected).any():  # PyTorch's mean of nothing; here it is 0
        assert case.forward(backend, (x, t), attrs) == 0.0
        assert not case.backward(backend, (x, t), attrs).any()
        return
    np.testing.assert_allclose(case.forward(backend, (x, t), attrs), expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    expected.sum().backward()
    np.testing.assert_allclose(case.backward(backend, (x, t), attrs), tensor.grad.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("rule", [RuleSpec("sgd", {"learning_rate": 0.1}), RuleSpec("adam", {"learning_rate": 0.01})])
def test_training(engine_name, rule):
    """Twenty steps of a network of two layers."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((12, 5)), rng.integers(0, 3, 12)
    weights = [rng.standard_normal(shape) / 2 for shape in ((5, 7), (7,), (7, 3), (3,))]

    b = GraphBuilder()
    parameters = [b.parameter(f"p{i}", w.shape) for i, w in enumerate(weights)]
    h = b.node("tanh", [b.node("dense", [b.input((5,))], {"units": 7}, parameters[:2])])
    engine = create(engine_name, b.build([b.node("dense", [h], {"units": 3}, parameters[2:])]), "float64", seed=0)
    for i, w in enumerate(weights):
        engine.set_parameter(i, w)
    for _ in range(20):
        engine.run(
            [x], t, order=None, start=0, batch_size=12, loss=LossSpec("cross_entropy"), metrics=(), rule=rule, deadline=9e9
        )

    tensors = [leaf(w) for w in weights]
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[rule.name](tensors, lr=rule.attrs["learning_rate"])
    for _ in range(20):
        optimizer.zero_grad()
        z = torch.tanh(torch.tensor(x) @ tensors[0] + tensors[1]) @ tensors[2] + tensors[3]
        F.cross_entropy(z, torch.tensor(t)).backward()
        optimizer.step()
    for i, tensor in enumerate(tensors):
        np.testing.assert_allclose(engine.get_parameter(i), tensor.detach().numpy(), rtol=1e-10, atol=1e-12)
