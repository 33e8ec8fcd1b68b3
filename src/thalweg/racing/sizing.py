"""How many lanes stand together: decided from shapes and a bound on memory, never from timing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule

from thalweg.errors import BadValue
from thalweg.problems import Problem, own_gradient
from thalweg.racing.lanes import Lane, piece
from thalweg.racing.stack import Stack
from thalweg.racing.tensors import tensors
from thalweg.racing.tracing import peak_bytes

MEMBERS, FEWEST = 96, 4
"""How many lanes a stack has at most, and at least."""

MEMORY = 2**26
"""Bytes that a stack may take."""

_TRIED = 3


def lanes_at_once(problem: Problem, lanes: Sequence[Lane], batch: int, memory: int = MEMORY) -> int:
    """Return how many lanes a stack should have, 1 where it would be no faster than a loop.

    Stacks of that size take at most *memory* bytes: parameters, gradients, the state of rules,
    activations and batches are counted. They are as equal as can be. Raises BadValue where the
    models cannot be stacked, with the reason.
    """
    if own_gradient(problem.loss):
        raise BadValue(f"the loss of {problem.name} writes its own gradient, for one model alone.")
    most = min(len(lanes), MEMBERS, memory // lane_bytes(problem, lanes, batch))
    if most < FEWEST:
        return 1
    return -(-len(lanes) // -(-len(lanes) // most))


def lane_bytes(problem: Problem, lanes: Sequence[Lane], batch: int) -> int:
    """Return how much memory each lane of a stack takes while it is trained and judged.

    Raises BadValue where the models cannot be stacked.
    """
    seeds = list(dict.fromkeys(lane.seed for lane in lanes))
    models = [problem.make_model(seed) for seed in (seeds * _TRIED)[:_TRIED]]
    data = tensors(problem.train)
    try:
        stack = Stack(models, problem.loss)
        batches = [_same(part[:batch]) for part in data]
        passes = [stack.trace(True, *batches)]
        judged = [_same(part[: piece(batch)]) for part in tensors(problem.validation, "validation")]
        passes.append(stack.trace(False, *judged))
        _check_alike(passes[0], Stack(models[::-1], problem.loss).trace(True, *batches))
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise BadValue(f"the model of {problem.name} cannot be stacked: {reason}") from error
    parameters = sum(each.nbytes for each in stack.parameters.values())
    slots = max(len(lane.rule.signature.slots) for lane in lanes)
    held = sum(each.nbytes for each in stack.held.values())
    working = max(peak_bytes(each.graph) for each in passes)
    own = sum(part[:batch].nbytes for part in data) if len(seeds) > 1 else 0
    order = 8 * len(data[0]) if len(seeds) > 1 else 0
    return (parameters * (1 + slots) + held + working) // _TRIED + own + order


def _same(part: Tensor) -> Tensor:
    """Return the same examples for every member."""
    return part.expand(_TRIED, *part.shape)


def _check_alike(one: GraphModule, other: GraphModule) -> None:
    """Refuse a model that does not do the same every time, or with every seed."""
    constants = [dict(each.named_buffers()) for each in (one, other)]
    alike = constants[0].keys() == constants[1].keys() and all(
        torch.equal(each, constants[1][name]) for name, each in constants[0].items()
    )
    if not alike or one.code != other.code:
        raise BadValue("what it does is not the same every time it is called, or for every seed.")
