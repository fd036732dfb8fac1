"""Files that cannot be written, and processes that are killed: the old file stays, and nothing else is left."""

from __future__ import annotations

import builtins
import errno
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import nncore as nn
from nncore import checkpoints, cli, files
from nncore.bench import report
from robustness.samples import X, Y, sequential, trained
from test_checkpoints import digest

KILLS = Path(__file__).with_name("kills.py")


def log(callback: Callable[[Path], nn.callbacks.Callback]) -> Callable[[nn.Sequential, Path], object]:
    return lambda model, path: model.fit(X, Y, verbose=0, callbacks=callback(path))


def run(*arguments: object) -> None:
    """A command, whose one line of error is raised."""
    assert cli.main([str(argument) for argument in arguments]) == 0


WRITERS: dict[str, Callable[[nn.Sequential, Path], object]] = {
    "model": lambda model, path: model.save(path),
    "checkpoint": lambda model, path: model.save_checkpoint(path),
    "state dict": lambda model, path: nn.io.save_state_dict(model, path),
    "onnx": lambda model, path: nn.onnx.export(model, path),
    "model checkpoint": log(nn.callbacks.ModelCheckpoint),
    "csv log": log(nn.callbacks.CSVLogger),
    "json log": log(nn.callbacks.JSONLogger),
    "picture": lambda model, path: report.plot({"results": [], "machine": {"cpu": ""}}, path),
}


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Files cannot grow beyond `size` bytes, as on a disk that is full by then; the system says so by an error."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def failing(monkeypatch, owner, name, code, when=lambda *_: True):
    """Let a function of the system fail with `code`."""
    real = getattr(owner, name)

    def fail(*args, **options):
        if when(*args):
            raise OSError(code, os.strerror(code))
        return real(*args, **options)

    monkeypatch.setattr(owner, name, fail)


