"""Runs rules: a plan lowered once, and the engines that carry it out."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from thalweg.kernels.cpu import kernel_source

if TYPE_CHECKING:
    from thalweg.kernels.table import Launch, Row
    from thalweg.rules import Rule

__all__ = ["kernel_source", "launches"]


def launches(rule: "Rule", rows: "Sequence[Row]") -> "list[Launch]":
    """Return what updates *rows* under *rule*: compiled where it can be, eager otherwise.

    Rows of different dtypes need launches of their own. Where the rule looks at every row at once
    (a global norm) and one compiled launch cannot hold them all, the eager engine takes them all.
    Of distributed parameters the part that this process holds is updated.
    """
    from thalweg.kernels.shard import shard_of
    from thalweg.kernels.shard_launch import ShardLaunch

    if any(shard_of(row.parameter) for row in rows):
        return [ShardLaunch(rows, partial(_engines, rule))]
    return _engines(rule, rows)


def _engines(rule: "Rule", rows: "Sequence[Row]") -> "list[Launch]":
    """Return the engines for rows of plain tensors."""
    from thalweg.kernels.cpu_launch import CpuLaunch, can_run
    from thalweg.kernels.eager import EagerLaunch
    from thalweg.kernels.plan import lower

    plan = lower(rule)
    kinds: dict = {}
    for row in rows:
        compiled = can_run(row) and (row.parameter.is_contiguous() or not plan.draws_noise)
        compiled &= row.shard is None or not (plan.sums or plan.draws_noise)
        kinds.setdefault(row.parameter.dtype if compiled else None, []).append(row)
    if plan.reads_every_row and len(kinds) > 1:
        return [EagerLaunch(plan, rows)]
    return [
        EagerLaunch(plan, part) if dtype is None else CpuLaunch(plan, part)
        for dtype, part in kinds.items()
    ]
