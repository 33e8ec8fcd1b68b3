"""Races of a record in a terminal: what was raced, how it stands, and what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from thalweg.report import numerals
from thalweg.report.runs import moment, shortest, status

if TYPE_CHECKING:
    from thalweg.record import RunSummary

SENTENCES = 2
"""How many sentences of a verdict are shown."""


def race_listing(races: Sequence[RunSummary], limit: int) -> RenderableType:
    """Return the newest ``limit`` races, newest first: what each is, and how it ended."""
    shown, length = list(reversed(races))[:limit], shortest(races)
    hidden = len(races) - len(shown)
    more = f" {numerals.count(hidden, 'older race')} not shown (--limit)." if hidden else ""
    lines = [line for race in shown for line in _listed(race, length)]
    return Group(*lines, "", f"thalweg races ID shows one again.{more}")


def _listed(race: RunSummary, length: int) -> Iterator[RenderableType]:
    yield Text.assemble(
        (race.id[:length], "cyan"), f"  {moment(race.started)}  {race.name}  ", status(race)
    )
    yield Padding(Text(_terms(race.hyper.get("header", {})), style="dim"), (0, 0, 0, 2))
    if "verdict" in race.events:
        sentences = race.events["verdict"].data["words"].split(". ")[:SENTENCES]
        yield Padding(Text(f"{'. '.join(sentences).removesuffix('.')}."), (0, 0, 0, 2))


def _terms(header: Mapping[str, Any]) -> str:
    """Say which rules raced, and how much was tried."""
    rules, terms = header.get("rules", ()), header.get("terms", {})
    told = [
        ", ".join(rules) if len(rules) < 6 else numerals.count(len(rules), "rule"),
        numerals.count(terms.get("trials", 0), "trial"),
        numerals.count(terms.get("seeds", 0), "seed"),
        numerals.count(header.get("epochs", 0), "epoch"),
    ]
    return " · ".join(told)
