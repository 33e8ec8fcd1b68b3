"""Snapshot ensembles: several models out of one training, one at the end of each cycle.

A learning rate that falls and starts anew leads a training from one minimum to the next; models
that are taken at the bottoms err in different places, so that their mean is better than each.
Huang et al. 2017, Snapshot ensembles: train 1, get M for free.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from thalweg import files
from thalweg.arguments import check_count
from thalweg.errors import BadFile, BadType, BadValue
from thalweg.optim.driver import Driver
from thalweg.schedules import Schedule
from thalweg.training.strategies.batch_norm import is_marked, mark, reestimate
from thalweg.training.strategies.strategy import Strategy
from thalweg.training.training import Training
from thalweg.training.tree import pack, unpack
from thalweg.training.weights import Weights, check_fit, copy_of


class Snapshots(Strategy):
    """Take a copy of the weights at the end of each cycle of the learning rate.

    A cycle ends with the update whose rate is the last and lowest before it rises again, and with
    the last update of a schedule that has an end, such as `snapshot_cosine`. The schedule is the
    one that the lr of the optimizer's first group follows. Where it follows none, *at* tells the
    numbers of the updates after which to take one, counted from 1.

    ``taken`` holds the weights and ``updates`` after which update each was taken. Raises BadValue
    where it is not known when a cycle ends.
    """

    def __init__(self, at: Iterable[int] | None = None) -> None:
        self.at = None if at is None else _updates(at)
        self.taken: list[Weights] = []
        self.updates: list[int] = []

    def begin(self, training: Training) -> None:
        """Forget any training before, and find out when cycles end."""
        self._training = training
        self.taken, self.updates = [], []
        self._ends = self.at or _cycles_of(training.optimizer)

    def after_update(self, training: Training) -> None:
        """Take a snapshot where a cycle has ended."""
        if training.place.update in self._ends:
            self.taken.append(copy_of(training.model))
            self.updates.append(training.place.update)

    def ensemble(self, last: int | None = None, data: Any = None, *, batch: int = 1000) -> Ensemble:
        """Return the ensemble of the *last* so many snapshots, by default of all.

        The batch normalization of each is re-estimated on *data*, by default the training set.
        Raises BadValue where fewer were taken.
        """
        if last is not None:
            check_count("last", last)
        if len(self.taken) < (last or 1):
            raise BadValue(
                f"an ensemble of {last or 'all'} snapshots was asked for, but {len(self.taken)} "
                f"were taken, after updates {self.updates}."
            )
        members = [self._member(weights) for weights in self.taken[-(last or 0) :]]
        for member in members:
            reestimate(member, self._training.data if data is None else data, batch=batch)
        return Ensemble(members)

    def _member(self, weights: Weights) -> nn.Module:
        model = copy.deepcopy(self._training.model)
        model.load_state_dict(weights)
        return model

    def state(self) -> dict[str, Any]:
        """Return the snapshots and when they were taken."""
        return {"taken": self.taken, "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.taken, self.updates = list(state["taken"]), list(state["updates"])


def _updates(at: Any) -> frozenset[int]:
    if isinstance(at, str) or not isinstance(at, Iterable):
        raise BadType(f"at={at!r}; expected the numbers of updates, such as [30, 70, 150].")
    found = frozenset(at)
    for update in found:
        check_count("at", update)
    if not found:
        raise BadValue("at is empty; expected the numbers of updates, such as [30, 70, 150].")
    return found


def _cycles_of(optimizer: torch.optim.Optimizer) -> Cycles:
    schedule = optimizer.schedule_of("lr") if isinstance(optimizer, Driver) else None
    if schedule is None:
        raise BadValue(
            "the learning rate follows no schedule of thalweg's that says when a cycle ends. Give "
            "the optimizer one, such as lr=snapshot_cosine(...), or the updates: Snapshots(at=...)."
        )
    return Cycles(schedule)


class Cycles:
    """The updates, counted from 1, with which the cycles of a schedule end.

    Asked whether it contains a number, it looks as far as it has to: a schedule need have no end.
    Raises BadValue for one that has neither an end nor a cycle in its first 100,000 updates.
    """

    BLOCK = 100_000

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._ends = {schedule.horizon}
        self._known = 1
        self._look_further()
        if self._ends == {None}:
            raise BadValue(
                f"{schedule} does not fall and rise again in its first {self.BLOCK:,} updates, so "
                "that no cycle ends. Give it an end, or name the updates: Snapshots(at=...)."
            )

    def __contains__(self, update: int) -> bool:
        while self._known < update:
            self._look_further()
        return update in self._ends

    def _look_further(self) -> None:
        """Find the updates of one more block whose rate is below the last and the next."""
        first = self._known + 1
        self._known += self.BLOCK
        changes = np.diff(self.schedule(np.arange(first - 2, self._known + 1, dtype=float)))
        lowest = np.flatnonzero((changes[:-1] < 0) & (changes[1:] > 0))
        self._ends.update((lowest + first).tolist())


class Ensemble(nn.Module):
    """The mean of the probabilities that several models of the same classes give.

    ``forward`` returns its logarithm, of shape (..., classes) as the members' outputs, so that
    `evaluate` takes it with ``nll_loss``, and with ``cross_entropy`` as well: of logarithms of
    probabilities both are the same. It begins in evaluation mode.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        if not self.members:
            raise BadValue("an ensemble needs at least one member.")
        self.eval()

    def forward(self, inputs: Any) -> Tensor:
        """Return the logarithms of the mean probabilities."""
        each = torch.stack([member(inputs).log_softmax(-1) for member in self.members])
        return each.logsumexp(0) - math.log(len(self.members))

    def probabilities(self, inputs: Any) -> Tensor:
        """Return the mean probabilities."""
        return self(inputs).exp()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the weights of all members into one safetensors file, whole or not at all.

        Return its place. Raises BadFile where that fails.
        """
        members = [member.state_dict() for member in self.members]
        text, tensors = pack({"members": members, "marked": [is_marked(m) for m in self.members]})
        return files.write(path, safetensors.torch.save(tensors, {_KEY: text}))


_KEY = "ensemble"
"""Where the header of a file of an ensemble says what it holds."""


def load_ensemble(make_model: Callable[[], nn.Module], path: str | os.PathLike[str]) -> Ensemble:
    """Return the ensemble saved at *path*; each call of *make_model* returns a model like a member.

    No code in the file is executed. Raises BadFile for what is no ensemble, or one of another
    model, and BadType where *make_model* returns no module.
    """
    saved = _read(Path(path))
    members = [make_model() for _ in saved["members"]]
    for member, weights, marked in zip(members, saved["members"], saved["marked"], strict=True):
        if not isinstance(member, nn.Module):
            raise BadType(f"make_model returned {type(member).__name__}; expected a module.")
        check_fit(member, weights, f"{path} is an ensemble")
        member.load_state_dict(weights)
        if marked:
            mark(member)
    return Ensemble(members)


def _read(path: Path) -> dict[str, Any]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise BadFile(f"{path} cannot be read as an ensemble: {error}.") from error
    if _KEY not in header:
        raise BadFile(f"{path} holds tensors, but no ensemble; expected what Ensemble.save wrote.")
    return unpack(header[_KEY], tensors)
