"""Recorded runs in a terminal: a list of them, and one or several side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.record import numbers
from thalweg.report import numerals
from thalweg.report.sparkline import Curve, scale, sparkline
from thalweg.report.teams.recorded import lateness, shares

if TYPE_CHECKING:
    from thalweg.record import Event, Exported, RunSummary

    Events = Mapping[str, Sequence[Event]]

SIDE_BY_SIDE = 3
"""Runs in one row of columns, which fit a terminal of 80 characters."""

_NAMES = ("name", "rule")
_NUMBERS = ("lr", "epochs", "loss", "valid")
_SHORT = 6
_WIDTH = 40
_TRAINING = ("train_loss", "running_loss", "loss")
_VALIDATION = ("valid_loss", "validation_loss", "val_loss")
_COLOURS = {"finished": "green", "running": "cyan", "failed": "red", "died": "red"}


def run_listing(runs: Sequence[RunSummary], limit: int) -> RenderableType:
    """Return the newest ``limit`` runs, newest first: what each is, how far it came, its losses."""
    shown = list(reversed(runs))[:limit]
    return Group(_listing(shown, shortest(runs)), "", _reading(len(runs) - len(shown)))


def member_listing(race: RunSummary, runs: Sequence[RunSummary], limit: int) -> RenderableType:
    """Return the ``limit`` runs of a race with the lowest validation losses, the lowest first."""
    shown = sorted(runs, key=_validation)[:limit]
    count = numerals.count(len(runs), "run")
    which = f"the {len(shown)} with" if len(shown) < len(runs) else "with"
    return Group(
        Text(f"Race {race.id} has {count}; {which} the lowest validation loss first:"),
        *([_listing(shown, shortest(runs))] if runs else []),
        Text(f"\nthalweg races {race.id[:_SHORT]} shows what came out."),
    )


def _validation(run: RunSummary) -> float:
    value = run.last.get("epoch/valid_loss", math.inf)
    return math.inf if math.isnan(value) else value


def _listing(shown: Sequence[RunSummary], length: int) -> Table:
    rows = [_listed(run, length) for run in shown]
    drawn = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    titles = [title for title in rows[0] if any(row[title] for row in rows)]
    for title in titles:
        _add_column(drawn, title, max(len(row[title]) for row in rows))
    for row in rows:
        drawn.add_row(*(row[title] for title in titles))
    return drawn


def _add_column(drawn: Table, title: str, width: int) -> None:
    """Add a column that is as wide as it must be; names give way where there is no room."""
    drawn.add_column(
        title,
        no_wrap=title not in _NAMES,
        overflow="ellipsis",
        justify="right" if title in _NUMBERS else "left",
        min_width=None if title in _NAMES else max(width, len(title)),
    )


def _listed(run: RunSummary, length: int) -> dict[str, str | Text]:
    train, valid = _losses(run)
    return {
        "id": Text(run.id[:length], style="cyan"),
        "when": moment(run.started),
        "kind": _kind(run),
        "name": run.name,
        "rule": _rule(run),
        "lr": _shown(run.hyper.get("lr", "")),
        "status": status(run),
        "epochs": _progress(run),
        "loss": train,
        "valid": valid,
    }


def _reading(hidden: int) -> str:
    more = f" {numerals.count(hidden, 'older run')} not shown (--limit)." if hidden else ""
    return f"thalweg runs ID shows one run, several IDs compare them.{more}"


def run_comparison(runs: Sequence[RunSummary], events: Events) -> RenderableType:
    """Return one run in full, or several side by side with what differs marked, and their curves.

    ``events`` are those of each run, by its id.
    """
    parts: list[RenderableType] = []
    for start in range(0, len(runs), SIDE_BY_SIDE):
        parts += [_table(runs, slice(start, start + SIDE_BY_SIDE)), ""]
    if len(runs) > 1:
        parts += [Text("≠ differs between these runs", style="dim"), ""]
    return Group(*parts, *_curves(runs, events))


def _table(runs: Sequence[RunSummary], part: slice) -> Table:
    drawn = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    drawn.add_column(no_wrap=True)
    drawn.add_column(no_wrap=True, style="dim", max_width=26)
    for _ in runs[part]:
        drawn.add_column(overflow="fold")
    for property in _properties(runs):
        _add_row(drawn, property, [property.tell(run) for run in runs], part)
    return drawn


def _add_row(drawn: Table, property: Property, cells: list[str | Text], part: slice) -> None:
    differ = property.kind is not OUTCOME and len({str(cell) for cell in cells}) > 1
    shared = property.kind is ORIGIN and len(cells) > 1 and not differ
    if any(cells) and not shared:
        style = "bold" if differ else ""
        drawn.add_row("≠" if differ else "", property.title, *cells[part], style=style)


OUTCOME, SETTING, ORIGIN = "outcome", "setting", "origin"
"""What is told of every run; what is marked where it differs; what is told only there."""


class Property(NamedTuple):
    """A line of the comparison: its title, what it tells of a run, and what kind that is."""

    title: str
    tell: Callable[[RunSummary], str | Text]
    kind: str


def _properties(runs: Sequence[RunSummary]) -> Iterator[Property]:
    yield Property("id", lambda run: Text(run.id, style="cyan"), OUTCOME)
    yield Property("status", status, OUTCOME)
    yield Property("started", lambda run: moment(run.started), OUTCOME)
    yield Property("ended", lambda run: moment(run.ended), OUTCOME)
    yield Property("epochs", _progress, OUTCOME)
    yield from _entries("last", runs, "last ", _number, OUTCOME)
    yield Property("gradients by worker", shares, OUTCOME)
    yield Property("updates late", lateness, OUTCOME)
    yield Property("name", lambda run: run.name, SETTING)
    yield Property("kind", lambda run: run.kind, SETTING)
    yield from _entries("hyper", runs, "", _shown, SETTING)
    yield Property("seed", lambda run: str(run.seed), SETTING)
    yield Property("source", lambda run: (run.source or "")[:12], SETTING)
    yield Property("parent", lambda run: run.parent or "", SETTING)
    yield from _entries("provenance", runs, "", _shown, ORIGIN)


def _entries(
    field: str, runs: Sequence[RunSummary], prefix: str, show: Callable[[Any], str], kind: str
) -> Iterator[Property]:
    """Yield a property for each key that the mapping called ``field`` has in any of the runs."""

    def teller(key: str) -> Callable[[RunSummary], str]:
        return lambda run: show(getattr(run, field).get(key))

    for key in _keys(getattr(run, field) for run in runs):
        yield Property(f"{prefix}{key}", teller(key), kind)


def _keys(each: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in each for key in mapping))


def _curves(runs: Sequence[RunSummary], events: Events) -> Iterator[RenderableType]:
    found = {run.id: _series(events[run.id]) for run in runs}
    for name in _drawn(found.values()):
        curves = {id: series[name] for id, series in found.items() if name in series}
        yield from _curve(name, curves, shortest(runs))


def _series(events: Sequence[Event]) -> dict[str, Curve]:
    points = sorted((name, event.step, value) for event in events for name, value in numbers(event))
    return {
        name: [(step, value) for _, step, value in group]
        for name, group in groupby(points, key=lambda point: point[0])
    }


def _drawn(found: Iterable[Mapping[str, Curve]]) -> list[str]:
    """Return the names worth a drawing: losses where there are any, with two points or more."""
    names = {name for series in found for name, curve in series.items() if len(curve) > 1}
    return sorted(filter(_is_loss, names)) or sorted(names)


def _curve(name: str, curves: Mapping[str, Curve], length: int) -> Iterator[RenderableType]:
    on = scale(curves.values())
    heights = f"{_number(on.low)} to {_number(on.high)}"
    kind = ", logarithmic" if on.logarithmic else ""
    yield Text.assemble(
        (name, "bold"), (f"  steps {on.first} to {on.last}, height {heights}{kind}", "dim")
    )
    for id, curve in curves.items():
        ends = f"{_number(curve[0][1])} → {_number(curve[-1][1])}"
        yield Text.assemble(
            (id[:length], "cyan"), f"  {sparkline(curve, on, _WIDTH):<{_WIDTH}}  {ends}"
        )
    yield ""


# How a run is told.


def exported(done: Exported) -> str:
    """Say what an export wrote, to where, and what it left out."""
    left_out = ", ".join(f"{count} × {name}" for name, count in done.left_out.items())
    rest = f" Left out, because they hold no number: {left_out}." if left_out else ""
    written = f"{numerals.count(done.numbers, 'number')} of {numerals.count(done.runs, 'run')}"
    return f"{written} written to {done.place}.{rest}"


def shortest(runs: Sequence[RunSummary]) -> int:
    """Return how many characters of an id tell these runs apart."""
    ids = {run.id for run in runs}
    lengths = range(_SHORT, max(map(len, ids)) + 1)
    return next(length for length in lengths if len({id[:length] for id in ids}) == len(ids))


def moment(when: float | None) -> str:
    """Write a time, or nothing where there is none."""
    if when is None:
        return ""
    local = datetime.fromtimestamp(when)
    this_year = local.year == datetime.now().year
    return local.strftime("%m-%d %H:%M" if this_year else "%Y-%m-%d")


def status(run: RunSummary) -> Text:
    """Return how a run stands, in the colour of that."""
    return Text(run.status, style=_COLOURS.get(run.status, "yellow"))


def _rule(run: RunSummary) -> str:
    """Return the rule of a run, or how many rules a race has."""
    racing = run.hyper.get("header", {}).get("rules", ()) if run.kind == "race" else ()
    return numerals.count(len(racing), "rule") if racing else _shown(_ruled(run.hyper))


def _ruled(hyper: Mapping[str, Any]) -> Any:
    """Return what a run was trained with: a rule, or else a parallel algorithm."""
    return hyper.get("rule", hyper.get("parallel", ""))


def _kind(run: RunSummary) -> str:
    """Return what kind of run it is: nothing for the usual one, how many workers shared it."""
    if run.kind == "parallel":
        return numerals.count(run.hyper["workers"], "worker")
    return "" if run.kind == "train" else run.kind


def _progress(run: RunSummary) -> str:
    if "epoch" in run.events:
        return str(run.events["epoch"].step)
    if run.step is None:
        return ""
    return numerals.count(run.step, "run") if run.kind == "race" else f"step {run.step}"


def _losses(run: RunSummary) -> tuple[str, str]:
    """Return the last training and validation loss; that of an epoch before that of an update."""
    found = {_leaf(name): value for name, value in run.last.items() if _is_loss(name)}
    return _number(_first(found, _TRAINING)), _number(_first(found, _VALIDATION))


def _first(found: Mapping[str, float], names: Iterable[str]) -> float | None:
    return next((found[name] for name in names if name in found), None)


def _is_loss(name: str) -> bool:
    return "loss" in _leaf(name)


def _leaf(name: str) -> str:
    return name.rpartition("/")[2]


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_shown, value))
    return f"{value:.6g}" if isinstance(value, float) else "-" if value is None else str(value)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e9 else f"{value:.4g}"
