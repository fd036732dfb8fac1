"""The executable specification: every op, loss and optimizer rule in plain NumPy, written to be read.

`nncore.ops` has the same functions with the same signatures, in C++; the tests hold the two together. To learn
backpropagation, read `products.dense` and `products.dense_backward` first, then `losses`, then `nncore.engines.reference`.
"""

# ruff: noqa: F403 - the names that each module's __all__ has

from nncore.reference import (
    adaptive,
    axes,
    class_losses,
    indices,
    losses,
    merging,
    noise,
    normalization,
    optimizers,
    piecewise,
    products,
    random,
    slopes,
    smooth,
    structure,
    value_losses,
)
from nncore.reference.adaptive import *
from nncore.reference.axes import *
from nncore.reference.class_losses import *
from nncore.reference.indices import *
from nncore.reference.losses import *
from nncore.reference.merging import *
from nncore.reference.noise import *
from nncore.reference.normalization import *
from nncore.reference.optimizers import *
from nncore.reference.piecewise import *
from nncore.reference.products import *
from nncore.reference.random import *
from nncore.reference.slopes import *
from nncore.reference.smooth import *
from nncore.reference.structure import *
from nncore.reference.value_losses import *

__all__: list[str] = []
__all__ += adaptive.__all__
__all__ += axes.__all__
__all__ += class_losses.__all__
__all__ += indices.__all__
__all__ += losses.__all__
__all__ += merging.__all__
__all__ += noise.__all__
__all__ += normalization.__all__
__all__ += optimizers.__all__
__all__ += piecewise.__all__
__all__ += products.__all__
__all__ += random.__all__
__all__ += slopes.__all__
__all__ += smooth.__all__
__all__ += structure.__all__
__all__ += value_losses.__all__
