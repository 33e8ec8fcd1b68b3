"""Members of one model that are evaluated together: parameters and buffers stacked, traced once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from thalweg.problems import Loss
from thalweg.racing.graph import simplified

State = dict[str, Tensor]


class Stack:
    """Several models of one kind as a single one, whose parameters have shape (members, ...).

    What `torch.vmap` makes of the forward and backward pass is traced once for each shape of batch
    and then run as plain operations on stacked tensors. ``parameters`` and ``buffers`` are by name;
    the first are to be updated in place, the second the passes update themselves.
    """

    def __init__(self, models: Sequence[nn.Module], loss: Loss) -> None:
        stacked, buffers = stack_module_state(list(models))
        self.parameters = {name: each.detach() for name, each in stacked.items()}
        self.buffers: State = buffers
        self.model, self.loss = models[0], loss
        self._traced: dict[tuple, GraphModule] = {}

    def bytes_of_a_member(self) -> int:
        """Return what one member's parameters, gradients and two slots of state take."""
        return 4 * sum(each[0].nbytes for each in self.parameters.values())

    def gradients(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, State]:
        """Return the loss of every member on its own batch, and the gradients by name.

        *inputs* and *targets* have shape (members, batch, ...).
        """
        self.model.train()
        gradients, losses = self._run(grad_and_value(self._loss), 0, inputs, targets)
        return losses, gradients

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return what every member answers, in evaluation mode, to the same inputs (batch, ...)."""
        self.model.eval()
        with torch.no_grad():
            return self._run(self._output, None, inputs)

    def _run(self, function: Callable, in_dim: int | None, *data: Tensor) -> Any:
        """Run *function* for all members; their data are their own or, for None, shared."""
        key = (in_dim, *((each.shape, each.dtype) for each in data))
        if key not in self._traced:
            self._traced[key] = self._trace(function, in_dim, data)
        return self._traced[key](self.parameters, self.buffers, data)

    def _trace(
        self, function: Callable, in_dim: int | None, data: tuple[Tensor, ...]
    ) -> GraphModule:
        for_all = vmap(function, in_dims=(0, 0, *(in_dim for _ in data)))

        def run(parameters: State, buffers: State, data: tuple[Tensor, ...]) -> Any:
            return for_all(parameters, buffers, *data)

        spent = {name: buffer.clone() for name, buffer in self.buffers.items()}
        return simplified(make_fx(run)(self.parameters, spent, data))

    def _loss(self, parameters: State, buffers: State, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.loss(self._output(parameters, buffers, inputs), targets)

    def _output(self, parameters: State, buffers: State, inputs: Tensor) -> Tensor:
        return functional_call(self.model, (parameters, buffers), (inputs,))


@contextmanager
def without_fallback() -> Iterator[None]:
    """Let what `torch.vmap` could only do member by member, which is slow, raise RuntimeError."""
    switch: Any = torch._C._functorch
    allowed = switch._is_vmap_fallback_enabled()
    switch._set_vmap_fallback_enabled(False)
    try:
        yield
    finally:
        switch._set_vmap_fallback_enabled(allowed)
