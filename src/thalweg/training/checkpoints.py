"""Checkpoints in a folder: written whole or not at all, checked when read, the last few kept."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from thalweg import files
from thalweg.arguments import check_count
from thalweg.errors import BadFile
from thalweg.training.lock import locked
from thalweg.training.tree import pack, unpack

_NAME = re.compile(r"update-(\d+)-([0-9a-f]{16})\.safetensors")
_BEST = re.compile(r"best-(\d+)-([0-9a-f]{16})\.safetensors")


class Checkpoints:
    """Where a training keeps its checkpoints, and how often it writes one.

    One is written after every epoch, after every *every* updates if given, and when SIGINT or
    SIGTERM asks the training to stop. The last *keep* of them stay, and the best, that after the
    epoch with the lowest validation loss. Each is one safetensors file, a tensor for every array
    and JSON for the rest in its header; its name ends with a checksum of its content.

    With *resume* a training goes on from the last good one in the folder, and begins anew where
    there is none. Without, a folder that holds checkpoints is refused, so that none is lost. A
    folder that another process trains into is refused as well.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, every: int | None = None, keep: int = 3,
        resume: bool = False,
    ) -> None:  # fmt: skip
        check_count("keep", keep)
        if every is not None:
            check_count("every", every)
        self.folder, self.every, self.keep, self.resume = Path(folder), every, keep, resume

    @property
    def last(self) -> Path | None:
        """The newest checkpoint's file."""
        return next(reversed(self._found(_NAME)), None)

    @property
    def best(self) -> Path | None:
        """The file of the checkpoint after the best epoch."""
        return next(reversed(self._found(_BEST)), None)

    def held(self) -> AbstractContextManager[None]:
        """Make the folder and keep other processes from training into it; raise BadFile."""
        return locked(self.folder)

    def prepare(self) -> dict[str, Any] | None:
        """Return the state to go on from, None at the beginning."""
        if self.resume:
            return self.load()
        found = self._found(_NAME)
        if found:
            raise BadFile(
                f"{self.folder} holds checkpoints of an earlier training, the last after update "
                f"{_number(found[-1]):,}. Resume it, name another folder, or remove these."
            )
        return None

    def load(self) -> dict[str, Any] | None:
        """Return the last state that was written whole, None where there is none.

        Files whose content is not what their name says are passed over with a warning. Raises
        BadFile where there are files but none is whole.
        """
        found = self._found(_NAME)
        for path in reversed(found):
            state = _read(path)
            if state is not None:
                return state
            warnings.warn(
                f"{path.name} is damaged and is passed over for the checkpoint before it.",
                stacklevel=2,
            )
        if found:
            raise BadFile(f"all {len(found)} checkpoints in {self.folder} are damaged.")
        return None

    def load_best(self) -> dict[str, Any] | None:
        """Return the state after the best epoch, None where there is none."""
        states = (_read(path) for path in reversed(self._found(_BEST)))
        return next((state for state in states if state is not None), None)

    def write(self, state: dict[str, Any], update: int, best: bool = False) -> Path:
        """Write *state*, that after *update* updates, then remove what need not be kept.

        Raises BadFile where it cannot be written; what is there stays.
        """
        text, tensors = pack(state)
        content = safetensors.torch.save(tensors, {"state": text})
        ending = f"{update:09}-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
        path = self.folder / f"update-{ending}"
        try:
            files.replace(path, content)
            if best:
                _link(path, self.folder / f"best-{ending}")
        except OSError as error:
            raise BadFile(
                f"no checkpoint could be written to {self.folder}: {error.strerror}. "
                f"{self._last_good(path)}"
            ) from error
        self._tidy()
        return path

    def _last_good(self, failed: Path) -> str:
        found = [path for path in self._found(_NAME) if path != failed]
        if not found:
            return "None has been written so far. Free space or name another folder."
        return f"The last good one is {found[-1].name}; free space and resume from it."

    def _tidy(self) -> None:
        for path in (*self._found(_NAME)[: -self.keep], *self._found(_BEST)[:-1]):
            path.unlink(missing_ok=True)

    def _found(self, names: re.Pattern[str]) -> list[Path]:
        """Return the checkpoints of one kind, oldest first."""
        paths = [path for path in self.folder.glob("*.safetensors") if names.fullmatch(path.name)]
        return sorted(paths, key=lambda path: (_number(path), path.stat().st_mtime_ns))


def _number(path: Path) -> int:
    return int(path.name.split("-")[1])


def _read(path: Path) -> dict[str, Any] | None:
    """Return the state in a file, or None where its content is not what its name says."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest()[:16] != path.stem.split("-")[2]:
        return None
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        return unpack(file.metadata()["state"], tensors)


def _link(path: Path, best: Path) -> None:
    best.unlink(missing_ok=True)
    os.link(path, best)
