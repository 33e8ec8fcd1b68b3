"""What a worker sends to one shard: compressed, and where that can be through shared memory."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from thalweg.parallel.cluster.mailbox import LARGE, Mailbox, shared_memory
from thalweg.parallel.cluster.wire import Box, boxed
from thalweg.parallel.compression import Compressor

EMPTY = np.empty(0, np.uint8)


class Outbox:
    """Packs pushes for a shard. A box that it returned is of use until it packs the next."""

    def __init__(self, pack: Compressor) -> None:
        self._pack = pack
        self._shares = shared_memory()
        self._mailbox: Mailbox | None = None

    def boxed(self, vector: Tensor) -> Box:
        """Return the box of a vector; a large whole one lies in a mailbox."""
        box = boxed(self._pack(vector))
        values = box.values
        if not self._shares or box.places is not None or values.nbytes < LARGE:
            return box
        if self._mailbox is None:
            self._mailbox = Mailbox(values.nbytes)
        self._mailbox.put(values)
        return box._replace(values=EMPTY, mailbox=self._mailbox.place)

    def by_value(self, box: Box) -> Box:
        """Return a box that the shard could not look into with what it holds, as all later ones."""
        self._shares = False
        if self._mailbox is None:
            return box
        return box._replace(values=self._mailbox.content(), mailbox=None)
