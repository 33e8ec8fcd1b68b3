"""Runs rules: a plan lowered once, and the engines that carry it out."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from thalweg.kernels.cpu import kernel_source

if TYPE_CHECKING:
    import torch

    from thalweg.kernels.plan import Plan
    from thalweg.kernels.table import Launch, Row
    from thalweg.rules import Rule

__all__ = ["kernel_source", "launches"]


def launches(rule: "Rule", rows: "Sequence[Row]") -> "list[Launch]":
    """Return what updates *rows* under *rule*: compiled where it can be, eager otherwise.

    Rows of different dtypes need launches of their own. Where the rule looks at every row at once
    (a global norm) and one compiled launch cannot hold them all, the eager engine takes them all.
    Rows with sparse gradients have launches that touch only what these name. Of distributed
    parameters the part that this process holds is updated. Raises BadType where the rule cannot be
    run on a part of a parameter.
    """
    from thalweg.kernels.shard import shard_of
    from thalweg.kernels.shard_launch import ShardLaunch

    if any(shard_of(row.parameter) for row in rows):
        return [ShardLaunch(rows, partial(_engines, rule))]
    return _engines(rule, rows)


def _engines(rule: "Rule", rows: "Sequence[Row]") -> "list[Launch]":
    """Return the engines for rows of plain tensors."""
    from thalweg.kernels.eager import EagerLaunch
    from thalweg.kernels.plan import lower

    plan = lower(rule)
    kinds: dict = {}
    for row in rows:
        kinds.setdefault(_engine(plan, row), []).append(row)
    if plan.reads_every_row and len(kinds) > 1:
        return [EagerLaunch(plan, rows)]
    return [engine(plan, part) for (engine, _), part in kinds.items()]


def _engine(plan: "Plan", row: "Row") -> "tuple[type[Launch], torch.dtype | None]":
    """Return the engine that takes *row*, and the dtype that all rows of its launch must have."""
    from thalweg.kernels.cpu_launch import CpuLaunch, can_run
    from thalweg.kernels.eager import EagerLaunch
    from thalweg.kernels.sparse import SparseCpuLaunch, SparseEagerLaunch

    compiled, p = can_run(row) and not plan.needs_shapes, row.parameter
    if row.names_rows:
        plan.check_sparse()
        compiled &= p.is_contiguous()
        return (SparseCpuLaunch, p.dtype) if compiled else (SparseEagerLaunch, None)
    compiled &= p.is_contiguous() or not plan.draws_noise
    if row.shard is not None:
        plan.check_shard(row.shard)
        compiled &= not (plan.sums or plan.draws_noise)
    return (CpuLaunch, p.dtype) if compiled else (EagerLaunch, None)
