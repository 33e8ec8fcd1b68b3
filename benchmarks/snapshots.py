"""Trains once, takes five snapshots, and asks whether together they err less than the last alone.

    python benchmarks/snapshots.py            the table
    python benchmarks/snapshots.py --write    also put it into benchmarks/README.md

The claim is that of Huang et al. 2017, Snapshot ensembles: train 1, get M for free. The perceptron
784-200-10 on MNIST, SGD with momentum, five cycles of a cosine from learning rate 0.1; the ensemble
is the mean of the five snapshots' softmax. Errors are those on the test set.
"""

import argparse
import statistics

import torch
from step import machine, write

from thalweg import optim, problems
from thalweg.problems import Problem
from thalweg.schedules import snapshot_cosine
from thalweg.training import Snapshots, evaluate, fit

CYCLES, EPOCHS, BATCH = 5, 20, 64
HEAD = "| seed | last snapshot errs, % | all five together, % | difference |\n|---:|---:|---:|---:|"


def errors(problem: Problem, seed: int) -> tuple[float, float]:
    """Return the test errors, in percent, of the last snapshot and of the ensemble."""
    model = problem.make_model(seed)
    steps = EPOCHS * -(-len(problem.train.targets) // BATCH)
    lr = snapshot_cosine(0.1, steps=steps, cycles=CYCLES)
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    snapshots = Snapshots()
    fit(
        model, optimizer, problem.loss, problem.train, batch=BATCH, epochs=EPOCHS, seed=seed,
        strategies=[snapshots],
    )  # fmt: skip
    assert len(snapshots.taken) == CYCLES
    sides = (model, snapshots.ensemble())
    return tuple(100 - 100 * evaluate(each, problem.loss, problem.test).accuracy for each in sides)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    problem = problems.load("mnist")
    print(machine(), "\n", HEAD, sep="\n", flush=True)
    lines, found = [HEAD], []
    for seed in range(chosen.seeds):
        last, together = errors(problem, seed)
        found.append((last, together, together - last))
        lines.append("| {} | {:.2f} | {:.2f} | {:+.2f} |".format(seed, *found[-1]))
        print(lines[-1], flush=True)
    medians = [statistics.median(side) for side in zip(*found, strict=True)]
    lines.append("| median | **{:.2f}** | **{:.2f}** | **{:+.2f}** |".format(*medians))
    print(lines[-1])
    if chosen.write:
        write({"snapshots": lines})


if __name__ == "__main__":
    main()
