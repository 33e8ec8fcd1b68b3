"""Where a training stands: all that its updates change, as one thing that can be saved."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import BadValue
from thalweg.problems import own_gradient
from thalweg.training import randomness
from thalweg.training.data.batches import Batches
from thalweg.training.data.forms import Data, Stream
from thalweg.training.evaluation import device_of
from thalweg.training.history import Epoch
from thalweg.training.strategies.strategy import Strategy
from thalweg.training.weights import check_fit


@dataclass
class Place:
    """How far a training has come: whole epochs, updates, examples, and its seconds so far.

    ``taken`` says how much of the running epoch is done, in the unit of its batches; ``total`` and
    ``counted`` are the sum of its losses and the number of examples they are of.
    """

    epoch: int = 0
    update: int = 0
    taken: int = 0
    examples: int = 0
    seconds: float = 0.0
    total: float = 0.0
    counted: int = 0


class Training:
    """A model on its way: what strategies look at and act on, and what a checkpoint holds.

    ``history`` has an Epoch for each that is done. ``window`` sums the losses since they were last
    added to ``place.total``, so that no update waits for a number. ``valid`` is the validation set.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[..., Tensor],
        batches: Batches, valid: Data | None, strategies: Sequence[Strategy],
        settings: dict[str, Any],
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.batches, self.valid = batches, valid
        self.strategies, self.settings = strategies, settings
        self.place = Place()
        self.history: list[Epoch] = []
        self.window = torch.zeros((), dtype=torch.float64, device=device_of(model))
        self.window_examples = 0
        self.stopped = ""
        self.diverged = False
        self._write_gradient = own_gradient(loss)

    @property
    def data(self) -> Data:
        """The training set."""
        return self.batches.data

    @property
    def best(self) -> Epoch | None:
        """The epoch judged best so far."""
        return min(self.history, key=lambda epoch: epoch.judged, default=None)

    def gradient(self, inputs: Any, targets: Any, share: float) -> Tensor:
        """Add the gradient of a batch, times its *share* in the update; return its mean loss.

        A loss that writes its own gradient is asked for it, and has no share but the whole.
        """
        if self._write_gradient is not None:
            return self._write_gradient(self.model, inputs, targets).detach()
        loss = self.loss(self.model(inputs), targets)
        (loss if share == 1 else loss * share).backward()
        return loss.detach()

    def drain(self) -> tuple[float, int]:
        """Return the sum of the losses since the last call and how many examples they are of."""
        total, examples = self.window.item(), self.window_examples
        self.place.total += total
        self.place.counted += examples
        self.window.zero_()
        self.window_examples = 0
        return total, examples

    def diverge(self, reason: str) -> None:
        """Stop: numbers are no longer finite."""
        self.stopped, self.diverged = reason, True
        warnings.warn(f"the training diverged: {reason}. Lower the learning rate.", stacklevel=5)

    def state(self) -> dict[str, Any]:
        """Return everything that the rest of the training depends on."""
        return {
            "model": dict(self.model.state_dict()),
            "passing": self._passing(),
            "optimizer": self.optimizer.state_dict(),
            "strategies": [strategy.state() for strategy in self.strategies],
            "batches": self.batches.state(),
            "place": asdict(self.place),
            "window": (self.window, self.window_examples),
            "history": [tuple(epoch) for epoch in self.history],
            "random": randomness.capture(self._generators()),
            "stopped": self.stopped,
            "settings": self.settings,
            "threads": torch.get_num_threads(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, or raise with model and optimizer as they were."""
        self._check_settings(state["settings"])
        check_fit(self.model, state["model"], "the checkpoint is")
        self._check_generators(len(state["random"]["own"]))
        _warn_of_threads(state["threads"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.model.load_state_dict(state["model"])
        for name, buffer in self._passing().items():
            saved = state["passing"].get(name)
            if saved is not None and saved.shape == buffer.shape:
                buffer.copy_(saved)
        for strategy, each in zip(self.strategies, state["strategies"], strict=True):
            strategy.restore(each)
        self.batches.restore(state["batches"])
        self.place = Place(**state["place"])
        window, self.window_examples = state["window"]
        self.window.copy_(window)
        self.stopped = state["stopped"]
        self.history = [Epoch(*each) for each in state["history"]]
        randomness.restore(state["random"], self._generators())

    def _passing(self) -> dict[str, Tensor]:
        """Return the buffers that a state dict leaves out, which the training may yet change."""
        kept = self.model.state_dict(keep_vars=True)
        return {name: each for name, each in self.model.named_buffers() if name not in kept}

    def _generators(self) -> list[torch.Generator]:
        """Return what the loaders of both sets draw from beside torch's own generator."""
        streams = [each for each in (self.data, self.valid) if isinstance(each, Stream)]
        return [generator for stream in streams for generator in stream.generators]

    def _check_generators(self, saved: int) -> None:
        if saved != len(self._generators()):
            raise BadValue(
                f"the checkpoint was written by a training whose loaders had {saved} generators of "
                f"their own; those of this one have {len(self._generators())}. Resume with the "
                "same, or begin in another folder."
            )

    def _check_settings(self, saved: dict[str, Any]) -> None:
        for name, value in self.settings.items():
            if saved.get(name) != value:
                raise BadValue(
                    f"the checkpoint was written by a training with {name} {saved.get(name)!r}; "
                    f"this one has {value!r}. Resume with the same, or begin in another folder."
                )


def _warn_of_threads(number: int) -> None:
    if number != torch.get_num_threads():
        warnings.warn(
            f"the checkpoint was written with {number} threads, this process has "
            f"{torch.get_num_threads()}: sums may round otherwise, so that the training need not "
            f"go on bit for bit. torch.set_num_threads({number}) makes it so.",
            stacklevel=4,
        )
