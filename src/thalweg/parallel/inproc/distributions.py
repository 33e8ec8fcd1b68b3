"""How long things take in a simulation: distributions of positive numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator

from thalweg.arguments import check_number
from thalweg.errors import BadValue


@dataclass(frozen=True)
class Distribution:
    """A random number that is never negative; *draw* takes one from a generator."""

    name: str
    mean: float
    draw: Callable[[Generator], float]

    def __repr__(self) -> str:
        return self.name


def constant(value: float) -> Distribution:
    """Return the distribution of one number only."""
    check_number("value", value, 0)
    return Distribution(f"constant({value:g})", value, lambda _: value)


def exponential(mean: float) -> Distribution:
    """Return the distribution of waiting times for something that may happen at any moment."""
    check_number("mean", mean, 0)
    return Distribution(f"exponential({mean:g})", mean, lambda random: random.exponential(mean))


def uniform(low: float, high: float) -> Distribution:
    """Return the distribution that is even between two numbers."""
    check_number("low", low, 0)
    check_number("high", high, low)
    return Distribution(
        f"uniform({low:g}, {high:g})", (low + high) / 2, lambda random: random.uniform(low, high)
    )


def lognormal(median: float, sigma: float) -> Distribution:
    """Return a distribution with a long tail; *sigma* is the deviation of the logarithm."""
    from math import exp, log

    check_number("sigma", sigma, 0)
    check_number("median", median, 0)
    if not median:
        raise BadValue("median=0; expected a positive number, of which there is a logarithm.")
    return Distribution(
        f"lognormal({median:g}, {sigma:g})", median * exp(sigma**2 / 2),
        lambda random: random.lognormal(log(median), sigma),
    )  # fmt: skip


def as_distribution(value: float | Distribution) -> Distribution:
    """Return a number as the distribution of that number only."""
    return value if isinstance(value, Distribution) else constant(value)
