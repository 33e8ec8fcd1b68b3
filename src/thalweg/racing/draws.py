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

_HOW: dict[Any, str] = {
    aten.bernoulli.p: "bernoulli_",
    aten.bernoulli_.float: "bernoulli_",
    aten.exponential_.default: "exponential_",
    aten.normal_.default: "normal_",
    aten.rand.default: "uniform_",
    aten.rand_like.default: "uniform_",
    aten.randn.default: "normal_",
    aten.randn_like.default: "normal_",
    aten.uniform_.default: "uniform_",
}


def draws(traced: GraphModule) -> list[Node]:
    """Return the operations of a graph that draw random numbers."""
    tag = torch.Tag.nondeterministic_seeded
    return [node for node in operations(traced.graph) if tag in _tags(node)]


def _tags(node: Node) -> Any:
    target: Any = node.target
    return target.tags


def draw_for_each(traced: GraphModule, alone: GraphModule | None, members: int) -> None:
    """Let every draw for stacked members be one for each, from generators that are the last input.

    Each draws what the graph of a member *alone* draws, None where nothing is drawn, into memory
    that is laid out alike: numbers are drawn in the order in which they lie there. Raises BadValue
    where that is not known.
    """
    graph = traced.graph
    first = next(node for node in graph.nodes if node.op != "placeholder")
    with graph.inserting_before(first):
        generators = graph.placeholder("generators")
    stacked, single = draws(traced), draws(alone) if alone else []
    for node in stacked:
        if node.target not in _HOW:
            raise BadValue(f"it draws random numbers by {node.target}, not one lane at a time.")
    if [_what(node) for node in stacked] != [_what(node, members) for node in single]:
        raise BadValue("it does not draw the random numbers of a model alone, one lane at a time.")
    for node, model in zip(stacked, single, strict=True):
        _part(node, model, generators)
    traced.recompile()


def _what(node: Node, *stacked: int) -> tuple:
    """Return what a draw is: how, into which shape, with which numbers."""
    return _HOW.get(node.target), (*stacked, *node.meta["shape"]), _numbers(node)


def _numbers(node: Node) -> tuple:
    """Return the numbers that a draw is given, with those that torch leaves out."""
    target: Any = node.target
    given = dict(zip((each.name for each in target._schema.arguments), node.args, strict=False))
    found = [given.get(each.name, each.default_value) for each in target._schema.arguments]
    return tuple(each for each in found if isinstance(each, float))


def _writes(node: Node) -> bool:
    target: Any = node.target
    return target._schema.is_mutable


def _part(node: Node, model: Node, generators: Node) -> None:
    meta = model.meta
    given = node.args[0] if _writes(node) else None
    form = (tuple(meta["shape"]), meta["strides"], meta["dtype"])
    args = (given, form, _HOW[node.target], _numbers(node), generators)
    with node.graph.inserting_before(node):
        drawn = node.graph.call_function(drawn_by_each, args)
    drawn.meta = dict(node.meta)
    node.replace_all_uses_with(drawn)
    node.graph.erase_node(node)


def drawn_by_each(
    given: Tensor | None, form: tuple, draw: str, numbers: tuple, generators: Generators
) -> Tensor:
    """Let each generator draw a row, whose shape, strides and dtype are its *form*, and stack them.

    They are written into the tensor *given*, or into a new one.
    """
    shape, strides, dtype = form
    own = torch.empty_strided(shape, strides, dtype=dtype)
    stacked = torch.empty(len(generators), *shape, dtype=dtype) if given is None else given
    for row, generator in zip(stacked, generators, strict=True):
        into = row if row.stride() == strides else own
        getattr(into, draw)(*numbers, generator=generator)
        if into is own:
            row.copy_(own)
    return stacked
