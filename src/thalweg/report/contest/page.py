"""A contest on a page: the verdict, the performance profiles, and a section for each race."""

from __future__ import annotations

from html import escape

from thalweg.racing import Contest, Result
from thalweg.report.contest import standings
from thalweg.report.contest.figures import profiles
from thalweg.report.figure import Figure
from thalweg.report.frame import framed, points, section, table
from thalweg.report.race import words
from thalweg.report.race.figures import curves
from thalweg.report.race.figures.looks import LEADING, look, looks
from thalweg.report.race.page import board, named, reading

_PROFILES = (
    "Performance profiles",
    "On which share of the problems a rule gets to the target with at most so many times the "
    "updates of the fastest: the higher, the better. At 1 stands on how many it is the fastest. "
    "Where lines lie on each other, the wider one is of the rule with the higher mean height.",
)


def contest_page(contest: Contest) -> str:
    """Return the page of a contest, as HTML."""
    ranked = standings.ranked(contest)
    drawn = {"profiles": profiles(contest)} | {
        f"curves-{number}": curves(result, ranked)
        for number, result in enumerate(contest.results, 1)
    }
    pictures = {name: figure for name, figure in drawn.items() if figure is not None}
    return framed("contest/page", _texts(contest, pictures), pictures)


def _texts(contest: Contest, pictures: dict[str, Figure]) -> dict[str, str]:
    claim, *others = contest.sentences
    return {
        "title": escape(standings.title(contest)),
        "question": escape(standings.question(contest)),
        "claim": escape(claim),
        "verdict": points(others),
        "profiles": _profiles(contest) if "profiles" in pictures else "",
        "table": _table(contest),
        "reading": escape(standings.READING),
        "races": _races(contest, pictures),
        "versions": escape(words.versions(contest.results[0].header)),
    }


def _profiles(contest: Contest) -> str:
    title, reading = _PROFILES
    seen = [place < LEADING for place in range(len(contest.profiles))]
    return section("profiles", title, reading + words.hidden(seen))


def _table(contest: Contest) -> str:
    """Return the standings, with the look that each rule has in every picture of the page."""
    names = standings.names(contest)
    rows = [
        [named(names[rule], look(place, seen=True)), *standings.cells(contest, rule)]
        for place, rule in enumerate(standings.ranked(contest))
    ]
    return table(["rule", *map(escape, standings.titles(contest))], rows)


def _races(contest: Contest, pictures: dict[str, Figure]) -> str:
    ranked = standings.ranked(contest)
    return "\n".join(
        _race(result, ranked, f"curves-{number}" if f"curves-{number}" in pictures else "")
        for number, result in enumerate(contest.results, 1)
    )


def _race(result: Result, ranked: list[str], picture: str) -> str:
    """Return what one race says for itself, with its curves where there is a picture of them."""
    first, *others = words.verdict(result)
    return (
        f"<section>\n<h2>{escape(result.problem)}</h2>\n"
        f'<p class="soft">{escape(words.question(result.header))}</p>\n'
        f'<p class="claim">{escape(first)}</p>\n{points(others)}\n'
        f'<div class="wide">{board(result, ranked)}</div>\n'
        f'<p class="soft">{escape(reading(result))}</p>\n'
        f"{_curves(result, picture) if picture else ''}"
        "<details>\n<summary>How it was carried out</summary>\n"
        f"{points(words.protocol(result))}\n</details>\n</section>"
    )


def _curves(result: Result, picture: str) -> str:
    seen = [each.seen for each in looks(result).values()]
    told = "Every seed is a thin line, the median of a rule's seeds a thick one."
    return (
        f'<div class="plot" id="{picture}"></div>\n'
        f'<p class="soft">{escape(told + words.hidden(seen))}</p>\n'
    )
