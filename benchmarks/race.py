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
from collections.abc import Sequence
from pathlib import Path

import optuna
import torch
from lanes import TORCHS, looped
from step import machine, write

from thalweg import problems
from thalweg.problems import Problem
from thalweg.racing import Result, Terms, execute, prepare
from thalweg.racing.result import FINAL, REFERENCE_FINAL

HEAD = (
    "| against | trainings | theirs, s | ours, s | ratio | worst – best round |\n"
    "|---|---:|---:|---:|---:|---|"
)
COMMAND_HEAD = (
    "| command | seconds, median | best – worst |\n"
    "|---|---:|---|"
)  # fmt: skip
_FINALS = (FINAL, REFERENCE_FINAL)


def seconds(act) -> tuple[float, object]:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    found = act()
    return time.perf_counter() - start, found


def in_a_loop(problem: Problem, result: Result) -> None:
    for run in result.runs:
        looped(problem, TORCHS[run.task.rule], run.task.setting["lr"])


def with_optuna(problem: Problem, result: Result) -> None:
    trials = Counter(run.task.rule for run in result.runs if run.task.phase not in _FINALS)
    for rule, count in trials.items():
        axis = result.header.spaces[rule].axes[0]
        study = optuna.create_study()
        study.optimize(lambda trial, r=rule, a=axis: _trial(problem, r, a, trial), n_trials=count)
        for run in result.runs:
            if run.task.rule == rule and run.task.phase in _FINALS:
                looped(problem, TORCHS[rule], study.best_params["lr"])


def _trial(problem: Problem, rule: str, axis, trial) -> float:  # type: ignore[no-untyped-def]
    return looped(problem, TORCHS[rule], trial.suggest_float("lr", axis.low, axis.high, log=True))


def raced(rounds: int) -> list[str]:
    problem = problems.load("digits")
    plan = prepare(problem, list(TORCHS), Terms(trials=16, seeds=10, epochs=20))
    execute(prepare(problem, list(TORCHS), Terms(trials=2, seeds=1, epochs=1)))
    times: dict[str, list[float]] = {"ours": [], "torch, fused": [], "optuna": []}
    for _ in range(rounds):
        own, result = seconds(lambda: execute(plan))
        assert isinstance(result, Result)
        times["ours"].append(own)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        times["torch, fused"].append(seconds(lambda r=result: in_a_loop(problem, r))[0])
        times["optuna"].append(seconds(lambda r=result: with_optuna(problem, r))[0])
        torch.set_num_threads(threads)
    return [HEAD, *(_line(name, len(result.runs), times) for name in ("torch, fused", "optuna"))]


def _line(name: str, trainings: int, times: dict[str, list[float]]) -> str:
    theirs, ours = times[name], times["ours"]
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return (
        f"| {name} | {trainings} | {statistics.median(theirs):.1f} | "
        f"{statistics.median(ours):.1f} | **{statistics.median(ratios):.2f}** | "
        f"{min(ratios):.2f} – {max(ratios):.2f} |"
    )


def commanded(rounds: int) -> list[str]:
    found = sorted(_command() for _ in range(rounds))
    line = f"{statistics.median(found):.1f} | {found[0]:.1f} – {found[-1]:.1f}"
    return [COMMAND_HEAD, f"| `thalweg race` | {line} |"]


def _command() -> float:
    folder = Path(tempfile.mkdtemp())
    try:
        took, _ = seconds(
            lambda: subprocess.run(
                [sys.executable, "-m", "thalweg", "race"],
                cwd=folder, check=True, capture_output=True,
            )
        )  # fmt: skip
    finally:
        shutil.rmtree(folder)
    return took


def main(given: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args(given)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(machine(), flush=True)
    tables = {"race": raced(chosen.rounds), "race-command": commanded(chosen.rounds)}
    for lines in tables.values():
        print("", *lines, sep="\n")
    if chosen.write:
        write(tables)


if __name__ == "__main__":
    main()
