"""README and docs are true: their Python runs, their links lead somewhere, the README's commands are those that CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nncore

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_python_runs(tmp_path, monkeypatch, capsys):
    """All blocks, one after the other in one namespace, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    scripts = blocks("python")
    assert len(scripts) >= 2
    names: dict[str, object] = {}
    for script in scripts:
        exec(compile(script, "README.md", "exec"), names)
    accuracy = re.search(r"test accuracy: ([\d.]+)", capsys.readouterr().out)
    assert accuracy
    assert float(accuracy[1]) > 0.95


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_the_python_of_the_docs_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    scripts = blocks("python", (ROOT / "docs" / page).read_text())
    for script in scripts:
        exec(compile(script, page, "exec"), names)
    assert bool(capsys.readouterr().out) == any("print(" in script for script in scripts)


def test_the_training_script_is_short():
    assert len(blocks("python")[0].splitlines()) <= 20


def test_the_commands():
    assert blocks("sh") == ["pip install . && nncore demo\n", 'pip install ".[test]" && pytest -n auto\n']


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_changelog_knows_this_version():
    assert f"## [{nncore.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_architecture_maps_every_folder():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for folder in [*(ROOT / "cpp").iterdir(), *(ROOT / "python/nncore").iterdir()]:
        if folder.is_dir() and folder.name[0] not in "._":
            assert re.search(rf"\b{folder.name}/", text), folder.name
