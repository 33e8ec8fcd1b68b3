"""Lets a training finish its update when a signal asks it to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from thalweg.signals import handled


class Interrupted(KeyboardInterrupt):
    """A training stopped by a signal, its checkpoint written; ``signal`` is which."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


@dataclass
class Request:
    """The signal that asked to stop, None as long as nobody has."""

    signal: int | None = None


@contextmanager
def requests() -> Iterator[Request]:
    """Yield what tells whether SIGINT or SIGTERM came; the second SIGINT interrupts at once.

    Only the main thread can listen: in others nothing is heard.
    """
    request = Request()

    def note(number: int, frame: object) -> None:
        if request.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal = number

    with handled(note):
        yield request
