"""The loop: draw a batch, measure its gradient, update; after each epoch evaluate, decide, save."""

from __future__ import annotations

import math
import signal
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from thalweg.training.checkpoints import Checkpoints
from thalweg.training.data.forms import Batch, Data, moved, size_of
from thalweg.training.evaluation import Evaluation, device_of, evaluate, no_validation
from thalweg.training.history import Epoch, Result
from thalweg.training.interrupts import Interrupted, Request, requests
from thalweg.training.training import Place, Training

if TYPE_CHECKING:
    from thalweg.training.study.notes import Notes

EVERY = 10
"""Updates between two points of the running loss, and between two looks at whether it is finite."""


class Loop:
    """A training with what it is evaluated on and where it leaves its traces.

    ``watched`` is a fixed part of the training set.
    """

    def __init__(
        self, training: Training, watched: Data | None, checkpoints: Checkpoints | None,
        run: Notes | None,
    ) -> None:  # fmt: skip
        self.training, self.checkpoints, self.record = training, checkpoints, run
        self.watched = watched
        self.acting = [each for each in training.strategies if each.acts_on_updates()]
        self.device = device_of(training.model)
        self.clock = 0.0

    def run(self, epochs: int) -> Result:
        """Begin or resume, train until *epochs* are done or something stops it, and end."""
        with self.checkpoints.held() if self.checkpoints else nullcontext():
            return self._run(epochs)

    def _run(self, epochs: int) -> Result:
        training = self.training
        for strategy in training.strategies:
            strategy.begin(training)
        saved = self.checkpoints.prepare() if self.checkpoints else None
        if saved is not None:
            training.restore(saved)
        status = "failed"
        try:
            with requests() if self.checkpoints else nullcontext(Request()) as request:
                while training.place.epoch < epochs and not training.stopped:
                    self._epoch(request)
            for strategy in training.strategies:
                strategy.end(training)
            status = "diverged" if training.diverged else "finished"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            if self.record:
                self.record.end(status)
        reason = training.stopped or f"all {epochs} epochs are done"
        return Result(training.model, tuple(training.history), reason, training.diverged)

    def _epoch(self, request: Request) -> None:
        training, place = self.training, self.training.place
        self.clock = time.perf_counter()
        training.model.train()
        left = training.batches.epoch(place.epoch, place.taken, place.update)
        for place.taken, batches in left:
            self._update(batches)
            for strategy in self.acting:
                strategy.after_update(training)
            if place.update % EVERY == 0:
                self._look()
                if training.diverged:
                    return
            if self._is_due():
                self._save()
            self._heed(request)
        self._close()
        self._heed(request)

    def _update(self, batches: list[Batch]) -> None:
        """Make one update with the mean gradient over all examples of *batches*, and let them go.

        Their memory, still in the cache, then takes the next ones.
        """
        training = self.training
        training.optimizer.zero_grad()
        sizes = [size_of(batch) for batch in batches]
        total = sum(sizes)
        for size in sizes:
            inputs, targets = (moved(part, self.device) for part in batches.pop(0))
            loss = training.gradient(inputs, targets, size / total)
            training.window.add_(loss, alpha=size)
        training.optimizer.step()
        training.window_examples += total
        training.place.update += 1
        training.place.examples += total

    def _look(self) -> None:
        """Add up the losses since the last look, write down their mean, and notice divergence."""
        training, place = self.training, self.training.place
        total, examples = training.drain()
        if not examples:
            return
        if self.record:
            self.record.emit("loss", place.update, total / examples)
            self.record.emit("lr", place.update, training.optimizer.param_groups[0].get("lr"))
        if not math.isfinite(total):
            training.diverge(f"the training loss is {total / examples} at update {place.update:,}")

    def _close(self) -> None:
        """End an epoch: evaluate, let the strategies decide, and save."""
        training = self.training
        self._look()
        if training.diverged:
            return
        epoch = self._judged()
        training.history.append(epoch)
        training.place = Place(epoch.number, epoch.updates, examples=epoch.examples)
        if self.record:
            self.record.emit("epoch", epoch.number, epoch.judged, epoch._asdict())
        if not math.isfinite(epoch.judged):
            training.diverge(f"the validation loss is {epoch.judged} after epoch {epoch.number}")
            return
        for strategy in training.strategies:
            training.stopped = strategy.after_epoch(training, epoch) or training.stopped
        self._save(best=training.best is epoch)

    def _judged(self) -> Epoch:
        self._count_time()
        place = self.training.place
        with no_validation():
            watched = self._evaluate(self.watched)
        valid = self._evaluate(self.training.valid)
        return Epoch(
            number=place.epoch + 1,
            updates=place.update,
            examples=place.examples,
            running_loss=place.total / place.counted,
            train_loss=watched.loss if watched else None,
            valid_loss=valid.loss if valid else None,
            valid_accuracy=valid.accuracy if valid else None,
            seconds=place.seconds,
        )

    def _evaluate(self, data: Data | None) -> Evaluation | None:
        return None if data is None else evaluate(self.training.model, self.training.loss, data)

    def _count_time(self) -> None:
        now = time.perf_counter()
        self.training.place.seconds += now - self.clock
        self.clock = now

    def _is_due(self) -> bool:
        every = self.checkpoints.every if self.checkpoints else None
        return every is not None and self.training.place.update % every == 0

    def _save(self, best: bool = False) -> None:
        """Write what happened into the record, then a checkpoint that builds on it."""
        self._count_time()
        if self.record:
            self.record.flush()
        if self.checkpoints:
            self.checkpoints.write(self._state(), self.training.place.update, best)
        self.clock = time.perf_counter()

    def _state(self) -> dict[str, Any]:
        return {**self.training.state(), "run": self.record.id if self.record else None}

    def _heed(self, request: Request) -> None:
        """Leave where a signal asked for it, with a checkpoint written."""
        if request.signal is None or self.checkpoints is None or self.training.diverged:
            return
        self._save()
        update = self.training.place.update
        raise Interrupted(
            f"{signal.Signals(request.signal).name}: stopped after update {update:,}; the "
            f"checkpoint is in {self.checkpoints.folder}, to be resumed from there.",
            request.signal,
        )
