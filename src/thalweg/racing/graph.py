"""Rewrites a traced graph of tensor operations so that there is less to do.

What does nothing goes, what is the same at every run is worked out once, a product takes its bias.
Every rewrite leaves the numbers as they are, to the last bit, but for two of products: a bias that
is added within one is rounded once with it instead of after it, and a product that is written down
transposed may be summed up in another order.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

from thalweg.racing.tracing import owners

aten = torch.ops.aten
_SAME_IF_SHAPED_ALIKE = (aten.expand.default, aten.view.default, aten._unsafe_view.default)
_TRANSPOSITIONS = (aten.transpose.int, aten.permute.default, aten.t.default)


def simplified(traced: GraphModule) -> GraphModule:
    """Return *traced* with less to do."""
    graph = traced.graph
    fixed = _never_written(graph)
    for node in list(graph.nodes):
        if _does_nothing(node) or (_copies(node) and {node, _argument(node)} <= fixed):
            node.replace_all_uses_with(_argument(node))
    graph.eliminate_dead_code()
    _work_out_constants(traced, fixed)
    for rewrite in (_transpose_factors, _cancel_transpositions, _take_bias):
        for node in list(graph.nodes):
            rewrite(node)
        graph.eliminate_dead_code()
    traced.recompile()
    return traced


def operations(graph: Graph) -> list[Node]:
    """Return the nodes of a graph that are operations of torch."""
    return [node for node in graph.nodes if isinstance(node.target, torch._ops.OpOverload)]


def _writes(node: Node) -> bool:
    """Whether an operation changes one of its arguments."""
    target: Any = node.target
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable


def _never_written(graph: Graph) -> set[Node]:
    """Return the nodes whose memory no operation writes to, neither itself nor a view of it."""
    owner = owners(graph)
    written = {
        owner[each] for node in operations(graph) if _writes(node) for each in node.all_input_nodes
    }
    return {node for node in graph.nodes if owner[node] not in written}


def _work_out_constants(traced: GraphModule, fixed: set[Node]) -> None:
    """Replace what depends on shapes alone by its value, where that is small."""
    values: dict[Node, Tensor] = {}
    for node in operations(traced.graph):
        numbers = [each for each in (*node.args, *node.kwargs.values()) if isinstance(each, Node)]
        of_shape = node.target in _OF_SHAPE
        known = of_shape or (numbers and all(each in values for each in numbers))
        if known and node in fixed and _bytes(node) <= SMALL:
            given = _stand_in if of_shape else values.__getitem__
            target: Any = node.target
            values[node] = target(*map_arg(node.args, given), **map_arg(node.kwargs, given))
    for index, (node, value) in enumerate(values.items()):
        traced.register_buffer(f"worked_out{index}", value)
        with traced.graph.inserting_before(node):
            value_of = traced.graph.get_attr(f"worked_out{index}")
        value_of.meta = {**node.meta, "bytes": 0}
        node.replace_all_uses_with(value_of)
    traced.graph.eliminate_dead_code()


SMALL = 2**16
"""Bytes up to which a value is kept from run to run; it is also worked out in no time."""

_OF_SHAPE = {
    aten.full.default, aten.full_like.default, aten.new_ones.default, aten.new_zeros.default,
    aten.ones.default, aten.ones_like.default, aten.scalar_tensor.default, aten.zeros.default,
    aten.zeros_like.default,
}  # fmt: skip
"""Operations that look at the shapes of their arguments, and not at what is in them."""


def _stand_in(node: Node) -> Tensor:
    return torch.empty(node.meta["shape"], dtype=node.meta["dtype"])


def _bytes(node: Node) -> float:
    shape = node.meta.get("shape")
    return math.inf if shape is None else math.prod(shape) * node.meta["dtype"].itemsize


def _argument(node: Node) -> Any:
    return node.args[0]


def _shape(node: object) -> torch.Size | None:
    return node.meta.get("shape") if isinstance(node, Node) else None


def _does_nothing(node: Node) -> bool:
    if node.target is aten.detach.default:
        return True
    if node.target in _SAME_IF_SHAPED_ALIKE:
        return _form(node) == _form(node.args[0])
    return False


def _copies(node: Node) -> bool:
    """Whether the value is that of the argument in memory of its own."""
    if node.target in (aten.mul.Scalar, aten.mul.Tensor):
        return node.args[1] in (1,) and _form(node) == _form(node.args[0])
    return False


def _form(node: Any) -> tuple:
    return node.meta.get("shape"), node.meta.get("strides"), node.meta.get("dtype")


def _transpose_factors(node: Node) -> None:
    """Turn the transpose of a product, where it is a result, into the product of transposes.

    It then lies in memory as its shape says, and nobody has to copy it.
    """
    product = node.args[0] if node.args else None
    if not _transposes(node) or not isinstance(product, Node) or len(product.users) > 1:
        return
    if product.target is not aten.bmm.default or not any(u.op == "output" for u in node.users):
        return
    graph = node.graph
    with graph.inserting_before(node):
        factors = [_transposed(graph, factor) for factor in reversed(product.args)]
        whole = graph.call_function(aten.bmm.default, tuple(factors))
    shape = node.meta["shape"]
    strides = torch.empty(shape, device="meta").stride()
    whole.meta = {**node.meta, "strides": strides, "bytes": product.meta["bytes"]}
    node.replace_all_uses_with(whole)


def _transposes(node: Node) -> bool:
    """Whether an operation exchanges the last two of three dimensions."""
    if node.target is aten.transpose.int:
        return len(_shape(node) or ()) == 3 and set(node.args[1:]) in ({1, 2}, {-1, -2})
    return node.target is aten.permute.default and node.args[1] == [0, 2, 1]


def _transposed(graph: Graph, factor: Any) -> Node:
    node = graph.call_function(aten.transpose.int, (factor, 1, 2))
    rows = factor.meta
    node.meta = {**rows, "bytes": 0}
    for key in ("shape", "strides"):
        first, *others = rows[key]
        node.meta[key] = type(rows[key])((first, *reversed(others)))
    return node


def _cancel_transpositions(node: Node) -> None:
    """Take what was transposed twice as it was."""
    inner = node.args[0] if node.args else None
    if _transposes(node) and isinstance(inner, Node) and _transposes(inner):
        node.replace_all_uses_with(_argument(inner))


def _take_bias(node: Node) -> None:
    """Turn the sum of a batched product and a bias, a row for each batch, into one operation."""
    if node.target is not aten.add.Tensor or node.kwargs:
        return
    for bias, product in (node.args, node.args[::-1]):
        if not isinstance(product, Node) or product.target is not aten.bmm.default:
            continue
        shape = _shape(bias)
        if shape is None or shape[1:2] != (1,) or len(product.users) > 1:
            continue
        with node.graph.inserting_before(node):
            whole = node.graph.call_function(aten.baddbmm.default, (bias, *product.args))
        whole.meta = dict(node.meta)
        node.replace_all_uses_with(whole)
        return
