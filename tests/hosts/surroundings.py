"""A trainer in a test writes to its temporary folder only, calls nobody, and says nothing of us."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


def refused(*address: object) -> None:
    raise AssertionError(f"a connection was asked for: {address}")


@pytest.fixture(autouse=True)
def alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> Iterator[None]:
    """Run without a network in an empty folder, which stays empty, and without our warnings.

    Models this small run on one thread: more wait for each other where the machine is busy.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    empty = tmp_path / "current"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setattr(socket.socket, "connect", refused)
    yield
    torch.set_num_threads(threads)
    assert not list(empty.iterdir())
    said = [f"{each.filename}: {each.message}" for each in recwarn.list]
    assert not [each for each in said if "thalweg" in each or "optimizer" in each]
