"""What a learning rate is asked for: a model, its rule, its loss and its data, never written to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import Any, final

import torch
from torch import Tensor, nn

from thalweg.errors import BadType, BadValue
from thalweg.landscape.objective import check_loss
from thalweg.optim.driver import Driver
from thalweg.problems import own_gradient
from thalweg.training import evaluate, randomness
from thalweg.training.data.batches import Batches
from thalweg.training.data.forms import Batch, Data, Stream, moved
from thalweg.training.evaluation import device_of


@final
class Learner:
    """A copy of a model with its optimizer and loss, at the state in which they were given."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[..., Tensor]
    ) -> None:
        self.model, self.optimizer, self.loss = _copied(model, optimizer, loss)
        self.model.train()
        first = float(self.optimizer.param_groups[0]["lr"])
        self._shares = [float(each["lr"]) / first for each in self.optimizer.param_groups]

    def update(self, batch: Batch, rate: float) -> Tensor:
        """Make one update at this learning rate of the first group; return the loss before it."""
        for group, share in zip(self.optimizer.param_groups, self._shares, strict=True):
            group["lr"] = rate * share
        inputs, targets = (moved(part, device_of(self.model)) for part in batch)
        self.optimizer.zero_grad()
        loss = self._gradient(inputs, targets)
        self.optimizer.step()
        return loss.detach()

    def _gradient(self, inputs: Any, targets: Any) -> Tensor:
        if (written := own_gradient(self.loss)) is not None:
            return written(self.model, inputs, targets)
        loss = self.loss(self.model(inputs), targets)
        loss.backward()
        return loss


def _copied(*parts: Any) -> Any:
    try:
        return deepcopy(parts)
    except Exception as error:
        raise BadType(
            f"the model, its optimizer or its loss cannot be copied ({error}), and runs are made "
            "on copies alone. Give them before their first update, without what deepcopy refuses."
        ) from error


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """What is asked about; *valid* is what short runs are judged on, None for their own losses."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[..., Tensor]
    batches: Batches
    valid: Data | None
    seed: int = 0

    def learner(self, run: int = 0) -> Learner:
        """Return a copy to be trained, and let random numbers begin anew for run number *run*."""
        randomness.seed(self.seed + run)
        return Learner(self.model, self.optimizer, self.loss)

    def drawn(self, updates: int, run: int = 0) -> list[Batch]:
        """Return the batches of so many updates, in the order of run number *run*."""
        randomness.seed(self.seed + run)
        return list(islice(self._endless(run), updates))

    def _endless(self, run: int) -> Iterator[Batch]:
        epoch, update = 1000 * run, 0
        while True:
            for _, group in self.batches.epoch(epoch, 0, update):
                yield group[0]
                update += 1
            epoch += 1

    def judged(self, learner: Learner) -> float:
        """Return the loss on the validation set."""
        return evaluate(learner.model, learner.loss, self.valid).loss

    @property
    def rate(self) -> float:
        """The learning rate of the first group now."""
        return float(self.optimizer.param_groups[0]["lr"])

    def check(self) -> None:
        """Raise BadValue or BadType unless a first batch has a finite loss with a gradient."""
        for number, group in enumerate(self.optimizer.param_groups):
            _check_rate(self.optimizer, number, group)
        if own_gradient(self.loss) is not None:
            return
        learner, (batch,) = self.learner(), self.drawn(1)
        inputs, targets = (moved(part, device_of(learner.model)) for part in batch)
        check_loss(learner.loss(learner.model(inputs), targets))


def _check_rate(optimizer: torch.optim.Optimizer, number: int, group: Mapping[str, Any]) -> None:
    kind = type(optimizer).__name__
    if "lr" not in group:
        raise BadValue(f"{kind} has no learning rate in group {number}, so there is none to find.")
    if isinstance(optimizer, Driver) and optimizer.schedule_of("lr", number) is not None:
        raise BadValue(
            f"the learning rate of group {number} is a schedule. Ask with a number, such as lr=1, "
            "and scale the schedule by the answer."
        )
    if not float(group["lr"]) > 0:
        raise BadValue(
            f"the learning rate of group {number} is {float(group['lr']):g}; expected a positive "
            "number, for groups keep their ratios."
        )


@contextmanager
def undisturbed(*sets: Data | None) -> Iterator[None]:
    """Put all random numbers back afterwards, those of loaders and their samplers included."""
    own = [each for data in sets if isinstance(data, Stream) for each in data.generators]
    before = randomness.capture(own)
    try:
        yield
    finally:
        randomness.restore(before, own)
