"""Horizontal bars for a terminal: a name, a bar as long as its number, and the number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

EIGHTHS = " ▏▎▍▌▋▊▉█"
LONGEST = 40


class Bar(NamedTuple):
    """A name, how long its bar is as a share of the longest there may be, and its number."""

    name: str
    share: float
    number: str
    marked: bool = False


class Bars:
    """Bars below one another under a title, for rich to print; those that are marked stand out."""

    def __init__(self, title: str, bars: Sequence[Bar]) -> None:
        self.title, self.bars = title, bars

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, style="dim")
        names, numbers = (max(map(len, each)) for each in zip(*self._texts(), strict=True))
        names = min(names, options.max_width // 3)
        width = max(min(options.max_width - names - numbers - 2, LONGEST), 1)
        for each in self.bars:
            drawn = _drawn(each.share, width)
            line = (
                f"{_fitting(each.name, names):<{names}} {drawn:<{width}} {each.number:>{numbers}}"
            )
            yield Text(line, style="bold" if each.marked else "", no_wrap=True)

    def _texts(self) -> Iterator[tuple[str, str]]:
        for each in self.bars:
            yield each.name, each.number


def logarithmic(values: Sequence[float]) -> list[float]:
    """Return how long bars are whose lengths are logarithms: none for what is not positive.

    The shortest stands for a third of the smallest value.
    """
    positive = [value for value in values if 0 < value < math.inf]
    if not positive:
        return [float(value > 0) for value in values]
    low, high = math.log(min(positive) / 3), math.log(max(positive))
    return [_share(value, low, high) for value in values]


def _share(value: float, low: float, high: float) -> float:
    if not value > 0:
        return 0.0
    return min((math.log(value) - low) / (high - low), 1.0) if math.isfinite(value) else 1.0


def _drawn(share: float, width: int) -> str:
    whole, rest = divmod(round(min(max(share, 0.0), 1.0) * width * 8), 8)
    return EIGHTHS[-1] * whole + EIGHTHS[rest].strip()


def _fitting(name: str, width: int) -> str:
    """Return a name that fits, its end kept, for there it differs from its neighbours."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]
