"""Checks of estimators' parameters, made when `fit` is called, as scikit-learn's conventions want it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nncore.optable import OPS
from nncore.optimizers import Optimizer

__all__ = ["PERCEPTRON_CHECKS", "all_or_nothing", "check_parameters", "each_layer", "hidden_sizes"]

Check = Callable[[Any], str | None]  # what was expected, or None where a value is good


def _number(low: float, high: float = math.inf, *, above: bool = False, below: bool = False) -> Check:
    words = f"a number {'>' if above else '>='} {low:g}" + (f" and {'<' if below else '<='} {high:g}" * (high < math.inf))

    def check(value: Any) -> str | None:
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            return words
        try:
            number = float(value)
        except Exception:  # as NumPy's arrays may raise anything here
            return words
        good = (number > low if above else number >= low) and (number < high if below else number <= high)
        return None if good and not math.isinf(number) else words

    return check


def _integer(low: int, *others: object) -> Check:
    words = " or ".join([f"an integer >= {low}", *(repr(other) for other in others)])

    def check(value: Any) -> str | None:
        if any(value is other or value == other for other in others if type(value) is type(other)):
            return None
        try:
            good = not isinstance(value, bool) and operator.index(value) == int(value) >= low
        except Exception:  # as above
            good = False
        return None if good else words

    return check


def _choice(*choices: str) -> Check:
    words = f"one of {', '.join(map(repr, choices))}"
    return lambda value: None if isinstance(value, str) and value in choices else words


def _flag(value: Any) -> str | None:
    return None if value is True or value is False or type(value).__name__ == "bool" else "True or False"


def _solver(value: Any) -> str | None:
    good = isinstance(value, Optimizer) or (isinstance(value, str) and value in ("lbfgs", "sgd", "adam"))
    return None if good else "'lbfgs', 'sgd', 'adam' or an optimizer of nncore"


CHECKS: Mapping[str, Check] = {
    "solver": _solver,
    "alpha": _number(0),
    "batch_size": _integer(1, "auto"),
    "learning_rate": _choice("constant", "invscaling", "adaptive"),
    "learning_rate_init": _number(0, above=True),
    "power_t": _number(0),
    "max_iter": _integer(1),
    "shuffle": _flag,
    "tol": _number(0),
    "warm_start": _flag,
    "momentum": _number(0, 1, below=True),
    "nesterovs_momentum": _flag,
    "early_stopping": _flag,
    "validation_fraction": _number(0, 1, below=True),
    "beta_1": _number(0, 1, below=True),
    "beta_2": _number(0, 1, below=True),
    "epsilon": _number(0, above=True),
    "n_iter_no_change": _integer(1, math.inf),
    "max_fun": _integer(1),
    "batch_norm": _flag,
    "dtype": _choice("auto", "float32", "float64"),
    "n_threads": _integer(1, None),
}
PERCEPTRON_CHECKS: Mapping[str, Check] = {
    **{name: CHECKS[name] for name in ("alpha", "max_iter", "shuffle", "early_stopping", "validation_fraction")},
    "penalty": lambda value: None if value is None else _choice("l2", "l1", "elasticnet")(value),
    "l1_ratio": _number(0, 1),
    "fit_intercept": _flag,
    "tol": lambda value: None if value is None else _number(0)(value),
    "eta0": _number(0, above=True),
    "n_iter_no_change": _integer(1),
    "warm_start": _flag,
}


def check_parameters(parameters: Mapping[str, Any], checks: Mapping[str, Check] = CHECKS) -> None:
    """Raise ValueError for the first of `parameters` that is not what `checks` expects."""
    for name, value in parameters.items():
        expected = checks[name](value) if name in checks else None
        if expected is not None:
            raise ValueError(f"{name}: expected {expected}, got {value!r}")


@contextmanager
def all_or_nothing(estimator: object) -> Iterator[None]:
    """Inside a ``with``, an error leaves the attributes of `estimator` as they were before it."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise


def hidden_sizes(value: Any) -> tuple[int, ...]:
    """The parameter hidden_layer_sizes, an integer or several, as a tuple.

    Raises:
        ValueError: something else, or a size below 1.
    """
    sizes = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    for size in sizes:
        if _integer(1)(size) is not None:
            raise ValueError(f"hidden_layer_sizes: expected integers >= 1, got {value!r}")
    if max(sizes, default=0) >= 2**31:
        raise ValueError(f"hidden_layer_sizes: expected integers below 2**31, got {value!r}")
    return tuple(operator.index(size) for size in sizes)


def each_layer(name: str, value: Any, layers: int) -> tuple[Any, ...]:
    """The parameter activation or dropout, one for all hidden layers or one for each, as a tuple.

    Raises:
        ValueError: another number than there are hidden layers, an activation that nncore does not have, or a share outside
            [0, 1).
    """
    alone = isinstance(value, str) or not isinstance(value, Iterable)
    values = (value,) * layers if alone else tuple(value)
    if len(values) != layers:
        raise ValueError(f"{name}: expected one for each of {layers} hidden layers, got {value!r}")
    for one in (value,) if alone else values:
        if name == "activation":
            expected = _choice("logistic", *(key for key, op in OPS.items() if op.activation))(one)
        else:
            expected = _number(0, 1, below=True)(one)
        if expected is not None:
            raise ValueError(f"{name}: expected {expected}, got {one!r}")
    return values
