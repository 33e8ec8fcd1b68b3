"""The command line as tests call it, and how it refuses a bad request."""

from collections.abc import Callable
from typing import Any

import pytest

from thalweg import cli

Answer = tuple[int, str, str]
"""Exit code, output and notices."""


def command_line(*command: str) -> Any:
    """Return a fixture that runs a command in an empty folder, 80 columns wide."""

    @pytest.fixture
    def thalweg(capsys, tmp_path, monkeypatch) -> Callable[..., Answer]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("THALWEG_RECORD", raising=False)
        monkeypatch.setenv("COLUMNS", "80")

        def call(*arguments: str) -> Answer:
            with pytest.raises(SystemExit) as caught:
                cli.main([*command, *arguments])
            return int(caught.value.code or 0), *capsys.readouterr()

        return call

    return thalweg


def check_refused(answer: Answer, message: str) -> None:
    """Check that a request was answered by a message alone, with exit code 2."""
    code, out, notices = answer
    said = " ".join(notices.replace("│", " ").split())
    assert (code, out) == (2, ""), (code, out)
    assert message in said, said
    assert "Traceback" not in notices, notices
