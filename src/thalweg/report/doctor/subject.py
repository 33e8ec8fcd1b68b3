"""What is shown of a training that was examined: the same, whoever watched it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thalweg.report import numerals

if TYPE_CHECKING:
    from thalweg.doctor import Diagnosis, Evidence, Examination, Watch
    from thalweg.training import Settings


@dataclass(frozen=True)
class Subject:
    """A training: what it was, how it was carried out, what was seen, and what that means."""

    name: str
    protocol: tuple[str, ...]
    evidence: Evidence
    diagnosis: Diagnosis


def subject(found: Diagnosis | Examination | Watch) -> Subject:
    """Return what can be shown; of a diagnosis alone there is nothing to draw."""
    from thalweg.doctor import Diagnosis, Evidence, Examination, diagnose

    if isinstance(found, Diagnosis):
        return Subject("A training", (), Evidence(), found)
    seen = found.evidence
    told = tuple(_training(seen))
    if not isinstance(found, Examination):
        return Subject(seen.model.kind or "A model", told, seen, diagnose(seen))
    protocol = (_examined(found.settings), *told)
    return Subject(f"{found.settings.rule} on {found.problem}", protocol, seen, found.diagnosis)


def _examined(settings: Settings) -> str:
    return (
        f"Trained briefly under watch: learning rate {numerals.rate(settings.lrs[0])}, batches of "
        f"{settings.batch}, at most {numerals.count(settings.epochs or 1, 'epoch')}, "
        f"seed {settings.seed}. Nothing was recorded."
    )


def _training(seen: Evidence) -> Iterator[str]:
    optimizer, parameters = seen.optimizer, seen.model.parameters.values()
    if optimizer.kind:
        elements = sum(each.elements for each in parameters)
        kind = "the optimizer" if optimizer.kind == "Optimizer" else optimizer.kind
        yield (
            f"{seen.model.kind or 'The model'} has {elements:,} parameters; "
            f"{kind} updated them {seen.updates:,} times."
        )
    if seen.probes:
        yield (
            f"{numerals.count(len(seen.probes), 'probe')} looked more closely: at "
            "gradients, weights, what the layers put out."
        )
