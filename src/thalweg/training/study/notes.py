"""What a training says while it runs, and who hears it beside the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from thalweg.record import Run
    from thalweg.training.study.settings import Settings
    from thalweg.training.study.trained import Trained


class Notes(Protocol):
    """What the loop writes its events to: a run of a record, or something that stands for one."""

    id: str

    def emit(self, name: str, step: int, value: float | None = None, data: Any = None) -> None:
        """Note a number, data, or both, under a name at a step."""

    def flush(self) -> None:
        """Put what was noted where it outlives this process."""

    def end(self, status: str) -> None:
        """Say how it ended."""


class Listener(Protocol):
    """Who hears what trainings do, in order to show it to somebody."""

    def begins(self, settings: Settings, updates: int | None) -> None:
        """Hear that a run with so many updates an epoch begins, or goes on; None if unknown."""
        return

    def hears(self, name: str, step: int, value: float | None, data: Any) -> None:
        """Hear an event as the record gets it."""
        return

    def ends(self, trained: Trained) -> None:
        """Hear how a run went."""
        return

    def remarks(self, text: str) -> None:
        """Hear what somebody should know, in a sentence."""
        return


class Nobody(Listener):
    """Hears it all and does nothing."""


class Overheard:
    """A run whose events somebody hears, and whose end its owner writes, later than the loop."""

    def __init__(self, run: Run, listener: Listener) -> None:
        self.run, self.listener, self.id = run, listener, run.id
        self.status = ""

    def emit(self, name: str, step: int, value: float | None = None, data: Any = None) -> None:
        """Note an event in the run and tell it."""
        self.run.emit(name, step, value, data)
        self.listener.hears(name, step, value, data)

    def flush(self) -> None:
        """Flush the run."""
        self.run.flush()

    def end(self, status: str) -> None:
        """Keep the status for the owner of the run."""
        self.status = status
