"""The generated pages of docs, and the commands in them."""

import re
import shlex
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from nncore.cli import main
from nncore.optable import LOSSES, OPS, RULES

PAGE = Path(__file__).parents[1] / "docs" / "ops.md"


def test_the_table_of_ops_has_every_row():
    named = set(re.findall(r"^\| `(\w+)`", PAGE.read_text(), flags=re.MULTILINE))
    missing = {*OPS, *LOSSES, *RULES} - named
    assert not missing, "run benchmarks/op_table.py"
    assert named - {*OPS, *LOSSES, *RULES} == {"matmul"}


@pytest.fixture(scope="module")
def conf():
    spec = spec_from_file_location("docs_conf", PAGE.with_name("conf.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mathematics_in_docstrings_is_no_markup(conf):
    lines = ["The mean of |x| * y_i and", "coefs_, `a * b` and ``c", "* d``::", "", "    p *= x_", "", ">>> f(*x_)", "|x|"]
    conf.escape(None, "", "", None, None, lines)
    assert lines == [
        *[r"The mean of \|x\| \* y_i and", r"coefs\_, `a * b` and ``c", "* d``::", "", "    p *= x_", "", ">>> f(*x_)"],
        "|x|",  # what an example prints
    ]


def test_links_out_of_the_docs_name_their_file(conf):
    source = ["[a page](ops.md), [code](../python/x.py#L1), [../README.md](../README.md)"]
    conf.within(None, "", source)
    assert source == ["[a page](ops.md), code (`python/x.py#L1`), ../README.md (`README.md`)"]


def test_every_public_module_is_in_the_api(conf):
    names = {module.__name__ for module in conf.modules()}
    assert names >= {"nncore.layers", "nncore.losses", "nncore.reference", "nncore.sklearn"}
    assert all(module.__all__ for module in conf.modules())


def test_the_commands_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    text = PAGE.with_name("cli.md").read_text()
    for language, block in re.findall(r"^```(python|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language == "python":
            exec(compile(block, "cli.md", "exec"), names)
        else:
            for line in block.splitlines():
                command, *arguments = shlex.split(line)
                assert command == "nncore"
                assert main(arguments) == 0
    out = capsys.readouterr().out
    assert float(re.search(r"^30 rows\naccuracy +([\d.]+)", out, re.MULTILINE)[1]) >= 0.9
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 31
    options = set(re.findall(r"`(--[a-z-]+)", text))
    with_help = re.findall(r"--[a-z-]+", _help("train", capsys))
    assert options == {*with_help} - {"--help"}


def _help(command, capsys):
    try:
        main([command, "--help"])
    except SystemExit:
        return capsys.readouterr().out
