"""What happened, append-only: runs, their settings, events and provenance in one SQLite file."""

from thalweg.record.events import Event, numbers
from thalweg.record.export import Exported, to_csv, to_tensorboard
from thalweg.record.finished import Finished
from thalweg.record.record import Record, RunSummary, open
from thalweg.record.run import Run

__all__ = [
    "Event", "Exported", "Finished", "Record", "Run", "RunSummary", "numbers", "open", "to_csv",
    "to_tensorboard",
]  # fmt: skip
