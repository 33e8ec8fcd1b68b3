"""A callback for the Trainer of transformers that watches a training and says what is wrong."""

from __future__ import annotations

from typing import Any, final

from thalweg.doctor.hosts.ending import Ended, Say
from thalweg.doctor.watching.session import Watch
from thalweg.errors import MissingPackage

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise MissingPackage("transformers is not installed: pip install 'thalweg[hosts]'.") from error


@final
class WatchCallback(Ended, TrainerCallback):
    """Watches the Trainer's model and optimizer from the first update to the last.

    The loss is computed inside the model, so it is seen where ``backward`` is called, and what
    needs it as a function is left out. *say* gets the report at the end, None for nobody. Overhead
    and the seconds at the end are those of `Watch`, which it raises for too.
    """

    def __init__(
        self, *, overhead: float = 0.03, at_exit: float = 2.0, say: Say | None = print
    ) -> None:
        self._overhead, self._at_exit, self._say = overhead, at_exit, say

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin to watch."""
        model, optimizer = given["model"], given["optimizer"]
        self.watch = Watch(model, optimizer, overhead=self._overhead, at_exit=self._at_exit)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure what is owed, and report."""
        self._end(self._say, state.is_world_process_zero)
