"""The multilayer perceptron with ReLU between its layers, initialised from a seed alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def perceptron(*widths: int) -> Callable[[int], nn.Module]:
    """Return ``make_model(seed)`` for layers of these widths, torch's default initialisation.

    Equal seeds give equal weights, and torch's own random state is left as it was.
    """

    def make_model(seed: int) -> nn.Module:
        import torch
        from torch import nn

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            linear = [nn.Linear(*pair) for pair in pairwise(widths)]
        layers = [layer for pair in linear for layer in (pair, nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    return make_model


def known(*widths: int) -> dict[str, float]:
    """Return what holds for a classifier of these widths before it is trained.

    ``parameters`` counts numbers, ``guess_loss`` is the cross-entropy (in nats) of giving every
    class the same probability, and ``guess_accuracy`` is its share of correct answers on balanced
    classes.
    """
    classes = widths[-1]
    parameters = sum((a + 1) * b for a, b in pairwise(widths))
    return {
        "parameters": parameters,
        "guess_loss": math.log(classes),
        "guess_accuracy": 1 / classes,
    }
