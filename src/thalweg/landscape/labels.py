"""Can this model learn its data by heart? Train it once more on shuffled labels, and see."""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadType, BadValue
from thalweg.landscape.batches import read
from thalweg.landscape.objective import objective
from thalweg.landscape.pinned import generators, unwrapped
from thalweg.problems.answers import right_answers
from thalweg.problems.modes import in_mode

MakeOptimizer: TypeAlias = Callable[[Iterator[nn.Parameter]], Optimizer]
Loss: TypeAlias = Callable[[Any, Any], Tensor]

_AT_ONCE = 1000


@final
@dataclass(frozen=True)
class LearningCurve:
    """What a training was like at its beginning and after each epoch, on all it was trained on.

    ``losses`` and ``accuracies`` are taken in evaluation mode; the latter are None where the
    targets are no classes. ``fitted`` is how much of the way from chance, 0, to perfection, 1, the
    model has gone: in accuracy from the share of the most common class, otherwise in loss from what
    its answers would cost if they were given to the wrong examples.
    """

    losses: tuple[float, ...]
    accuracies: tuple[float, ...] | None
    fitted: tuple[float, ...]

    def epochs_to(self, level: float) -> int | None:
        """Return after how many epochs *level* of the way was gone; None if it never was."""
        return next((epoch for epoch, at in enumerate(self.fitted) if at >= level), None)


@final
@dataclass(frozen=True)
class LabelRandomization:
    """The same training on the *true* labels and on *shuffled* ones.

    The model memorizes if it goes *level* of the way on shuffled labels, about which the inputs say
    nothing. It then learns whatever it is given, and a low training loss says nothing about how
    good it is on other data.
    """

    true: LearningCurve
    shuffled: LearningCurve
    level: float

    @property
    def learns(self) -> bool:
        """Whether the true labels were learned; if not, a longer budget may tell more."""
        return self.true.fitted[-1] >= self.level

    @property
    def memorizes(self) -> bool:
        """Whether the shuffled labels were learned too."""
        return self.shuffled.fitted[-1] >= self.level


def label_randomization(
    model: nn.Module, loss: Loss, data: Any, make_optimizer: MakeOptimizer, *,
    epochs: int = 20, batch: int = 32, level: float = 0.9, seed: int = 0,
) -> LabelRandomization:  # fmt: skip
    """Train copies of *model* on *data* and on the same with its targets shuffled, and compare.

    ``make_optimizer(parameters)`` makes the optimizer of each, as ``functools.partial(SGD, lr=.1)``
    does. Both begin at the model's weights and see the same examples in the same order, drawn from
    *seed*, without a short last batch. *data* are whatever `objective` takes, with tensors as
    inputs and targets. Source: Zhang et al., Understanding deep learning requires rethinking
    generalization, 2017.

    Costs two trainings. Only copies are trained: an interruption leaves the model, the modes of its
    parts and torch's random numbers as they were. Raises BadType and BadValue for what cannot be
    trained, targets that are all the same, and a loss that stops being finite.
    """
    for name, value in (("epochs", epochs), ("batch", batch)):
        check_count(name, value)
    check_number("level", level, 0, 1)
    if not callable(make_optimizer):
        raise BadType(
            f"make_optimizer is a {type(make_optimizer).__name__}; expected a function that takes "
            "parameters and returns a new optimizer, as functools.partial(torch.optim.SGD, lr=.1)."
        )
    true = _examples(data)
    first = (true.inputs[:batch], true.targets[:batch])
    place = objective(model, loss, first, training=True).gradient()
    true = _Examples(*(part.to(place.device) for part in true))
    trial = _Trial(unwrapped(model), loss, make_optimizer, epochs, batch, seed)
    return LabelRandomization(trial.run(true), trial.run(_shuffled(true, seed)), level)


class _Examples(NamedTuple):
    inputs: Tensor
    targets: Tensor


def _examples(data: Any) -> _Examples:
    batches = read(data, _AT_ONCE)
    pairs = [(each.inputs, each.targets) for each in batches]
    if not all(isinstance(part, Tensor) for pair in pairs for part in pair):
        raise BadType("inputs and targets should be tensors, so that they can be drawn anew.")
    inputs, targets = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    if bool((targets == targets[0]).all()):
        raise BadValue("all targets are the same, so that shuffling them changes nothing.")
    return _Examples(inputs, targets)


def _shuffled(examples: _Examples, seed: int) -> _Examples:
    return examples._replace(targets=examples.targets[_order(len(examples.targets), seed)])


def _order(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


@final
@dataclass(frozen=True)
class _Trial:
    """A training that can be run again on other labels, the same in all else."""

    model: nn.Module
    loss: Loss
    make_optimizer: MakeOptimizer
    epochs: int
    batch: int
    seed: int

    def run(self, examples: _Examples) -> LearningCurve:
        """Return the curve of a copy of the model that was trained on *examples*."""
        with torch.random.fork_rng(devices=generators(examples.inputs.device)):
            torch.manual_seed(self.seed)
            model = deepcopy(self.model)
            seen = [self._seen(model, examples), *self._trained(model, examples)]
        losses, accuracies, fitted = zip(*seen, strict=True)
        return LearningCurve(losses, None if None in accuracies else accuracies, fitted)

    def _trained(
        self, model: nn.Module, examples: _Examples
    ) -> Iterator[tuple[float, float | None, float]]:
        optimizer = self.make_optimizer(p for p in model.parameters() if p.requires_grad)
        if not isinstance(optimizer, Optimizer):
            raise BadType(f"make_optimizer returned a {type(optimizer).__name__}, no optimizer.")
        for epoch in range(1, self.epochs + 1):
            with in_mode(model, training=True):
                for rows in self._batches(len(examples.inputs)):
                    self._update(model, optimizer, examples, rows)
            seen = self._seen(model, examples)
            if not math.isfinite(seen[0]):
                raise BadValue(
                    f"the loss is {seen[0]} after {epoch} epochs; give the optimizer a smaller "
                    "learning rate."
                )
            yield seen

    def _batches(self, count: int) -> list[Tensor]:
        """Return an epoch's batches, without a short last one: one example has no variance."""
        drawn = torch.randperm(count).split(self.batch)
        return [rows for rows in drawn if len(rows) == self.batch] or list(drawn)

    def _update(
        self, model: nn.Module, optimizer: Optimizer, examples: _Examples, rows: Tensor
    ) -> None:
        inputs, targets = examples.inputs[rows], examples.targets[rows]

        def closure() -> float:
            optimizer.zero_grad()
            loss = self.loss(model(inputs), targets)
            loss.backward()
            return loss.item()

        optimizer.step(closure)

    @torch.no_grad()
    def _seen(self, model: nn.Module, examples: _Examples) -> tuple[float, float | None, float]:
        """Return the loss, the accuracy and how much has been fitted."""
        with in_mode(model, training=False):
            outputs = torch.cat([model(part) for part in examples.inputs.split(_AT_ONCE)])
        loss = self.loss(outputs, examples.targets).item()
        right = right_answers(outputs, examples.targets)
        if right is None:
            strangers = examples.targets[_order(len(outputs), self.seed + 1)]
            return loss, None, 1 - loss / self.loss(outputs, strangers).item()
        accuracy = right / examples.targets.numel()
        common = float(examples.targets.unique(return_counts=True)[1].max())
        chance = common / examples.targets.numel()
        return loss, accuracy, (accuracy - chance) / (1 - chance)
