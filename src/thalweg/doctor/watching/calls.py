"""Calls of a loss, kept until a gradient is computed of them: the graph tells of which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from thalweg.doctor.watching.passes import Looked, Pass

Number = float | Tensor
"""A number, or a tensor of one number that is fetched later, to wait for no device."""

WIDE = 4096
"""So many nodes of a graph are looked at for the calls that a loss is made of."""


class Call(NamedTuple):
    """One call of a loss with a gradient to train by, on what a model's pass came to.

    *number* is what it returned, None where that is heard at times alone, or is no number.
    *examples* is how many it was called on in evaluation mode, 0 in training mode. *mark* is the
    place of its result among all nodes of the graph. *on* is the model's newest pass before it,
    None where too many calls came since, *scores* the shape of its first argument, *rest* the
    others.
    """

    number: Number | None
    examples: int
    mark: int | None
    on: Pass | None
    scores: tuple[int, ...] = ()
    rest: tuple[Any, ...] = ()
    looked: Looked | None = None


def call_of(
    number: Number | None, values: tuple[Any, ...], output: Any, on: Pass, looked: Looked | None
) -> Call:
    """Return the call of a loss on *values* that returned *output*, see `Call`."""
    node: Any = output.grad_fn if isinstance(output, Tensor) else None
    mark = None if node is None else node._sequence_nr()
    examples = 0 if on.training else _length(values)
    if len(values) < 2 or not isinstance(values[0], Tensor):
        return Call(number, examples, mark, on)
    return Call(number, examples, mark, on, values[0].shape, values[1:], looked)


def _length(values: tuple[Any, ...]) -> int:
    """Return how many examples a loss was called on, 1 where they cannot be counted."""
    first = values[0] if values else None
    return len(first) if isinstance(first, Tensor) and first.ndim else 1


def made_of(loss: Tensor, calls: Sequence[Call]) -> list[Call]:
    """Return the calls that *loss* is made of; where there are none, those that have no mark."""
    marks = {call.mark for call in calls if call.mark is not None}
    found, seen, waiting = set[int](), set[int](), [loss.grad_fn] if marks else []
    while waiting and len(seen) < WIDE:
        node: Any = waiting.pop()
        if node is None or (number := node._sequence_nr()) in seen:
            continue
        seen.add(number)
        if number in marks:
            found.add(number)
        elif number > min(marks):
            waiting += [parent for parent, _ in node.next_functions]
    return [call for call in calls if (call.mark in found if found else call.mark is None)]
