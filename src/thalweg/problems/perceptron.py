"""The multilayer perceptron with ReLU between its layers, initialised from a seed alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from thalweg.problems.seeded import seeded

if TYPE_CHECKING:
    from torch import nn


def perceptron(*widths: int) -> Callable[[int], nn.Module]:
    """Return ``make_model(seed)`` for layers of these widths, torch's default initialisation.

    Equal seeds give equal weights, and torch's own random state is left as it was.
    """

    def build() -> nn.Module:
        from torch import nn

        linear = [nn.Linear(*pair) for pair in pairwise(widths)]
        layers = [layer for pair in linear for layer in (pair, nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    return seeded(build)


def known(*widths: int) -> dict[str, float]:
    """Return what holds for a classifier of these widths before it is trained.

    ``parameters`` counts numbers; the rest is what ``guess`` returns.
    """
    parameters = sum((a + 1) * b for a, b in pairwise(widths))
    return {"parameters": parameters, **guess(widths[-1])}


def guess(classes: int) -> dict[str, float]:
    """Return the loss and accuracy of giving each of so many classes the same probability.

    ``guess_loss`` is the cross-entropy in nats and ``guess_accuracy`` the share of correct answers
    when one of the classes is drawn.
    """
    return {"guess_loss": math.log(classes), "guess_accuracy": 1 / classes}
