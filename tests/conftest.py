"""What all tests share: the modules and engines under test, and which tests need a package that may be absent."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest
from hypothesis import settings

# CI sets NNCORE_REQUIRE_ORACLES, so that no check goes missing unseen.
collect_ignore_glob = [] if find_spec("torch") or "NNCORE_REQUIRE_ORACLES" in os.environ else ["oracle/*"]

# Examples come from the test's name, not the clock: a failure on one machine is a failure on all.
settings.register_profile("nncore", derandomize=True, deadline=None, max_examples=40)
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
