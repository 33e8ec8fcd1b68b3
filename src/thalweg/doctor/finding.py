"""A finding says what is wrong, how sure that is, on what numbers, and what exactly to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from thalweg.arguments import check_number
from thalweg.errors import UnknownName

Severity = Literal["error", "warning", "remark"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "remark")
"""Worst first. An error spoils the run, a warning costs it something, a remark is only advice."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    *confidence*, from 0 to 1, is how sure the check is that the disease is there. *sentence* tells
    it with its numbers, *change* is the exact change (``lr=0.03 → 0.004``), *numbers* are the same
    for programs. *where* names the module, parameter or group, *step* the update, counted from 1.
    *explains* has further codes that this one explains, beside those that its check always does.
    ``code``, ``name`` and ``reference`` are those of the check; the check itself fills them in.

    Raises BadValue or BadType for a confidence that is none, UnknownName for another severity.
    """

    severity: Severity
    confidence: float
    sentence: str
    change: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    step: int | None = None
    explains: tuple[str, ...] = ()
    code: str = ""
    name: str = ""
    reference: str = ""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise UnknownName(f"severity={self.severity!r}; expected one of {SEVERITIES}.")
        check_number("confidence", self.confidence, 0, 1.000001)


def change(name: str, old: float, new: float) -> str:
    """Return the change of a number in so many words: ``lr=0.03 → 0.004``."""
    return f"{name}={short(old)} → {short(new)}"


def rounded(number: float) -> float:
    """Return a number with one digit, as one would type a learning rate."""
    return float(f"{number:.1g}")


def short(number: float) -> str:
    """Return a number in at most three digits, as it would be typed."""
    return f"{number:.3g}"
