"""What the commands share: a parser that reports on one line, and readers of single arguments."""

from __future__ import annotations

import argparse
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias

__all__ = ["Commands", "Parser", "bounded", "character", "name_list", "number", "output", "plot_output", "whole_numbers"]


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake on one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with status 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def bounded(low: int, high: int) -> Callable[[str], int]:
    """A reader of integers in [low, high]."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected an integer from {low} to {high}, got {text!r}")
        return value

    return read


def number(fits: Callable[[float], bool], wanted: str) -> Callable[[str], float]:
    """A reader of numbers that fit; `wanted` says which those are."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value

    return read


def whole_numbers(low: int, high: int) -> Callable[[str], tuple[int, ...]]:
    """A reader of integers in [low, high], separated by commas."""

    def read(text: str) -> tuple[int, ...]:
        return tuple(map(bounded(low, high), text.split(",")))

    return read


def character(text: str) -> str:
    """One character."""
    if len(text) != 1:
        raise argparse.ArgumentTypeError(f"expected one character, got {text!r}")
    return text


def name_list(text: str) -> tuple[str, ...]:
    """Names, separated by commas."""
    return tuple(name for name in text.split(",") if name)


def output(text: str) -> Path:
    """A file to write; told now if it cannot be, not after the training."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in an existing folder, got {text!r}")
    return path


def plot_output(text: str) -> Path:
    """A picture to write; told now if matplotlib is not there."""
    if importlib.util.find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError('matplotlib is not installed; get it with: pip install "nncore[plot]"')
    return output(text)
