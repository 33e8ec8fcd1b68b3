"""Custom autograd functions: which lie behind each parameter's gradient, and which are wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import BackwardCFunction

from thalweg.doctor.owed.case import Case

Functions = dict[str, list[type[Function]]]

STEP = 1e-6
"""How far the inputs of a function are moved, in random directions of about unit size."""


def functions_behind(case: Case) -> Functions:
    """Return the custom functions on the way from the loss to each parameter, by its name."""
    leaves, loss = _pass(case)
    names = {id(leaf): name for name, leaf in leaves.items()}
    found: Functions = {}
    for node in _nodes(loss.grad_fn):
        if isinstance(node, BackwardCFunction):
            for leaf in _leaves(node):
                known = found.setdefault(names.get(id(leaf), ""), [])
                if (kind := type(node)._forward_cls) not in known:  # type: ignore[attr-defined]
                    known.append(kind)
    return found


def wrong_among(case: Case, functions: Iterable[type[Function]]) -> set[type[Function]]:
    """Return those whose own gradient is not their slope, on what the model calls them with.

    A function is seen where it is called as ``Name.apply``.
    """
    calls: dict[type[Function], tuple[Any, ...]] = {}
    with ExitStack() as stack:
        for each in functions:
            stack.enter_context(_recorded(each, calls))
        _pass(case)
    return {each for each, args in calls.items() if _is_wrong(each.apply, args)}


def _pass(case: Case) -> tuple[dict[str, Tensor], Tensor]:
    """Return leaves by the names of parameters, and the loss that was computed from them."""
    ((arguments, targets),) = case.pairs
    pinned = case.pinned()
    leaves = {
        name: p.detach().to(pinned.dtype, copy=True).requires_grad_()
        for name, p in pinned.trained().items()
    }
    with torch.enable_grad():
        loss = case.loss(pinned.output(leaves, arguments), targets)
    return {name.removeprefix("model."): leaf for name, leaf in leaves.items()}, loss


@contextmanager
def _recorded(function: Any, calls: dict[type[Function], tuple[Any, ...]]) -> Iterator[None]:
    """Keep the arguments of the first call of a function."""
    own, apply = "apply" in vars(function), function.apply

    def recorder(*args: Any) -> Any:
        calls.setdefault(function, args)
        return apply(*args)

    function.apply = recorder
    try:
        yield
    finally:
        if own:
            function.apply = apply
        else:
            del function.apply


def _is_wrong(apply: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Whether the gradient differs from the slope, along random directions in and out."""
    generator = torch.Generator().manual_seed(0)
    inputs = [_double(each) for each in args]
    ways = [_drawn(each, generator) if _is_double(each) else None for each in inputs]
    weights = _drawn(_first(apply(*inputs)), generator)

    def value(distance: float) -> Tensor:
        pairs = zip(inputs, ways, strict=True)
        moved = [each if way is None else each + distance * way for each, way in pairs]
        return (_first(apply(*moved)) * weights).sum()

    slope = float(value(STEP) - value(-STEP)) / (2 * STEP)
    gradient = _derivative(value)
    return abs(slope - gradient) > 1e-3 * max(abs(slope), abs(gradient), 1e-12)


def _derivative(value: Callable[[Any], Tensor]) -> float:
    """Return the derivative at zero as autograd has it."""
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        (found,) = torch.autograd.grad(value(zero), zero, allow_unused=True)
    return 0.0 if found is None else float(found)


def _double(value: Any) -> Any:
    floats = isinstance(value, Tensor) and value.is_floating_point()
    return value.detach().double() if floats else value


def _is_double(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float64


def _drawn(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.device)


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _leaves(node: Any) -> list[Tensor]:
    """Return the leaves that a node hands gradients to."""
    return [each.variable for each in _nodes(node) if hasattr(each, "variable")]


def _nodes(node: Any) -> list[Any]:
    """Return a node and all behind it, each once."""
    waiting, seen = [node], set()
    while waiting:
        each = waiting.pop()
        if each is not None and each not in seen:
            seen.add(each)
            waiting += [before for before, _ in each.next_functions]
    return list(seen)
