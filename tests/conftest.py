"""What all tests share: the modules and engines under test, and which tests need a package that may be absent."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest
from hypothesis import settings

# CI sets NNCORE_REQUIRE_ORACLES, so that no check goes missing unseen.
_NEEDS = {"oracle/*": ["torch"], "oracle/test_onnx_exporters.py": ["torch", "onnxscript", "skl2onnx"]}
collect_ignore_glob = [
    files
    for files, packages in _NEEDS.items()
    if "NNCORE_REQUIRE_ORACLES" not in os.environ and not all(find_spec(package) for package in packages)
]

# Examples come from the test's name, not the clock: a failure on one machine is a failure on all.
settings.register_profile("nncore", derandomize=True, deadline=None, max_examples=40)
# pytest --hypothesis-profile=nightly: other examples every time, and many.
settings.register_profile("nightly", deadline=None, max_examples=10_000, database=None, print_blob=True)
settings.load_profile("nncore")


@pytest.fixture(scope="session", params=["reference", "native"])
def backend(request: pytest.FixtureRequest) -> ModuleType:
    """A module of public ops; without the compiled module the native one fails."""
    return import_module({"reference": "nncore.reference", "native": "nncore.ops"}[request.param])


@pytest.fixture(scope="session", params=["reference", "native"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The name of an engine, for `nncore.engines.create`."""
    name: str = request.param
    return name
