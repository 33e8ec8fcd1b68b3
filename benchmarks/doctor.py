"""Holds the doctor against a bank of trainings that are known to be ill or healthy.

    python benchmarks/doctor.py                  every run and what was found, and the summary
    python benchmarks/doctor.py GD202 lstm       the runs of a code, and those of a name
    python benchmarks/doctor.py GD202 --report   also what the doctor says of each
    python benchmarks/doctor.py --write          also put the table into docs/doctor.md

Each run is watched as it comes: three per cent of the training's time, two seconds at its end. A
faulty run counts as found where the expected code comes first.
"""

import argparse
from pathlib import Path

from bank import judge, runs, summary, tables

PAGE = Path(__file__).parent.parent / "docs" / "doctor.md"
START, END = "<!-- bank -->", "<!-- end bank -->"


def line(verdict) -> str:
    mark = " " if verdict.right else "×"
    expected = "/".join(verdict.run.codes) or "healthy"
    found = " ".join(
        f"{each.code}:{each.severity[0]}"
        for each in verdict.diagnosis.findings
        if each.severity != "remark"
    )
    return f"{mark} {verdict.seconds:5.2f} s  {verdict.run.name:42} {expected:12} {found or '-'}"


def write(lines: list[str]) -> None:
    """Put lines between the markers of the page."""
    before, _, rest = PAGE.read_text().partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + START, *lines, END]) + after)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("words", nargs="*", default=[""], help="codes, or parts of names")
    options.add_argument("--report", action="store_true")
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    wanted = {each.name: each for word in chosen.words for each in runs(word)}
    verdicts = []
    for run in wanted.values():
        verdicts.append(judge(run))
        print(line(verdicts[-1]), flush=True)
        if chosen.report:
            print(verdicts[-1].report, "\n", flush=True)
    print("", *summary(verdicts), sep="\n")
    print(f"{sum(each.seconds for each in verdicts):.0f} s in all.")
    if chosen.write:
        write(tables(verdicts))


if __name__ == "__main__":
    main()
