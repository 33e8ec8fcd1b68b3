"""Connects to a Ray cluster, or starts one on this machine: never without a token."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thalweg.errors import BadValue, MissingPackage
from thalweg.signals import handled

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
NICENESS, FREED_AT_ONCE = "RAY_worker_niceness", "RAY_free_objects_batch_size"


def library() -> Any:
    """Return Ray; MissingPackage where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise MissingPackage(
            "RayEngine needs Ray, which is not installed: pip install 'thalweg[ray]'"
        ) from error
    return ray


@contextmanager
def connected(address: str | None, processes: int, timeout: float) -> Iterator[Any]:
    """Yield Ray, connected to a cluster, or to one of this machine that ends with the context.

    Where this process is connected already, that connection is used and stays. What Ray writes into
    the environment is taken out again.
    """
    ray = library()
    if ray.is_initialized():
        if address is not None:
            raise BadValue(
                f"address={address!r}, but this process is connected to Ray already. Leave the "
                "address out to use that connection, or end it with ray.shutdown()."
            )
        _check_mode()
        yield ray
        return
    with _environment():
        try:
            if address is None:
                _start(ray, processes)
            else:
                _join(ray, address, timeout)
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _environment() -> Iterator[None]:
    """Put back the environment as it was."""
    before = {name: os.environ.get(name) for name in (MODE, TOKEN, NICENESS, FREED_AT_ONCE)}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _start(ray: Any, processes: int) -> None:
    """Start a cluster on this machine, with a token of its own unless there is one.

    Its processes are as urgent as others here: Ray would let them wait for all others, so that one
    beside a busy program does not answer for minutes. What a message took up is free for the next:
    Ray would let a hundred pile up, each in memory that is new to the system.
    """
    if os.environ.get(MODE, "token") != "token":
        raise BadValue(_UNGUARDED)
    if not _token_is_there():
        os.environ[TOKEN] = secrets.token_hex(32)
    os.environ.setdefault(NICENESS, "0")
    os.environ.setdefault(FREED_AT_ONCE, "1")
    cores = min(processes, os.cpu_count() or 1)
    _init(ray, address="local", num_cpus=cores, include_dashboard=False)
    _check_mode()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _join(ray: Any, address: str, timeout: float) -> None:
    """Connect to a cluster that lets in only who knows its token."""
    _check_mode()
    if not _token_is_there():
        raise BadValue(
            f"there is no token for the cluster at {address}. Put its token into {TOKEN}, or the "
            f"path of a file that holds it into {TOKEN_PATH}."
        )
    _check_reachable(address, timeout)
    refused = _refused(address, "token", timeout)
    if refused is not None:
        raise BadValue(f"the cluster at {address} does not let this process in: {refused}")
    if _refused(address, "disabled", timeout) is None:
        raise BadValue(
            f"the cluster at {address} lets anybody in who reaches it. Start all of its nodes with "
            f"{MODE}=token and one token; see the page on parallel training."
        )
    try:
        _init(ray, address=address)
    except (RuntimeError, ConnectionError) as error:
        raise BadValue(f"the cluster at {address} cannot be joined: {error}") from error


def _init(ray: Any, **how: Any) -> None:
    """Connect with the token of now, and leave signals to those who listened to them before."""
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()
    with handled(_interrupt):
        ray.init(**how, log_to_driver=False, logging_level="ERROR")


_UNGUARDED = (
    f"Ray is to run without token authentication, so that anybody who reaches its ports could run "
    f"programs. Set {MODE}=token before the program starts."
)


def _check_mode() -> None:
    if os.environ.get(MODE) != "token":
        raise BadValue(_UNGUARDED)


def _token_is_there() -> bool:
    """Return whether Ray will find a token: in the environment, a file named there, or its own."""
    if os.environ.get(TOKEN):
        return True
    named = os.environ.get(TOKEN_PATH)
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    return path.is_file() and bool(path.read_text(encoding="utf-8").strip())


def _check_reachable(address: str, timeout: float) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise BadValue(f"address={address!r}; expected a host and a port, as in '10.0.0.5:6379'.")
    try:
        socket.create_connection((host, int(port)), timeout=min(timeout, 10)).close()
    except OSError as error:
        raise BadValue(f"no Ray cluster can be reached at {address}: {error}.") from error


def _refused(address: str, mode: str, timeout: float) -> str | None:
    """Return why a cluster refuses who comes with a token, or without; None where it does not."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(
            command, env={**os.environ, MODE: mode}, timeout=timeout, text=True,
            capture_output=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it has not answered for {timeout:g} seconds."
    if done.returncode == 0:
        return None
    if "AuthenticationError" in done.stderr:
        return "its token is another one."
    return f"its health check failed: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}"
