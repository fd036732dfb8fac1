"""The executable specification: every op, loss and optimizer rule in plain NumPy, written to be read.

`nncore.ops` has the same functions with the same signatures, in C++; the tests hold the two together. To learn
backpropagation, read `products.dense` and `products.dense_backward` first, then `losses`, then `nncore.engines.reference`.
"""

from nncore.reference.activations import (
    elu,
    elu_backward,
    gelu,
    gelu_backward,
    identity,
    identity_backward,
    leaky_relu,
    leaky_relu_backward,
    log_softmax,
    log_softmax_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
    tanh,
    tanh_backward,
)
from nncore.reference.losses import (
    bce_with_logits,
    bce_with_logits_backward,
    cross_entropy,
    cross_entropy_backward,
    mse,
    mse_backward,
)
from nncore.reference.optimizers import adam_step, adamw_step, momentum_step, rmsprop_step, sgd_step
from nncore.reference.products import dense, dense_backward, matmul, matmul_backward
from nncore.reference.random import philox4x32
from nncore.reference.structure import (
    add,
    add_backward,
    dropout,
    dropout_backward,
    flatten,
    flatten_backward,
    rescaling,
    rescaling_backward,
)

__all__ = [
    "adam_step",
    "adamw_step",
    "add",
    "add_backward",
    "bce_with_logits",
    "bce_with_logits_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dense",
    "dense_backward",
    "dropout",
    "dropout_backward",
    "elu",
    "elu_backward",
    "flatten",
    "flatten_backward",
    "gelu",
    "gelu_backward",
    "identity",
    "identity_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "log_softmax",
    "log_softmax_backward",
    "matmul",
    "matmul_backward",
    "momentum_step",
    "mse",
    "mse_backward",
    "philox4x32",
    "relu",
    "relu_backward",
    "rescaling",
    "rescaling_backward",
    "rmsprop_step",
    "sgd_step",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
]
