"""Trains in forked processes that are killed at chosen moments, and says how each of them ended.

Run as a script: for every line of input, a folder and a plan, one line of output, "killed" or the
digest of a finished training. A plan is "whole", to be left alone; "time S", to be killed from
outside after so many seconds; or "write N K", to kill itself in its N-th checkpoint, in stage K.
"""

import builtins
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from thalweg import files, record
from thalweg.optim import AdamW
from thalweg.schedules import cosine, warmup
from thalweg.training import Checkpoints, Strategy, fit

STAGES = ("half written", "before its flush", "before its move", "after its move")
EPOCHS, BATCH, EVERY = 3, 8, 5


class Slow(Strategy):
    """Makes an update take a millisecond, so that a clock can hit it."""

    def after_update(self, training: Any) -> None:
        time.sleep(0.001)


def data(count: int) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    return inputs, (inputs.sum(1) > 0).long()


def train(folder: Path) -> str:
    """Begin or resume the training in *folder*; return a digest of all it leaves behind."""
    torch.manual_seed(0)
    layers = (nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    model = nn.Sequential(*layers)
    optimizer = AdamW(model.parameters(), lr=cosine(0.01, steps=60).after(warmup(5)))
    checkpoints = Checkpoints(folder / "checkpoints", every=EVERY, resume=True)
    with record.open(folder / "runs.db") as book:
        earlier = [run.id for run in book.runs()]
        run = book.resume(earlier[0]) if earlier else book.begin("faults", {})
        fit(
            model, optimizer, nn.functional.cross_entropy, data(200), data(40), batch=BATCH,
            epochs=EPOCHS, strategies=[Slow()], checkpoints=checkpoints, run=run,
        )  # fmt: skip
        return digest(model, optimizer, told(book, run.id))


def told(book: record.Record, run: str) -> list:
    """What a run says of its updates and epochs; the seconds are its own."""
    events = [event for event in book.events(run) if event.name != "resumed"]
    for event in events:
        (event.data or {}).pop("seconds", None)
    return [(event.name, event.step, event.value, event.data) for event in events]


def digest(model: nn.Module, optimizer: torch.optim.Optimizer, events: list) -> str:
    found = hashlib.sha256(json.dumps([len(events), events]).encode())
    state = optimizer.state_dict()["state"]
    slots = [each for key in sorted(state) for each in state[key].values()]
    kept = [*model.state_dict().values(), *slots]
    for tensor in kept:
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_write(number: int, stage: str) -> None:
    """Arrange that the *number*-th file this process replaces is its last, at a stage of that."""
    replace, seen = files.replace, [0]

    def counted(path: Any, content: bytes) -> None:
        seen[0] += 1
        if seen[0] == number:
            arrange(stage)
        replace(path, content)

    files.replace = counted


def arrange(stage: str) -> None:
    def dying(act: Callable, after: bool) -> Callable:
        def call(*args: Any, **named: Any) -> None:
            if after:
                act(*args, **named)
            die()

        return call

    if stage == "half written":
        opened = builtins.open

        def half(*args: Any, **named: Any) -> Any:
            file = opened(*args, **named)
            return Half(file)

        files.open = half  # type: ignore[attr-defined]
    elif stage == "before its flush":
        files.os.fsync = dying(os.fsync, after=False)
    else:
        files.os.replace = dying(os.replace, after=stage == "after its move")


class Half:
    """A file of which only the first half is ever written."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> "Half":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        die()


def run(folder: Path, plan: list[str]) -> str:
    """Train in a process of its own, killed as planned; return its digest or "killed"."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if plan[0] == "write":
            die_in_write(int(plan[1]), STAGES[int(plan[2])])
        os.write(writing, train(folder).encode())
        os._exit(0)
    os.close(writing)
    if plan[0] == "time":
        time.sleep(float(plan[1]))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    answer = os.read(reading, 100).decode()
    os.close(reading)
    return answer if os.WIFEXITED(status) else "killed"


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        folder, *plan = line.split()
        Path(folder).mkdir(exist_ok=True)
        print(run(Path(folder), plan) or "failed", flush=True)


if __name__ == "__main__":
    main()
