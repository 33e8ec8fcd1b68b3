"""Curriculum learning: easy examples first, harder ones from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import BadType, BadValue
from thalweg.schedules import Schedule
from thalweg.training.data.forms import Examples
from thalweg.training.data.order import Order

_CHUNK = 1000

Pacing = Callable[[int], float] | Schedule


class Curriculum(Order):
    """In every epoch the easiest share of the examples, shuffled.

    *difficulty* is one number for each example, or a function of (inputs, targets) that returns
    them for a batch; it is evaluated once, before training. ``pacing(epoch)``, a pure function or
    a schedule over epochs from 0, is the share of the examples, above 0 and at most 1, that an
    epoch sees. Equally difficult examples stand in the order of the training set.

    *mix* is the part of each epoch that is drawn from the whole set, hard examples included: 0 is
    the curriculum alone, 1 a random part of the set. No example is seen twice in an epoch.

    The order of difficulty is kept in checkpoints, so that a function that would judge otherwise
    later, such as the loss of a model in training, does no harm.
    """

    def __init__(self, difficulty: Any, pacing: Pacing, mix: float = 0.0) -> None:
        if not callable(pacing):
            raise BadType(
                f"pacing={pacing!r}; expected a function of the epoch, or a schedule such as "
                "linear(0.2, 1.0, steps=10)."
            )
        if isinstance(mix, bool) or not isinstance(mix, (int, float)) or not 0 <= mix <= 1:
            raise BadValue(f"mix={mix!r}; expected a share from 0 to 1.")
        self.difficulty, self.pacing, self.mix = difficulty, pacing, mix
        self.easiest_first = torch.empty(0, dtype=torch.int64)

    def prepare(self, examples: Examples, epochs: int) -> None:
        """Judge the examples, and go through the pacing of all epochs."""
        for epoch in range(epochs):
            self.length(len(examples), epoch)
        if callable(self.difficulty):
            numbers = _judged(self.difficulty, examples)
        else:
            numbers = _numbers(self.difficulty, len(examples))
        self.easiest_first = _finite(numbers).argsort(stable=True)

    def length(self, count: int, epoch: int) -> int:
        """Return how many examples are in the share; BadValue unless there is one at least."""
        share = self._share(epoch)
        if not 0 < share <= 1:
            raise BadValue(
                f"the pacing of epoch {epoch} is {share:g}; expected the share of the examples "
                "that it sees, above 0 and at most 1."
            )
        if round(share * count) < 1:
            raise BadValue(
                f"the pacing of epoch {epoch} is {share:g}, which is none of {count:,} examples; "
                f"expected at least {1 / count:.2g}."
            )
        return round(share * count)

    def _share(self, epoch: int) -> float:
        share = self.pacing(epoch)
        try:
            return float(share)
        except (TypeError, ValueError):
            raise BadType(f"the pacing of epoch {epoch} is {share!r}; expected a number.") from None

    def indices(self, count: int, epoch: int, generator: torch.Generator) -> Tensor:
        """Return the epoch's part of the whole set and of the share, shuffled together."""
        length = self.length(count, epoch)
        anywhere = torch.randperm(count, generator=generator)[: round(self.mix * length)]
        taken = torch.zeros(count, dtype=torch.bool)
        taken[anywhere] = True
        easy = self.easiest_first[:length]
        easy = _shuffled(easy[~taken[easy]], generator)[: length - len(anywhere)]
        return _shuffled(torch.cat([anywhere, easy]), generator)

    def state(self) -> dict[str, Any]:
        """Return the order of difficulty."""
        return {"easiest first": self.easiest_first}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it over."""
        self.easiest_first = state["easiest first"]


def _shuffled(numbers: Tensor, generator: torch.Generator) -> Tensor:
    return numbers[torch.randperm(len(numbers), generator=generator)]


@torch.no_grad()
def _judged(difficulty: Callable[[Any, Any], Any], examples: Examples) -> Tensor:
    count = len(examples)
    chunks = [range(begin, min(begin + _CHUNK, count)) for begin in range(0, count, _CHUNK)]
    return torch.cat([_numbers(difficulty(*examples.take(each)), len(each)) for each in chunks])


def _numbers(difficulty: Any, count: int) -> Tensor:
    """Return difficulties as float64, or raise unless there is one for each of *count* examples."""
    try:
        found = torch.as_tensor(difficulty, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadType(
            f"the difficulty is {type(difficulty).__name__}; expected a number for each example, "
            "or a function of (inputs, targets) that returns them."
        ) from error
    if found.shape != (count,):
        raise BadValue(
            f"the difficulties of {count:,} examples have shape {tuple(found.shape)}; expected one "
            "number for each."
        )
    return found


def _finite(numbers: Tensor) -> Tensor:
    wrong = ~numbers.isfinite()
    if wrong.any():
        place = int(wrong.nonzero()[0])
        raise BadValue(
            f"the difficulty of example {place:,} is {numbers[place]:g}; expected a finite number."
        )
    return numbers
