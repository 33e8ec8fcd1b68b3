"""An average over random probes, with an interval that says how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import final

import torch

from thalweg.errors import BadValue

LEAST = 10
"""Fewer probes than this say too little about their own spread."""


@final
@dataclass(frozen=True)
class Estimate:
    """A number between *low* and *high* with the given *confidence*, and what it cost.

    ``converged`` says whether the interval is as narrow as was asked for.
    """

    value: float
    low: float
    high: float
    confidence: float
    products: int
    converged: bool


def half_width(samples: Sequence[float], confidence: float) -> float:
    """Return how far the mean of independent *samples* may be off, by Student's distribution."""
    from scipy.stats import t

    values = torch.tensor(samples, dtype=torch.float64)
    quantile = t.ppf((1 + confidence) / 2, len(samples) - 1)
    return float(quantile * values.std() / sqrt(len(samples)))


def check_confidence(confidence: float) -> None:
    """Raise BadValue unless *confidence* lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise BadValue(f"confidence={confidence!r}; expected a number between 0 and 1, as 0.95.")
