"""Times the trainings of a race side by side against a loop over them with torch, in one run.

    python benchmarks/lanes.py            the table
    python benchmarks/lanes.py --write    also put it into benchmarks/README.md

Digits, the perceptron 64-64-10, batch 32: twelve rules at sixteen learning rates each. The loop
trains one model after the other with torch's optimizer at its fastest setting, and evaluates after
every epoch, as ours does. Both use one thread. A ratio is torch's time over ours in the same round,
so more is better.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from step import machine, write
from torch import optim

from thalweg import problems
from thalweg.problems import Problem
from thalweg.racing import execute, prepare

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
TRIALS, EPOCHS = 16, 20
HEAD = (
    "| runs | torch's loop, s | side by side, s | ratio | worst – best round |\n"
    "|---:|---:|---:|---:|---|"
)


def looped(problem: Problem, make: Callable, lr: float) -> None:
    model = problem.make_model(0)
    optimizer = make(model.parameters(), lr=lr)
    (inputs, targets), (valid, answers) = problem.train, problem.validation
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(targets)).split(problem.batch_size):
            optimizer.zero_grad()
            problem.loss(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            outputs = model(valid)
            problem.loss(outputs, answers).item(), (outputs.argmax(1) == answers).sum().item()


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    problem = problems.load("digits")
    plan = prepare(problem, list(TORCHS), trials=TRIALS, epochs=EPOCHS)
    print(machine(), "\n", HEAD, sep="\n", flush=True)
    ours, theirs = [], []
    for _ in range(chosen.rounds):
        ours.append(seconds(lambda: list(execute(plan))))
        theirs.append(
            seconds(lambda: [looped(problem, TORCHS[rule.key], lr) for rule, lr in plan.entries()])
        )
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    lines = [
        HEAD,
        f"| {len(plan.entries())} | {statistics.median(theirs):.2f} | "
        f"{statistics.median(ours):.2f} | **{statistics.median(ratios):.2f}** | "
        f"{min(ratios):.2f} – {max(ratios):.2f} |",
    ]
    print(lines[1])
    if chosen.write:
        write({"lanes": lines})


if __name__ == "__main__":
    main()
