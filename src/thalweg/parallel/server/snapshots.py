"""Where a shard's snapshots go: into memory, or into a folder as safetensors files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from thalweg.errors import BadFile, BadType
from thalweg.parallel.server.shard import Shard
from thalweg.training.checkpoints import Checkpoints
from thalweg.training.tree import pack, unpack


def unused(folder: str | os.PathLike[str], shards: int) -> list[Path]:
    """Return where in *folder* each of so many shards puts its snapshots.

    Raises BadFile where there are some already, and BadType for what is no folder's name.
    """
    if not isinstance(folder, str | os.PathLike):
        raise BadType(f"snapshots={folder!r}; expected the path of a folder.")
    found = [Path(folder).absolute() / f"shard-{place}" for place in range(shards)]
    for each in found:
        _check_unused(each)
    return found


def _check_unused(folder: Path) -> None:
    if Checkpoints(folder).last is not None:
        raise BadFile(
            f"{folder} holds snapshots of an earlier training, which cannot be resumed. Name "
            "another folder, or remove this one."
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFile(f"{folder} cannot hold snapshots: {error.strerror}.") from error


class Snapshots:
    """The snapshots of one shard; ``update`` is the version of the last one.

    In a folder they are checkpoints as trainings write them: replaced whole, checked when read, the
    last two kept. A folder that holds some already is refused with BadFile, unless *again* says
    that they are those of the same training.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, again: bool = False) -> None:
        self._checkpoints = None if folder is None else Checkpoints(folder, keep=2)
        self._kept: tuple[str, dict] | None = None
        self.update = 0
        if self._checkpoints is not None:
            _make(self._checkpoints.folder)
        if self._checkpoints is not None and not again:
            _check_unused(self._checkpoints.folder)

    def save(self, shard: Shard) -> None:
        """Write a snapshot; raise BadFile where that fails, with the one before still there."""
        state, self.update = shard.state(), shard.version.update
        if self._checkpoints is None:
            self._kept = pack(state)
        else:
            self._checkpoints.write(state, self.update)

    def restore(self, shard: Shard) -> None:
        """Put the last snapshot into a new shard, and write one of the life that begins."""
        state = self._last()
        if state is not None:
            shard.restore(state)
        self.save(shard)

    def _last(self) -> dict[str, Any] | None:
        if self._checkpoints is not None:
            return self._checkpoints.load()
        return unpack(*self._kept) if self._kept else None
