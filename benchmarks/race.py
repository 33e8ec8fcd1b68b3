"""Times a whole race against the same trainings in a loop of torch, and against optuna.

    python benchmarks/race.py            the tables
    python benchmarks/race.py --write    also put them into benchmarks/README.md

Digits, the perceptron 64-64-10, batch 32, 20 epochs: twelve rules, sixteen trials each, ten seeds
each, with what the protocol adds: a target set by a reference, and extensions of the search. The
loop trains what the race has trained, one model after the other, with torch's optimizer at its
fastest setting, and evaluates after every epoch. Optuna's default sampler drives the same loop for
as many trials of each rule, before the same seeds. All use the threads that torch has by itself, or
one where that is faster for them. A ratio is their time over ours in the same round, so more is
better.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import torch
from lanes import TORCHS, looped
from step import machine, write
from turns import ratios, spread

from thalweg.problems import Problem
from thalweg.racing import Plan, Result, Terms, execute, prepare
from thalweg.racing.lanes import Lane
from thalweg.racing.result import FINAL, REFERENCE_FINAL
from thalweg.rules import find

HEAD = (
    "| against | trainings | theirs, s | ours, s | ratio | worst – best round |\n"
    "|---|---:|---:|---:|---:|---|"
)
COMMAND_HEAD = (
    "| command | seconds, median | best – worst |\n"
    "|---|---:|---|"
)  # fmt: skip
FIXED_HEAD = (
    "| warm race | seconds, median | best – worst | wanted |\n"
    "|---|---:|---|---:|"
)  # fmt: skip
TERMS = Terms(trials=16, seeds=10, epochs=20)
FINALS = (FINAL, REFERENCE_FINAL)


def seconds(act: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = act()
    return time.perf_counter() - start, found


def trained(problem: Problem, rule: str, lr: float, seed: int) -> float:
    return looped(problem, Lane(find(rule), {"lr": lr}, seed))


def in_a_loop(problem: Problem, result: Result) -> None:
    for task in (run.task for run in result.runs):
        trained(problem, task.rule, task.setting["lr"], task.seed)


def with_optuna(problem: Problem, result: Result) -> None:
    """Tune each rule with as many trials as the race, and train the best with as many seeds."""
    trials = Counter(run.task.rule for run in result.runs if run.task.phase not in FINALS)
    finals = Counter(run.task.rule for run in result.runs if run.task.phase in FINALS)
    for rule, count in trials.items():
        axis = result.header.spaces[rule].axes[0]

        def trial(asked: optuna.Trial, rule: str = rule, axis: Any = axis) -> float:
            lr = asked.suggest_float("lr", axis.low, axis.high, log=True)
            return trained(problem, rule, lr, 0)

        study = optuna.create_study()
        study.optimize(trial, n_trials=count)
        for seed in range(finals[rule]):
            trained(problem, rule, study.best_params["lr"], seed + 1)


def alone(act: Callable[[], Any]) -> float:
    """Time the loop with one thread, which is faster for it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return seconds(act)[0]
    finally:
        torch.set_num_threads(before)


def raced(rounds: int) -> list[str]:
    plan = prepared(TERMS)
    execute(prepared(Terms(trials=2, seeds=1, epochs=1)))
    times: dict[str, list[float]] = {"ours": [], "torch's loop": [], "optuna": []}
    for _ in range(rounds):
        own, result = seconds(lambda: execute(plan))
        times["ours"].append(own)
        times["torch's loop"].append(alone(lambda r=result: in_a_loop(plan.problem, r)))
        times["optuna"].append(alone(lambda r=result: with_optuna(plan.problem, r)))
    return [HEAD, *(line(name, len(result.runs), times) for name in ("torch's loop", "optuna"))]


def prepared(terms: Terms) -> Plan:
    return prepare("digits", list(TORCHS), terms)


def line(name: str, trainings: int, times: dict[str, list[float]]) -> str:
    theirs, ours = times[name], times["ours"]
    return (
        f"| {name} | {trainings} | {statistics.median(theirs):.1f} | "
        f"{statistics.median(ours):.1f} | {spread(ratios(theirs, ours))} |"
    )


def fixed(rounds: int) -> list[str]:
    """Time a race that hardly trains, in a process where imports and kernels are done."""
    terms = Terms(trials=1, seeds=1, epochs=1)
    found = sorted(seconds(lambda: execute(prepared(terms)))[0] for _ in range(5 * rounds))
    told = f"{statistics.median(found):.2f} | {found[0]:.2f} – {found[-1]:.2f}"
    return [FIXED_HEAD, f"| defaults of 12 rules, 1 seed, 1 epoch | {told} | 0.5 |"]


def commanded(rounds: int) -> list[str]:
    found = sorted(command() for _ in range(rounds))
    told = f"{statistics.median(found):.1f} | {found[0]:.1f} – {found[-1]:.1f}"
    return [COMMAND_HEAD, f"| `thalweg race` | {told} |"]


def command() -> float:
    folder = Path(tempfile.mkdtemp())
    words = [sys.executable, "-m", "thalweg", "race"]
    try:
        return seconds(
            lambda: subprocess.run(words, cwd=folder, check=True, capture_output=True)
        )[0]  # fmt: skip
    finally:
        shutil.rmtree(folder)


def main(given: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args(given)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(machine(), flush=True)
    tables = {}
    for name, measure in {"race": raced, "race-fixed": fixed, "race-command": commanded}.items():
        tables[name] = measure(chosen.rounds)
        print("", *tables[name], sep="\n", flush=True)
    if chosen.write:
        write(tables)


if __name__ == "__main__":
    main()
