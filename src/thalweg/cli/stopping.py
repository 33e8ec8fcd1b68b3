"""What Ctrl-C and SIGTERM do outside the loop of a training, which listens itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from thalweg.signals import handled


class Stopped(KeyboardInterrupt):
    """One of the signals; the loop of a training raises its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = number


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return what a shell gives for a process that a signal has ended."""
    return 128 + int(getattr(stop, "signal", signal.SIGINT))


@contextmanager
def stoppable() -> Iterator[None]:
    """Let both signals raise Stopped."""

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    with handled(stop):
        yield


@contextmanager
def leaving_at_once(console: Console) -> Iterator[None]:
    """Let both signals end the process with a word: modules that load bear no exception."""

    def leave(number: int, frame: object) -> None:
        console.show_cursor()
        console.print("Interrupted before the first update: nothing was begun.")
        os._exit(128 + number)

    with handled(leave):
        yield
