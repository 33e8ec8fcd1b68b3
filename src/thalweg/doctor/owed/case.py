"""A training as it stands: the model, its loss as a function, and the batches that were kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn

from thalweg.doctor.watching.features import tensors_in
from thalweg.doctor.watching.passes import Pass
from thalweg.doctor.watching.views import View
from thalweg.landscape.objective import Objective, objective
from thalweg.landscape.pinned import PinnedModel

Pair = tuple[dict[Any, Any], tuple[Any, ...]]
"""The arguments of the model by place or name, and the loss's: the scores' shape and the rest."""


@final
class Called(nn.Module):
    """A model that takes all its arguments as one, by place or name.

    The modules that are named *odd* are always in the other mode than the whole.
    """

    def __init__(self, model: nn.Module, odd: Iterable[str] = ()) -> None:
        super().__init__()
        self.model = model
        self.training = model.training
        self._odd = tuple(odd)

    def train(self, mode: bool = True) -> Called:
        """Put every module into a mode, the odd ones into the other."""
        super().train(mode)
        for name in self._odd:
            self.model.get_submodule(name).training = not mode
        return self

    def forward(self, arguments: dict[Any, Any]) -> Any:
        """Return what the model makes of its arguments."""
        places = sorted(key for key in arguments if isinstance(key, int))
        names = {key: value for key, value in arguments.items() if isinstance(key, str)}
        return self.model(*(arguments[key] for key in places), **names)


@final
@dataclass(frozen=True)
class Case:
    """What the measurements at the end work on; without *loss_fn*, the model alone.

    *training* is the mode in which the model was trained, but for the modules that are named *odd*;
    *step* counts the updates so far.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss_fn: Callable[..., Tensor] | None
    view: View | None
    passes: Sequence[Pass]
    step: int
    odd: frozenset[str] = frozenset()

    @property
    def training(self) -> bool:
        """Whether the model was in training mode."""
        return all(each.training for each in self.passes)

    @property
    def pairs(self) -> list[Pair]:
        """The batches, as `landscape.objective` reads them."""
        return [_pair(each) for each in self.passes]

    def loss(self, output: Any, targets: tuple[Any, ...]) -> Tensor:
        """Return the loss of what the model returned."""
        assert self.loss_fn is not None
        assert self.view is not None
        shape, *rest = targets
        return self.loss_fn(self.view(output, tuple(shape)), *rest)

    def objective(self, dtype: torch.dtype | None = None) -> Objective:
        """Return the mean loss over the batches as a function of the weights."""
        trained = next(p for p in self.model.parameters() if p.requires_grad)
        wide = torch.float64 if trained.dtype == torch.float64 else torch.float32
        return objective(
            self._called(), self.loss, self.pairs, training=self.training, dtype=dtype or wide
        )

    def pinned(self) -> PinnedModel:
        """Return the model held still, as it was called in training."""
        return PinnedModel(self._called(), None, self.training, torch.float32, 0)

    def _called(self) -> Called:
        there = {name for name, _ in self.model.named_modules()}
        return Called(self.model, self.odd & there)

    def only(self, passes: Sequence[Pass]) -> Case:
        """Return the case of these passes alone."""
        return replace(self, passes=passes)

    def split(self, parts: int) -> list[Case]:
        """Return a case for each of *parts* parts of each batch, the whole batches if they stick.

        A batch can be divided where all its tensors, and the scores, have an entry an example; what
        is left over by equal parts is left out.
        """
        pieces = [piece for each in self.passes for piece in _pieces(each, parts)]
        return [self.only([piece]) for piece in pieces]


def _pair(on: Pass) -> Pair:
    arguments: dict[Any, Any] = {**dict(enumerate(on.args)), **on.keywords}
    tensors_first = sorted(arguments.items(), key=lambda item: not tensors_in(item[1]))
    return dict(tensors_first), (on.scores, *on.rest)


def _pieces(on: Pass, parts: int) -> list[Pass]:
    size = on.examples
    lengths = {len(each) if each.ndim else 0 for each in on.tensors} | {*on.scores[:1]}
    if lengths != {size} or size < 2 * parts:
        return [on]
    step = size // parts
    return [_piece(on, slice(part * step, (part + 1) * step)) for part in range(parts)]


def _piece(on: Pass, rows: slice) -> Pass:
    args, keywords, rest = (_rows(each, rows) for each in (on.args, dict(on.keywords), on.rest))
    scores = (rows.stop - rows.start, *on.scores[1:])
    return replace(on, args=args, keywords=keywords, rest=rest, scores=scores, versions=())


def _rows(value: Any, rows: slice) -> Any:
    """Return some rows of every tensor in a value of any nesting."""
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, dict):
        return {key: _rows(each, rows) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_rows(each, rows) for each in value)
    return value
