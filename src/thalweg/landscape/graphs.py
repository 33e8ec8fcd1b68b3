"""A graph is built once and differentiated again for each product: the forward pass is shared."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from thalweg.errors import BadValue
from thalweg.landscape.operator import GIBIBYTE

KEPT = GIBIBYTE
"""Bytes that the graphs of one operator may hold; beyond, each product builds them anew."""


class Graph(Protocol):
    """What was recorded of one term."""

    def product(self, vector: Tensor) -> Tensor:
        """Return the curvature of the term times *vector*."""


@final
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
def second_derivative() -> Iterator[None]:
    """Say which operation has no second derivative, where one has none."""
    try:
        with torch.enable_grad():
            yield
    except (RuntimeError, NotImplementedError) as error:
        operation = _named(str(error))
        if operation is None:
            raise
        raise BadValue(_refusal(operation)) from error


def check_recorded(forward: Tensor, gradient: Tensor) -> None:
    """Raise BadValue where the graph of *gradient* ends at a custom function of *forward*.

    Autograd marks such an end, but differentiates past it without a word, as if it were constant;
    and it marks none where the function's output enters the loss linearly.
    """
    once = {_custom(node) for node in _nodes(forward) if _is_once(node)}
    if not once and any(node.name() == "torch::autograd::Error" for node in _nodes(gradient)):
        once = {_custom(node) for node in _nodes(forward)} - {""}
    if once:
        raise BadValue(_refusal(f"the custom function {' or '.join(sorted(once))}"))


def _refusal(operation: str) -> str:
    return (
        f"{operation} has no second derivative, which curvature needs. Compute this part with "
        "torch's own differentiable operations, or give the function a backward that autograd "
        "can differentiate."
    )


def _named(message: str) -> str | None:
    """Return the operation that autograd's *message* complains of; None for other complaints."""
    found = re.search(r"derivative for '?(?:aten::)?(\w+)'? is not implemented", message)
    if found:
        return f"the operation {found[1]}"
    return message.splitlines()[0] if "ouble backward" in message else None


def _custom(node: Any) -> str:
    """Return the name of a custom autograd function, or an empty text for torch's own."""
    custom = isinstance(node, torch.autograd.function.BackwardCFunction)
    return str(node.name()).removesuffix("Backward") if custom else ""


def _is_once(node: Any) -> bool:
    """Whether a node belongs to a function marked ``once_differentiable``."""
    backward = getattr(getattr(node, "_forward_cls", None), "backward", None)
    return getattr(backward, "__code__", None) is once_differentiable(_custom).__code__


def _nodes(tensor: Tensor) -> Iterator[Any]:
    """Yield every node of the graph behind *tensor*."""
    seen, stack = set(), [tensor.grad_fn]
    while stack:
        current = stack.pop()
        if current is not None and current not in seen:
            seen.add(current)
            yield current
            stack.extend(following for following, _ in current.next_functions)
