"""Writes down what a function does with tensors, operation by operation, to be done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import getitem
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

Flat = list[Tensor | None]


def traced(function: Callable[[list[Tensor]], Flat], inputs: list[Tensor]) -> fx.GraphModule:
    """Return what *function* does with these *inputs* as a graph of plain operations.

    Shapes, and whatever Python decides on the way, are those of this one call. Tensors that come
    from elsewhere are kept as constants. Random numbers are drawn from torch's own generator.
    """
    tape = Tape(inputs)
    with tape:
        outputs = function(inputs)
    tape.graph.output([None if each is None else tape.node_of(each) for each in outputs])
    return fx.GraphModule(tape.constants, tape.graph)


class Tape(TorchDispatchMode):
    """Writes operations into a graph while they are done; vmap and autograd are above it."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.graph, self.constants = fx.Graph(), torch.nn.Module()
        self._nodes: Any = WeakTensorKeyDictionary()
        for index, each in enumerate(inputs):
            self._nodes[each] = self.graph.placeholder(f"input{index}")
            describe(self._nodes[each], each, fresh=False)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: where torch guards a tape against its compiler, it loads that first, for 1 s."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do the operation and write it down."""
        kwargs = kwargs or {}
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        found = func(*args, **kwargs)
        node = self.graph.call_function(func, *tree_map(self.node_of, (args, kwargs)))
        several = isinstance(found, (tuple, list))
        for index, each in enumerate(found if several else [found]):
            if isinstance(each, Tensor):
                one = self.graph.call_function(getitem, (node, index)) if several else node
                describe(one, each, fresh=not any(_share(each, other) for other in given))
                self._nodes[each] = one
        return found

    def node_of(self, value: Any) -> Any:
        """Return the node of a tensor, which is a constant if none is known; others as they are."""
        if not isinstance(value, Tensor):
            return value
        if value not in self._nodes:
            name = f"constant{sum(1 for _ in self.constants.buffers())}"
            self.constants.register_buffer(name, value.detach())
            self._nodes[value] = self.graph.get_attr(name)
            describe(self._nodes[value], value, fresh=False)
        return self._nodes[value]


def describe(node: fx.Node, tensor: Tensor, fresh: bool) -> None:
    """Note the form of a node's value, and how many bytes it takes that no argument of it has."""
    node.meta["shape"], node.meta["strides"] = tensor.shape, tensor.stride()
    node.meta["dtype"] = tensor.dtype
    node.meta["bytes"] = tensor.untyped_storage().nbytes() if fresh else 0


def _share(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr() != 0


def owners(graph: fx.Graph) -> dict[fx.Node, fx.Node]:
    """Return for each node the one whose memory its value is in: its own, or what it is a view of.

    What an operation has not taken anew is its first argument's.
    """
    owner: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        views = not node.meta.get("bytes") and node.all_input_nodes
        owner[node] = owner[node.all_input_nodes[0]] if views else node
    return owner


def peak_bytes(graph: fx.Graph) -> int:
    """Return how many bytes the values of a graph take at most, each let go after its last use."""
    owner = owners(graph)
    end = {owner[each]: node for node in graph.nodes for each in (node, *node.all_input_nodes)}
    freed: dict[fx.Node, int] = Counter()
    for node, last in end.items():
        freed[last] += node.meta.get("bytes", 0)
    now = peak = 0
    for node in graph.nodes:
        now += node.meta.get("bytes", 0)
        peak = max(peak, now)
        now -= freed[node]
    return peak
