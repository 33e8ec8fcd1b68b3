"""Lets a program act on SIGINT and SIGTERM for a while, and puts back who acted before."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handled(act: Callable[[int, object], None]) -> Iterator[None]:
    """Call ``act(number, frame)`` for either signal; outside the main thread nothing is heard."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number in SIGNALS:
            signal.signal(number, act)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
