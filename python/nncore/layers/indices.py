"""Layers whose input is indices: Embedding, OneHot."""

from __future__ import annotations

from nncore.layers.core import _OneOp
from nncore.layers.weighted import Constraint, Initial, Regularizer, Weighted

__all__ = ["Embedding", "OneHot"]


class Embedding(Weighted):
    """y[i] = embeddings[x[i]]: a learned vector for each of `input_dim` indices.

    x [n, ...] of whole numbers in [0, input_dim - 1], embeddings [input_dim, output_dim], y [n, ..., output_dim]. Other
    numbers are a ValueError, and the model stays as it was. The gradient of a row is the sum over its uses in the order of
    the samples, so that it has the same bits for any number of threads.

    Args:
        input_dim: how many indices; at most 2**24, up to which float32 has every whole number.
        output_dim: length of a vector.
        embeddings_initializer: a name or object of `nncore.initializers`, or a function ``(shape, rng) -> array``.
        embeddings_regularizer, embeddings_constraint: see `nncore.regularizers`.
        name, trainable: see `Layer`.

    Source: Keras ``Embedding``.

    >>> import nncore as nn
    >>> table = lambda shape, rng: [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    >>> model = nn.Sequential([nn.Input((2,)), nn.Embedding(3, 2, embeddings_initializer=table)])
    >>> model.predict([[2, 0]]).tolist()
    [[[4.0, 5.0], [0.0, 1.0]]]
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Initial = "random_uniform",
        embeddings_regularizer: Regularizer = None,
        embeddings_constraint: Constraint = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            "embedding",
            {"input_dim": input_dim, "output_dim": output_dim},
            {"embeddings": embeddings_initializer},
            {"embeddings": embeddings_regularizer},
            {"embeddings": embeddings_constraint},
            name,
            trainable,
        )


class OneHot(_OneOp):
    """y[i, j] = 1 where j = x[i], else 0.

    x [n, ...] of whole numbers in [0, depth - 1], y [n, ..., depth]. Other numbers are a ValueError.

    Args:
        depth: how many places.
        name: see `Layer`.

    Source: ``keras.ops.one_hot``; Keras ``CategoryEncoding(output_mode="one_hot")``.

    >>> import nncore as nn
    >>> nn.Sequential([nn.Input(()), nn.OneHot(3)]).predict([2, 0]).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, depth: int, name: str | None = None) -> None:
        super().__init__("one_hot", {"depth": depth}, name)
