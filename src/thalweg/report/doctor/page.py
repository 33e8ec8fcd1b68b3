"""What the doctor found on a page: findings first, then all that they were read from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from thalweg.report import numerals
from thalweg.report.doctor.figures import FIGURES
from thalweg.report.doctor.measured import measured
from thalweg.report.doctor.showing import pictures
from thalweg.report.doctor.subject import Subject, subject
from thalweg.report.figure import Figure
from thalweg.report.frame import framed, paragraphs, points, section, table

if TYPE_CHECKING:
    from thalweg.doctor import Diagnosis, Examination, Finding, Watch

READINGS = {
    "losses": (
        "Loss",
        "Of each update, pale, and the median of stretches of them; validation where there was "
        "one. What is far above the rest is out of the view.",
    ),
    "rates": (
        "Learning rate",
        "As it went. A dashed line is the largest stable rate of this optimizer at the curvature "
        "where the run ended; earlier it was another.",
    ),
    "activity": (
        "Activations without gradient",
        "Of rectifiers the share of units that were zero for the whole batch, of functions with "
        "flat ends the share of values there; from the input on.",
    ),
    "histograms": (
        "Activations by layer",
        "How what each layer puts out is spread, the first layer on top, at the first and the last "
        "update that was looked at. Heights are square roots of shares.",
    ),
    "gradients": (
        "Gradient by depth",
        "The norm of each weight's gradient, from the input on. Gradients that fall towards the "
        "input vanish, those that rise explode. What is zero or not finite has no point.",
    ),
    "updates": (
        "Update to weight",
        "The norm of each weight's change in one update as a share of the weight's own. A "
        "thousandth is usual; the first updates are often larger.",
    ),
    "spectrum": (
        "Spectrum",
        "Eigenvalues of the Hessian where the run ended, or points that stand for many. A ravine "
        "has most near zero and a few far to the right; a saddle has some to the left of zero.",
    ),
    "slice": (
        "Loss slice",
        "The loss on kept batches around the weights where the run ended, which are at 0. At 1 "
        "each filter has moved by its own length, at random or against its gradient. A curve that "
        "hardly rises shows a wide valley; where one falls to the right of 0, there is a way down.",
    ),
    "inputs": ("Inputs", "Each feature over all batches that were looked at."),
}


def doctor_page(found: Diagnosis | Examination | Watch) -> str:
    """Return the page as HTML."""
    of = subject(found)
    drawn = {name: figure(of.evidence) for name, figure in FIGURES.items()}
    figures = {name: each for name, each in drawn.items() if each is not None}
    return framed("doctor/page", _texts(of, figures), figures)


def _texts(of: Subject, figures: Mapping[str, Figure]) -> dict[str, str]:
    from thalweg.doctor import words

    found = of.diagnosis
    return {
        "title": escape(f"Doctor: {of.name}"),
        "question": escape(f"{of.name}, examined by the doctor."),
        "claim": escape(words.headline(found)),
        "findings": "\n".join(_group(each, found, figures) for each in words.groups(found)),
        "remarks": _listed("Remarks", words.remarks(found)),
        "sections": "\n".join(section(name, *READINGS[name]) for name in figures),
        "measured": _measured(of),
        "gaps": _listed("Not examined", words.gaps(found)),
        "costs": paragraphs([" ".join(words.costs(found))], ""),
        "protocol": paragraphs(of.protocol, ""),
        "versions": escape(_versions()),
    }


def _group(group: Sequence[Finding], found: Diagnosis, figures: Mapping[str, Figure]) -> str:
    """Return one finding, or several that are alike, as a section."""
    from thalweg.doctor import words

    first = group[0]
    told = [each for each in words.sentences(group, found) if not each.startswith("Change: ")]
    *sentences, reference = told
    return (
        f'<section class="finding of-{first.severity}">\n<h2><span class="badge">{first.severity}'
        f"</span> {escape(first.code)} {escape(first.name)}"
        f"<small>{escape(words.place(first))}</small></h2>\n"
        f"{paragraphs(sentences, '')}\n"
        f'<p class="change"><b>Change</b> <code>{escape(first.change)}</code></p>\n'
        f"{_numbers(group)}\n{paragraphs([reference], 'soft')}\n"
        f"{_shown(first.code, figures)}\n{_why(first.code)}\n</section>"
    )


def _numbers(group: Sequence[Finding]) -> str:
    """Return the numbers of findings as a table, a row for each place, with differing changes."""
    names = list(group[0].numbers)
    differ = len({each.change for each in group}) > 1
    if not names and not differ:
        return ""
    rows = [
        [
            escape(each.where or numerals.NONE),
            *(_number(each.numbers[name]) for name in names),
            *([f"<code>{escape(each.change)}</code>"] if differ else []),
        ]
        for each in group
    ]
    head = ["where", *(escape(name.replace("_", " ")) for name in names)]
    drawn = table([*head, *(["change"] if differ else [])], rows, texts=("change",))
    return f'<div class="wide">{drawn}</div>'


def _number(value: Any) -> str:
    """Write what stands among the numbers of a finding."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: numerals.NONE}[value]
    if isinstance(value, (tuple, list)):
        return " to ".join(map(_number, value))
    if isinstance(value, int):
        return f"{value:,}"
    return numerals.significant(value) if isinstance(value, float) else escape(str(value))


def _shown(code: str, figures: Mapping[str, Figure]) -> str:
    """Return links to the pictures that show a finding."""
    names = [name for name in pictures(code) if name in figures]
    links = ", ".join(f'<a href="#{name}">{escape(READINGS[name][0])}</a>' for name in names)
    return f'<p class="soft">Seen in: {links}</p>' if links else ""


def _why(code: str) -> str:
    """Return what the check's page says of the disease, folded away."""
    from thalweg.doctor import catalogue

    check = catalogue().get(code)
    if check is None:
        return ""
    told = paragraphs([" ".join(check.why.split()), " ".join(check.fix.split())], "")
    return f"<details>\n<summary>Why this is bad, and how to fix it</summary>\n{told}\n</details>"


def _listed(title: str, texts: Iterable[str]) -> str:
    told = points(texts)
    return f"<section>\n<h2>{title}</h2>\n{told}\n</section>" if told else ""


def _measured(of: Subject) -> str:
    told = "\n".join(
        f'<p><b>{name}</b> {number}<br><span class="soft">{reading}</span></p>'
        for name, number, reading in (map(escape, line) for line in measured(of.evidence))
    )
    return f"<section>\n<h2>Measured at the end</h2>\n{told}\n</section>" if told else ""


def _versions() -> str:
    from thalweg.record.provenance import provenance

    known = provenance(None)
    return ", ".join(f"{name} {known[name]}" for name in ("thalweg", "torch", "numpy", "python"))
