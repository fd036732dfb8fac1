"""History: curves, rates and times; as a table and a plot; and what is left of training that was cut short."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import nncore as nn

X = np.linspace(-1, 1, 32).reshape(32, 1)


def fitted(epochs=4):
    model = nn.Sequential([nn.Dense(1)])
    model.compile(nn.SGD(nn.schedules.InverseTime(0.1, 1.0)), "mse", ["mae"])
    return model, model.fit(X, X, batch_size=8, epochs=epochs, validation_data=(X, X), verbose=0)


def test_rates_are_those_of_the_last_updates_and_times_are_measured():
    model, history = fitted()
    assert history is model.history
    # updates count from 0, four in an epoch
    assert history.learning_rate == pytest.approx([0.1 / (1 + (4 * e + 3)) for e in range(4)])
    assert len(history.seconds) == 4
    assert all(0 < seconds < 60 for seconds in history.seconds)
    assert history.unfinished == {}


def test_a_data_frame():
    _, history = fitted()
    frame = history.to_dataframe()
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.name == "epoch"
    assert frame.columns.tolist() == ["loss", "mae", "val_loss", "val_mae", "learning_rate", "seconds"]
    assert frame["val_mae"].tolist() == history.history["val_mae"]
    assert frame.index.tolist() == [0, 1, 2, 3]


def test_a_value_that_comes_later_is_nan_before():
    history = nn.History()
    history.append(0, {"a": 1.0}, 0.1, 1.0)
    history.append(1, {"a": 2.0, "b": 3.0}, 0.1, 1.0)
    history.amend({"a": 4.0})
    np.testing.assert_array_equal(history.to_dataframe()[["a", "b"]].to_numpy(), [[1.0, np.nan], [4.0, 3.0]])


def test_plots_have_the_curves(tmp_path):
    _, history = fitted()
    figure = history.plot()
    assert [axes.get_title() for axes in figure.axes] == ["loss", "mae"]
    for axes in figure.axes:
        lines = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
        name = axes.get_title()
        assert lines == {"training": history.history[name], "validation": history.history[f"val_{name}"]}
    (axes,) = history.plot(["learning_rate"]).axes
    assert axes.lines[0].get_ydata().tolist() == history.learning_rate
    figure.savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_bad_plots(monkeypatch):
    with pytest.raises(ValueError, match="expected at least one epoch"):
        nn.History().plot()
    _, history = fitted(1)
    with pytest.raises(ValueError, match="names: expected some of loss, mae, learning_rate, got 'val_loss'"):
        history.plot(["val_loss"])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="expected matplotlib"):
        history.plot()
    with pytest.raises(ImportError, match="expected pandas"):
        history.to_dataframe()
