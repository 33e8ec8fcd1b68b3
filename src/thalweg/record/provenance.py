"""Where a run came from: versions, command and machine, and whether its process still lives."""

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

from thalweg import __version__


def provenance(threads: int | None) -> dict[str, Any]:
    """Return the versions, platform and command line of this process, as JSON can hold them."""
    return {
        "thalweg": __version__,
        "torch": _version("torch"),
        "numpy": _version("numpy"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": [part.encode(errors="replace").decode() for part in sys.argv],
        "threads": threads,
    }


def process() -> dict[str, Any]:
    """Return what tells this process from any other: host, number, and when it was born."""
    return {"host": platform.node(), "pid": os.getpid(), "born": _birth(os.getpid())}


def lives(which: dict[str, Any]) -> bool | None:
    """Say whether a process still runs; None where that cannot be known from here.

    It can be known on its own host. Where the system keeps no birth of a process, another may have
    got its number since, so that only its death is certain.
    """
    if which["host"] != platform.node() or os.name == "nt":
        return None
    if which["born"] is not None:
        return _birth(which["pid"]) == which["born"]
    return None if _exists(which["pid"]) else False


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _birth(pid: int) -> str | None:
    """Return the boot and the tick at which a process was born; None for one that has ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else f"{boot} {rest[18]}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
