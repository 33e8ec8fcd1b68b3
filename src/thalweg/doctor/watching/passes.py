"""The passes that a model is trained by: what it was called on, and what its loss was."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from thalweg.doctor.watching.features import tensors_in
from thalweg.doctor.watching.views import View, find_view

KEPT, MOST = 8, 64
"""So many of the newest batches are measured at the end, at least and at most."""

EXAMPLES = 128
"""Of batches of a few examples more than the least are measured, until they have so many."""

COMPARED = 256
"""Batches are kept until they have so many examples, for what compares examples."""

EACH, SOME = 64, 4
"""Of so many updates every batch may be kept, later that of every so manieth."""

BYTES = 2**28
"""The batches that are kept take at most so much memory, but one is always kept."""


@dataclass(eq=False, slots=True)
class Pass:
    """One call of the model, and the call of the loss on what it returned.

    *scores* is the shape of the loss's first argument, *rest* are its further ones. *versions* tell
    whether a tensor has been written to since. *autocast* is that of mixed precision, if any.
    """

    args: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    training: bool = True
    step: int = 0
    scores: tuple[int, ...] = ()
    rest: tuple[Any, ...] = ()
    versions: tuple[int, ...] = ()
    autocast: tuple[str, torch.dtype] | None = None

    def precision(self) -> AbstractContextManager[Any]:
        """Return the context of mixed precision in which it was called."""
        return torch.autocast(*self.autocast) if self.autocast else nullcontext()

    @property
    def examples(self) -> int:
        """The length of the first tensor that it was called with."""
        if self.args and isinstance(self.args[0], Tensor) and self.args[0].ndim:
            return self.args[0].shape[0]
        return next((len(each) for each in tensors_in(self.args, self.keywords) if each.ndim), 0)

    @property
    def complete(self) -> bool:
        """Whether the loss was seen as well."""
        return bool(self.rest)

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors that it was called with."""
        return tensors_in(self.args, self.keywords, self.rest)

    @property
    def untouched(self) -> bool:
        """Whether none of its tensors was written to since it was kept."""
        return self.versions == self.versions_now()

    def versions_now(self) -> tuple[int, ...]:
        """Return how often each of its tensors has been written to."""
        named = self.keywords.values() if self.keywords else ()
        values = (*self.args, *named, *self.rest)
        try:
            return tuple(map(attrgetter("_version"), values))
        except (AttributeError, RuntimeError):  # some are no tensors, or of inference mode
            return tuple(map(_version, self.tensors))


class Looked(NamedTuple):
    """What is looked at of a call of the loss at some updates alone.

    These are its *scores*, and the *view* that leads to them, if it was *sought*.
    """

    scores: Tensor
    view: View | None
    sought: bool


class Passes:
    """The pass on its way, the newest ones before it, and how scores follow from an output.

    ``training`` is the model's mode in its newest call, even in one without gradient, which never
    becomes ``current``, as nothing is trained by it. ``view`` is the way from what the model
    returns to the loss's first argument, None where it was not seen; ``strange`` says that there
    was one that could not be told. ``evaluated`` is what the model returned without a gradient, if
    it was not called since; ``shared`` says that the loss is called for other models as well.
    ``odd`` names the modules that are in another mode than the model while it trains.
    """

    def __init__(self, device: torch.device, expects_loss: bool) -> None:
        self._device, self._expects_loss = device.type, expects_loss
        self.current = Pass()
        self.training = True
        self.kept: deque[Pass] = deque(maxlen=KEPT)
        self.view: View | None = None
        self.strange = False
        self.evaluated: Any = None
        self.shared = False
        self.odd: frozenset[str] = frozenset()
        self._output: Any = None
        self._waiting: Pass | None = None
        self._measured = False

    @property
    def wants_output(self) -> bool:
        """Whether the way from output to scores is still to be found."""
        return self._expects_loss and self.view is None and not self.strange

    def called(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        """The model is called for what may be trained by."""
        self._output = self.evaluated = None
        if not self.training and self.current.training and not self.current.step:
            self._waiting = self.current
        self.current = Pass(args, keywords, self.training)
        if torch.is_autocast_enabled(self._device):
            self.current.autocast = self._device, torch.get_autocast_dtype(self._device)

    def returned(self, output: Any) -> None:
        """The model returned *output*, which is kept until the loss is called on it."""
        if self.wants_output:
            self._output = output

    def look(self, scores: Any) -> Looked | None:
        """Look at the first argument of a loss, and at how it follows from the newest output."""
        if not isinstance(scores, Tensor):
            return None
        view = find_view(self._output, scores) if self._output is not None else None
        return Looked(scores.detach(), view, self._output is not None)

    def scored(
        self, on: Pass, shape: tuple[int, ...], rest: tuple[Any, ...], looked: Looked | None
    ) -> None:
        """The loss that is trained by was called on scores of this *shape* and on the *rest*.

        The scores are those of the pass *on*, on its way again though others may have come since.
        """
        self.current = on
        on.scores, on.rest = shape, rest
        if looked is not None and looked.sought and self.wants_output:
            self.view, self.strange = looked.view, looked.view is None

    def resume(self) -> None:
        """Go back to a pass in training mode that waits, if the newest is in evaluation mode."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or self.current.training or waiting.step:
            return
        if waiting.args or waiting.keywords:
            self.current = waiting

    def evaluates(self, scores: Any, sure: bool) -> bool:
        """Whether a loss without a gradient is called on what the model put out.

        That is known where scores follow from an output as in training; elsewhere it is taken to
        be so if the model was called without a gradient just before, unless one is to be *sure*,
        or the loss is shared with other models.
        """
        if self.view is None:
            return True
        if self.evaluated is None or not isinstance(scores, Tensor):
            return False
        lenient = not sure and not self.shared
        return lenient or find_view(self.evaluated, scores) is not None

    def trained(self, step: int) -> int:
        """The first gradient of the pass on its way was computed, for update number *step*.

        Return its examples.
        """
        self._output = None
        current = self.current
        if not current.args and not current.keywords:
            return 0
        first, current.step = current.args[0] if current.args else None, step
        examples = first.shape[0] if type(first) is Tensor and first.ndim else current.examples
        if (current.rest or not self._expects_loss) and not (step > EACH and step % SOME):
            current.versions = current.versions_now()
            if not self._measured:
                self._bound(current.tensors, examples)
            self.kept.append(current)
        return examples

    def look_at_modes(self, model: nn.Module) -> None:
        """Look which modules of the model that is trained are in another mode than the whole."""
        modules, mode = model.named_modules(), model.training
        self.odd = frozenset(name for name, each in modules if each.training != mode)

    def forget(self, step: int) -> None:
        """The passes for update number *step* so far are not trained by after all."""
        while self.kept and self.kept[-1].step == step:
            self.kept.pop()

    def _bound(self, tensors: list[Tensor], examples: int) -> None:
        size = sum(each.numel() * each.element_size() for each in tensors)
        wanted = max(KEPT, COMPARED // max(examples, 1))
        self.kept = deque(maxlen=max(1, min(wanted, BYTES // max(size, 1))))
        self._measured = True

    def usable(self) -> list[Pass]:
        """Return the passes that can be repeated with their loss, the oldest first."""
        if self.view is None:
            return []
        return [each for each in self.kept if each.complete and each.untouched]


def most_measured(examples: int) -> int:
    """Return how many of the newest batches of so many examples are measured at the end."""
    return max(KEPT, min(MOST, EXAMPLES // max(examples, 1)))


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
