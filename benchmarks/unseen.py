"""Holds the doctor against trainings whose author had not seen its checks.

    python benchmarks/unseen.py                  every run and what was found, and the summary
    python benchmarks/unseen.py GD202 curve      the runs of a code, and those of a name
    python benchmarks/unseen.py GD202 --report   also what the doctor says of each
    python benchmarks/unseen.py --write NAME     also put the table into benchmarks/README.md

Each run is watched as it comes. Needs MNIST, CIFAR-10 and tiny Shakespeare in THALWEG_DATA. A run
is right where a code that was declared beforehand comes first, and a healthy one where nothing is
found. NAME is that of the marks in the page: ``unseen`` or ``mended``.
"""

import argparse
import time
import warnings
from dataclasses import dataclass

import torch
from fresh import Run, runs
from step import write

HEAD = "| training | right | found, first one first |\n|---|---|---|"


@dataclass(frozen=True)
class Verdict:
    """What was found in a run: codes with their severities, worst first."""

    run: Run
    found: list[tuple[str, str]]
    report: str
    seconds: float

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.found]

    @property
    def right(self) -> bool:
        return self.codes[0] in self.run.codes if self.codes else not self.run.codes

    @property
    def among(self) -> bool:
        return not set(self.codes).isdisjoint(self.run.codes)

    def severe(self, severity: str) -> bool:
        return severity in dict(map(reversed, self.found))


def judge(run: Run) -> Verdict:
    torch.manual_seed(0)
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained = run.train()
    # What a script keeps, such as an average of the weights, lives until the report is made.
    watch = trained[0] if isinstance(trained, tuple) else trained
    report = str(watch.report())
    found = [(each.code, each.severity) for each in watch.findings if each.severity != "remark"]
    return Verdict(run, found, report, time.perf_counter() - begin)


def line(verdict: Verdict) -> str:
    mark = " " if verdict.right else "~" if verdict.among else "×"
    expected = "/".join(verdict.run.codes) or "healthy"
    found = " ".join(f"{code}:{severity[0]}" for code, severity in verdict.found)
    return f"{mark} {verdict.seconds:5.2f} s  {verdict.run.name:42} {expected:17} {found or '-'}"


def summary(verdicts: list[Verdict]) -> list[str]:
    ill = [each for each in verdicts if each.run.codes]
    well = [each for each in verdicts if not each.run.codes]
    first, among = sum(each.right for each in ill), sum(each.among for each in ill)
    share = first / max(len(ill), 1)
    errors = sum(each.severe("error") for each in well)
    warned = sum(each.severe("warning") for each in well)
    return [
        f"Of {len(ill)} faulty runs {first} have a right code first ({share:.0%}),",
        f"{among - first} more have it among what was found, {len(ill) - among} do not have it.",
        f"Of {len(well)} healthy runs {errors} have an error and {warned} a warning.",
    ]


def table(verdicts: list[Verdict]) -> list[str]:
    def row(each: Verdict) -> str:
        name = each.run.name.replace("_", " ")
        expected = " or ".join(each.run.codes) or "healthy"
        found = ", ".join(f"{code} ({severity})" for code, severity in each.found) or "healthy"
        return f"| {name} | {expected} | {found if each.right else f'**{found}**'} |"

    return [*summary(verdicts), "", HEAD, *map(row, verdicts)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("words", nargs="*", default=[""], help="codes, or parts of names")
    options.add_argument("--report", action="store_true")
    options.add_argument("--write", choices=("unseen", "mended"))
    chosen = options.parse_args()
    torch.set_num_threads(1)
    wanted = {each.name: each for word in chosen.words for each in runs(word)}
    verdicts = []
    for run in wanted.values():
        verdicts.append(judge(run))
        print(line(verdicts[-1]), flush=True)
        if chosen.report:
            print(verdicts[-1].report, "\n", flush=True)
    print("", *summary(verdicts), sep="\n")
    if chosen.write:
        write({chosen.write: table(verdicts)})


if __name__ == "__main__":
    main()
