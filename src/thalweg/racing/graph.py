"""Rewrites a traced graph of tensor operations: what does nothing goes, a product takes its bias.

Every rewrite leaves the numbers as they are, to the last bit, but for the bias: added within the
product it is rounded once with it instead of after it.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten
_SAME_IF_SHAPED_ALIKE = (aten.expand.default, aten.view.default, aten._unsafe_view.default)


def simplified(traced: GraphModule) -> GraphModule:
    """Return *traced* with less to do."""
    for node in list(traced.graph.nodes):
        if _does_nothing(node):
            node.replace_all_uses_with(node.args[0])
    for node in list(traced.graph.nodes):
        _take_bias(node)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


def _shape(node: object) -> torch.Size | None:
    value = node.meta.get("val") if isinstance(node, Node) else None
    return value.shape if isinstance(value, torch.Tensor) else None


def _does_nothing(node: Node) -> bool:
    if node.target in _SAME_IF_SHAPED_ALIKE:
        return _shape(node) is not None and _shape(node) == _shape(node.args[0])
    if node.target is aten.mul.Scalar:
        return node.args[1] in (1,)
    return False


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
