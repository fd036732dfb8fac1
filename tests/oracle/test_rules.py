"""Twenty steps of every optimizer rule in float64: against PyTorch's optimizers, and Lion and LAMB against their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from op_cases import RULE_CASES, generator

NAMES = {
    "learning_rate": "lr",
    "epsilon": "eps",
    "rho": "rho",
    "momentum": "momentum",
    "dampening": "dampening",
    "nesterov": "nesterov",
    "weight_decay": "weight_decay",
    "momentum_decay": "momentum_decay",
    "initial_accumulator_value": "initial_accumulator_value",
}
RMSPROP = torch.optim.RMSprop, {"lr": 1e-2}
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "rmsprop": RMSPROP,
    "rmsprop_momentum": (RMSPROP[0], {"momentum": 0.9}),
    "rmsprop_centered": (RMSPROP[0], {"centered": True}),
    "rmsprop_centered_momentum": (RMSPROP[0], {"centered": True, "momentum": 0.9}),
    "adagrad": (torch.optim.Adagrad, {}),
    "adadelta": (torch.optim.Adadelta, {}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
    "amsgrad": (torch.optim.Adam, {"amsgrad": True}),
    "adamax": (torch.optim.Adamax, {}),
    "nadam": (torch.optim.NAdam, {}),
    "radam": (torch.optim.RAdam, {}),
}


@pytest.fixture(autouse=True)
def _double_precision():
    """PyTorch keeps scalars of NAdam's state in the default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def torch_stepper(rule, attrs, tensor):
    """`step(g)` of PyTorch's optimizer; what it lacks, decoupled weight decay of some, is written out."""
    cls, options = OPTIMIZERS[rule]
    options = dict(options)
    for key, value in attrs.items():
        if key in NAMES:
            options["alpha" if cls is torch.optim.RMSprop and key == "rho" else NAMES[key]] = value
    if "beta_1" in attrs:
        options["betas"] = attrs["beta_1"], attrs["beta_2"]
    keep = 1.0
    if attrs.get("decoupled_weight_decay"):
        keep = 1 - attrs["learning_rate"] * options.pop("weight_decay")
    optimizer = cls([tensor], **options)

    def step(g):
        with torch.no_grad():
            tensor.mul_(keep)
        tensor.grad = torch.tensor(g)
        optimizer.step()
        return tensor.detach().numpy()

    return step


def lion_stepper(attrs, p):
    """Algorithm 2 of the paper, element by element."""
    defaults = {"learning_rate": 1e-4, "beta_1": 0.9, "beta_2": 0.99, "weight_decay": 0.0}
    lr, b1, b2, decay = ({**defaults, **attrs}[k] for k in defaults)
    p, m = p.copy().ravel(), np.zeros(p.size)

    def step(g):
        for i, gi in enumerate(g.ravel()):
            c = b1 * m[i] + (1 - b1) * gi
            sign = int(c > 0) - int(c < 0)
            p[i] -= lr * (sign + decay * p[i])
            m[i] = b2 * m[i] + (1 - b2) * gi
        return p.reshape(g.shape)

    return step


def lamb_stepper(attrs, p):
    """Algorithm 2 of the paper, in Python's floats."""
    defaults = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6, "weight_decay": 0.01}
    lr, b1, b2, eps, decay = ({**defaults, **attrs}[k] for k in defaults)
    x, m, v, t = p.ravel().tolist(), [0.0] * p.size, [0.0] * p.size, 0

    def step(g):
        nonlocal t
        t += 1
        d = []
        for i, gi in enumerate(g.ravel().tolist()):
            m[i] = b1 * m[i] + (1 - b1) * gi
            v[i] = b2 * v[i] + (1 - b2) * gi**2
            d.append(m[i] / (1 - b1**t) / (math.sqrt(v[i] / (1 - b2**t)) + eps) + decay * x[i])
        of_x, of_d = math.sqrt(math.fsum(a * a for a in x)), math.sqrt(math.fsum(a * a for a in d))
        for i, di in enumerate(d):
            x[i] -= lr * of_x / of_d * di
        return np.array(x).reshape(g.shape)

    return step


