"""The board: each rule's best run, best first, with what its search cost and left open."""

import platform
from collections.abc import Iterable

import numpy
import torch

import thalweg
from thalweg.racing.plan import Plan, grid
from thalweg.racing.result import Header, Result, Row, Run
from thalweg.rules import Rule


def conclude(plan: Plan, runs: Iterable[Run]) -> Result:
    """Return the result of the ``runs`` of ``plan``, which may be only some of those planned.

    A rule none of whose runs has finished has no row.
    """
    finished = tuple(runs)
    mine = {rule.key: [run for run in finished if run.rule == rule.key] for rule in plan.rules}
    rows = [_row(rule, mine[rule.key], plan.trials) for rule in plan.rules if mine[rule.key]]
    board = tuple(sorted(rows, key=lambda row: row.best.loss))
    return Result(_header(plan), finished, board)


def _row(rule: Rule, runs: list[Run], trials: int) -> Row:
    best = min(runs, key=lambda run: run.loss)
    return Row(
        rule=rule.key,
        best=best,
        finished=len(runs),
        failures=sum(run.failed for run in runs),
        seconds=sum(run.seconds for run in runs),
        edge="" if best.failed else _edge(best.lr, grid(rule, trials)),
    )


def _edge(lr: float, lrs: tuple[float, ...]) -> str:
    if len(lrs) == 1 or lr not in (lrs[0], lrs[-1]):
        return ""
    return "lowest" if lr == lrs[0] else "highest"


def _header(plan: Plan) -> Header:
    return Header(
        problem=plan.problem.name,
        description=plan.problem.description,
        rules=tuple(rule.key for rule in plan.rules),
        trials=plan.trials,
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        seed=plan.seed,
        threads=plan.problem.threads or torch.get_num_threads(),
        versions={
            "thalweg": thalweg.__version__,
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
    )
