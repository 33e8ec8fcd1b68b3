"""How many lanes stand together: decided from shapes and a bound on memory, never from timing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import GraphModule

from thalweg.errors import BadValue
from thalweg.problems import Problem, own_gradient
from thalweg.racing.lanes import Lane, piece
from thalweg.racing.stack import Stack
from thalweg.racing.tensors import tensors
from thalweg.racing.tracing import peak_bytes

MEMBERS, FEWEST = 192, 4
"""How many lanes a stack has at most, and at least: from 64 on a small step is hardly cheaper."""

MEMORY = 2**26
"""Bytes that a stack may take unless more are given: with less, a few megabytes each are slower."""

LARGEST, LARGEST_CONVOLVING = 2**22, 2**21
"""Bytes of a lane from which on its arithmetic outweighs what a stack saves, and of one that
convolves: torch's convolutions of several members at once are slower than one after the other."""

_TRIED = 3


def lanes_at_once(problem: Problem, lanes: Sequence[Lane], batch: int, memory: int = MEMORY) -> int:
    """Return how many lanes a stack should have, 1 where it would be no faster than a loop.

    Stacks of that size take at most *memory* bytes: parameters, gradients, the state of rules,
    activations and batches are counted. They are as equal as can be. Raises BadValue where the
    models cannot be stacked, with the reason.
    """
    if own_gradient(problem.loss):
        raise BadValue(f"the loss of {problem.name} writes its own gradient, for one model alone.")
    lane = _tried(problem, lanes, batch)
    most = min(len(lanes), MEMBERS, memory // lane.bytes)
    if most < FEWEST or lane.bytes > (LARGEST_CONVOLVING if lane.convolves else LARGEST):
        return 1
    return -(-len(lanes) // -(-len(lanes) // most))


@dataclass(frozen=True)
class _Tried:
    """What is known of a lane from its shapes: the memory it takes, and whether it convolves."""

    bytes: int
    convolves: bool


def _tried(problem: Problem, lanes: Sequence[Lane], batch: int) -> _Tried:
    """Trace the passes of a few lanes; BadValue where they cannot be stacked.

    Few examples are tried first, and of what is too large by far with more of them no more are.
    """
    seeds = list(dict.fromkeys(lane.seed for lane in lanes))
    slots = max(len(lane.rule.signature.slots) for lane in lanes)
    try:
        models = [problem.make_model(seed) for seed in (seeds * _TRIED)[:_TRIED]]
        stack, turned = (Stack(each, problem.loss) for each in (models, models[::-1]))
        for tried in _guessed(stack, problem, slots, batch):
            if tried.bytes > 2 * LARGEST:
                return tried
        _check_alike(stack, turned, _shown(problem, _FEW))
        found = _measured(stack, problem, slots, batch)
    except Exception as error:
        raise BadValue(
            f"the model of {problem.name} cannot be stacked: {_reason(error)}"
        ) from error
    if len(seeds) == 1:
        return found
    train = tensors(problem.train)
    own = sum(each[:batch].nbytes for each in train) + 8 * len(train[1])
    return _Tried(found.bytes + own, found.convolves)


def _reason(error: Exception) -> str:
    """Say why in one sentence; what torch says of branches and lazy modules is advice on a bug."""
    said = str(error).partition("\n")[0]
    if "data-dependent control flow" in said:
        return "what it does depends on the values of its data, for which one has to look at them."
    if (
        "LazyModule" in said
        or "UninitializedParameter" in said
        or "uninitialized parameter" in said
    ):
        return "it has lazy modules, whose parameters have no shape before the first call."
    return said


_FEW = 4
"""Examples that are tried first."""


def _guessed(stack: Stack, problem: Problem, slots: int, batch: int) -> Iterator[_Tried]:
    """Yield what a lane takes at least: by its weights, a few examples, and how more add to it."""
    lasting = _lasting(stack, slots)
    yield _Tried(lasting // _TRIED, False)
    few = stack.trace(True, *_shown(problem, min(batch, _FEW)))
    working = peak_bytes(few.graph)
    yield _Tried((lasting + working) // _TRIED, _convolves(few))
    more = stack.trace(True, *_shown(problem, min(batch, 2 * _FEW)))
    working += (peak_bytes(more.graph) - working) * (batch - _FEW) // _FEW
    yield _Tried((lasting + working) // _TRIED, _convolves(more))


def _measured(stack: Stack, problem: Problem, slots: int, batch: int) -> _Tried:
    """Return what a lane of *stack* takes where a batch has so many examples."""
    judged = [part[: piece(batch)] for part in tensors(problem.validation, "validation")]
    train = stack.trace(True, *_shown(problem, batch))
    passes = [train, stack.trace(False, *_for_each(judged))]
    working = max(peak_bytes(each.graph) for each in passes)
    return _Tried((_lasting(stack, slots) + working) // _TRIED, _convolves(train))


def _shown(problem: Problem, count: int) -> list[Tensor]:
    """Return the first examples, the same ones for every member."""
    return _for_each([part[:count] for part in tensors(problem.train)])


def _for_each(data: Sequence[Tensor]) -> list[Tensor]:
    """Return these examples for every member."""
    return [each.expand(_TRIED, *each.shape) for each in data]


def _lasting(stack: Stack, slots: int) -> int:
    """Return the memory of what lasts: parameters, so many slots of state, and buffers."""
    parameters = sum(each.nbytes for each in stack.parameters.values())
    return parameters * (1 + slots) + sum(each.nbytes for each in stack.held.values())


def _convolves(traced: GraphModule) -> bool:
    return any(each.target is torch.ops.aten.convolution.default for each in traced.graph.nodes)


def _check_alike(stack: Stack, turned: Stack, data: Sequence[Tensor]) -> None:
    """Refuse a model that does not do the same every time, or with every seed."""
    one, other = (each.trace(True, *data) for each in (stack, turned))
    constants = [dict(each.named_buffers()) for each in (one, other)]
    alike = constants[0].keys() == constants[1].keys() and all(
        torch.equal(each, constants[1][name]) for name, each in constants[0].items()
    )
    if not alike or one.code != other.code:
        raise BadValue("what it does is not the same every time it is called, or for every seed.")
