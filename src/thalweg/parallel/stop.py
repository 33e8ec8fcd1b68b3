"""Lets a training with several workers end early when a signal asks for it."""

from __future__ import annotations

from contextlib import ExitStack

from thalweg.training.interrupts import Request, requests


class Stop:
    """What tells whether SIGINT or SIGTERM came since ``listen``; as a context it hears till then.

    Before a training has begun there is nothing to be ended in order: who listened before acts.
    """

    def __init__(self) -> None:
        self._request, self._stack = Request(), ExitStack()

    def __enter__(self) -> Stop:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def listen(self) -> None:
        """Take note of signals from now on; the second SIGINT interrupts at once."""
        self._request = self._stack.enter_context(requests())

    @property
    def signal(self) -> int | None:
        """The signal that came, None as long as none did."""
        return self._request.signal

    def asked(self) -> bool:
        """Return whether one came."""
        return self.signal is not None
