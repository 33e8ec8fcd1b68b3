"""Rewrites a traced graph of tensor operations: what does nothing goes, a product takes its bias.

Every rewrite leaves the numbers as they are, to the last bit, but for two of products: a bias that
is added within one is rounded once with it instead of after it, and a product that is written down
transposed may be summed up in another order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

aten = torch.ops.aten
_SAME_IF_SHAPED_ALIKE = (aten.expand.default, aten.view.default, aten._unsafe_view.default)
_TRANSPOSITIONS = (aten.transpose.int, aten.permute.default, aten.t.default)


def simplified(traced: GraphModule) -> GraphModule:
    """Return *traced* with less to do."""
    graph = traced.graph
    only_reads = not any(_writes(node) for node in graph.nodes)
    for node in list(graph.nodes):
        if _does_nothing(node) or (only_reads and _copies(node)):
            node.replace_all_uses_with(_argument(node))
    graph.eliminate_dead_code()
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
