"""How a rule looks, the same in every picture of a race, and which rules are seen at first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from thalweg.racing import Result, Row
from thalweg.report.figure import LIGHT, Figure, colour

LEADING = 8
"""How many rules are seen at first where many raced."""

FAR = 3.0
"""A rule whose median is more than so many times the best one's is far behind."""

_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up")


class Look(NamedTuple):
    """A rule's colour, the dashes of its lines, its markers, and whether it is seen at first."""

    colour: str
    dash: str
    symbol: str
    seen: bool


def looks(result: Result, ranked: Sequence[str] = ()) -> dict[str, Look]:
    """Return how each rule looks, by its key; those that lead differ by their colours.

    *ranked* are the keys in the order that colours are given in, that of the board by default.
    """
    order = list(ranked) or [row.rule for row in result.board]
    return {
        row.rule: look(order.index(row.rule), place < LEADING and not far(row, result))
        for place, row in enumerate(result.board)
    }


def far(row: Row, result: Result) -> bool:
    """Return whether a rule is far behind the best one; none is where that is 0 or less."""
    best = result.board[0].loss.value
    return best > 0 and row.loss.value > FAR * best


def look(place: int, seen: bool) -> Look:
    """Return how the rule looks that has this place among all."""
    turn = place // len(LIGHT) % len(_DASHES)
    return Look(colour(place), _DASHES[turn], _SYMBOLS[turn], seen)


def trace(name: str, rule: str, look: Look) -> Figure:
    """Return the beginning of a rule's trace, which the legend hides and shows with its others."""
    return {
        "type": "scatter",
        "name": name,
        "legendgroup": rule,
        "visible": True if look.seen else "legendonly",
        "line": {"color": look.colour, "dash": look.dash, "width": 2.5},
        "marker": {"color": look.colour, "symbol": look.symbol, "size": 8},
    }
