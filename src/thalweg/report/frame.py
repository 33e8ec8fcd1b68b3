"""The frame of every page: one file that holds all it needs and opens without a network."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

from thalweg.report.figure import DARK, LIGHT, Figure


def framed(name: str, texts: Mapping[str, str], figures: Mapping[str, Figure]) -> str:
    """Return a page of about 5 MB: the template *name* with its texts, and its figures drawn.

    The texts are HTML already, ``title`` among them. Each figure goes to the element of its name,
    with what it does not say itself: colours, a legend, and a height at which the legend fits.
    """
    from plotly.offline import get_plotlyjs

    return _template("frame").substitute(
        title=texts["title"],
        body=_template(name).substitute(texts),
        figures=_embedded(figures),
        light=_palette(LIGHT),
        dark=_palette(DARK),
        plotly=get_plotlyjs(),
    )


def _template(name: str) -> Template:
    return Template(files("thalweg.report").joinpath(f"{name}.html").read_text("utf-8"))


def _embedded(data: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def _palette(colours: Sequence[str]) -> str:
    return " ".join(f"--colour-{number}: {value};" for number, value in enumerate(colours))


def section(name: str, title: str, reading: str) -> str:
    """Return the place of the figure *name*, with its title and how it is read, as plain text."""
    return (
        f'<section>\n<h2>{escape(title)}</h2>\n<p class="soft">{escape(reading)}</p>\n'
        f'<div class="plot" id="{name}"></div>\n</section>'
    )


def paragraphs(texts: Iterable[str], kind: str) -> str:
    """Return a paragraph for each text that is not empty."""
    return "\n".join(f'<p class="{kind}">{escape(text)}</p>' for text in texts if text)


def points(texts: Iterable[str]) -> str:
    """Return a list with a point for each text, or nothing where there is none."""
    lines = "\n".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="points">\n{lines}\n</ul>' if lines else ""


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], texts: Container[str] = ("note",)
) -> str:
    """Return a table whose cells are HTML already.

    The first column stands left and stays in sight, those called one of *texts* stand left too.
    """
    kinds = ["left", *("note" if name in texts else "" for name in head[1:])]
    lines = [_line("th", head, kinds), *(_line("td", row, kinds) for row in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _line(element: str, cells: Sequence[str], kinds: Sequence[str]) -> str:
    pairs = zip(cells, kinds, strict=True)
    inner = "".join(f'<{element} class="{kind}">{cell}</{element}>' for cell, kind in pairs)
    return f"<tr>{inner}</tr>"
