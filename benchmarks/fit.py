"""Times an epoch of `fit` against the same loop written by hand with torch alone, side by side.

    python benchmarks/fit.py            the table
    python benchmarks/fit.py --write    also put it into benchmarks/README.md

The perceptron 784-200-10 on the 50,000 training images of MNIST, batch 64. By hand with torch:
`torch.optim.Adam(fused=True)`, a `DataLoader` over a `TensorDataset`, and `CosineAnnealingLR` after
every batch. By hand with ours: `thalweg.optim.Adam` with a cosine schedule, batches cut out of the
tensors, and nothing else. Every round trains three epochs of each in turns from the same weights;
times are per epoch, with all that comes before the first and after the last. `fit` also checks the
data, writes down the running loss and evaluates a fixed part of the training set. A ratio is the
other's time over that of `fit`, so more is better.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from step import machine, write
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from turns import in_turns, ratios, seconds, spread, verdict

from thalweg import optim, problems, record
from thalweg.problems import Problem
from thalweg.schedules import cosine
from thalweg.training import fit

BATCH, EPOCHS = 64, 3
HEAD = (
    "| beside | its s per epoch | s of fit | ratio | worst – best round | wanted | reached |\n"
    "|---|---:|---:|---:|---|---:|---|"
)


def updates(problem: Problem) -> int:
    return EPOCHS * -(-len(problem.train.targets) // BATCH)


def by_hand_with_torch(problem: Problem) -> None:
    model = problem.make_model(0)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates(problem))
    loader = DataLoader(TensorDataset(*problem.train), batch_size=BATCH, shuffle=True)
    for _ in range(EPOCHS):
        for inputs, targets in loader:
            optimizer.zero_grad()
            cross_entropy(model(inputs), targets).backward()
            optimizer.step()
            schedule.step()


def by_hand_with_ours(problem: Problem) -> None:
    model = problem.make_model(0)
    optimizer = optim.Adam(model.parameters(), lr=cosine(1e-3, steps=updates(problem)))
    inputs, targets = problem.train
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(targets)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()


def fitted(problem: Problem, **traces: object) -> None:
    model = problem.make_model(0)
    optimizer = optim.Adam(model.parameters(), lr=cosine(1e-3, steps=updates(problem)))
    fit(model, optimizer, cross_entropy, problem.train, batch=BATCH, epochs=EPOCHS, **traces)


def recorded(problem: Problem) -> None:
    with tempfile.TemporaryDirectory() as folder, record.open(Path(folder, "runs.db")) as book:
        run = book.begin("mnist", {})
        fitted(problem, run=run, checkpoints=Path(folder, "checkpoints"))


def epoch(side: Callable[[Problem], None], problem: Problem) -> float:
    """Return the seconds of an epoch."""
    return seconds(lambda: side(problem)) / EPOCHS


def row(name: str, theirs: list[float], ours: list[float], wanted: float = 0.0) -> str:
    found = ratios(theirs, ours)
    return (
        f"| {name} | {statistics.median(theirs):.2f} | {statistics.median(ours):.2f} | "
        f"{spread(found)} | " + (f"{wanted:.2f} | {verdict(found, wanted)} |" if wanted else "| |")
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    problem = problems.load("mnist")
    print(machine(), "\n", HEAD, sep="\n", flush=True)
    sides = [by_hand_with_torch, by_hand_with_ours, fitted, recorded]
    torchs, bare, ours, traced = in_turns(
        [partial(epoch, side, problem) for side in sides], chosen.rounds
    )
    lines = [
        HEAD,
        row("a loop by hand, torch alone", torchs, ours, 1.3),
        row("a loop by hand, our optimizer", bare, ours, 1 / 1.05),
        row("a loop by hand, our optimizer; fit also records and saves", bare, traced),
    ]
    print(*lines[1:], sep="\n")
    if chosen.write:
        write({"fit": lines})


if __name__ == "__main__":
    main()
