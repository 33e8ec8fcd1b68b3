"""The ledger of trainings with several workers: what became of gradients, pushes and updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.report.teams import words

if TYPE_CHECKING:
    from thalweg.parallel import Team, Teams

ALWAYS = ("lost_gradients", "lost_pushes", "lost_updates")
"""What a ledger shows even where it is zero everywhere."""


def columns(teams: Teams) -> list[str]:
    """Return its titles: what never happened is left out, but for losses."""
    return ["workers", "gradients", "of each", "pushes applied", "refused", "late at most",
            *(name.replace("_", " ") for name in _shown(teams))]  # fmt: skip


def cells(teams: Teams, team: Team) -> list[str]:
    """Return what stands in the columns."""
    tally = team.tally
    found = [tally.measured.total(), tally.applied, tally.refused, max(tally.staleness, default=0)]
    gradients, *pushes = (f"{count:,}" for count in found)
    counts = (f"{getattr(tally, name):,}" for name in _shown(teams))
    return [f"{team.workers:,}", gradients, _of_each(team), *pushes, *counts]


def _of_each(team: Team) -> str:
    """Return the fewest and the most gradients that a worker measured."""
    found = [team.tally.measured[rank] for rank in range(team.workers)]
    low, high = min(found), max(found)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _shown(teams: Teams) -> list[str]:
    """Return the names of the counts that have a column."""
    return [
        name
        for name, value in vars(teams.teams[0].tally).items()
        if isinstance(value, int)
        and (name in ALWAYS or any(getattr(team.tally, name) for team in teams.teams))
    ]


def happened(team: Team) -> str:
    """Say what went otherwise than planned for a team; nothing where all went well."""
    counts = {k: n for k, n in vars(team.tally).items() if isinstance(n, int) and n}
    told = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())
    parts = [
        part for part in (f"refused{_refusals(team)}" * bool(team.tally.refused), told) if part
    ]
    return f"{words.label(team)}: {'; '.join(parts)}." if parts else ""


def _refusals(team: Team) -> str:
    found = {o.value: n for o, n in team.tally.receipts.items() if o.value != "applied" and n}
    return f" ({', '.join(f'{why} {n:,}' for why, n in found.items())})" if found else ""


def refusals(teams: Teams) -> str:
    """Say why pushes were refused, and how the ledger is read."""
    told = [f"{words.label(team)}{_refusals(team)}" for team in teams.teams if team.tally.refused]
    why = f" Refused: {'; '.join(told)}." if told else ""
    return (
        "Pushes are counted per shard, as the workers were told of them. Nothing that was lost or "
        f"refused was measured again.{why}"
    )
