"""Lets a training finish its update when a signal asks it to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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

    Only the main thread can listen: in others, nothing is changed and nothing is heard.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, frame: object) -> None:
        if request.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.signal = number

    try:
        for number in _SIGNALS:
            signal.signal(number, note)
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
