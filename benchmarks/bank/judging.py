"""What the doctor says of each run, held against what should be said of it."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from thalweg.doctor import Diagnosis, catalogue, words

from .run import Run


@dataclass(frozen=True)
class Verdict:
    """A run, the diagnosis of it, and the seconds that it took."""

    run: Run
    diagnosis: Diagnosis
    seconds: float

    @property
    def found(self) -> list[str]:
        """The codes that were found, worst first, each once."""
        return list(dict.fromkeys(each.code for each in self._beyond_remarks))

    @property
    def first(self) -> str:
        return (self.found or [""])[0]

    @property
    def right(self) -> bool:
        """Whether an expected code comes first; of a healthy run, whether none does."""
        return not self.found if self.run.healthy else self.first in self.run.codes

    @property
    def severities(self) -> set[str]:
        return {each.severity for each in self._beyond_remarks}

    @property
    def report(self) -> str:
        return words.report(self.diagnosis)

    @property
    def _beyond_remarks(self) -> list:
        return [each for each in self.diagnosis.findings if each.severity != "remark"]


def judge(run: Run) -> Verdict:
    """Train a run on one thread, with its own random numbers, and return the verdict."""
    begun = time.perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            diagnosis = run.train()
    finally:
        torch.set_num_threads(threads)
    return Verdict(run, diagnosis, time.perf_counter() - begun)


def summary(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the figures that the doctor is judged by, a sentence each."""
    ill = [each for each in verdicts if not each.run.healthy]
    well = [each for each in verdicts if each.run.healthy]
    right = sum(each.right for each in ill)
    wrong = {kind: sum(kind in each.severities for each in well) for kind in ("error", "warning")}
    return [
        f"Of {len(ill)} faulty runs {right} have the right code first: "
        f"{right / max(len(ill), 1):.0%} (wanted ≥ 90 %).",
        f"Of {len(well)} healthy runs {wrong['error']} have a finding of severity error (wanted 0) "
        f"and {wrong['warning']} a warning (wanted ≤ 5 %).",
    ]


def tables(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the summary, the table of codes, and that of healthy runs with a finding, if any."""
    return ["\n".join(summary(verdicts)), "", *_by_code(verdicts), "", *_runs(verdicts)]


def _by_code(verdicts: Sequence[Verdict]) -> list[str]:
    """Return what came first for each expected code: the confusion."""
    lines = ["| expected | runs | right code first | first instead |", "|---|---:|---:|---|"]
    for code in sorted({each.run.codes[0] for each in verdicts if each.run.codes}):
        mine = [each for each in verdicts if each.run.codes[:1] == (code,)]
        right = sum(each.right for each in mine)
        lines.append(f"| {_named(code)} | {len(mine)} | {right} | {_instead(mine)} |")
    well = [each for each in verdicts if each.run.healthy]
    right = sum(each.right for each in well)
    return [*lines, f"| healthy | {len(well)} | {right} | {_instead(well)} |"]


def _named(code: str) -> str:
    return f"{code} {catalogue()[code].name}" if code in catalogue() else code


def _instead(verdicts: Sequence[Verdict]) -> str:
    others = Counter(each.first or "nothing" for each in verdicts if not each.right)
    return ", ".join(f"{first} ({times})" for first, times in others.most_common())


def _runs(verdicts: Sequence[Verdict]) -> list[str]:
    lines = ["| run | what is done | expected | found |", "|---|---|---|---|"]
    for each in verdicts:
        expected = " or ".join(each.run.codes) or "healthy"
        found = ", ".join(each.found) or "healthy"
        name = each.run.name.replace("_", " ")
        mark = "" if each.right else "**"
        lines.append(f"| {name} | {each.run.story} | {expected} | {mark}{found}{mark} |")
    return lines
