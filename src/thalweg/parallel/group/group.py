"""The processes that train together: every one calls the same methods in the same order.

Numbers and text travel, nothing is pickled: who reaches the ports can spoil a training, not run
programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from thalweg.errors import WorkerDied


class Group:
    """All processes, of which this one has a *rank*; *timeout* is what is said of a silent one."""

    def __init__(self, device: torch.device, timeout: float) -> None:
        self.device, self.timeout = device, timeout
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def rows(self, row: Sequence[float]) -> list[list[float]]:
        """Return the numbers of every process, by rank."""
        mine = torch.tensor(row, dtype=torch.float64, device=self.device)
        return [found.tolist() for found in self._gathered(mine)]

    def texts(self, text: str) -> list[str]:
        """Return the text of every process, by rank."""
        content = text.encode()
        lengths = [int(length) for (length,) in self.rows([len(content)])]
        padded = torch.zeros(max(lengths), dtype=torch.uint8, device=self.device)
        padded[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        pairs = zip(self._gathered(padded), lengths, strict=True)
        return [bytes(found[:length].tolist()).decode() for found, length in pairs]

    def _gathered(self, mine: Tensor) -> list[Tensor]:
        found = [torch.empty_like(mine) for _ in range(self.size)]
        with self.answering():
            dist.all_gather(found, mine)
        return found

    def add_up(self, vector: Tensor) -> None:
        """Replace a vector by the sum of those of all processes, the same bits in each."""
        with self.answering():
            dist.all_reduce(vector)

    def spread(self, tensors: Sequence[Tensor], source: int = 0) -> None:
        """Replace tensors by those of the process of rank *source*."""
        with self.answering():
            for tensor in tensors:
                dist.broadcast(tensor, source)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Raise WorkerDied where another process has ended, or is silent."""
        try:
            yield
        except WorkerDied:
            raise
        except RuntimeError as error:
            if not _of_the_group(error):
                raise
            said = str(error).splitlines()[0].rpartition("] ")[2]
            raise WorkerDied(
                "another process of the training has ended, which says why itself, or has not "
                f"answered for {self.timeout:g} seconds: {said}"
            ) from error


def _of_the_group(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()
