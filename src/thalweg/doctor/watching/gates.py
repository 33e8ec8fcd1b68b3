"""The gates of a recurrent module, computed anew: they are not among what it puts out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXAMPLES = 8
"""So many examples of a batch are looked at, at most."""

SIGMOID, TANH = 4.595, 2.647
"""Beyond these a sigmoid is within 0.01 of its ends, and tanh beyond ±0.99."""


def flat_gates(module: nn.RNNBase, inputs: Any, output: Tensor) -> Tensor | None:
    """Return the share of the first layer's gates that are at their flat ends; None if unknown.

    What comes back from the step before is part of it where the module has one layer alone.
    """
    if not inputs or not isinstance(inputs[0], Tensor) or _rectified(module):
        return None
    batch, alone = _dimension(module, inputs[0]), module.num_layers == 1
    gates = F.linear(inputs[0].detach().narrow(batch, 0, _some(inputs[0], batch)), *_into(module))
    if alone and not module.bidirectional and not module.proj_size:
        gates = gates + F.linear(_earlier(output.detach(), batch), module.weight_hh_l0)  # type: ignore[arg-type]
    return _flat_share(gates, module.hidden_size)


def flat_gates_of_cell(module: nn.RNNCellBase, arguments: tuple[Any, ...]) -> Tensor | None:
    """Return the share of a cell's gates that are at their flat ends in one call; None if unknown.

    Of a GRU's last gate all of what comes back counts.
    """
    if not arguments or not isinstance(arguments[0], Tensor) or _rectified(module):
        return None
    inputs, *before = arguments
    state = before[0][0] if before and isinstance(before[0], tuple) else (*before, None)[0]
    gates = F.linear(inputs.detach(), module.weight_ih, module.bias_ih)
    if isinstance(state, Tensor):
        gates = gates + F.linear(state.detach(), module.weight_hh, module.bias_hh)
    return _flat_share(gates, module.hidden_size)


def _flat_share(gates: Tensor, size: int) -> Tensor:
    """Return the share of gates, each of so many units, that are at their flat ends."""
    parts = gates.chunk(gates.shape[-1] // size, -1)
    limits = [TANH if k == (2 if len(parts) > 1 else 0) else SIGMOID for k in range(len(parts))]
    flat = [part.abs() > limit for part, limit in zip(parts, limits, strict=True)]
    return torch.cat(flat, -1).float().mean()


def _rectified(module: nn.RNNBase | nn.RNNCellBase) -> bool:
    return getattr(module, "nonlinearity", "tanh") == "relu"


def _dimension(module: nn.RNNBase, inputs: Tensor) -> int:
    """Return which dimension counts examples; that of time, for a single one."""
    return 0 if inputs.ndim == 2 or module.batch_first else 1


def _some(tensor: Tensor, batch: int) -> int:
    return min(tensor.shape[batch], EXAMPLES) if tensor.ndim == 3 else tensor.shape[batch]


def _into(module: Any) -> tuple[Tensor, Tensor | None]:
    """Return the weight and bias that inputs come to the gates by."""
    return module.weight_ih_l0, module.bias_ih_l0 + module.bias_hh_l0 if module.bias else None


def _earlier(output: Tensor, batch: int) -> Tensor:
    """Return what was put out at the time before, zeros at the first."""
    some = output.narrow(batch, 0, _some(output, batch))
    time = 0 if output.ndim == 2 else 1 - batch
    return torch.cat(
        [torch.zeros_like(some.narrow(time, 0, 1)), some.narrow(time, 0, some.shape[time] - 1)],
        time,
    )
