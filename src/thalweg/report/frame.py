"""The frame of every page: one file that holds all it needs and opens without a network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

from thalweg.report.figure import Figure


def framed(name: str, texts: Mapping[str, str], figures: Mapping[str, Figure]) -> str:
    """Return a page of about 5 MB: the template *name* with its texts, and its figures drawn.

    The texts are HTML already, ``title`` among them, and ``count``, how many names a legend has.
    Each figure goes to the element of its name.
    """
    from plotly.offline import get_plotlyjs

    return _template("frame").substitute(
        title=texts["title"],
        count=texts["count"],
        body=_template(name).substitute(texts),
        figures=_embedded(figures),
        plotly=get_plotlyjs(),
    )


def _template(name: str) -> Template:
    return Template(files("thalweg.report").joinpath(f"{name}.html").read_text("utf-8"))


def _embedded(data: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def paragraphs(texts: Iterable[str], kind: str) -> str:
    """Return a paragraph for each text that is not empty."""
    return "\n".join(f'<p class="{kind}">{escape(text)}</p>' for text in texts if text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are HTML already; the first column and any note stand left."""
    kinds = ["left", *("note" if name == "note" else "" for name in head[1:])]
    lines = [_line("th", head, kinds), *(_line("td", row, kinds) for row in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _line(element: str, cells: Sequence[str], kinds: Sequence[str]) -> str:
    pairs = zip(cells, kinds, strict=True)
    inner = "".join(f'<{element} class="{kind}">{cell}</{element}>' for cell, kind in pairs)
    return f"<tr>{inner}</tr>"