@pytest.mark.parametrize(
    ("case", "attrs"),
    [
        pytest.param(
            case,
            {k: v for k, v in attrs.items() if k != "iteration"},
            id="-".join([case.name, *(f"{k}={v}" for k, v in attrs.items() if k != "iteration")]),
        )
        for case in RULE_CASES
        for attrs in case.attrs
        if not (attrs.get("nesterov") and attrs.get("dampening")) and "epsilon_hat" not in attrs  # PyTorch has neither
    ],
)
def test_twenty_steps(backend, case, attrs):
    p = generator(case.name).standard_normal((3, 17))
    if case.name in ("lion", "lamb"):
        step = {"lion": lion_stepper, "lamb": lamb_stepper}[case.name](attrs, p)
    else:
        step = torch_stepper(case.name, attrs, torch.tensor(p, requires_grad=True))
    states = tuple(np.zeros_like(p) for _ in range(case.states))
    counted = any("iteration" in variant for variant in case.attrs)
    for t in range(1, 21):
        g = generator(case.name, salt=t).standard_normal(p.shape)
        case.step(backend, (p, g, *states), {**attrs, **({"iteration": t} if counted else {})})
        np.testing.assert_allclose(p, step(g), rtol=1e-10, atol=1e-10)


def test_nadam_after_many_steps(backend):
    """The product of momenta is a closed form in C++ and a loop in the reference; PyTorch multiplies it up."""
    p = np.array([1.0])
    tensor = torch.tensor(p, requires_grad=True)
    step, m, v = torch_stepper("nadam", {"beta_1": 0.99, "beta_2": 0.999}, tensor), np.zeros(1), np.zeros(1)
    for t in range(1, 401):
        g = np.array([math.cos(t)])
        backend.nadam_step(p, g, m, v, iteration=t, beta_1=0.99)
        np.testing.assert_allclose(p, step(g), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["lion", "lamb"])
def test_a_parameter_of_zeros_and_a_gradient_of_zeros(backend, name):
    count = {"iteration": 1} if name == "lamb" else {}
    rule = getattr(backend, f"{name}_step")
    states = [np.zeros(3) for _ in range(2 if name == "lamb" else 1)]
    p = np.zeros(3)
    rule(p, np.ones(3), *states, learning_rate=0.1, weight_decay=0.0, **count)
    np.testing.assert_allclose(p, -0.1, rtol=1e-5)
    p, states = np.ones(3), [np.zeros(3) for _ in states]
    rule(p, np.zeros(3), *states, learning_rate=0.1, weight_decay=0.0, **count)
    np.testing.assert_array_equal(p, np.ones(3))


@pytest.mark.parametrize("bound", [0.5, 100.0])
def test_clipping_is_pytorch_s(bound):
    """But for the 1e-6 that PyTorch adds to the norm."""
    from nncore.engines.reference import clip_gradients
    from nncore.optable import RuleSpec

    arrays = {i: generator("clip", i).standard_normal(shape) for i, shape in enumerate([(3, 4), (5,)])}

    def clipped(clip, **options):
        tensors = [torch.zeros(a.shape, requires_grad=True) for a in arrays.values()]
        for tensor, a in zip(tensors, arrays.values(), strict=True):
            tensor.grad = torch.tensor(a)
        clip(tensors)
        ours = clip_gradients(arrays, RuleSpec("sgd", **options))
        return [(ours[i], tensor.grad.numpy()) for i, tensor in enumerate(tensors)]

    for ours, theirs in clipped(lambda t: torch.nn.utils.clip_grad_value_(t, bound), clipvalue=bound):
        np.testing.assert_array_equal(ours, theirs)
    norm = math.sqrt(sum(float((a**2).sum()) for a in arrays.values()))
    for ours, theirs in clipped(lambda t: torch.nn.utils.clip_grad_norm_(t, bound), global_clipnorm=bound):
        np.testing.assert_allclose(ours, theirs * ((norm + 1e-6) / norm if norm > bound else 1), rtol=1e-14)

    def each(tensors):
        for tensor in tensors:
            torch.nn.utils.clip_grad_norm_([tensor], bound)

    for i, (ours, theirs) in enumerate(clipped(each, clipnorm=bound)):
        norm = math.sqrt(float((arrays[i] ** 2).sum()))
        np.testing.assert_allclose(ours, theirs * ((norm + 1e-6) / norm if norm > bound else 1), rtol=1e-14)
