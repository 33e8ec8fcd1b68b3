"""What Ray cannot do safely, or at all, is refused in words before anything is started."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from small import fitted

from thalweg.errors import BadType, BadValue, MissingPackage, ThalwegError
from thalweg.parallel import Downpour, RayEngine
from thalweg.parallel.cluster.ledger import Entry, Ledger
from thalweg.parallel.cluster.wire import packed, unpacked

REFUSED: list[tuple[Callable[[], Any], type[ThalwegError], str]] = [
    (lambda: RayEngine(timeout=0.0), BadValue, "timeout=0.0"),
    (lambda: RayEngine(restarts=-1), BadValue, "restarts=-1"),
    (lambda: RayEngine(snapshot_every=0), BadValue, "snapshot_every=0"),
    (lambda: RayEngine(cpus=-1.0), BadValue, "cpus=-1.0"),
    (lambda: RayEngine(address=6379), BadType, "address=6379"),  # type: ignore[arg-type]
    (lambda: RayEngine(address="10.0.0.5:6379"), BadValue, "all nodes of the cluster share"),
]


@pytest.mark.parametrize(("act", "error", "words"), REFUSED)
def test_it_is_refused(act: Callable[[], Any], error: type[ThalwegError], words: str) -> None:
    with pytest.raises(error) as found:
        act()
    assert words in str(found.value)


def test_without_ray_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackage, match=r"pip install 'thalweg\[ray\]'"):
        fitted(Downpour(), engine=RayEngine())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a token, and an environment that says nothing of tokens."""
    pytest.importorskip("ray")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def refusal(address: str | None, folder: Path) -> str:
    with pytest.raises(BadValue) as found:
        fitted(Downpour(), engine=RayEngine(address, snapshots=folder))
    return str(found.value)


def free_address() -> str:
    """An address of this machine where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_cluster_is_not_joined_without_token_authentication(home: Path) -> None:
    assert "Set RAY_AUTH_MODE=token" in refusal(free_address(), home)


def test_a_cluster_is_not_joined_without_a_token(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert "there is no token for the cluster" in refusal(free_address(), home)


def test_ray_is_not_started_where_its_tokens_are_turned_off(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert "Set RAY_AUTH_MODE=token" in refusal(None, home)


@pytest.mark.parametrize("address", ["here", "127.0.0.1:", "localhost:port"])
def test_an_address_is_a_host_and_a_port(
    address: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 32)
    assert "expected a host and a port" in refusal(address, home)


def test_a_cluster_that_cannot_be_reached_is_said_to_be(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 32)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert f"no Ray cluster can be reached at {address}" in refusal(address, home)


def test_something_else_that_listens_is_no_cluster(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never answers, and is waited for no longer than the timeout."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 32)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        engine = RayEngine(f"127.0.0.1:{listener.getsockname()[1]}", timeout=2.0, snapshots=home)
        with pytest.raises(BadValue, match="it has not answered for 2 seconds"):
            fitted(Downpour(), engine=engine)


# Clusters of this machine, each in processes of its own.

TRAINING = """
import sys
import ray
ray.__version__ = sys.argv[4] or ray.__version__
from thalweg.errors import ThalwegError
from thalweg.parallel import Downpour, RayEngine
sys.path.insert(0, sys.argv[3])
from small import fitted
try:
    found = fitted(Downpour(), engine=RayEngine(sys.argv[1], snapshots=sys.argv[2]))
    print(dict(found.tally.receipts))
except ThalwegError as error:
    print(error)
"""


@contextmanager
def head(**environment: str) -> Iterator[str]:
    """Start the first node of a cluster; yield its address."""
    address = free_address()
    command = ["start", "--head", "--block", "--num-cpus=2", "--include-dashboard=false"]
    given = {**os.environ, **environment}
    node = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *command, f"--port={address.split(':')[1]}"],
        env=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        while subprocess.run(check, env=given, capture_output=True, check=False).returncode:
            assert node.poll() is None
        yield address
    finally:
        node.terminate()
        node.wait(30)


def trained(address: str, folder: Path, token: str, version: str = "") -> str:
    """Return what a training says in a process of its own, with that version of Ray."""
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", TRAINING, address, str(folder), here, version]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_a_cluster_is_joined_with_its_token_and_version_alone(tmp_path: Path) -> None:
    with head(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="a" * 32) as address:
        assert "its token is another one" in trained(address, tmp_path, "b" * 32)
        said = trained(address, tmp_path, "a" * 32, version="0.0.1")
        assert "cannot be joined: Version mismatch" in said
        assert "'applied'>: 18}" in trained(address, tmp_path, "a" * 32)


@pytest.mark.long
def test_a_cluster_that_lets_anybody_in_is_not_joined(tmp_path: Path) -> None:
    with head(RAY_AUTH_MODE="disabled") as address:
        assert "lets anybody in who reaches it" in trained(address, tmp_path, "a" * 32)


# What a shard leaves behind, and what travels.


def test_the_ledger_counts_what_deaths_lost(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.note(12, 1)
    again = Ledger(tmp_path, again=True)
    again.note_death(8)
    again.note(11, 0)
    third = Ledger(tmp_path, again=True)
    third.note_death(10)
    assert Ledger(tmp_path, again=True).entry == Entry(10, 0, 5, 1)


def test_a_training_does_not_count_what_an_earlier_one_in_its_folder_lost(tmp_path: Path) -> None:
    Ledger(tmp_path).note(12, 1)
    Ledger(tmp_path, again=True).note_death(8)
    assert Ledger(tmp_path).entry == Entry()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("size", [3, 10**5])
def test_a_vector_arrives_as_it_was_sent(size: int, dtype: torch.dtype) -> None:
    vector = torch.linspace(-1, 1, size).to(dtype)
    sent = packed(vector)
    sent.flags.writeable = False
    assert torch.equal(unpacked(sent, dtype), vector)
