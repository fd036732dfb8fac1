"""What `Model.fit` returns: losses and metrics of every epoch, learning rates and times; as a table and a plot too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["History"]


@dataclass
class History:
    """Losses and metrics by epoch; `Model.history` is that of the last `fit`.

    Attributes:
        epoch: the numbers of the epochs done, from 0.
        history: for each name (``"loss"``, ``"accuracy"``, ``"val_loss"``, ...) one value per epoch.
        learning_rate: that of each epoch's last update.
        seconds: how long each epoch took, with its validation.
        unfinished: of an epoch that was cut short, by Ctrl-C or a loss that is not finite: how many ``"samples"`` it had
            trained on, and the means of loss and metrics over these. Empty otherwise.
    """

    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    unfinished: dict[str, float] = field(default_factory=dict)

    def append(self, epoch: int, logs: Mapping[str, float], learning_rate: float, seconds: float) -> None:
        """Add an epoch."""
        self.epoch.append(epoch)
        self.learning_rate.append(learning_rate)
        self.seconds.append(seconds)
        self.amend(logs)

    def amend(self, logs: Mapping[str, float]) -> None:
        """Put the values of the last epoch that are new or different; NaN where earlier epochs have no such value."""
        for name, value in logs.items():
            values = self.history.setdefault(name, [])
            values += [float("nan")] * (len(self.epoch) - 1 - len(values))
            values[len(self.epoch) - 1 :] = [value]

    def to_dataframe(self) -> Any:  # noqa: ANN401 - pandas is optional
        """A pandas DataFrame: a row for each epoch; the columns are the names, ``learning_rate`` and ``seconds``.

        Raises:
            ImportError: pandas is not installed.

        >>> History([0, 1], {"loss": [0.5, 0.25]}, [0.1, 0.1], [2.0, 1.0]).to_dataframe().columns.tolist()
        ['loss', 'learning_rate', 'seconds']
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("History.to_dataframe: expected pandas to be installed (pip install pandas)") from error
        columns = {**self.history, "learning_rate": self.learning_rate, "seconds": self.seconds}
        return pd.DataFrame(columns, index=pd.Index(self.epoch, name="epoch"))

    def plot(self, names: Sequence[str] | None = None) -> Figure:
        """A matplotlib figure: a curve over the epochs for each name, that of validation beside that of training.

        Args:
            names: such as ``["loss", "accuracy"]``, without ``val_``; ``"learning_rate"`` is one too. By default all
                losses and metrics.

        Raises:
            ImportError: matplotlib is not installed (``pip install "nncore[plot]"``).
            ValueError: no epochs, or a name that there is not.

        >>> figure = History([0, 1], {"loss": [0.5, 0.25], "val_loss": [0.6, 0.5]}, [0.1, 0.1], [1.0, 1.0]).plot()
        >>> [axes.get_title() for axes in figure.axes], [len(axes.lines) for axes in figure.axes]
        (['loss'], [2])
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError as error:
            raise ImportError('History.plot: expected matplotlib to be installed (pip install "nncore[plot]")') from error
        if not self.epoch:
            raise ValueError("History.plot: expected at least one epoch, got none")
        curves = {**self.history, "learning_rate": self.learning_rate}
        known = list(dict.fromkeys(name.removeprefix("val_") for name in self.history))
        chosen = known if names is None else list(names)
        for name in chosen:
            if name not in [*known, "learning_rate"]:
                raise ValueError(f"names: expected some of {', '.join([*known, 'learning_rate'])}, got {name!r}")
        columns = min(len(chosen), 3)
        rows = -(-len(chosen) // columns)
        figure = Figure(figsize=(4.5 * columns, 3.2 * rows), layout="constrained")
        for place, name in enumerate(chosen, start=1):
            axes = figure.add_subplot(rows, columns, place, title=name, xlabel="epoch")
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                if key in curves:
                    axes.plot(self.epoch, curves[key], ".-", label=label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            axes.legend()
        return figure
