"""PyTorch: eager with fused optimizers, with `torch.compile`, and with its `DataLoader`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nncore.bench import case
from nncore.bench.case import Array, Case, Contender
from nncore.bench.workloads import Elementwise, Network, Product, Update

__all__ = ["Compiled", "Loader", "Torch"]

_Tensor = Any  # this file is read where PyTorch is not installed
_Call = Callable[..., Any]
_SELU = (1.6732632423543772, 1.0507009873554805)  # alpha and scale


class Torch(Contender):
    """Eager, into tensors that are there where PyTorch has such forms."""

    modules = ("torch",)
    kinds: tuple[str, ...] = ("product", "elementwise", "update", "step", "predict", "epoch", "first_step", "start")

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.torch = torch

    def _compiled(self, function: _Call) -> _Call:
        return function

    def product(self, spec: Product) -> Case:
        """`torch.mm` of views."""
        a, b, c = map(self.torch.from_numpy, case.product_arrays(spec))
        a, b = (a.T if spec.form == "weight" else a), (b.T if spec.form == "data" else b)
        run = partial(self.torch.mm, a, b, out=c)
        return Case(run, lambda: run().numpy())

    def elementwise(self, spec: Elementwise) -> Case:
        """The operators that PyTorch's own layers and gradients call."""
        x, dy, out = map(self.torch.from_numpy, case.elementwise_arrays(spec))
        run = (self._backward if spec.backward else self._forward)(spec.op, x, dy, out)
        if spec.op == "dropout":
            return Case(run, lambda: case.kept((run() if spec.backward else run()[0]).numpy()))
        return Case(run, lambda: run().numpy())

    def _forward(self, op: str, x: _Tensor, other: _Tensor, out: _Tensor) -> _Call:
        """A function without arguments: the op on x [rows, n]."""
        torch, aten = self.torch, self.torch.ops.aten
        functions: dict[str, _Call] = {
            "relu": partial(torch.clamp_min, x, 0, out=out),
            "leaky_relu": partial(aten.leaky_relu.out, x, 0.01, out=out),
            "relu6": partial(torch.clamp, x, 0, 6, out=out),
            "hard_tanh": partial(aten.hardtanh.out, x, out=out),
            "hard_sigmoid": partial(aten.hardsigmoid.out, x, out=out),
            "hard_swish": partial(aten.hardswish.out, x, out=out),
            "softsign": partial(torch.nn.functional.softsign, x),
            "elu": partial(aten.elu.out, x, out=out),
            "selu": partial(torch.selu, x),
            "celu": partial(torch.celu, x),
            "silu": partial(aten.silu.out, x, out=out),
            "mish": partial(aten.mish.out, x, out=out),
            "softplus": partial(aten.softplus.out, x, out=out),
            "log_sigmoid": partial(torch.nn.functional.logsigmoid, x),
            "gelu": partial(aten.gelu.out, x, out=out),
            "gelu_tanh": partial(aten.gelu.out, x, approximate="tanh", out=out),
            "sigmoid": partial(torch.sigmoid, x, out=out),
            "tanh": partial(torch.tanh, x, out=out),
            "softmax": partial(torch.softmax, x, -1, out=out),
            "log_softmax": partial(torch.log_softmax, x, -1, out=out),
            "rescaling": partial(torch.add, torch.tensor(0.25), x, alpha=0.5, out=out),
            "dropout": partial(torch.native_dropout, x, 0.3, True),
            "add": partial(torch.add, x, other, out=out),
            "multiply": partial(torch.mul, x, other, out=out),
            "average": partial(torch.lerp, x, other, 0.5, out=out),
        }
        return functions[op]

    def _backward(self, op: str, x: _Tensor, dy: _Tensor, out: _Tensor) -> _Call:
        """A function without arguments: the op's gradient with respect to x [rows, n]."""
        torch, aten = self.torch, self.torch.ops.aten
        if op == "dropout":
            return partial(aten.native_dropout_backward, dy, torch.native_dropout(x, 0.3, True)[1], 1 / 0.7)
        y = self._forward(op, x, dy, torch.empty_like(x))()
        functions: dict[str, _Call] = {
            "relu": partial(aten.threshold_backward.grad_input, dy, x, 0, grad_input=out),
            "leaky_relu": partial(aten.leaky_relu_backward.grad_input, dy, x, 0.01, False, grad_input=out),
            "relu6": partial(aten.hardtanh_backward.grad_input, dy, x, 0, 6, grad_input=out),
            "hard_tanh": partial(aten.hardtanh_backward.grad_input, dy, x, -1, 1, grad_input=out),
            "hard_sigmoid": partial(aten.hardsigmoid_backward.grad_input, dy, x, grad_input=out),
            "hard_swish": partial(aten.hardswish_backward, dy, x),
            "softsign": lambda: dy / (1 + x.abs()).square(),
            "elu": partial(aten.elu_backward.grad_input, dy, 1.0, 1.0, 1.0, False, x, grad_input=out),
            "selu": partial(aten.elu_backward.grad_input, dy, *_SELU, 1.0, False, x, grad_input=out),
            "celu": partial(aten.elu_backward.grad_input, dy, 1.0, 1.0, 1.0, False, x, grad_input=out),
            "silu": partial(aten.silu_backward.grad_input, dy, x, grad_input=out),
            "mish": partial(aten.mish_backward, dy, x),
            "softplus": partial(aten.softplus_backward.grad_input, dy, x, 1, 20, grad_input=out),
            "log_sigmoid": partial(aten.log_sigmoid_backward, dy, x, aten.log_sigmoid_forward(x)[1]),
            "gelu": partial(aten.gelu_backward.grad_input, dy, x, grad_input=out),
            "gelu_tanh": partial(aten.gelu_backward.grad_input, dy, x, approximate="tanh", grad_input=out),
            "sigmoid": partial(aten.sigmoid_backward.grad_input, dy, y, grad_input=out),
            "tanh": partial(aten.tanh_backward.grad_input, dy, y, grad_input=out),
            "softmax": partial(aten._softmax_backward_data.out, dy, y, -1, x.dtype, grad_input=out),
            "log_softmax": partial(aten._log_softmax_backward_data.out, dy, y, -1, x.dtype, out=out),
            "rescaling": partial(torch.mul, dy, 0.5, out=out),
        }
        return functions[op]

    def _optimizer(self, rule: str, parameters: list[_Tensor], rate: float) -> _Tensor:
        """The optimizer of `torch.optim`, fused where it can be."""
        optim = self.torch.optim
        makers: dict[str, _Call] = {
            "sgd": partial(optim.SGD, fused=True),
            "momentum": partial(optim.SGD, momentum=0.9, fused=True),
            "adam": partial(optim.Adam, eps=case.EPSILON, fused=True),
            "adamw": partial(optim.AdamW, eps=case.EPSILON, fused=True),
            "amsgrad": partial(optim.Adam, eps=case.EPSILON, amsgrad=True, fused=True),
            "rmsprop": partial(optim.RMSprop, eps=case.EPSILON, foreach=True),
            "adagrad": partial(optim.Adagrad, fused=True),
            "adadelta": partial(optim.Adadelta, foreach=True),
            "adamax": partial(optim.Adamax, foreach=True),
            "nadam": partial(optim.NAdam, foreach=True),
            "radam": partial(optim.RAdam, foreach=True),
        }
        return makers[rule](parameters, lr=rate)

    def update(self, spec: Update) -> Case | None:
        """`step` of an optimizer."""
        if spec.rule == "lion":
            return None
        p, g = map(self.torch.from_numpy, case.update_arrays(spec))
        start = p.clone()
        p.requires_grad_()
        p.grad = g
        run = self._optimizer(spec.rule, [p], 1e-3).step

        def check() -> Array:
            run()
            run()
            return np.asarray((p - start).detach().numpy())

        return Case(run, check)

    def _model(self, net: Network) -> _Tensor:
        torch = self.torch
        layers: list[_Tensor] = []
        arrays = iter(case.weights(net))
        for kernel, bias in zip(arrays, arrays, strict=True):
            layer = torch.nn.Linear(*kernel.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(kernel.T))
                layer.bias.copy_(torch.from_numpy(bias))
            layers += [layer, torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1])

    def _trainer(self, net: Network, model: _Tensor, rate: float) -> _Call:
        """A function that makes one step on a batch."""
        functional = self.torch.nn.functional
        loss_of = functional.mse_loss if net.loss == "mse" else functional.cross_entropy
        optimizer = self._optimizer("adam", list(model.parameters()), rate)
        loss = self._compiled(lambda x, y: loss_of(model(x), y))

        def train(x: _Tensor, y: _Tensor) -> None:
            optimizer.zero_grad(set_to_none=True)
            loss(x, y).backward()
            optimizer.step()

        return train

    def _outputs(self, model: _Tensor, x: _Tensor) -> Array:
        with self.torch.inference_mode():
            return np.asarray(model(x).numpy())

    def step(self, spec: Network) -> Case:
        """Forward, backward and a step of fused Adam."""
        x, y = map(self.torch.from_numpy, case.batch(spec))
        model = self._model(spec)
        run = partial(self._trainer(spec, model, case.STEP_RATE), x, y)
        return Case(run, partial(case.change, spec, partial(case.repeat, run), partial(self._outputs, model, x)))

    def predict(self, spec: Network) -> Case:
        """The model in inference mode."""
        x = self.torch.from_numpy(case.batch(spec)[0])
        model = self._model(spec).eval()
        outputs = self._compiled(model)
        return Case(partial(self._outputs, outputs, x), lambda: case.log_probabilities(spec, self._outputs(outputs, x)))

    def _loop(self, spec: Network, x: _Tensor, y: _Tensor, train: _Call) -> None:
        """One epoch in a random order."""
        for rows in self.torch.randperm(len(x)).split(spec.batch):
            train(x[rows], y[rows])

    def epoch(self, spec: Network) -> Case:
        """A loop over batches that are taken from tensors in memory."""
        data, classes, _ = case.mnist()
        x, y = self.torch.from_numpy(data), self.torch.from_numpy(classes)
        model = self._model(spec)
        run = partial(self._loop, spec, x, y, self._trainer(spec, model, case.EPOCH_RATE))

        def check() -> Array:
            run()
            return case.mean_loss(spec, classes[:1000], self._outputs(model, x[:1000]))

        return Case(run, check)

    def first_step(self, spec: Network) -> Case:
        """Building the model and the optimizer, and one step."""
        x, y = map(self.torch.from_numpy, case.batch(spec))
        return Case(lambda: self._trainer(spec, self._model(spec), case.STEP_RATE)(x, y), case.nothing)


class Compiled(Torch):
    """With `torch.compile` around loss and model; the optimizer is the fused one."""

    kinds: tuple[str, ...] = ("step", "predict")

    def _compiled(self, function: _Call) -> _Call:
        compiled: _Call = self.torch.compile(function)
        return compiled


class Loader(Torch):
    """With a `DataLoader`, as PyTorch's tutorials do."""

    kinds: tuple[str, ...] = ("epoch",)

    def _loop(self, spec: Network, x: _Tensor, y: _Tensor, train: _Call) -> None:
        data = self.torch.utils.data
        for rows, targets in data.DataLoader(data.TensorDataset(x, y), batch_size=spec.batch, shuffle=True):
            train(rows, targets)
