"""Training that is killed at random moments: `python tests/robustness/kills.py --kills 1000` goes on after each.

The process writes checkpoints, a model over the last one, and two logs, after every epoch of a few milliseconds.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import nncore as nn
from nncore import checkpoints
from test_checkpoints import X, Y, digest, make

LOGS = ("log.csv", "log.jsonl")
LEFT = 1 + 1 + len(LOGS)  # temporary files of a killed process, before the next one removes them: at most one of each kind


def train(folder: Path, epochs: int) -> nn.Sequential:
    model = make()
    callbacks = [
        nn.callbacks.ModelCheckpoint(folder / "model"),
        nn.callbacks.CSVLogger(folder / LOGS[0]),
        nn.callbacks.JSONLogger(folder / LOGS[1]),
    ]
    model.fit(X, Y, epochs=epochs, verbose=0, checkpoint=folder / "c", resume=True, callbacks=callbacks)
    return model


def temporary(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.tmp") if path.is_file()]


def last_epoch(folder: Path) -> int:
    """What the last checkpoint says, after a look at every file."""
    epochs = []
    for path in (folder / "c").glob("checkpoint-*.safetensors"):
        content = checkpoints._read(str(path))
        epochs.append(content["epoch"])
        assert path.name == f"checkpoint-{content['epoch']:05d}.safetensors"
    if (folder / "model").exists():
        nn.load(folder / "model").predict(X[:2])
    last = max(epochs, default=0)
    assert len(left := temporary(folder)) <= LEFT, left
    for name in LOGS:
        lines = (folder / name).read_text().splitlines(keepends=True) if (folder / name).exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        assert len(lines) - len(whole) <= 1, name
        rows = [json.loads(line) for line in whole] if name == "log.jsonl" else list(csv.DictReader(whole))
        numbers = [int(row["epoch"]) for row in rows]
        assert numbers == list(range(len(numbers))), name
    return last


def kill_one(folder: Path, rng: random.Random) -> str:
    """Kill a process that trains; what it was doing, as far as that can be seen."""
    child = os.fork()
    if not child:
        try:
            train(folder, 10**9)
        finally:
            os._exit(3)
    if rng.random() < 0.7:  # when it has begun to write
        known = os.listdir(folder / "c")
        while os.listdir(folder / "c") == known and not os.waitpid(child, os.WNOHANG)[0]:
            time.sleep(0.0002)
        time.sleep(rng.uniform(0, 0.03))
    else:
        time.sleep(rng.uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), f"training did not go on: it ended with {os.waitstatus_to_exitcode(status)}"
    stems = {"." + name for name in ("model", *LOGS)}
    doing = [next((s[1:] for s in stems if path.name.startswith(s)), "checkpoint") for path in temporary(folder)]
    return "writing " + " and ".join(sorted(doing)) if doing else "no file half written"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    warnings.simplefilter("error", UserWarning)  # such as: the last checkpoint cannot be read
    rng, began, moments = random.Random(args.seed), time.monotonic(), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "killed")
        (folder / "c").mkdir(parents=True)
        train(Path(name, "first"), 1)  # imports all that the children need
        epoch = 0
        for _ in range(args.kills):
            moments[kill_one(folder, rng)] += 1
            before, epoch = epoch, last_epoch(folder)
            assert epoch >= before
        model = train(folder, epoch + 2)
        assert last_epoch(folder) == epoch + 2
        assert temporary(folder) == []
        assert len(os.listdir(folder / "c")) == 2
        whole = Path(name, "whole")
        assert digest(train(whole, epoch + 2)) == digest(model)
        for log in LOGS:
            rows = [[line.split("seconds")[0].rsplit(",", 1)[0] for line in (f / log).open()] for f in (folder, whole)]
            assert rows[0] == rows[1]
    for moment, count in sorted(moments.items()):
        print(f"{moment}: {count}")
    print(f"{args.kills} kills in {time.monotonic() - began:.0f} s, {epoch + 2} epochs, the same as those of one process")
    return 0


if __name__ == "__main__":
    sys.exit(main())
