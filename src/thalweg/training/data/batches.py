"""Cuts an epoch into the batches of its updates, and can begin in its middle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Literal

import numpy as np
from torch.utils.data import DataLoader, IterableDataset

from thalweg.arguments import check_count
from thalweg.errors import BadValue
from thalweg.problems.checks import check_batch
from thalweg.schedules import Schedule
from thalweg.schedules.together import updates_per_epoch
from thalweg.training import randomness
from thalweg.training.data.forms import Batch, Data, Examples, Stream
from thalweg.training.data.order import InOrder, Order, Shuffled, generator_of

Size = int | Literal["all"] | Schedule
Groups = Iterator[tuple[int, list[Batch]]]


class Batches(ABC):
    """The training set as the updates of an epoch go through it."""

    def prepare(self, epochs: int) -> None:
        """Look at the training set before the first update; raise BadValue for what cannot work."""

    def lonely(self, epochs: int) -> Batch | None:
        """Return a batch of one example if one is known to come in so many epochs, else None."""
        return None

    @property
    @abstractmethod
    def data(self) -> Data:
        """The training set itself."""

    @property
    @abstractmethod
    def updates_per_epoch(self) -> int | None:
        """The updates of an epoch that sees every example once; None where that is unknown."""

    @abstractmethod
    def epoch(self, number: int, taken: int, update: int) -> Groups:
        """Yield, for every update that is left, the batches it averages over.

        With them comes how much of the epoch is then taken, in the batches' own unit. *number*
        counts epochs from 0, *taken* says how much of this one is done already, and *update* how
        many updates were made before.
        """

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold beside the place."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned when the checkpoint was written."""


class CutBatches(Batches):
    """Batches cut out of examples that can be asked for by number; *taken* counts examples."""

    def __init__(
        self, examples: Examples, size: Size, order: Order, seed: int, accumulate: int
    ) -> None:
        self.examples, self.order, self.seed = examples, order, seed
        self.size = len(examples) if size == "all" else size
        self.accumulate = accumulate

    def prepare(self, epochs: int) -> None:
        """Let the order look at the examples."""
        self.order.prepare(self.examples, epochs)

    @property
    def data(self) -> Examples:
        """The examples."""
        return self.examples

    @property
    def updates_per_epoch(self) -> int | None:
        """How many, unless a schedule decides on the size."""
        if not isinstance(self.size, int):
            return None
        return updates_per_epoch(len(self.examples), self.size * self.accumulate)

    def epoch(self, number: int, taken: int, update: int) -> Groups:
        """Yield the batches of one epoch, its last one smaller where the examples run out."""
        generator = generator_of(self.seed, number)
        indices = self.order.indices(len(self.examples), number, generator)
        for done, cuts in self._cuts(len(indices), taken, update):
            yield done, [self.examples.take(indices[each.start : each.stop]) for each in cuts]

    def _cuts(self, end: int, taken: int, update: int) -> Iterator[tuple[int, list[range]]]:
        """Yield where the batches of each update begin and stop among an epoch's indices."""
        while taken < end:
            size = self.size if isinstance(self.size, int) else int(self.size(update))
            begin, taken = taken, min(taken + size * self.accumulate, end)
            yield taken, [range(k, min(k + size, taken)) for k in range(begin, taken, size)]
            update += 1

    def lonely(self, epochs: int) -> Batch | None:
        """Return a batch of one example if some epoch has such a batch."""
        lengths = (self.order.length(len(self.examples), epoch) for epoch in range(epochs))
        if isinstance(self.size, int):
            alone = any(length % self.size == 1 or self.size == 1 for length in lengths)
        else:
            alone = self._schedule_leaves_one(lengths)
        return self.examples.take(range(1)) if alone else None

    def _schedule_leaves_one(self, lengths: Iterable[int]) -> bool:
        update = 0
        for length in lengths:
            for _, cuts in self._cuts(length, 0, update):
                if any(len(each) == 1 for each in cuts):
                    return True
                update += 1
        return False

    def state(self) -> dict[str, Any]:
        """Return the order's state."""
        return {"order": self.order.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Hand it back to the order."""
        self.order.restore(state["order"])


class StreamBatches(Batches):
    """The batches of a loader as they come; *taken* counts batches.

    To begin in the middle of an epoch, the loader is started from the random state that the epoch
    began with, and the batches that were taken are drawn once more and let go.
    """

    def __init__(self, stream: Stream, accumulate: int) -> None:
        self.stream, self.accumulate = stream, accumulate
        self.began: dict[str, Any] = {}

    @property
    def data(self) -> Stream:
        """The loader."""
        return self.stream

    @property
    def updates_per_epoch(self) -> int | None:
        """How many, where the loader says how many batches it has."""
        try:
            return updates_per_epoch(len(self.stream.batches), self.accumulate)  # type: ignore[arg-type]
        except TypeError:
            return None

    def epoch(self, number: int, taken: int, update: int) -> Groups:
        """Yield the loader's batches, as many together as are accumulated."""
        own = self.stream.generators
        now = randomness.capture(own)
        if taken:
            randomness.restore(self.began, own)
        else:
            self.began = now
        batches = iter(self.stream)
        if taken:
            deque(islice(batches, taken), maxlen=0)
            randomness.restore(now, own)
        while group := list(islice(batches, self.accumulate)):
            taken += len(group)
            yield taken, group
        if not taken:
            raise BadValue(
                f"epoch {number + 1} of the training data yields no batch; they must not be empty, "
                "and must begin anew in every epoch, as a DataLoader does."
            )

    def lonely(self, epochs: int) -> Batch | None:
        """Return the first example as a batch if a `DataLoader` leaves one alone."""
        loader = self.stream.batches
        if not isinstance(loader, DataLoader) or loader.batch_size is None or loader.drop_last:
            return None
        if isinstance(loader.dataset, IterableDataset):
            return None
        alone = loader.batch_size == 1 or len(loader.sampler) % loader.batch_size == 1  # type: ignore[arg-type]
        return loader.collate_fn([loader.dataset[0]]) if alone else None

    def state(self) -> dict[str, Any]:
        """Return the random state with which the epoch began."""
        return {"began": self.began}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it over."""
        self.began = state["began"]


def as_batches(data: Data, size: Size, order: Order | None, seed: int, accumulate: int) -> Batches:
    """Return the batches of *data*, or raise where they cannot be cut in that way."""
    check_count("accumulate", accumulate)
    if isinstance(data, Stream):
        if order is not None:
            raise BadValue(
                "an order was given, but the data are a loader, which has its own. Give the loader "
                "a sampler, or pass the data set itself."
            )
        return StreamBatches(data, accumulate)
    if len(data) == 0:
        raise BadValue("the training set is empty.")
    check_size(size, len(data))
    return CutBatches(data, size, order or _usual(size), seed, accumulate)


def _usual(size: Size) -> Order:
    return InOrder() if size == "all" else Shuffled()


def check_size(size: Size, count: int) -> None:
    """Raise unless batches of that size can be cut from *count* examples."""
    if isinstance(size, Schedule):
        values = size(np.arange(size.horizon or 100_000, dtype=float))
        low, high = float(np.min(values)), float(np.max(values))
        if not (low >= 1 and high < count + 1):
            raise BadValue(
                f"the schedule of the batch size goes from {low:g} to {high:g}; the training set "
                f"has {count:,} examples, so expected numbers from 1 to {count:,}."
            )
    elif size != "all":
        check_batch(size, count)
