"""Trains on MNIST with two workers on Ray, and with one, at the same number of examples.

    python benchmarks/parallel.py            the table
    python benchmarks/parallel.py --write    also put it into benchmarks/README.md

A perceptron 784-200-10, batch 128, 5 epochs of 50,000 examples, whoever measures them. The learning
rate is the one of the grid that ends with the highest accuracy of one worker on the validation set.
Two workers of Downpour use the same, undivided, as in the paper. One worker of EASGD is plain SGD;
two use twice its rate, because the centre is a mean of two that each saw half of the examples.
Nothing is tuned on the test set. The accuracies are those on the test set, the mean of the
seeds. Time is that of the whole call: workers on Ray have to start first.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import torch
from step import machine, write

from thalweg import parallel, problems
from thalweg.parallel import Algorithm, Downpour, Elastic, InProcess, RayEngine
from thalweg.parallel.cluster.connection import connected
from thalweg.problems import Problem
from thalweg.training.evaluation import evaluate

EPOCHS, WORKERS, WANTED = 5, 2, 0.3
HEAD = (
    "| algorithm | lr of one | one worker, % | two on Ray, % | difference, points | wanted ≥ "
    "| reached | one, s | two, s |\n|---|---:|---:|---:|---:|---:|---|---:|---:|"
)


class Contest(NamedTuple):
    """An algorithm, made for the learning rate of one worker and a number of them, and rates."""

    name: str
    made: Callable[[float, int], Algorithm]
    rates: tuple[float, ...]


def downpour(rule: str, lr: float) -> Algorithm:
    return Downpour(rule, lr=lr, divide=False)


def elastic(lr: float, workers: int) -> Algorithm:
    """Return EASGD, for one worker plain SGD."""
    return downpour("sgd", lr) if workers == 1 else Elastic(workers * lr, period=1)


CONTESTS = (
    Contest("Downpour, Adagrad", lambda lr, workers: downpour("adagrad", lr), (0.02, 0.04, 0.08)),
    Contest("EASGD, every gradient", elastic, (0.1, 0.2, 0.4)),
    Contest(
        "AdaptiveRevision", lambda lr, workers: downpour("adaptive_revision", lr), (0.05, 0.1, 0.2)
    ),
)


def trained(problem: Problem, algorithm: Algorithm, workers: int, seed: int) -> torch.nn.Module:
    """Train a new model, one worker in this process and more on Ray."""
    return parallel.fit(
        problem.make_model(seed), problem.loss, problem.train, algorithm=algorithm,
        workers=workers, engine=RayEngine() if workers > 1 else InProcess(),
        batch=problem.batch_size, epochs=EPOCHS, seed=seed,
    ).model  # fmt: skip


def accuracy(problem: Problem, model: torch.nn.Module, data: object) -> float:
    """Return the share of examples that are told right, in percent."""
    with torch.no_grad():
        share = evaluate(model, problem.loss, data)[1]
    assert share is not None
    return 100 * share


def tuned(problem: Problem, contest: Contest) -> float:
    """Return the rate with which one worker does best on the validation set."""

    def found(lr: float) -> float:
        model = trained(problem, contest.made(lr, 1), 1, seed=0)
        return accuracy(problem, model, problem.validation)

    return max(contest.rates, key=found)


def measured(
    problem: Problem, contest: Contest, lr: float, workers: int, seeds: range
) -> tuple[float, float]:
    """Return accuracy on the test set and seconds, the means of the seeds."""
    right, seconds = [], []
    for seed in seeds:
        begun = perf_counter()
        model = trained(problem, contest.made(lr, workers), workers, seed)
        seconds.append(perf_counter() - begun)
        right.append(accuracy(problem, model, problem.test))
    return statistics.mean(right), statistics.mean(seconds)


def line(problem: Problem, contest: Contest, seeds: range) -> str:
    lr = tuned(problem, contest)
    one, alone = measured(problem, contest, lr, 1, seeds)
    two, together = measured(problem, contest, lr, WORKERS, seeds)
    reached = "yes" if two - one >= -WANTED else "no"
    return (
        f"| {contest.name} | {lr:g} | {one:.2f} | {two:.2f} | **{two - one:+.2f}** | -{WANTED} "
        f"| {reached} | {alone:.0f} | {together:.0f} |"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    problem = problems.load("mnist")
    print(machine(), "\n", HEAD, sep="\n", flush=True)
    lines = [HEAD]
    with connected(None, WORKERS, 60.0):
        for contest in CONTESTS:
            lines.append(line(problem, contest, range(chosen.seeds)))
            print(lines[-1], flush=True)
    busy = os.getloadavg()[1] / (os.cpu_count() or 1)
    lines += [
        "",
        f"At the end {busy:.1f} programs wanted each core: times are those beside others.",
    ]
    print(lines[-1])
    if chosen.write:
        write({"parallel": lines})


if __name__ == "__main__":
    main()
