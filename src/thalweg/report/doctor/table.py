"""What the doctor found, in a terminal: findings worst first, each with what shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from thalweg.report.doctor.showing import pictures
from thalweg.report.doctor.small import losses, small
from thalweg.report.doctor.subject import Subject, subject

if TYPE_CHECKING:
    from thalweg.doctor import Diagnosis, Examination, Finding, Watch

STYLES = {"error": "bold red", "warning": "bold yellow"}


def doctor_summary(found: Diagnosis | Examination | Watch) -> RenderableType:
    """Return the findings with their small plots, remarks, what was not examined, and the costs.

    A plot that has been drawn for one finding is not drawn again for the next.
    """
    return Group(*_parts(subject(found)))


def _parts(of: Subject) -> Iterator[RenderableType]:
    from thalweg.doctor import words

    found = of.diagnosis
    yield Text(words.headline(found), style="bold green" if found.healthy else "bold")
    if found.healthy and (curve := losses(of.evidence, ())):
        yield from ("", _indented(curve))
    drawn: dict[str, str] = {}
    for group in words.groups(found):
        yield from ("", Text(words.title(group[0]), style=STYLES[group[0].severity]))
        yield from (_indented(Text(told)) for told in words.sentences(group, found))
        yield from _plots(group, of, drawn)
    for heading, told in (
        ("Remarks:", words.remarks(found)), ("Not examined:", words.gaps(found)),
    ):  # fmt: skip
        if told:
            yield from ("", Text(heading, style="bold"), *(_indented(Text(each)) for each in told))
    yield from ("", Text(" ".join(words.costs(found)), style="dim"))


def _plots(
    group: Sequence[Finding], of: Subject, drawn: dict[str, str]
) -> Iterator[RenderableType]:
    """Yield the first plot that there is for findings, or say where it stands already."""
    code, places = group[0].code, [each.where for each in group]
    for name in (*pictures(code), "losses"):
        plot = small(name, of.evidence, places)
        if plot is None:
            continue
        if name in drawn:
            yield _indented(Text(f"Drawn above, under {drawn[name]}.", style="dim"))
        else:
            drawn[name] = code
            yield from ("", _indented(plot))
        return


def _indented(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2))
