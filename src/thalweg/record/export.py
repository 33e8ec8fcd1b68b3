"""Runs carried elsewhere: a CSV table for any program, event files for TensorBoard."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from thalweg import files
from thalweg.errors import BadFile, MissingPackage
from thalweg.record.events import numbers
from thalweg.record.record import Record, RunSummary


@dataclass(frozen=True)
class Exported:
    """What an export wrote: to where, how many runs and numbers, and what it left out.

    ``left_out`` counts, by name, the events that hold no number.
    """

    place: Path
    runs: int
    numbers: int
    left_out: Mapping[str, int]


def to_csv(book: Record, ids: Iterable[str] | None, path: str | os.PathLike[str]) -> Exported:
    """Write the numbers of runs to one CSV file, replaced whole, a row for each.

    The columns are run, step, name, value and time (Unix seconds). Without ``ids`` all runs are
    written. Raises UnknownName for an id that is none, BadFile where the file cannot be written.
    """
    chosen, left_out = _chosen(book, ids), Counter[str]()
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("run", "step", "name", "value", "time"))
    count = 0
    for run in chosen:
        for step, name, value, when in _numbers(book, run, left_out):
            table.writerow((run.id, step, name, value, when))
            count += 1
    return Exported(_put(Path(path), text.getvalue().encode()), len(chosen), count, left_out)


def to_tensorboard(
    book: Record, ids: Iterable[str] | None, folder: str | os.PathLike[str]
) -> Exported:
    """Write runs as event files, each to a folder of its own in ``folder``, for TensorBoard.

    TensorBoard keeps numbers in float32. Each file is replaced whole, so that an export can be
    repeated. Without ``ids`` all runs are written. Raises MissingPackage without TensorBoard,
    UnknownName for an id that is none, BadFile where a file cannot be written.
    """
    board = _tensorboard()
    chosen, left_out = _chosen(book, ids), Counter[str]()
    count = 0
    for run in chosen:
        found = list(_numbers(book, run, left_out))
        _put(_event_file(Path(folder), run), _event_bytes(board, run, found))
        count += len(found)
    return Exported(Path(os.path.abspath(folder)), len(chosen), count, left_out)


def _chosen(book: Record, ids: Iterable[str] | None) -> list[RunSummary]:
    if ids is None:
        return book.runs()
    return list({run.id: run for run in map(book.find, ids)}.values())


def _numbers(
    book: Record, run: RunSummary, left_out: Counter[str]
) -> Iterator[tuple[int, str, float, float]]:
    for event in book.events(run.id):
        found = list(numbers(event))
        left_out.update([] if found else [event.name])
        yield from ((event.step, name, value, event.time) for name, value in found)


def _put(path: Path, content: bytes) -> Path:
    if path.exists() and not path.is_file():
        raise BadFile(f"{str(path)!r} is not an ordinary file; name another one.")
    return files.write(path, content)


# TensorBoard.


def _tensorboard() -> SimpleNamespace:
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.plugins.text.summary_v2 import text_pb
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        raise MissingPackage(
            f"event files are written by the package tensorboard, which cannot be imported "
            f"({error}). Install it: pip install 'thalweg[tensorboard]'."
        ) from error
    return SimpleNamespace(
        Event=event_pb2.Event, Summary=summary_pb2.Summary,
        hyperparameters=hparams_pb, text=text_pb, Writer=RecordWriter,
    )  # fmt: skip


def _event_file(folder: Path, run: RunSummary) -> Path:
    """Return where a run's events go, with its folder made; the name is the same each time."""
    place = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', run.name)}-{run.id}"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise files.refused(place, error) from error
    return place / f"events.out.tfevents.{int(run.started)}.thalweg"


def _event_bytes(board: SimpleNamespace, run: RunSummary, found: Iterable[tuple]) -> bytes:
    content = io.BytesIO()
    writer = board.Writer(content)
    for event in _board_events(board, run, found):
        writer.write(event.SerializeToString())
    return content.getvalue()


def _board_events(board: SimpleNamespace, run: RunSummary, found: Iterable[tuple]) -> Iterator[Any]:
    yield board.Event(wall_time=run.started, file_version="brain.Event:2")
    for summary in (
        board.hyperparameters(_flat(run.hyper), trial_id=run.id, start_time_secs=run.started),
        board.text("settings", _settings(run)),
    ):
        yield board.Event(wall_time=run.started, step=0, summary=summary)
    for step, name, value, when in found:
        number = board.Summary(value=[board.Summary.Value(tag=name, simple_value=value)])
        yield board.Event(wall_time=when, step=step, summary=number)


def _flat(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as TensorBoard can compare them: numbers and texts."""
    plain = (bool, int, float, str)
    return {key: each if isinstance(each, plain) else str(each) for key, each in hyper.items()}


def _settings(run: RunSummary) -> str:
    told = {**run.hyper, "seed": run.seed, "source": run.source, **run.provenance}
    rows = [f"| {name} | {value} |" for name, value in told.items()]
    return "\n".join(["| setting | value |", "|---|---|", *rows])
