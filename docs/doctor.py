"""Writes the table of codes in docs/doctor.md from the catalogue: `python -m docs.doctor`.

What stands outside the two marks is written by hand, or by the bank, and stays.
"""

from pathlib import Path

from thalweg.doctor import Check, catalogue
from thalweg.doctor.evidence import KINDS

PAGE = Path(__file__).parent / "doctor.md"
BEGIN, END = "<!-- codes -->", "<!-- end codes -->"

CHAPTERS = {
    "GD1": "Numbers",
    "GD2": "Learning rate and terrain",
    "GD3": "Layers",
    "GD4": "Optimizer, schedule and loop",
    "GD5": "Data and batches",
}


def table(checks: list[Check]) -> str:
    """Return a table with a line for each check."""
    head = ["| code | name | what it finds | evidence it needs |", "|:--|:--|:--|:--|"]
    return "\n".join(head + [line(each) for each in checks])


def line(check: Check) -> str:
    """Return what a check finds, on one line of a table."""
    finds = " ".join(check.finds.split())
    needs = "; ".join(KINDS[kind] for kind in check.needs)
    cells = (check.code, check.name, finds, needs)
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"


def page(written: str) -> str:
    """Return the whole page: what is *written*, with the table of today between the marks."""
    before, _, rest = written.partition(BEGIN)
    after = rest.partition(END)[2]
    parts = [before + BEGIN]
    for beginning, title in CHAPTERS.items():
        checks = [each for code, each in catalogue().items() if code.startswith(beginning)]
        parts.append(f"### {title}\n\n{table(checks)}")
    return "\n\n".join([*parts, END + after])


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
