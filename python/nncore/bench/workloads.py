"""The table of workloads: what is computed, how much work and memory traffic it takes, and where it belongs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ELEMENTWISE", "RULE_BYTES", "Elementwise", "Network", "Nothing", "Product", "Update", "Workload", "table"]

_FLOAT = 4  # bytes
_MILLION = 1_000_000


@dataclass(frozen=True)
class Product:
    """One of the three products of a dense layer of `k` inputs and `n` outputs, for `m` rows.

    `form` is ``"forward"`` (x [m, k] times w [k, n]), ``"data"`` (dy [m, n] times w transposed) or ``"weight"``
    (x transposed times dy); all arrays row-major, transposed ones as views.
    """

    form: str
    m: int
    k: int
    n: int


@dataclass(frozen=True)
class Elementwise:
    """An op of `ELEMENTWISE` on an array [size / 100, 100], or its gradient."""

    op: str
    backward: bool
    size: int


@dataclass(frozen=True)
class Update:
    """One step of an optimizer's rule on `size` parameters."""

    rule: str
    size: int


@dataclass(frozen=True)
class Network:
    """A perceptron with ReLU between its layers, `sizes` from input to output, trained by Adam on batches of `batch`.

    `loss` is ``"mse"`` or ``"cross_entropy"`` (targets are class indices, outputs logits).
    """

    sizes: tuple[int, ...]
    batch: int
    loss: str

    @property
    def multiply_adds(self) -> int:
        """Of one sample on its way forward."""
        return sum(a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def parameters(self) -> int:
        """How many there are."""
        return self.multiply_adds + sum(self.sizes[1:])


@dataclass(frozen=True)
class Nothing:
    """For a workload that has no sizes."""


@dataclass(frozen=True)
class Workload:
    """One row of the suite.

    Attributes:
        name: ``group/what/size``.
        kind: the method of a contender that prepares it.
        spec: the argument of that method.
        flops, bytes: the least arithmetic and memory traffic of one run; 0 where no roofline makes sense.
        footprint: bytes of all the arrays of a run, which tells the level of cache whose bandwidth bounds it.
        tolerance: largest relative distance (Euclidean norm) between two contenders' results.
        quick: also part of the quick suite: ``""`` no, ``"all"`` on all threads, ``"both"`` on one thread too.
        sweep: to be measured with every power of two of threads.
    """

    name: str
    kind: str
    spec: Product | Elementwise | Update | Network | Nothing
    flops: float = 0
    bytes: float = 0
    footprint: float = 0
    tolerance: float = 1e-5
    quick: str = ""
    sweep: bool = False

    @property
    def group(self) -> str:
        """The part of the suite."""
        return self.name.split("/")[0]


# Ops, as (attributes, arrays moved by the forward, by the backward). What only copies is left out.
ELEMENTWISE: dict[str, tuple[dict[str, float | str], int, int]] = {
    "relu": ({}, 2, 3),
    "relu6": ({}, 2, 3),
    "leaky_relu": ({"negative_slope": 0.01}, 2, 3),
    "hard_tanh": ({}, 2, 3),
    "hard_sigmoid": ({}, 2, 3),
    "hard_swish": ({}, 2, 3),
    "softsign": ({}, 2, 3),
    "elu": ({"alpha": 1.0}, 2, 3),
    "selu": ({}, 2, 3),
    "celu": ({"alpha": 1.0}, 2, 3),
    "silu": ({}, 2, 3),
    "mish": ({}, 2, 3),
    "softplus": ({}, 2, 3),
    "log_sigmoid": ({}, 2, 3),
    "gelu": ({"approximate": "none"}, 2, 3),
    "gelu_tanh": ({"approximate": "tanh"}, 2, 3),
    "sigmoid": ({}, 2, 3),
    "tanh": ({}, 2, 3),
    "softmax": ({}, 2, 3),
    "log_softmax": ({}, 2, 3),
    "rescaling": ({"scale": 0.5, "offset": 0.25}, 2, 2),
    "dropout": ({"rate": 0.3}, 2, 2),
    "add": ({}, 3, 0),
    "multiply": ({}, 3, 0),
    "average": ({}, 3, 0),
}

# Bytes that a rule moves for each parameter: parameter and states to and fro, the gradient in.
RULE_BYTES = {
    "sgd": 12,
    "momentum": 20,
    "adam": 28,
    "adamw": 28,
    "amsgrad": 36,
    "rmsprop": 20,
    "adagrad": 20,
    "adadelta": 28,
    "adamax": 28,
    "nadam": 28,
    "radam": 28,
    "lion": 20,
}

_NETWORKS = (
    Network((4, 64, 64, 2), 32, "mse"),
    Network((784, 128, 10), 32, "cross_entropy"),
    Network((784, 300, 100, 10), 50, "cross_entropy"),
    Network((784, 512, 256, 10), 128, "cross_entropy"),
    Network((100, 1024, 1024, 1024, 1), 256, "mse"),
    Network((1024, 4096, 4096, 1024), 1024, "mse"),
)
_MNIST = _NETWORKS[1]


def table() -> tuple[Workload, ...]:
    """All workloads, in the order in which they are measured."""
    return (
        *_products(),
        *_layers(),
        *_elementwise(),
        *_updates(),
        *(step(f"step/{label(net)}", net, quick="all") for net in _NETWORKS),
        epoch(_MNIST, 60_000, quick="all"),
        *_predictions(),
        Workload("start/import", "start", Nothing(), quick="all"),
        Workload("start/first step", "first_step", _MNIST, quick="all"),
        *_scaling(),
        memory(_NETWORKS[3], quick="all"),
        memory(_NETWORKS[4]),
        memory(_NETWORKS[5]),
    )


def label(net: Network) -> str:
    """Sizes and batch."""
    return f"{'-'.join(map(str, net.sizes))}/{net.batch}"


def product(form: str, m: int, k: int, n: int, quick: str = "") -> Workload:
    """A product in one of its forms."""
    size = _FLOAT * (m * k + k * n + m * n)
    name = f"product/{form}/{m}x{k}x{n}"
    return Workload(name, "product", Product(form, m, k, n), 2.0 * m * k * n, size, size, 1e-5, quick)


def elementwise(op: str, backward: bool, size: int, quick: str = "") -> Workload:
    """An elementwise op or its gradient; dropout's random numbers differ, so only how many it drops is compared."""
    _, forward_arrays, backward_arrays = ELEMENTWISE[op]
    moved = _FLOAT * size * (backward_arrays if backward else forward_arrays)
    tolerance = 0.1 if op == "dropout" else 1e-5
    name = f"elementwise/{op}{' backward' if backward else ''}/{size:.0e}".replace("e+0", "e")
    return Workload(name, "elementwise", Elementwise(op, backward, size), size, moved, moved, tolerance, quick)


def update(rule: str, size: int, quick: str = "") -> Workload:
    """A step of an optimizer."""
    moved = RULE_BYTES[rule] * size
    states = (RULE_BYTES[rule] - 12) // 8
    name = f"optimizer/{rule}/{size:.1e}".replace("e+0", "e").replace(".0", "")
    return Workload(name, "update", Update(rule, size), 2.0 * size, moved, _FLOAT * (2 + states) * size, 1e-4, quick)


def step(name: str, net: Network, quick: str = "", sweep: bool = False) -> Workload:
    """A training step: three products a layer but two in the first, and what Adam moves when it is fused with them.

    Results are compared after few steps of a tiny learning rate, by how much they have changed; hence the tolerance.
    """
    flops = 6.0 * net.multiply_adds * net.batch - 2.0 * net.sizes[0] * net.sizes[1] * net.batch
    moved = 24.0 * net.parameters + _FLOAT * net.batch * net.sizes[0]
    footprint = 12.0 * net.parameters + _FLOAT * net.batch * sum(net.sizes)
    return Workload(name, "step", net, flops, moved, footprint, 0.03, quick, sweep)


def epoch(net: Network, samples: int, quick: str = "") -> Workload:
    """Training on MNIST or as many random samples; shuffled at will, so only the loss that is reached is compared."""
    one = step("", net)
    steps = math.ceil(samples / net.batch)
    name = f"epoch/MNIST {label(net)}"
    return Workload(name, "epoch", net, one.flops * steps, one.bytes * steps, one.footprint, 0.3, quick)


def predict(name: str, net: Network, quick: str = "") -> Workload:
    """The outputs for one batch."""
    moved = _FLOAT * (net.parameters + net.batch * (net.sizes[0] + net.sizes[-1]))
    return Workload(name, "predict", net, 2.0 * net.multiply_adds * net.batch, moved, moved, 1e-4, quick)


def memory(net: Network, quick: str = "") -> Workload:
    """Peak memory of training; `bytes` is parameters, gradients and both moments, and activations forth and back."""
    held = _FLOAT * (4.0 * net.parameters + 2 * net.batch * sum(net.sizes))
    return Workload(f"memory/{label(net)}", "step", net, 0, held, held, 0.03, quick)


def _products() -> Iterator[Workload]:
    for form in ("forward", "data", "weight"):
        for n in (32, 64, 128, 256, 512, 1024, 2048):
            yield product(form, n, n, n, "both" if form == "forward" and n < 2048 else "")
        for m in (1, 8, 32, 256):
            yield product(form, m, 1024, 1024, "both" if form == "forward" or m == 32 else "")


def _layers() -> Iterator[Workload]:
    """A layer's output with the weights as each contender keeps them."""
    for m in (1, 8, 32, 256):
        yield predict(f"layer/{m}x1024x1024", Network((1024, 1024), m, "mse"), "both" if m == 32 else "")


def _elementwise() -> Iterator[Workload]:
    quick = ("relu", "tanh", "gelu", "softmax")
    for op, (_, _, arrays) in ELEMENTWISE.items():
        for backward in (False, True) if arrays else (False,):
            for exponent in range(3, 8):
                yield elementwise(op, backward, 10**exponent, "all" if op in quick and exponent in (4, 7) else "")


def _updates() -> Iterator[Workload]:
    for rule in RULE_BYTES:
        for size in (10_000, 100_000, _MILLION, 10 * _MILLION, 25 * _MILLION):
            yield update(rule, size, "all" if rule in ("sgd", "adam") and size in (10_000, 25 * _MILLION) else "")


def _predictions() -> Iterator[Workload]:
    for net in (_NETWORKS[1], _NETWORKS[4]):
        for batch in (1, 32, 256):
            one = Network(net.sizes, batch, net.loss)
            yield predict(f"predict/{label(one)}", one, "all" if batch == 1 else "")


def _scaling() -> Iterator[Workload]:
    for batch in (1, 4, 16, 64, 256, 1024, 4096):
        net = Network(_MNIST.sizes, batch, _MNIST.loss)
        yield step(f"scaling/batch/{label(net)}", net)
    for width in (32, 64, 128, 256, 512, 1024, 2048):
        net = Network((width,) * 4, 128, "mse")
        yield step(f"scaling/width/{label(net)}", net)
    for depth in (1, 2, 4, 8, 16, 32):
        net = Network((256,) * (depth + 1), 128, "mse")
        yield step(f"scaling/depth/{label(net)}", net)
    for net in (_NETWORKS[3], _NETWORKS[5]):
        yield step(f"scaling/threads/{label(net)}", net, sweep=True)
