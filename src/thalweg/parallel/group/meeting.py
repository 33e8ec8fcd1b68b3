"""Joins the processes that torchrun has started; among themselves they listen on loopback alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import torch
import torch.distributed as dist

from thalweg.errors import BadValue, MissingPackage, WorkerDied
from thalweg.parallel.group.group import Group

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun says to a process by its environment."""

_meetings = count()
_stores: dict[tuple[str, int], dist.Store] = {}


def joinable() -> bool:
    """Return whether this process is one of a group, or was started to be."""
    return _initialized() or all(name in os.environ for name in NEEDED)


def rank() -> int:
    """Return the how-manieth process this is, from 0; 0 where it is none of a group."""
    return dist.get_rank() if _initialized() else int(os.environ.get("RANK", 0))


def size() -> int:
    """Return how many processes there are, 1 where there is no group."""
    return dist.get_world_size() if _initialized() else int(os.environ.get("WORLD_SIZE", 1))


def _initialized() -> bool:
    return dist.is_available() and dist.is_initialized()


@contextmanager
def met(device: torch.device, timeout: float) -> Iterator[Group]:
    """Yield the group of all processes, which ends with the context.

    A group that the program has made itself is used, and stays.
    """
    if not dist.is_available():
        raise MissingPackage("this build of torch has no torch.distributed; install another.")
    if dist.is_initialized():
        yield Group(device, timeout)
        return
    with _on_loopback():
        _begin(device, timeout)
        try:
            yield Group(device, timeout)
        finally:
            dist.destroy_process_group()


def _begin(device: torch.device, timeout: float) -> None:
    backend = "nccl" if device.type == "cuda" else "gloo"
    limit = timedelta(seconds=timeout)
    try:
        store = dist.PrefixStore(f"thalweg/{next(_meetings)}", _store(limit))
        dist.init_process_group(backend, None, limit, size(), rank(), store)
    except RuntimeError as error:
        raise WorkerDied(
            f"the {size()} processes have not met within {timeout:g} seconds: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _store(limit: timedelta) -> dist.Store:
    """Return where processes find one another, made once in the life of this one."""
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if place not in _stores:
        _stores[place] = _opened(*place, limit)
    return _stores[place]


def _opened(host: str, port: int, limit: timedelta) -> dist.Store:
    """Return torchrun's store, or one that the first process keeps.

    torch's own would listen on all interfaces; this one listens where the others look for it.
    """
    if rank() > 0 or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return dist.TCPStore(host, port, size(), False, limit, wait_for_workers=False)
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise BadValue(
            f"the processes were to meet at {host}:{port}, which cannot be listened on: {error}. "
            "Choose another port by MASTER_PORT, or leave it to torchrun."
        ) from error
    return dist.TCPStore(
        host, port, size(), True, limit, wait_for_workers=False, master_listen_fd=listener.detach()
    )


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let connections be made on loopback while all processes are on this machine."""
    names = [name for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if not _says(name)]
    if not _on_this_machine():
        names = []
    os.environ.update(dict.fromkeys(names, _loopback()))
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]


def _says(name: str) -> bool:
    return bool(os.environ.get(name))


def _on_this_machine() -> bool:
    together = os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]
    return together or os.environ["MASTER_ADDR"] in ("localhost", "127.0.0.1")


def _loopback() -> str:
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
