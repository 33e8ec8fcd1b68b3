"""Random numbers of lanes: each lane draws its own, as its training alone would draw them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from thalweg.errors import BadValue
from thalweg.racing.graph import operations

aten = torch.ops.aten
Generators = Sequence[torch.Generator]

_INTO_NEW: dict[Any, str] = {
    aten.bernoulli.p: "bernoulli_",
    aten.rand.default: "uniform_",
    aten.rand_like.default: "uniform_",
    aten.randn.default: "normal_",
    aten.randn_like.default: "normal_",
}
_INTO_GIVEN: dict[Any, str] = {
    aten.bernoulli_.float: "bernoulli_",
    aten.exponential_.default: "exponential_",
    aten.normal_.default: "normal_",
    aten.uniform_.default: "uniform_",
}


def draws(traced: GraphModule) -> list[Node]:
    """Return the operations of a graph that draw random numbers."""
    tag = torch.Tag.nondeterministic_seeded
    return [node for node in operations(traced.graph) if tag in _tags(node)]


def _tags(node: Node) -> Any:
    target: Any = node.target
    return target.tags


def draw_for_each(traced: GraphModule, members: int) -> None:
    """Let every draw for stacked members be one for each, from generators that are the last input.

    Raises BadValue for draws that cannot be parted so.
    """
    graph = traced.graph
    first = next(node for node in graph.nodes if node.op != "placeholder")
    with graph.inserting_before(first):
        generators = graph.placeholder("generators")
    for node in draws(traced):
        known = node.target in _INTO_NEW or node.target in _INTO_GIVEN
        if not known or node.meta["shape"][:1] != (members,):
            raise BadValue(f"it draws random numbers by {node.target}, not one lane at a time.")
        _part(node, generators)
    traced.recompile()


def _part(node: Node, generators: Node) -> None:
    with node.graph.inserting_before(node):
        if node.target in _INTO_NEW:
            numbers = node.args[1:] if node.target is aten.bernoulli.p else ()
            form = (node.meta["shape"], node.meta["dtype"])
            args = (_INTO_NEW[node.target], form, generators, *numbers)
            drawn = node.graph.call_function(drawn_by_each, args)
        else:
            args = (_INTO_GIVEN[node.target], node.args[0], generators, *node.args[1:])
            drawn = node.graph.call_function(fill_by_each, args)
    drawn.meta = dict(node.meta)
    node.replace_all_uses_with(drawn)
    node.graph.erase_node(node)


def drawn_by_each(draw: str, form: tuple, generators: Generators, *numbers: float) -> Tensor:
    """Return a tensor of this shape and dtype, a row of which each generator has drawn."""
    return fill_by_each(draw, torch.empty(form[0], dtype=form[1]), generators, *numbers)


def fill_by_each(draw: str, stacked: Tensor, generators: Generators, *numbers: float) -> Tensor:
    """Let each generator draw a row of what is *stacked*, element after element."""
    for row, generator in zip(stacked, generators, strict=True):
        drawn = row.contiguous()
        getattr(drawn, draw)(*numbers, generator=generator)
        if drawn is not row:
            row.copy_(drawn)
    return stacked
