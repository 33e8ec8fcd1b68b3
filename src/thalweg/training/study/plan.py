"""A problem with complete settings: what can be refused is refused before anything is written."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from thalweg import rules
from thalweg.errors import BadFile, BadValue
from thalweg.optim import Optimizer
from thalweg.problems import Data, Problem, Split
from thalweg.rules import Rule
from thalweg.schedules import Schedule
from thalweg.schedules.spread import spread
from thalweg.training.data.batches import as_batches
from thalweg.training.data.forms import as_data
from thalweg.training.fitting import check_accumulation
from thalweg.training.strategies.single import check_single
from thalweg.training.study.settings import Settings

_ROWS = 1000
"""How many examples of the training set are looked at to tell it from another."""


@dataclass(frozen=True)
class Plan:
    """What `train_problem` is about to do.

    ``updates_per_epoch`` is None for a loader that does not say how many batches it has.
    """

    problem: Problem
    settings: Settings
    folder: Path
    updates_per_epoch: int | None

    def build(self, settings: Settings) -> tuple[nn.Module, Optimizer]:
        """Return the untrained model and its optimizer, for one learning rate."""
        model = self.problem.make_model(settings.seed or 0)
        hyper: dict[str, Any] = {**_of_transforms(settings), **(settings.hyper or {})}
        rate = self._rate(settings)
        return model, Optimizer(model.parameters(), _rule(settings), lr=rate, **hyper)

    def _rate(self, settings: Settings) -> float | Schedule:
        name, warmup = settings.schedule or "constant", settings.warmup or 0
        if name == "constant" and not warmup:
            return settings.lrs[0]
        if self.updates_per_epoch is None:
            raise BadValue(
                f"{self.problem.name} has a loader of unknown length, so that neither the schedule "
                f"{name!r} nor a warm-up can be spread over the run. Give the loader's data set a "
                "__len__, or use a constant rate."
            )
        updates = self.updates_per_epoch * (settings.epochs or 1)
        return spread(name, settings.lrs[0], updates, warmup, settings.snapshots)

    def hyper(self, settings: Settings) -> dict[str, Any]:
        """Return what the record keeps of a run beside its seed and its rule's text."""
        return {
            **asdict(settings),
            "updates_per_epoch": self.updates_per_epoch,
            "checkpoints": str(self.folder),
            "problem": self.problem.digest,
            "data": digest(self.problem.train),
        }


def planned(problem: Problem, settings: Settings, folder: str | os.PathLike[str]) -> Plan:
    """Complete the settings, check all of them by building every optimizer, make the folder."""
    whole = settings.completed(problem)
    place = Path(os.path.abspath(folder))
    check_accumulation(problem.loss, whole.accumulate or 1)
    batches = as_batches(as_data(problem.train), whole.batch or 1, None, 0, whole.accumulate or 1)
    plan = Plan(problem, whole, place, batches.updates_per_epoch)
    for each in whole.each():
        model, _ = plan.build(each)
        check_single(model, batches, each.epochs or 1)
        each.strategies()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFile(f"{place} cannot hold checkpoints: {error.strerror}.") from error
    return plan


def _rule(settings: Settings) -> Rule:
    before = [rules.clip_by_global_norm] if settings.clip is not None else []
    before += [rules.add_noise] if settings.noise is not None else []
    rule = rules.find(settings.rule or "adamw")
    return rules.chain(*before, rule) if before else rule


def _of_transforms(settings: Settings) -> dict[str, float]:
    found: dict[str, float] = {}
    if settings.clip is not None:
        found["max_norm"] = settings.clip
    if settings.noise is not None:
        found |= {"noise_eta": settings.noise, "seed": float(settings.seed or 0)}
    return found


def digest(data: Data | None) -> str:
    """Return what tells the first examples of a set from others; empty for a loader or none."""
    if not isinstance(data, Split):
        return ""
    found = hashlib.sha256()
    for rows in data:
        found.update(torch.as_tensor(rows[:_ROWS]).double().numpy().tobytes())
    return found.hexdigest()[:12]
