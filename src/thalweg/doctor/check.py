"""A check is a function from evidence to findings, with a page that says why one should care."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from thalweg.doctor.evidence import KINDS, Evidence, Kind
from thalweg.doctor.finding import Finding
from thalweg.errors import UnknownName, nearest

Examine = Callable[..., Iterator[Finding]]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One disease: its page, the evidence it needs, and the function that looks for it.

    *examine* is called with the evidence, and yields findings without code, name and reference.
    Its keyword-only arguments are the thresholds, their defaults the published values. Each of
    *needs* must have been seen, or it is not called; *glances* are kinds it uses where they are
    there. *explains* are the codes of diseases that this one brings about: where both are found,
    the report puts those beneath this one.
    """

    code: str
    name: str
    finds: str
    why: str
    fix: str
    reference: str
    needs: tuple[Kind, ...]
    glances: tuple[Kind, ...] = ()
    explains: tuple[str, ...] = ()
    examine: Examine

    def __call__(self, evidence: Evidence, **thresholds: float) -> list[Finding]:
        """Return what it finds; nothing where a kind of evidence that it needs is missing."""
        if self.lacks(evidence):
            return []
        reference = _flowing(self.reference)
        named: dict[str, Any] = {"code": self.code, "name": self.name, "reference": reference}
        return [replace(each, **named) for each in self.examine(evidence, **thresholds)]

    def lacks(self, evidence: Evidence) -> str:
        """Return why it cannot look, an empty string where it can."""
        reasons = ((kind, evidence.lacks(kind)) for kind in self.needs)
        return "; ".join(f"{KINDS[kind]}: {reason}" for kind, reason in reasons if reason)

    @property
    def thresholds(self) -> Mapping[str, Any]:
        """Its thresholds by name."""
        parameters = inspect.signature(self.examine).parameters.values()
        return {each.name: each.default for each in parameters if each.default is not each.empty}

    @property
    def page(self) -> str:
        """Its page as Markdown: what it finds, why, the evidence, the fix, the reference."""
        kinds = [*self.needs, *(f"{each}" for each in self.glances)]
        evidence = [f"- {KINDS[kind]}{self._where_seen(kind)}" for kind in kinds]  # type: ignore[index]
        limits = [f"- `{name} = {value:g}`" for name, value in self.thresholds.items()]
        return "\n\n".join(
            [
                f"# {self.code}: {self.name}",
                f"## What it finds\n\n{_flowing(self.finds)}",
                f"## Why is this bad?\n\n{_flowing(self.why)}",
                "## Evidence it needs\n\n" + "\n".join(evidence),
                "## Thresholds\n\n" + ("\n".join(limits) or "None: it is there or it is not."),
                f"## How to fix it\n\n{_flowing(self.fix)}",
                f"## References\n\n{_flowing(self.reference)}\n",
            ]
        )

    def _where_seen(self, kind: str) -> str:
        return "" if kind in self.needs else ", where they are seen"


def _flowing(text: str) -> str:
    """Return text whose paragraphs were indented and broken to fit the source, flowing."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def check(**page: Any) -> Callable[[Examine], Check]:
    """Make a function of the evidence a check; the arguments are the fields of `Check`."""

    def decorate(function: Examine) -> Check:
        return Check(examine=function, **page)

    return decorate


@cache
def catalogue() -> Mapping[str, Check]:
    """Return all checks by code, in the order of codes: one from each module of ``checks/``."""
    from thalweg.doctor import checks

    names = [each.name for each in pkgutil.iter_modules(checks.__path__, f"{checks.__name__}.")]
    modules = map(importlib.import_module, names)
    found = [each for module in modules for each in vars(module).values() if type(each) is Check]
    return {each.code: each for each in sorted(found, key=lambda each: each.code)}


def find_check(code: str) -> Check:
    """Return the check of a code such as GD101; UnknownName where there is none."""
    known = {each.lower(): each for each in catalogue()}
    if code.lower() not in known:
        raise UnknownName(f"There is no check {code!r}.{nearest(code, known)}")
    return catalogue()[known[code.lower()]]
