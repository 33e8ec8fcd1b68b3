"""Parameters that a worker moves by itself, between its exchanges with the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.optim import Optimizer
from thalweg.parallel.flat import Layout, finite
from thalweg.rules import Rule


class Walker:
    """A vector of parameters with an optimizer of its own; the state stays when it is moved."""

    def __init__(
        self, layout: Layout, values: Tensor, rule: Rule, hyper: Mapping[str, Any]
    ) -> None:
        self.layout, self.x = layout, values.clone()
        self.parameters = [nn.Parameter(view) for view in layout.views(self.x)]
        self.optimizer = Optimizer(self.parameters, rule, **hyper)

    def step(self, gradient: Tensor) -> None:
        """Make one update; none of a gradient that is not finite, which would stay for good."""
        if not finite(gradient):
            return
        for p, g in zip(self.parameters, self.layout.views(gradient), strict=True):
            p.grad = g
        self.optimizer.step()

    def slot(self, name: str) -> Tensor | None:
        """Return a slot of the rule's state as a vector, None before the first update."""
        if not self.optimizer.state:
            return None
        return torch.cat([self.optimizer.state[p][name].flatten() for p in self.parameters])
