"""A graph is built once and differentiated again for each product: the forward pass is shared."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from thalweg.errors import BadValue
from thalweg.landscape.operator import GIBIBYTE

KEPT = GIBIBYTE
"""Bytes that the graphs of one operator may hold; beyond, each product builds them anew."""


class Graph(Protocol):
    """What was recorded of one term."""

    def product(self, vector: Tensor) -> Tensor:
        """Return the curvature of the term times *vector*."""


Made = TypeVar("Made", bound=Graph)


class Graphs:
    """The graphs of several terms: all kept where they are small, else made again for each use."""

    def __init__(self, makers: Sequence[Callable[[], Graph]]) -> None:
        self._makers = makers
        self._kept: list[Graph] | None = None
        if len(makers) == 1 or len(makers) * _bytes_saved(makers[0]) <= KEPT:
            self._kept = [make() for make in makers]

    @property
    def kept(self) -> bool:
        """Whether products share one forward pass."""
        return self._kept is not None

    def __iter__(self) -> Iterator[Graph]:
        if self._kept is not None:
            yield from self._kept
        else:
            yield from (make() for make in self._makers)


def _bytes_saved(make: Callable[[], Graph]) -> int:
    """Return how much memory autograd holds for one graph."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        make()
    return sum(storages.values())


def again(outputs: Tensor, place: Tensor, vector: Tensor) -> Tensor:
    """Return the product of *vector* with the Jacobian of *outputs*; the graph can be used again.

    Zero where *outputs* do not depend on *place*.
    """
    if not outputs.requires_grad:
        return torch.zeros_like(place)
    (found,) = torch.autograd.grad(
        outputs, place, vector, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return found


@contextmanager
def second_derivative(*recorded: Tensor) -> Iterator[None]:
    """Say which operation has no second derivative, where one has none."""
    try:
        with torch.enable_grad():
            yield
    except (RuntimeError, NotImplementedError) as error:
        operation = _named(str(error), recorded)
        if operation is None:
            raise
        raise BadValue(
            f"{operation} has no second derivative, which curvature needs. Compute this part with "
            "torch's own differentiable operations, or give the function a backward that autograd "
            "can differentiate."
        ) from error


def _named(message: str, recorded: Sequence[Tensor]) -> str | None:
    """Return the operation that autograd's *message* complains of; None for other complaints."""
    if "once_differentiable" in message:
        custom = sorted({name for each in recorded for name in _custom_functions(each)})
        return f"the custom function {', '.join(custom) or '(marked once_differentiable)'}"
    found = re.search(r"derivative for '?(?:aten::)?(\w+)'? is not implemented", message)
    if found:
        return f"the operation {found[1]}"
    return message.splitlines()[0] if "ouble backward" in message else None


def _custom_functions(tensor: Tensor) -> Iterator[str]:
    """Yield the names of the custom autograd functions behind *tensor*."""
    seen, stack = set(), [tensor.grad_fn]
    while stack:
        current = stack.pop()
        if current is None or current in seen:
            continue
        seen.add(current)
        if isinstance(current, torch.autograd.function.BackwardCFunction):
            yield current.name().removesuffix("Backward")
        stack.extend(following for following, _ in current.next_functions)
