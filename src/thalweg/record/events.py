"""An event is something that happened at a step of a run: a number, data beside it, or both."""

import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from thalweg.errors import BadFile, BadType, BadValue

STEPS = range(-(2**63), 2**63)
"""The whole numbers that SQLite can hold."""


class Event(NamedTuple):
    """A number, JSON data, or both, under a name at a step; ``time`` is in Unix seconds.

    Steps count what the name counts: updates for a loss, epochs for what is known after each.
    """

    step: int
    name: str
    value: float | None
    data: Any
    time: float


def numbers(event: Event) -> Iterator[tuple[str, float]]:
    """Yield the names and numbers that an event holds; those in its data as ``event/key``."""
    if event.value is not None:
        yield event.name, event.value
    yield from _numbers_in(event.name, event.data)


def _numbers_in(path: str, data: Any) -> Iterator[tuple[str, float]]:
    if not isinstance(data, Mapping):
        return
    for key, value in data.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{path}/{key}", float(value)
        else:
            yield from _numbers_in(f"{path}/{key}", value)


def event_of(row: Sequence[Any]) -> Event:
    """Return the event whose step, name, value, nan, data and time were read from a record."""
    step, name, value, nan, data, when = row
    number = float("nan") if nan else value
    return Event(step, name, number, None if data is None else decode(data, "an event"), when)


def decode(text: str, what: str) -> Any:
    """Return what was written as JSON; BadFile says *what* was damaged since."""
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise BadFile(
            f"the record is damaged: {what} cannot be read as JSON ({error}). It was changed by "
            "something else than thalweg; restore the file from a copy."
        ) from error


def encode(data: Any, what: str) -> str:
    """Write data as JSON, with Python's ``NaN`` and ``Infinity``, or refuse ``what`` it is of."""
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadType(
            f"{what} cannot be written as JSON: {error}. Give numbers, text, lists and mappings of "
            "them; turn anything else into its number or its text first."
        ) from error
    return text


def checked_text(text: Any, what: str) -> str:
    """Return a text that is not empty and can be stored, or refuse ``what`` it was given for."""
    if not isinstance(text, str):
        raise BadType(f"{what} is a text, not {text!r}.")
    if not text or not _encodable(text):
        raise BadValue(f"{what} cannot be {text!r}: give at least one character, all of Unicode.")
    return text


def checked_number(value: Any, name: str) -> float:
    """Return a value as a float, or refuse it under the name it was given for."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise BadType(
            f"the value of {name!r} is a number, not {value!r}; give anything else as data."
        ) from error


def checked_step(step: Any, name: str) -> int:
    """Return a step as a whole number that fits in 64 bits, or refuse it."""
    try:
        number = operator.index(step)
    except TypeError as error:
        raise BadType(f"the step of {name!r} is a whole number, not {step!r}.") from error
    if number not in STEPS:
        raise BadValue(f"the step of {name!r} is {number}, which does not fit in 64 bits.")
    return number


def _encodable(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False
