"""How far a network relies on single units: silence some of them, and see what is left of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue, UnknownName, nearest
from thalweg.landscape.batches import placed
from thalweg.landscape.objective import Objective, check_scalar
from thalweg.problems.answers import right_answers

Level: TypeAlias = Literal["zero", "mean"]
"""What a silenced unit says instead: nothing, or what it says on average."""

_POINTS = 11


@final
@dataclass(frozen=True, eq=False)
class Ablation:
    """What is left of a network after *counts* of a layer's *units* have been silenced.

    ``losses`` (draws, counts) are means over the data, one row for each random order of the units;
    ``accuracies`` are shares of right answers, None where the targets are no classes.
    """

    layer: str
    units: int
    counts: tuple[int, ...]
    losses: Tensor
    accuracies: Tensor | None


@final
@dataclass(frozen=True, eq=False)
class Importance:
    """What each single unit of a layer is worth.

    ``rises`` (units,) say by how much the ``loss`` rises without the unit, ``drops`` (units,) by
    how much the ``accuracy`` falls; the latter are None where the targets are no classes.
    """

    layer: str
    loss: float
    accuracy: float | None
    rises: Tensor
    drops: Tensor | None


def ablation(
    objective: Objective, layer: str, *, to: Level = "zero", counts: Sequence[int] | None = None,
    draws: int = 5, axis: int | None = None, point: Tensor | None = None, seed: int = 0,
) -> Ablation:  # fmt: skip
    """Return loss and accuracy against the number of units of *layer* that are silenced.

    *layer* is a module's name in the model. A unit is a feature of a Linear layer and a channel of
    a convolution or batch normalization; of other modules it lies on *axis*, by default 1 of two or
    of four and more. Silenced units are held at zero, or with ``to="mean"`` at their mean over the
    data. They follow one another in a random order, drawn *draws* times from the seed; *counts* are
    eleven from none to all unless given. Networks that generalize lose less than those that have
    memorized their data. Source: Morcos et al., On the importance of single directions for
    generalization, 2018.

    Costs ``draws * len(counts) + 1`` losses. The model is afterwards as before. Raises UnknownName
    for a layer that the model has not, BadType and BadValue for one that cannot be silenced.
    """
    check_count("draws", draws)
    units = _Units(objective, layer, to, axis, point)
    sizes = _spread(units.count) if counts is None else tuple(counts)
    for size in sizes:
        check_count("count", size, 0, units.count)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(units.count, generator=generator) for _ in range(draws)]
    found = [[units.without(order[:size]) for size in sizes] for order in orders]
    losses = torch.tensor([[each.loss for each in row] for row in found], dtype=torch.float64)
    right = [[each.accuracy for each in row] for row in found]
    accuracies = None if units.whole.accuracy is None else torch.tensor(right, dtype=torch.float64)
    return Ablation(layer, units.count, sizes, losses, accuracies)


def unit_importance(
    objective: Objective, layer: str, *, to: Level = "zero", axis: int | None = None,
    point: Tensor | None = None,
) -> Importance:  # fmt: skip
    """Return what each unit of *layer* is worth by itself, see `ablation`.

    Costs a loss for each unit, and one more.
    """
    units = _Units(objective, layer, to, axis, point)
    whole = units.whole
    alone = [units.without(torch.tensor([unit])) for unit in range(units.count)]
    rises = torch.tensor([each.loss - whole.loss for each in alone], dtype=torch.float64)
    if whole.accuracy is None:
        return Importance(layer, whole.loss, None, rises, None)
    left = torch.tensor([each.accuracy for each in alone], dtype=torch.float64)
    return Importance(layer, whole.loss, whole.accuracy, rises, whole.accuracy - left)


def _spread(units: int) -> tuple[int, ...]:
    return tuple(sorted({round(units * k / (_POINTS - 1)) for k in range(_POINTS)}))


class _Score(NamedTuple):
    loss: float
    accuracy: float | None


@final
class _Units:
    """The units of one layer, seen once over the data: their number and their means."""

    def __init__(
        self, objective: Objective, layer: str, to: Level, axis: int | None, point: Tensor | None
    ) -> None:
        if to not in ("zero", "mean"):
            raise UnknownName(f"to={to!r}; expected 'zero' or 'mean'.")
        self.objective, self.point = objective, objective.at(point)
        objective.layout.check(self.point, finite=True)
        self.name, self.module, self.asked = layer, _found(objective, layer), axis
        self.count, self._sum, self._seen = 0, torch.zeros(()), 0
        self.whole = self._scored(self._survey)
        if not self.count:
            raise BadValue(f"the model does not call {layer!r} on these data; name another layer.")
        self.level = self._sum / self._seen if to == "mean" else torch.zeros_like(self._sum)

    def without(self, units: Tensor) -> _Score:
        """Return loss and accuracy with these *units* silenced."""
        silent = torch.zeros(self.count, dtype=torch.bool, device=self.point.device)
        silent[units] = True

        def silence(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            last = output.movedim(self._axis(output), -1)
            return torch.where(silent, self.level.to(last), last).movedim(-1, self._axis(output))

        return self._scored(silence)

    def _survey(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            raise BadType(f"{self.name!r} returns no tensor of real numbers; name another layer.")
        rows = output.movedim(self._axis(output), -1).flatten(0, -2)
        self.count, self._seen = rows.shape[1], self._seen + len(rows)
        self._sum = self._sum + rows.sum(0).cpu().double()

    def _axis(self, output: Tensor) -> int:
        axis = _usual(self.module, output) if self.asked is None else self.asked
        if axis is None or not -output.ndim <= axis < output.ndim or output.ndim < 2:
            raise BadValue(
                f"{self.name!r} returns a tensor of shape {tuple(output.shape)}; say which axis "
                f"holds its units, from 1 to {output.ndim - 1}, with axis=."
            )
        return axis

    @torch.no_grad()
    def _scored(self, hook: Callable[..., Any]) -> _Score:
        loss, right, answers = 0.0, 0, 0
        parameters = self.objective.layout.split(self.point)
        with self.module.register_forward_hook(hook):
            for term in self.objective.terms:
                output = term.output(parameters)
                value = term.loss(output)
                check_scalar(value)
                loss += term.weight * float(value)
                targets = placed(term.targets, self.point.device, self.point.dtype)
                correct = right_answers(output, targets)
                if correct is not None:
                    right, answers = right + correct, answers + targets.numel()
        return _Score(loss, right / answers if answers else None)


def _found(objective: Objective, layer: str) -> nn.Module:
    if objective.model is None:
        raise BadValue("a plain function has no layers; make the objective of a model.")
    modules = {name: module for name, module in objective.model.named_modules() if name}
    if layer not in modules:
        raise UnknownName(
            f"the model has no layer {layer!r}.{nearest(str(layer), modules)} It has: "
            f"{', '.join(modules)}."
        )
    return modules[layer]


def _usual(module: nn.Module, output: Tensor) -> int | None:
    """Return where a module of this kind has its units; None where it cannot be told."""
    if isinstance(module, nn.Linear):
        return -1
    if isinstance(module, _ConvNd):
        return -1 - len(module.kernel_size)
    return 1 if isinstance(module, _BatchNorm) or output.ndim != 3 else None