@pytest.fixture
def old(tmp_path):
    """A file that is there already, in a folder of its own."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "file.png"
    path.write_bytes(b"epoch\n")
    return path


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.endswith(" log")])
def test_a_disk_that_is_full(name, old):
    """At every step of the file's size: an OSError with the path, the old file, no other, and a model that trains on."""
    model, before = trained(), old.read_bytes()
    after = trained().train_on_batch(X, Y)
    WRITERS[name](trained(), (new := old.with_name("new.png")))
    size = new.stat().st_size
    new.unlink()
    for limit in sorted({1, 8, *range(16, size, max(1, size // 5)), size - 1}):
        with limited(limit), pytest.raises(OSError, match=r"File too large: '.*/folder/file\.png'"):
            WRITERS[name](model, old)
        assert old.read_bytes() == before
        assert os.listdir(old.parent) == ["file.png"]
    if name != "model checkpoint":  # which has trained to get there
        assert model.train_on_batch(X, Y) == after
    WRITERS[name](model, old)
    assert old.read_bytes() != before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("step", ["open", "fsync", "replace", "fsync of the folder"])
@pytest.mark.parametrize("name", ["model", "checkpoint", "onnx", "csv log"])
def test_every_step_may_fail(name, step, code, old, monkeypatch):
    before = old.read_bytes()
    if step == "open":
        failing(monkeypatch, builtins, "open", code, lambda path, mode="r", *_: "x" in mode)
    elif step == "fsync of the folder":
        failing(monkeypatch, os, "open", code, lambda path, *_: path == str(old.parent))
    else:
        failing(monkeypatch, os, step, code)
    model = trained()
    state = digest(model)
    with pytest.raises(OSError, match=r"/folder/file\.png'") as caught:
        WRITERS[name](model, old)
    assert caught.value.errno == code
    monkeypatch.undo()
    assert digest(model) == state
    assert os.listdir(old.parent) == ["file.png"]
    if step != "fsync of the folder":  # by then the new one is there
        assert old.read_bytes() == before
    WRITERS[name](model, old)
    assert old.read_bytes() != before


@pytest.mark.parametrize("name", ["model", "checkpoint", "state dict", "onnx", "model checkpoint", "picture"])
def test_a_device(name, tmp_path):
    """It was replaced by a file."""
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        WRITERS[name](trained(), tmp_path / "full")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_is_none(name, tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises((NotADirectoryError, FileNotFoundError), match=r"file"):
        WRITERS[name](trained(), tmp_path / "file" / "new.png")
    with pytest.raises(FileNotFoundError, match="none"):
        WRITERS[name](trained(), tmp_path / "none" / "new.png")
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["file"]


READ_ONLY = """
import os, sys, traceback
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from robustness.test_saves import WRITERS, sequential, trained
for name, write in WRITERS.items():  # imports all that is needed, while it may
    write(trained(), Path(sys.argv[2]))
path = Path(sys.argv[3])
if os.geteuid() == 0:  # for whom all folders can be written to
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for name, write in WRITERS.items():
    if name.endswith(" log"):
        continue
    model = trained()
    try:
        write(model, path)
    except PermissionError as error:
        assert error.filename == str(path), (name, error)
    else:
        raise AssertionError(name)
    model.predict([[1, 2, 3]])
print("done")
"""


@pytest.fixture
def readable():
    """A folder that all users can read; pytest's are for one."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_folder_that_may_not_be_written_to(readable: Path):
    (readable / "closed").mkdir()
    path = readable / "closed" / "file.png"
    path.write_bytes(b"epoch\n")
    path.chmod(0o644)
    (readable / "closed").chmod(0o555)
    command = [sys.executable, "-c", READ_ONLY, str(Path(__file__).parents[1]), str(readable / "x.png"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
    assert path.read_bytes() == b"epoch\n"
    assert os.listdir(readable / "closed") == ["file.png"]


# -- training ----------------------------------------------------------------------------------------------------------


def test_training_goes_on_after_a_checkpoint_that_could_not_be_written(tmp_path, monkeypatch):
    whole, model = sequential(), sequential()
    whole.fit(X, Y, epochs=4, verbose=0)
    options = {
        "epochs": 4,
        "verbose": 0,
        "checkpoint": tmp_path / "c",
        "callbacks": nn.callbacks.CSVLogger(tmp_path / "log"),
    }
    real, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"No space left on device: '.*/checkpoint-0000\d\.safetensors'"):
        model.fit(X, Y, **options)
    monkeypatch.undo()
    assert len(model.history.epoch) == 3
    names = sorted(os.listdir(tmp_path / "c"))
    assert names == ["checkpoint-00001.safetensors", "checkpoint-00002.safetensors"]
    for name in names:
        checkpoints._read(str(tmp_path / "c" / name))
    model.fit(X, Y, resume=True, **options)
    assert digest(model) == digest(whole)
    assert [line.split(",")[0] for line in (tmp_path / "log").read_text().splitlines()] == ["epoch", "0", "1", "2", "3"]


@pytest.mark.parametrize("kind", [nn.callbacks.CSVLogger, nn.callbacks.JSONLogger])
def test_a_line_of_a_log_is_whole_or_not_there(kind, tmp_path):
    model, path = sequential(), tmp_path / "log"
    model.fit(X, Y, epochs=3, verbose=0, callbacks=kind(path))
    before = path.read_bytes()
    for more in (0, 1, 20):
        with limited(len(before) + more), pytest.raises(OSError, match=r"File too large: '.*/log'"):
            model.fit(X, Y, verbose=0, callbacks=kind(path, append=True))
        assert path.read_bytes() == before
    model.fit(X, Y, verbose=0, callbacks=kind(path, append=True))
    assert path.read_bytes().startswith(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # tensorboard's thread
def test_a_folder_of_tensorboard(tmp_path):
    model, before = sequential(), set(threading.enumerate())
    with limited(50), pytest.raises(OSError, match=r"File too large: '.*/logs'"):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=nn.callbacks.TensorBoard(tmp_path / "logs"))
    model.fit(X, Y, verbose=0, callbacks=nn.callbacks.TensorBoard(tmp_path / "logs"))
    for thread in set(threading.enumerate()) - before:  # its error must not reach another test
        thread.join(60)


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,kind\n" + "".join(f"{i},{i % 3},{'xy'[i % 2]}\n" for i in range(40)))
    return path


def test_commands_say_which_file_cannot_be_written(table, tmp_path, capsys):
    model, out = tmp_path / "model", tmp_path / "out"
    train = [
        "train",
        table,
        "--target",
        "kind",
        "--task",
        "classification",
        "--epochs",
        1,
        "--quiet",
        "--hidden",
        4,
        "--out",
    ]
    run(*train, model)
    before = model.read_bytes()
    demo = ["demo", "--epochs", 1, "--out"]
    run("predict", model, table, "--out", out)
    predicted = out.read_bytes()
    commands = [[*train, model], [*demo, model], ["predict", model, table, "--out", out]]
    for arguments in commands:
        capsys.readouterr()
        with limited(100):
            assert cli.main([str(argument) for argument in arguments]) == 1
        assert f"nncore {arguments[0]}: error: [Errno 27] File too large: '{arguments[-1]}'" in capsys.readouterr().err
    picture = tmp_path / "curve.png"
    with limited(200_000):
        assert cli.main([str(a) for a in [*demo, tmp_path / "other", "--plot", picture]]) == 1
    assert model.read_bytes() == before
    assert out.read_bytes() == predicted
    assert sorted(os.listdir(tmp_path)) == ["model", "out", "table.csv"]


# -- processes that are killed -----------------------------------------------------------------------------------------


def test_killed_at_any_moment_training_goes_on():
    """20 of the kills of the command; see CONTRIBUTING.md."""
    done = subprocess.run([sys.executable, str(KILLS), "--kills", "20"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 kills" in done.stdout
    assert "the same as those of one process" in done.stdout


LEAVE = """
import os, signal, sys
import nncore as nn
model = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
model.save(sys.argv[1])
"""


def test_what_killed_processes_leave_is_removed_by_the_next(tmp_path):
    path = tmp_path / "m"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", LEAVE, str(path)], check=False)
        assert len(os.listdir(tmp_path)) == 1  # that of the first is gone
    (tmp_path / ".m.0123.tmp").write_bytes(b"mine")
    (tmp_path / ".m2.0123456789abcdef.tmp").write_bytes(b"another's")
    sequential().save(path)
    assert sorted(os.listdir(tmp_path)) == [".m.0123.tmp", ".m2.0123456789abcdef.tmp", "m"]


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    path, model = tmp_path / "m", sequential()
    with files.replacing(path) as first:
        first.write(b"of the first")
        model.save(path)
        assert len(os.listdir(tmp_path)) == 2
    assert path.read_bytes() == b"of the first"
    assert os.listdir(tmp_path) == ["m"]


def test_a_file_that_was_taken_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    """Another process may look between a file's beginning and its lock."""
    real, taken = files._lock, []

    def lock(file, wait):
        if not taken:
            taken.append(file.name)
            os.unlink(file.name)
        return real(file, wait)

    monkeypatch.setattr(files, "_lock", lock)
    files.write_file(tmp_path / "m", b"data")
    assert taken
    assert (tmp_path / "m").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["m"]


def test_files_and_folders_are_on_the_disk_before_saving_ends(tmp_path, monkeypatch):
    """The file before it is renamed, then its folder; of a new folder those above it too."""
    done = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}

    def fsync(descriptor):
        done.append(("fsync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))[:2]))
        real["fsync"](descriptor)

    def replace(old, new):
        done.append(("replace", os.path.basename(new)))
        real["replace"](old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "a").mkdir()
    trained().save(tmp_path / "a" / "m")
    assert done == [("fsync", ".m"), ("replace", "m"), ("fsync", "a")]
    done.clear()
    checkpoints.Folder(tmp_path / "a" / "b" / "c", resume=False)
    assert done == [("fsync", "a"), ("fsync", "b")]


def test_arrays_are_as_small_as_before(tmp_path):
    """A checksum takes a few bytes of the file, whatever its size."""
    sizes = []
    for units in (10, 1000):
        model = nn.Sequential([nn.Input((10,)), nn.Dense(units)])
        model.save(tmp_path / "m")
        sizes.append((tmp_path / "m").stat().st_size - 4 * 11 * units)
    assert abs(sizes[1] - sizes[0]) < 100
    assert np.isfinite(json.loads(json.dumps(sizes))).all()
