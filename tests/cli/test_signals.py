"""A signal that comes before a training listens ends the process with a word and its exit code."""

import signal
import subprocess
import sys

import pytest

from thalweg.cli.stopping import Stopped, exit_code, stoppable

CODE = """
import os, signal, sys
from rich.console import Console
from thalweg.cli.stopping import leaving_at_once
with leaving_at_once(Console(stderr=True)):
    os.kill(os.getpid(), int(sys.argv[1]))
    while True:
        signal.pause()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_modules_load_it_leaves_at_once_and_says_that_nothing_was_begun(number, code) -> None:
    command = [sys.executable, "-c", CODE, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert "nothing was begun" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_later_it_raises_what_knows_its_exit_code_and_handlers_return(number, code) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught, stoppable():
        signal.raise_signal(number)
    assert exit_code(caught.value) == code
    assert signal.getsignal(number) is before
