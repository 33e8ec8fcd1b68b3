"""The passes that a model is trained by: what it was called on, and what its loss was."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

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

VERSION = attrgetter("_version")


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
            return tuple(map(VERSION, values))
        except (AttributeError, RuntimeError):  # some are no tensors, or of inference mode
            return tuple(map(_version, self.tensors))


class Passes:
    """The pass on its way, the newest ones before it, and how scores follow from an output.

    ``training`` is the model's mode in its newest call, even in one without gradient, which never
    becomes ``current``, as nothing is trained by it. ``view`` is the way from what the model
    returns to the loss's first argument, None where it was not seen; ``strange`` says that there
    was one that could not be told.
    """

    def __init__(self, device: torch.device, expects_loss: bool) -> None:
        self._device, self._expects_loss = device.type, expects_loss
        self.current = Pass()
        self.training = True
        self.kept: deque[Pass] = deque(maxlen=KEPT)
        self.view: View | None = None
        self.strange = False
        self._output: Any = None
        self._measured = self._spare = False

    @property
    def wants_output(self) -> bool:
        """Whether the way from output to scores is still to be found."""
        return self._expects_loss and self.view is None and not self.strange

    def called(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        """The model is called for what may be trained by."""
        self._output = None
        if self._spare:
            current = self.current
            current.args, current.keywords, current.training = args, keywords, self.training
            current.step, current.scores, current.rest, current.autocast = 0, (), (), None
        else:
            self.current, self._spare = Pass(args, keywords, self.training), True
        if torch.is_autocast_enabled(self._device):
            self.current.autocast = self._device, torch.get_autocast_dtype(self._device)

    def returned(self, output: Any) -> None:
        """The model returned *output*, which is kept until the loss is called on it."""
        if self.wants_output:
            self._output = output

    def scored(self, args: tuple[Any, ...]) -> None:
        """The loss was called on *args*."""
        if len(args) < 2 or not isinstance(args[0], Tensor):
            return
        self.current.scores, self.current.rest = args[0].shape, args[1:]
        if self._output is not None:
            self.view = find_view(self._output, args[0])
            self.strange, self._output = self.view is None, None

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
            self._keep(current, examples)
        return examples

    def _keep(self, current: Pass, examples: int) -> None:
        current.versions = current.versions_now()
        if not self._measured:
            self._bound(current.tensors, examples)
        self.kept.append(current)
        self._spare = False

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
