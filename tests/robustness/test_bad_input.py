"""Bad input at every public entry: only documented exceptions, with a message that says what is wrong, and nothing changed.

One example of hypothesis is one way to be wrong, and all entries of a family are called with it. The profile says how many
there are: 200 in an ordinary run (of the specification, nncore.reference, 40), 10,000 with
``--hypothesis-profile=nightly``.
"""

import faulthandler
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import nncore
from robustness import hostile
from robustness.hostile import BAD, Entry, limited, picks, probe

FAMILIES = ("ops", "specification", "models", "parts", "sources")
ENTRIES = {family: importlib.import_module(f"robustness.{family}").ENTRIES for family in FAMILIES}
PLACES = [
    *("callbacks", "classic", "data", "datasets", "explain", "initializers", "io", "layers", "losses", "metrics", "onnx"),
    *("ops", "optimizers", "plots", "reference", "regularizers", "schedules", "sklearn"),
]
NOT_ENTRIES = {  # what nncore makes and hands out, what is subclassed, and what takes no data
    *("History", "callbacks.Callback", "data.Chunk", "data.ChunkLoader", "data.Table", "data.TableSchema"),
    *("explain.Importances", "initializers.Initializer", "optimizers.Options", "classic.xor_net", "datasets.xor"),
    *("datasets.load_digits", "datasets.load_iris", "Sequential", "Model", "layers.Layer"),
}
METHODS_APART = {  # those of layers, by which models take no input from users, and those without arguments
    *("add_to", "build", "compute_output_shape", "declare_parameters", "get_config", "dtype", "engine", "graph"),
    *("gradients", "input_shape", "label", "layers", "loss", "optimizer", "output_shape", "parameters", "penalty"),
    *("trainable", "averaged_weights", "summary"),
}
SECONDS = 60  # for 40 examples, after which a family counts as hanging: the process ends with all stacks


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that bad paths happen to name lie in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


def examples(family: str) -> int:
    """How many the profile wants."""
    wanted = settings().max_examples
    return wanted if wanted > 1000 else 40 if family == "specification" else 200


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("family", FAMILIES)
def test_only_documented_exceptions(family):
    entries = ENTRIES[family]

    # An example is as short as can be already: nothing to shrink.
    @settings(max_examples=examples(family), phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(picks)
    def run(bad):
        with limited():
            for entry in entries:
                probe(entry, *bad)

    faulthandler.dump_traceback_later(SECONDS * examples(family) / 40, exit=True, file=sys.__stderr__)
    try:
        run()
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("family", FAMILIES)
def test_good_arguments_are_good(family):
    """Without that the others would test nothing."""
    failed = {}
    for entry in ENTRIES[family]:
        arguments = entry.good()
        if entry.only != frozenset():
            try:
                entry.call(**arguments)
            except Exception as error:
                failed[entry.name] = error
    assert failed == {}


def public(module: ModuleType, place: str) -> set[str]:
    names = {name for name in module.__all__ if callable(getattr(module, name))}
    return {f"{place}.{name}" if place else name for name in names}


def test_every_public_entry_is_probed():
    probed = {entry.name.partition(":")[0] for entries in ENTRIES.values() for entry in entries}
    wanted: set[str] = set()
    for place in PLACES:
        wanted |= public(importlib.import_module(f"nncore.{place}"), place)
    inside = {name.partition(".")[2] for name in wanted}
    wanted |= {name for name in public(nncore, "") if name not in inside}
    assert set(PLACES) >= {n for n in nncore.__all__ if inspect.ismodule(getattr(nncore, n))}
    methods = {name for name in dir(nncore.Model) if not name.startswith("_")} - METHODS_APART
    wanted |= {f"Model.{name}" for name in methods}
    assert wanted - probed - NOT_ENTRIES == set()
    assert NOT_ENTRIES - wanted == set()


def test_the_probe_itself():
    def entry(error: Exception | None, message: str = "x: expected something") -> Entry:
        def call(x: object) -> None:
            if error is not None:
                raise type(error)(message)

        return Entry("entry", call, lambda: {"x": 1})

    def fails(entry: Entry) -> None:
        with pytest.raises(AssertionError, match="entry"):
            probe(entry, 0, BAD[0], None)

    probe(entry(None), 0, BAD[0], None)
    probe(entry(ValueError()), 0, BAD[0], None)
    fails(entry(ValueError(), "expected something"))
    fails(entry(ValueError(), ""))
    fails(entry(KeyError()))
    state = iter(range(2))
    fails(Entry("entry", entry(ValueError()).call, lambda: {"x": 1}, model=lambda arguments: next(state)))
    assert len({bad.name for bad in BAD}) > 100
    assert (ValueError, TypeError, MemoryError) == hostile.DOCUMENTED
