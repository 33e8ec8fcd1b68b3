"""Weaves the catalogue of docs/schedules.md from the schedules: `python -m docs.schedules`.

What stands above the mark in that page is written by hand and stays.
"""

import io
from pathlib import Path

from rich.console import Console

from thalweg.report import endpoints, plot
from thalweg.schedules import Kind, catalogue

PAGE = Path(__file__).parent / "schedules.md"
WIDTH = 78

MARK = """## The catalogue

*From here on woven by `python -m docs.schedules` and compared with a fresh weaving by
`tests/test_schedules_page.py`; do not edit below.*
"""


def drawing(kind: Kind) -> str:
    """Return a kind's example as it is drawn in a terminal."""
    text = io.StringIO()
    Console(file=text, width=WIDTH).print(plot(kind(**kind.example)))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def section(kind: Kind) -> str:
    """Return all there is to say of a kind of schedule."""
    parts = [
        f"### {kind.name}",
        f"`{kind.signature}`",
        kind.summary,
        f"*{kind.source}.*" if kind.source else "",
        f"```math\n{kind.latex}\n```",
        endpoints(kind).replace(kind.call, f"`{kind.call}`"),
        f"```text\n{drawing(kind)}\n```",
    ]
    return "\n\n".join(filter(None, parts))


def page(written: str) -> str:
    """Return the whole page: what is *written* by hand above the mark, and the catalogue."""
    head = written.partition(MARK)[0]
    links = " · ".join(f"[{name}](#{name})" for name in catalogue)
    return "\n\n".join([head + MARK.rstrip(), links, *map(section, catalogue.values()), ""])[:-1]


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
