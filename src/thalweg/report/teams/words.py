"""What trainings with several workers say, once for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from thalweg.report import numerals

if TYPE_CHECKING:
    from thalweg.parallel import Point, Team, Teams

VIRTUAL = (
    "The workers are simulated in one process, and time is virtual: it tells how the work is "
    "shared, not how fast this machine is."
)


def question(teams: Teams) -> str:
    """Name what was trained how, by how many."""
    settings = teams.teams[0].settings
    return (
        f"{settings['parallel']} on {teams.problem} with {counted(teams)}, "
        f"{numerals.count(settings['epochs'], 'epoch')} in batches of {settings['batch']}."
    )


def counted(teams: Teams) -> str:
    """Name the numbers of workers: 1, 2 and 4 workers."""
    *others, last = teams.teams
    before = ", ".join(str(team.workers) for team in others)
    return f"{before} and {_workers(last)}" if others else _workers(last)


def label(team: Team) -> str:
    """Name a team among others, and say if it was cut short."""
    return _workers(team) + (", interrupted" if team.status == "interrupted" else "")


def _workers(team: Team) -> str:
    return numerals.count(team.workers, "worker")


# The claim, and what it needs to be understood.


def claim(teams: Teams) -> str:
    """Say what more workers brought, or what those few did."""
    first, last = teams.teams[0], teams.teams[-1]
    pace, sooner = faster(teams, last), earlier(teams, last)
    if first is last or pace is None:
        return _alone(last)
    arrived = "" if sooner is None else f", and came to a loss of {_target(teams)} {_when(sooner)}"
    return (
        f"{_workers(last)} saw {pace:.2f} times the examples of {_workers(first)} in the same time"
        f"{arrived}."
    )


def _alone(team: Team) -> str:
    if not team.history:
        return f"{label(team)}: nothing was measured."
    if team.diverged:
        return f"With {_workers(team)} the training diverged."
    cut = "," if team.status == "interrupted" else ""
    return (
        f"{label(team)}{cut} came to a loss of {judged(team.history[-1])} in "
        f"{time(team.history[-1].time, team.unit)}."
    )


def _when(ratio: float) -> str:
    if f"{ratio:.2f}" == "1.00":
        return "at the same time"
    return f"{ratio:.2f} times sooner" if ratio > 1 else f"{1 / ratio:.2f} times later"


def judged(point: Point) -> str:
    """Write the loss of a look, and the accuracy where there is one."""
    share = point.valid_accuracy
    accuracy = "" if share is None else f", accuracy {numerals.share(share)}"
    return f"{numerals.loss(point.judged)}{accuracy}"


def others(teams: Teams) -> Iterator[str]:
    """Yield what has to be said beside the claim: whose time it is, and what went wrong."""
    yield from _price(teams)
    yield _clock(teams.teams[-1])
    yield from (f"With {_workers(team)} the training diverged." for team in _diverged(teams))
    for team in teams.teams:
        if team.status == "interrupted":
            yield f"The training with {_workers(team)} was interrupted: {_done(team)}."
        elif team.tally.undealt:
            yield f"The training with {_workers(team)} ended early: {_done(team)}."


def _price(teams: Teams) -> Iterator[str]:
    """Yield what the largest team's examples are worth beside the smallest one's."""
    first, last = teams.teams[0], teams.teams[-1]
    if first is last or first.diverged or last.diverged or not (first.history and last.history):
        return
    examples = last.history[-1].examples
    if first.history[-1].examples != examples:
        return
    yield (
        f"After the same {examples:,} examples {_workers(last)} stood at a loss of "
        f"{judged(last.history[-1])}; {_workers(first)} at {judged(first.history[-1])}."
    )


def _diverged(teams: Teams) -> list[Team]:
    return [team for team in teams.teams if team.diverged] if len(teams.teams) > 1 else []


def _done(team: Team) -> str:
    return f"{team.tally.measured.total():,} of {team.gradients:,} gradients were measured"


def _clock(last: Team) -> str:
    if last.unit != "seconds":
        return VIRTUAL
    start = ", from the start of the processes" if last.began else ""
    if last.settings.get("address"):
        return f"Time is that of the cluster{start}."
    cores = last.settings["cores"]
    crowded = f", which {_workers(last)} share" if last.workers > cores else ""
    return f"Time is that of this machine with {numerals.count(cores, 'core')}{crowded}{start}."


# What stands in the table of teams.


def faster(teams: Teams, team: Team) -> float | None:
    """Return how many times the examples of the smallest team a team saw in the same time."""
    first = teams.teams[0].speed
    return team.speed / first if team.speed and first else None


def earlier(teams: Teams, team: Team) -> float | None:
    """Return how many times sooner than the smallest team a team was at the common loss."""
    before, now = (_arrival(teams, each) for each in (teams.teams[0], team))
    return before / now if before and now else None


def _arrival(teams: Teams, team: Team) -> float | None:
    return None if teams.target is None else team.reached(teams.target)


def _target(teams: Teams) -> str:
    return numerals.loss(teams.target)


def columns(teams: Teams) -> list[str]:
    """Return the titles of the table; a single team has nothing to be compared with."""
    compared = ["×", f"to loss {_target(teams)}", "× sooner"] if len(teams.teams) > 1 else []
    start = ["start"] if _starts(teams) else []
    return ["workers", *start, "examples/s", *compared, "last loss", "accuracy", "time"]


def _starts(teams: Teams) -> bool:
    """Whether any workers took a while before the first batch was dealt out."""
    return any(team.began for team in teams.teams)


def cells(teams: Teams, team: Team) -> list[str]:
    """Return what stands in the columns."""
    last = team.history[-1] if team.history else None
    compared = [_times(faster(teams, team)), _moment(_arrival(teams, team)),
                _times(earlier(teams, team))] if len(teams.teams) > 1 else []  # fmt: skip
    return [
        f"{team.workers:,}",
        *([numerals.seconds(team.began)] if _starts(teams) else []),
        numerals.NONE if team.speed is None else numerals.significant(team.speed),
        *compared,
        numerals.loss(last and last.judged),
        numerals.share(last and last.valid_accuracy),
        _moment(last and last.time),
    ]


def _times(ratio: float | None) -> str:
    return numerals.NONE if ratio is None else f"{ratio:.2f}"


def _moment(found: float | None) -> str:
    return numerals.NONE if found is None else numerals.seconds(found)


def time(value: float, unit: str) -> str:
    """Write a duration with its unit: 17.0 virtual seconds."""
    return f"{value:,.1f} {unit}"


def reading(teams: Teams) -> str:
    """Say how the table is read."""
    team = teams.teams[0]
    virtual = "A second is a virtual one. " if team.unit != "seconds" else ""
    parts = [virtual + _pace(_starts(teams))]
    if len(teams.teams) > 1:
        parts.append(
            f"× compares with {_workers(team)}. The loss {_target(teams)} is the lowest that all "
            "came to; when they did is read off the straight line between two looks at it."
        )
    return " ".join(parts)


def _pace(starting: bool) -> str:
    told = "Examples a second count from the first batch that was dealt out"
    return f"{told}, times from the start of the processes." if starting else f"{told}."


# How it was carried out.

_OUTSIDE = ("parallel", "workers", "batch", "epochs", "cores")


def settings(teams: Teams) -> list[str]:
    """Say what was the same for all, and every setting that was given or has a default."""
    shared = teams.teams[0].settings
    found = {name: value for name, value in shared.items() if name not in _OUTSIDE}
    told = ", ".join(
        f"{name} {_shown(value)}" for name, value in found.items() if value is not None
    )
    same = "All began with the same weights and shared the same batches of every epoch. "
    return [(same if len(teams.teams) > 1 else "") + f"Settings: {told}."]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def versions(teams: Teams) -> str:
    """Name the software, the threads and the runs of the record on one line."""
    found = teams.teams[0].provenance
    known = [f"{name} {found[name]}" for name in ("thalweg", "torch", "numpy", "python")]
    runs = ", ".join(team.id for team in teams.teams)
    return ", ".join([*known, numerals.count(found["threads"], "thread"), f"runs {runs}"])
