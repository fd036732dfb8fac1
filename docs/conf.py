"""The documentation site: ``sphinx-build -W --keep-going -j auto docs build/docs`` (``pip install ".[docs]"``).

Pages are the Markdown files here; those of the API are written from the public names and their docstrings at each build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import nncore

project = "nncore"
author = "The nncore developers"
version = release = nncore.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"nncore {release}"
default_role = "code"  # in docstrings, `this` is code
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # generated pages skip a level
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # they stand in the signatures
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Source", "notes_style")]
python_use_unqualified_type_names = True

HERE = Path(__file__).parent
ROOT = HERE.parent
# Modules that are no attributes of the package before somebody imports them.
OPTIONAL = ("nncore.sklearn",)

_CODE = re.compile(r"(``.*?``|`[^`]*`)", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\(\.\./([^)]*)\)")  # to a file outside this folder
_MARKUP = re.compile(r"[*|\\]|(?<=\w)_(?!\w)")  # of reStructuredText, but here it is mathematics


# Members that come from elsewhere have the docstrings of elsewhere.
CLASS_OPTIONS = [
    "   :inherited-members: dict, Exception, BaseEstimator, ClassifierMixin, RegressorMixin",
    "   :exclude-members: get_metadata_routing, set_fit_request, set_partial_fit_request, set_score_request",
]


def modules() -> Iterator[ModuleType]:
    """The public modules of the package."""
    for name in nncore.__all__:
        if isinstance(getattr(nncore, name), ModuleType):
            yield import_module(f"nncore.{name}")
    yield from map(import_module, OPTIONAL)


def write_api(_: object) -> None:
    """A page for each public module, and one for the names that only the package itself has."""
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    pages = {module.__name__: list(module.__all__) for module in modules()}
    elsewhere = {name for names in pages.values() for name in names} | {name.split(".")[1] for name in pages}
    pages = {"nncore": [name for name in nncore.__all__ if name not in elsewhere], **pages}
    for page, names in pages.items():
        lines = [page, "=" * len(page), "", f".. automodule:: {page}", "   :no-members:", ""]
        lines += [f".. currentmodule:: {page}", "", ".. autosummary::", "   :nosignatures:", ""]
        things = {name: getattr(import_module(page), name) for name in names}
        lines += [f"   {name}" for name, thing in things.items() if callable(thing)]
        for name, thing in things.items():
            if isinstance(thing, type):
                lines += ["", f".. autoclass:: {name}", "   :members:", *CLASS_OPTIONS]
            elif callable(thing):
                lines += ["", f".. autofunction:: {name}"]
        (folder / f"{page}.rst").write_text("\n".join(lines) + "\n", encoding="utf-8")
    entries = "\n".join(f"   {page}" for page in pages)
    (folder / "index.rst").write_text(f"API\n===\n\n.. toctree::\n\n{entries}\n", encoding="utf-8")


def escape(_app: object, _what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Let mathematics in docstrings be text: |x|, a * b and coefs_ are no markup there."""
    literal = None  # the indentation of the line that ended in "::"
    text: list[int] = []  # lines of a paragraph
    for i, line in enumerate([*lines, ""]):
        indent = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and indent <= literal:
            literal = None
        example = line.lstrip().startswith((">>>", "..."))
        if literal is None and line.strip() and not example:
            text.append(i)
        elif text:
            parts = _CODE.split("\n".join(lines[j] for j in text))
            parts[::2] = [_MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
            lines[text[0] : text[-1] + 1] = "".join(parts).split("\n")
            text = []
        if line.rstrip().endswith("::"):
            literal = indent
        elif example:
            literal = indent - 1  # up to a line that is indented less


def within(_app: object, _page: str, source: list[str]) -> None:
    """Links that lead out of this folder name their file."""
    source[0] = _LINK.sub(lambda link: f"{'' if link[1] == link[2] else link[1] + ' '}(`{link[2]}`)", source[0])


def setup(app: Any) -> None:  # noqa: ANN401 - Sphinx's application
    """Connect them."""
    app.connect("builder-inited", write_api)
    app.connect("source-read", within)
    app.connect("autodoc-process-docstring", escape, priority=400)  # before napoleon, which adds markup
