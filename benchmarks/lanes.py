"""Times trainings side by side against a loop over them with torch, in one run.

    python benchmarks/lanes.py              a race on digits, and larger models
    python benchmarks/lanes.py --problems   every problem that has its data as tensors
    python benchmarks/lanes.py --memory     what they take, each in a process of its own
    ... --threads 2                         so many threads for ours; torch's loop has one
    ... --write                             also put the tables into benchmarks/README.md

The loop trains one model after the other with torch's optimizer at its fastest setting, and
evaluates after every epoch, as ours does. A ratio is torch's time over ours in the same round, so
more is better. The large models are fed random numbers, for a few updates.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from step import machine, write
from torch import nn, optim
from turns import ratios, seconds, spread

from thalweg import problems
from thalweg.errors import BadValue
from thalweg.optim import Optimizer
from thalweg.problems import Problem, Split, own_gradient
from thalweg.problems.perceptron import perceptron
from thalweg.racing.lanes import Lane, SideBySide
from thalweg.racing.sizing import lanes_at_once
from thalweg.rules import find
from thalweg.training import fit

TORCHS: dict[str, Callable] = {
    "sgd": partial(optim.SGD, fused=True),
    "momentum": partial(optim.SGD, momentum=0.9, fused=True),
    "nesterov": partial(optim.SGD, momentum=0.9, nesterov=True, fused=True),
    "adagrad": partial(optim.Adagrad, fused=True),
    "adadelta": partial(optim.Adadelta, foreach=True),
    "rmsprop": partial(optim.RMSprop, foreach=True),
    "adam": partial(optim.Adam, fused=True),
    "amsgrad": partial(optim.Adam, amsgrad=True, fused=True),
    "adamax": partial(optim.Adamax, foreach=True),
    "nadam": partial(optim.NAdam, foreach=True),
    "sgdw": partial(optim.SGD, momentum=0.9, weight_decay=1e-2, fused=True),
    "adamw": partial(optim.AdamW, fused=True),
}
PROBLEMS = (
    "digits", "autoencoder", "rbm", "mnist", "sparse_text", "cifar10", "char_lstm",
    "char_transformer",
)  # fmt: skip
TRIALS, RUNS, UPDATES = 16, 32, 40
HEAD = (
    "| runs | updates | at once | torch's loop, s | ours, s | ratio | worst – best round |\n"
    "|---|---:|---:|---:|---:|---:|---|"
)
MEMORY_HEAD = (
    "| runs | at once | one model, MB | ours, MB | ours / (at once × one) | wanted | reached |\n"
    "|---|---:|---:|---:|---:|---:|---|"
)


def race() -> tuple[str, Problem, list[Lane]]:
    lanes = [
        Lane(rule, rule.settings(lr=float(lr)), 0)
        for rule in map(find, TORCHS)
        for lr in np.geomspace(*(rule.hyperparameters["lr"].search or (0.1, 10)), TRIALS)
    ]
    return "digits, 12 rules × 16 trials", problems.load("digits"), lanes


def adams(count: int) -> list[Lane]:
    rule = find("adam")
    return [Lane(rule, rule.settings(), seed) for seed in range(count)]


def wide(batch: int = 16) -> tuple[str, Problem, list[Lane]]:
    torch.manual_seed(0)
    train, valid = (
        Split(torch.randn(count, 784), torch.randint(0, 10, (count,)))
        for count in (batch * UPDATES, 64)
    )
    problem = Problem(
        "wide", "", perceptron(784, 200, 10), train, valid, None, nn.functional.cross_entropy,
        batch, 10, {}, threads=1,
    )  # fmt: skip
    return f"784-200-10, batch {batch}", problem, adams(RUNS)


def shortened(name: str) -> tuple[str, Problem, list[Lane]]:
    """Return a problem with few updates: a small share of an epoch of the long ones."""
    problem = problems.load(name)
    size = int(problem.batch_size)
    updates = 24 if name in ("cifar10", "char_lstm", "char_transformer") else UPDATES

    def cut(data: Any, count: int) -> Split:
        return Split(*(torch.as_tensor(part[:count]) for part in data))

    cut_short = replace(
        problem, train=cut(problem.train, size * updates), validation=cut(problem.validation, 64),
        epochs=1 if updates == 24 else 4,
    )  # fmt: skip
    return name, cut_short, adams(8)


def looped(problem: Problem, lane: Lane) -> float:
    """Train one model as one writes it by hand; return its last loss on the validation set."""
    model = problem.make_model(lane.seed)
    optimizer = torchs(problem, lane)(model.parameters(), lr=lane.hyper["lr"])
    gradient = own_gradient(problem.loss)
    (inputs, targets), (valid, answers) = problem.train, problem.validation
    for _ in range(problem.epochs):
        for batch in torch.randperm(len(targets)).split(problem.batch_size):
            optimizer.zero_grad()
            if gradient:
                gradient(model, inputs[batch], targets[batch])
            else:
                problem.loss(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            outputs = model.eval()(valid)
            loss = problem.loss(outputs, answers).item()
            if outputs.shape[:-1] == answers.shape:
                (outputs.argmax(-1) == answers).sum().item()
        model.train()
    return loss


def torchs(problem: Problem, lane: Lane) -> Callable:
    return optim.SparseAdam if problem.name == "sparse_text" else TORCHS[lane.rule.key]


def decided(problem: Problem, lanes: Sequence[Lane]) -> int:
    try:
        return lanes_at_once(problem, lanes, problem.batch_size)
    except BadValue:
        return 1


def ours(problem: Problem, lanes: Sequence[Lane], threads: int) -> None:
    """Train side by side what can be, and else one by one with `fit`; deciding counts, too."""
    size = decided(problem, lanes)
    for begin in range(0, len(lanes), size):
        if size == 1:
            alone(problem, lanes[begin])
            continue
        for _ in SideBySide(
            problem, lanes[begin : begin + size], problem.batch_size, threads
        ).train(problem.epochs):
            pass


def alone(problem: Problem, lane: Lane) -> None:
    model = problem.make_model(lane.seed)
    settings: dict[str, Any] = dict(lane.hyper)
    fit(
        model, Optimizer(model.parameters(), lane.rule, **settings), problem.loss, problem.train,
        problem.validation, batch=problem.batch_size, epochs=problem.epochs, seed=lane.seed,
        watch=0,
    )  # fmt: skip


def timed(title: str, problem: Problem, lanes: list[Lane], rounds: int, threads: int) -> str:
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(seconds(lambda: ours(problem, lanes, threads)))
        theirs.append(seconds(lambda: [looped(problem, lane) for lane in lanes]))
    updates = problem.epochs * -(-len(problem.train[1]) // problem.batch_size)
    return (
        f"| {len(lanes)} × {title} | {updates} | {decided(problem, lanes)} | "
        f"{statistics.median(theirs):.2f} | {statistics.median(mine):.2f} | "
        f"{spread(ratios(theirs, mine))} |"
    )


MEASURED: dict[str, Callable[[], tuple[str, Problem, list[Lane]]]] = {
    "race": race,
    "wide": wide,
    "wide128": partial(wide, 128),
}
WANTED = 1.3


def memory(name: str) -> str:
    """Return how much a stack takes at most, against as many times what one model takes."""
    title, problem, lanes = MEASURED[name]()
    size = decided(problem, lanes)
    one, many = (megabytes(name, count) for count in (1, size))
    ratio = many / (size * one)
    return (
        f"| {title} | {size} | {one:.2f} | {many:.1f} | **{ratio:.2f}** | {WANTED} | "
        f"{'yes' if ratio <= WANTED else 'no'} |"
    )


def megabytes(name: str, count: int) -> float:
    """Return what so many trainings at once take, by a process of their own."""
    command = [sys.executable, __file__, "--child", name, str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def child(name: str, count: int) -> None:
    """Print by how many megabytes the process grew at most while it trained.

    Before, it has trained a tiny model in the same way, so that all libraries have what they keep.
    """
    _, problem, lanes = MEASURED[name]()
    problem = replace(problem, epochs=2)
    tiny = replace(problem, make_model=perceptron(problem.train[0].shape[1], 1, 10), epochs=1)
    train(tiny, lanes, count)
    with open("/proc/self/clear_refs", "w") as peaks:
        peaks.write("5")
    before = resident("VmRSS")
    train(problem, lanes, count)
    print((resident("VmHWM") - before) / 1e3)


def train(problem: Problem, lanes: list[Lane], count: int) -> None:
    if count == 1:
        looped(problem, next(lane for lane in lanes if lane.rule.key == "adam"))
        return
    for _ in SideBySide(problem, lanes[:count], problem.batch_size, 1).train(problem.epochs):
        pass


def resident(kind: str) -> int:
    """Return kilobytes of this process's memory, now (VmRSS) or at most (VmHWM)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(kind))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    for flag in ("problems", "memory", "write"):
        options.add_argument(f"--{flag}", action="store_true")
    options.add_argument("--child", nargs=2)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    if chosen.child:
        child(chosen.child[0], int(chosen.child[1]))
        return
    if chosen.memory:
        section, head, rows = "lanes-memory", MEMORY_HEAD, map(memory, MEASURED)
    else:
        section, head = ("lanes-problems" if chosen.problems else "lanes"), HEAD
        cases = (
            map(shortened, PROBLEMS) if chosen.problems else (make() for make in MEASURED.values())
        )
        rows = (timed(*case, chosen.rounds, chosen.threads) for case in cases)
    print(machine(), "\n", head, sep="\n", flush=True)
    lines = [head]
    for row in rows:
        print(row, flush=True)
        lines.append(row)
    if chosen.write:
        write({section: lines})


if __name__ == "__main__":
    main()
