"""Who may import whom, as ARCHITECTURE.md says; for the reference, see tests/reference/test_package.py."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nncore

PACKAGE = Path(nncore.__file__).parent
CPP = Path(__file__).parents[1] / "cpp"

# What each part below the models may import of the package.
MAY_IMPORT = {
    "arrays": {"foreign", "frames", "optable"},
    "caching": set(),
    "frames": set(),
    "data": {"arrays", "datasets", "foreign", "paths", "scalars"},
    "datasets": {"paths"},
    "engines": {"_core", "graph", "optable", "reference", "turns"},
    "foreign": set(),
    "graph": {"caching", "optable"},
    "initializers": {"graph", "optable"},
    "layers": {"regularizers", "arrays", "foreign", "graph", "initializers", "optable"},
    "losses": {"class_losses", "loss_base", "value_losses"},
    "metrics": {"optable", "scoring"},
    "class_losses": {"arrays", "loss_base", "optable"},
    "loss_base": {"arrays", "ops", "optable"},
    "loss_ops": {"_core", "optable", "reference"},
    "value_losses": {"arrays", "loss_base", "optable"},
    "layer_ops": {"_core", "optable", "reference"},
    "ops": {"_core", "loss_ops", "layer_ops", "optable", "reference", "scalars"},
    "optable": {"tables"},
    "tables": {"caching"},
    "optimizers": {"lbfgs", "optable", "schedules"},
    "paths": set(),
    "scalars": set(),
    "schedules": {"scalars"},
    "lbfgs": {"arrays", "scalars"},
    "scoring": {"arrays", "optable"},
    "regularizers": {"scalars"},
    "threads": {"_core"},
}
# The first only where NNCORE_ISA is set, so that a wrong name is an ImportError.
CORE_USERS = {
    "__init__.py",
    "bench/machine.py",
    "commands/info.py",
    "engines/native.py",
    "loss_ops.py",
    "layer_ops.py",
    "ops.py",
    "threads.py",
}

# What only some of the C++ files may contain.
CONFINED = {
    "intrinsics": (r"\b_mm\d*_|\b__m\d+|intrin\.h|arm_neon", r"kernels/isa/"),
    "OpenMP": (r"#\s*pragma\s+omp|\bomp_|<omp\.h>", r"core/threads\.[ch]pp"),
    "Python": (r"pybind11|Python\.h|numpy", r"bindings/"),
    "bindings": (r'#include "bindings/', r"bindings/"),
    "core": (r'#include "core/', r"(bindings|core)/"),
    "the standard library": (r"\bstd::|#include <\w+>", r"(bindings|core)/"),
}
# Flushing of subnormals and the pause in a spinning barrier belong to threads, not to kernels.
EXEMPT = {("intrinsics", "core/threads.cpp")}


def imports(path: Path) -> Iterator[str]:
    """Names that a file imports, at whatever depth, but not those for the type checker alone."""
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
        else:
            todo += ast.iter_child_nodes(node)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_python_imports(part):
    files = [*PACKAGE.glob(f"{part}.py"), *PACKAGE.glob(f"{part}/**/*.py")]
    assert files
    for path in files:
        used = {name.split(".")[1] for name in imports(path) if name.startswith("nncore.")}
        assert used <= MAY_IMPORT[part] | {part}, path.name


def test_who_imports_the_compiled_module():
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.startswith(("nncore._core", "nncore._probe")) for name in imports(path))
    }
    assert users == CORE_USERS


@pytest.mark.parametrize("what", CONFINED)
def test_cpp_layers(what):
    pattern, where = CONFINED[what]
    sources = {path.relative_to(CPP).as_posix(): path for path in CPP.rglob("*.[ch]pp")}
    sources = {name: path for name, path in sources.items() if not name.startswith("tests/")}
    users = {name for name, path in sources.items() if re.search(pattern, path.read_text())}
    assert any(re.match(where, name) for name in users)
    assert {name for name in users if not re.match(where, name) and (what, name) not in EXEMPT} == set()
