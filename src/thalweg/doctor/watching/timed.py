"""The parts of a probe are done on the clock, without gradients, and without ever raising."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, final

import torch

from thalweg.doctor.watching.hearing import level
from thalweg.doctor.watching.hooks import Hook


class Timed:
    """Does work and keeps how long it took, and the first thing that went wrong in it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.failure: Exception | None = None

    def __call__(self, work: Callable[..., Any], *args: Any) -> Any:
        """Return ``work(*args)``, None where it fails."""
        begun = perf_counter()
        try:
            with torch.no_grad():
                return work(*args)
        except Exception as error:
            self.failure = self.failure or error
            return None
        finally:
            self.seconds += perf_counter() - begun

    def quietly(self, hook: Callable[..., None]) -> Quiet:
        """Return a hook that does the same and never raises: every way in from the training."""
        return Quiet(self, hook)

    def begin(self) -> None:
        """Forget all work so far."""
        self.seconds, self.failure = 0.0, None


@final
class Quiet(Hook):
    """Calls another hook, and keeps the first thing that went wrong in it."""

    __slots__ = ("_hook", "_timed")

    def __init__(self, timed: Timed, hook: Callable[..., None]) -> None:
        super().__init__()
        self._timed, self._hook = timed, hook

    def __call__(self, *args: Any) -> None:
        """Call the hook."""
        if self._level != level():
            return
        try:
            self._hook(*args)
        except Exception as error:
            self._timed.failure = self._timed.failure or error
