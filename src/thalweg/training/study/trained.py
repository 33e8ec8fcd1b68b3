"""A training as its record tells it: settings, epochs, curves, and how it ended; plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from thalweg.record import Record
from thalweg.training.evaluation import Evaluation
from thalweg.training.history import Epoch
from thalweg.training.study.settings import Settings

if TYPE_CHECKING:
    from torch import nn

Curve = tuple[tuple[int, float], ...]


class Made(NamedTuple):
    """How a model that was made of a run's weights does on the validation and the test set."""

    valid: Evaluation | None
    test: Evaluation | None


AVERAGE, ENSEMBLE = "average", "ensemble"
"""The names of such models, and of the events that tell of them."""


@dataclass(frozen=True, eq=False)
class Trained:
    """One run of a problem.

    ``updates_per_epoch`` is None where nobody could know. ``losses`` and ``rates`` are pairs of an
    update and a number. ``made`` has the models that were made of the weights, such as their
    average, by name. ``folder`` has the checkpoints; ``model`` is there where this process
    trained it: an average or an ensemble where one was asked for.
    """

    id: str
    settings: Settings
    status: str
    updates_per_epoch: int | None
    epochs: tuple[Epoch, ...]
    losses: Curve
    rates: Curve
    test: Evaluation | None
    made: Mapping[str, Made]
    provenance: Mapping[str, Any]
    folder: Path
    model: nn.Module | None = None

    @property
    def best(self) -> Epoch | None:
        """The epoch with the lowest validation loss, or training loss where there is no other."""
        finite = [epoch for epoch in self.epochs if math.isfinite(epoch.judged)]
        return min(finite, key=lambda epoch: epoch.judged, default=None)

    @property
    def diverged(self) -> bool:
        """Whether a loss was no longer finite."""
        return self.status == "diverged"


@dataclass(frozen=True, eq=False)
class Study:
    """The trainings of one problem that differ in the learning rate alone, one or several."""

    problem: str
    description: str
    runs: tuple[Trained, ...]

    @property
    def diverged(self) -> bool:
        """Whether every one of them diverged."""
        return all(run.diverged for run in self.runs)


def read(book: Record, id: str, model: nn.Module | None = None) -> Trained:
    """Return what the record says about a run that `train_problem` began."""
    run = book.find(id)
    settings = Settings.recorded(run)
    assert settings is not None
    test = run.events.get("test")
    return Trained(
        id=run.id,
        settings=settings,
        status=run.status,
        updates_per_epoch=run.hyper["updates_per_epoch"],
        epochs=tuple(Epoch(**event.data) for event in book.events(id, "epoch")),
        losses=_curve(book, id, "loss"),
        rates=_curve(book, id, "lr"),
        test=Evaluation(test.value or 0.0, test.data["accuracy"]) if test else None,
        made={
            name: _made(run.events[name].data) for name in (AVERAGE, ENSEMBLE) if name in run.events
        },
        provenance=run.provenance,
        folder=Path(run.hyper["checkpoints"]) / run.id,
        model=model,
    )


def _made(data: Mapping[str, Any]) -> Made:
    return Made(*(each and Evaluation(**each) for each in (data["valid"], data["test"])))


def _curve(book: Record, id: str, name: str) -> Curve:
    events = book.events(id, name)
    return tuple((event.step, event.value) for event in events if event.value is not None)
