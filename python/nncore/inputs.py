"""What `fit` and `evaluate` are given, made into feeds: arrays, loaders, batches; and what is held out for validation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from nncore.feeds import ArrayFeed, BatchFeed, ChunkFeed, Feed, LoaderFeed
from nncore.foreign import is_array
from nncore.frames import is_table
from nncore.objectives import Columns
from nncore.weighting import ClassWeight, check_class_weight, labels_of

if TYPE_CHECKING:
    from nncore.model import Model

__all__ = ["make_feed", "split", "validation_feed"]


def make_feed(
    model: Model,
    x: npt.ArrayLike | Iterable[Any],
    y: npt.ArrayLike | None,
    sample_weight: npt.ArrayLike | None,
    batch_size: int,
    passes: int,
    class_weight: ClassWeight | None = None,
    where: str = "",
    steps: int | None = None,
) -> Feed:
    """The data of `passes` passes, each of `steps` batches where that is given; messages name `where` they belong."""
    check_class_weight(class_weight)
    if y is not None:
        if steps is not None:
            raise ValueError("steps_per_epoch: expected None beside arrays")
        samples: Any = x
        return ArrayFeed(*model._batch(samples, y, sample_weight, class_weight, where), batch_size)
    if sample_weight is not None:
        raise ValueError(f"sample_weight{where}: expected none beside batches, which are (x, y, sample_weight) themselves")
    if is_array(x) or is_table(x):
        raise ValueError(f"y{where}: expected targets for the samples x, got None")
    _ = model.loss  # its absence is an error now, not at the first batch
    from nncore.data import ChunkLoader, DataLoader  # here: importing nncore must not load it

    if type(x) is DataLoader and x.y is not None and steps is None:
        group, targets = cast(Any, x.x), cast(Any, x.y)
        return LoaderFeed(*model._batch(group, targets, x.sample_weight, class_weight, where), x)
    check_class_weight(class_weight, in_memory=False)
    check = partial(model._batch, class_weight=class_weight, where=where)
    if isinstance(x, ChunkLoader) and steps is None:
        return ChunkFeed(x, check)
    batches: Any = x
    return BatchFeed(batches, check, passes, steps, f"x{where}")


def validation_feed(model: Model, data: tuple[npt.ArrayLike, ...] | Iterable[Any], batch_size: int, passes: int) -> Feed:
    """The validation data that `fit` is given: a tuple of arrays, or batches."""
    where = " of validation_data"
    if not isinstance(data, tuple):
        return make_feed(model, data, None, None, batch_size, passes, where=where)
    if len(data) not in (2, 3):
        raise ValueError(f"validation_data: expected (x, y) or (x, y, sample_weight), got a tuple of length {len(data)}")
    x, y, *weights = data
    return make_feed(model, x, y, weights[0] if weights else None, batch_size, passes, where=where)


def split(feed: Feed, fraction: float, stratify: bool, seed: int) -> tuple[ArrayFeed, ArrayFeed]:
    """All but a `fraction` of an array feed, and that fraction: the last samples, or drawn from each class.

    How many there are is counted as Keras does.
    """
    if not isinstance(feed, ArrayFeed) or isinstance(feed, LoaderFeed):
        raise ValueError("validation_split: expected 0 beside an iterable of batches")
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split: expected a fraction in [0, 1), got {fraction!r}")
    count = math.floor(feed.samples * (1 - fraction))
    if not 0 < count < feed.samples:
        raise ValueError(f"validation_split: expected to leave samples on both sides, got {fraction!r} of {feed.samples}")
    if not stratify:
        return feed.part(0, count), feed.part(count, feed.samples)
    from nncore.data.split import stratified  # here, as above

    target: Any = feed.target
    if isinstance(target, Columns):
        raise ValueError("stratify: expected False for a model with several outputs")
    training, held = stratified(labels_of(target, why="stratify"), feed.samples - count, seed)
    return feed.chosen(np.sort(training)), feed.chosen(np.sort(held))
