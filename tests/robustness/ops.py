"""Every function of nncore.ops, with arguments from the op table's cases."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from nncore import ops, reference
from op_cases import LOSS_CASES, OP_CASES, RULE_CASES, generator
from robustness.hostile import Entry, copied


class _Recorder:
    """A module whose functions only note what they are called with: how a case calls a function, without a second list."""

    def __init__(self) -> None:
        self.arguments: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:
            signature = inspect.signature(getattr(reference, name))
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            self.arguments = dict(bound.arguments)
            return getattr(reference, name)(*args, **kwargs)

        return note


def _recorded(call: Callable[[Any], Any]) -> dict[str, Any]:
    recorder = _Recorder()
    call(recorder)
    return recorder.arguments


def _arguments() -> dict[str, dict[str, Any]]:
    """Good arguments of every function, by its name."""
    found: dict[str, dict[str, Any]] = {}
    for case in OP_CASES:
        arrays, attrs = case.arrays(case.shapes[0], "float32"), case.attrs[0]
        y = case.forward(reference, arrays, attrs)
        dy = generator(case.name, salt=1).standard_normal(np.shape(y)).astype(np.float32)
        found[case.name] = _recorded(lambda b, c=case, a=arrays, k=attrs: c.forward(b, a, k))
        found[f"{case.name}_backward"] = _recorded(
            lambda b, c=case, a=arrays, k=attrs, y=y, d=dy: c.backward(b, a, y, d, k)
        )
    for case in LOSS_CASES:
        pair, attrs = case.arrays(case.shapes[0], "float32"), case.attrs[-1]
        found[case.name] = _recorded(lambda b, c=case, a=pair, k=attrs: c.forward(b, a, k))
        found[f"{case.name}_backward"] = _recorded(lambda b, c=case, a=pair, k=attrs: c.backward(b, a, k))
    for case in RULE_CASES:
        arrays, attrs = case.arrays(case.shapes[0], "float32"), case.attrs[0]
        found[f"{case.name}_step"] = _recorded(lambda b, c=case, a=arrays, k=attrs: c.step(b, a, k))
    found["philox4x32"] = {"counter": np.zeros(4, np.int64), "key": np.zeros(2, np.int64)}
    return found


def entry(name: str, module: Any) -> Entry:
    """An entry for the function `name` of nncore.ops or nncore.reference."""
    function, arguments = getattr(module, name), ARGUMENTS[name]
    parameters = inspect.signature(getattr(reference, name)).parameters
    several = next((p.name for p in parameters.values() if p.kind is p.VAR_POSITIONAL), None)

    def call(**given: Any) -> Any:
        xs = given.pop(several, ()) if several else ()
        return function(*(xs if isinstance(xs, (list, tuple)) else [xs]), **given)

    # The specification checks its arrays, and leaves options to the op table.
    arrays = frozenset(key for key, value in arguments.items() if isinstance(value, (np.ndarray, tuple)))
    short = module.__name__.removeprefix("nncore.")
    return Entry(f"{short}.{name}", call, copied(arguments), only=arrays if module is reference else None)


ARGUMENTS = _arguments()
ENTRIES = [entry(name, ops) for name in ARGUMENTS]
