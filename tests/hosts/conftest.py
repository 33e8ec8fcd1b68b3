"""A trainer in a test writes to its temporary folder only, calls nobody, and says nothing of us."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nothing_written_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder, which stays empty."""
    empty = tmp_path / "current"
    empty.mkdir()
    monkeypatch.chdir(empty)
    yield
    assert not list(empty.iterdir())


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*address: object) -> None:
        raise AssertionError(f"a connection was asked for: {address}")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture(autouse=True)
def no_warning_about_an_optimizer(recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    yield
    about = ("thalweg", "optimizer")
    said = [f"{each.filename}: {each.message}" for each in recwarn.list]
    assert not [each for each in said if any(word in each for word in about)]
