"""The installed package: one version, its command, its data, and what importing it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import nncore
from nncore import _core, cli

OPTIONAL = ["matplotlib", "onnx", "sklearn", "torch"]
LAZY = ["safetensors", "tqdm"]


def run(code: str) -> str:
    """What a fresh interpreter prints; it may keep compiled bytecode, as an installed package has it."""
    environ = {k: v for k, v in os.environ.items() if k not in ("NNCORE_ISA", "PYTHONDONTWRITEBYTECODE")}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ).stdout


def test_one_version():
    assert nncore.__version__ == _core.__version__ == metadata.version("nncore")


def test_the_command():
    (script,) = metadata.entry_points(group="console_scripts", name="nncore")
    assert script.load() is cli.main


def test_it_needs_three_packages_only():
    needed = {requirement.split(">")[0] for requirement in metadata.requires("nncore") if "extra ==" not in requirement}
    assert needed == {"numpy", "safetensors", "tqdm"}


def test_it_is_typed():
    assert files("nncore").joinpath("py.typed").is_file()
    assert files("nncore").joinpath("_core.pyi").is_file()


def test_training_and_predicting_need_no_optional_package():
    code = (
        "import sys, numpy, nncore as nn\n"
        "model = nn.Sequential([nn.Dense(2)])\n"
        "model.compile(loss='mse')\n"
        "model.fit(numpy.ones((4, 3)), numpy.ones((4, 2)), verbose=0)\n"
        f"print([name for name in {OPTIONAL + LAZY} if name in sys.modules])"
    )
    assert run(code).splitlines()[-1] == "[]"


def test_import_takes_less_than_30_ms_beside_numpy():
    # Processor time, and the best of several runs: whatever else the machine does can only add. The finder of an editable
    # installation, which looks for something to rebuild, is left out.
    code = (
        "import sys, time, numpy\n"
        "sys.meta_path = [finder for finder in sys.meta_path if 'ScikitBuild' not in type(finder).__name__]\n"
        f"sys.path.insert(0, {str(Path(nncore.__file__).parents[1])!r})\n"
        "begin = time.process_time()\n"
        "import nncore\n"
        "print(time.process_time() - begin)"
    )
    assert min(float(run(code)) for _ in range(5)) < 0.030
