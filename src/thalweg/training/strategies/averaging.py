"""Averages of the weights over the updates of a training, kept beside the model.

The training itself is as it would be without; the average is often the better model. To have it
made inside the optimizer's own kernel, chain ``ema_average`` or ``polyak_average`` to a rule.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from thalweg.arguments import check_count, check_number
from thalweg.errors import BadValue
from thalweg.training.history import Epoch
from thalweg.training.strategies.batch_norm import mark, reestimate
from thalweg.training.strategies.strategy import Strategy
from thalweg.training.training import Training
from thalweg.training.weights import Weights, copy_of


class Average(Strategy):
    """An average of all parameters; subclasses say when weights are added, and with what share.

    After the training ``averaged`` holds it by name, as ``state_dict()`` does: parameters averaged,
    buffers as they were at the end. Half precision is averaged in float32. ``count`` tells how many
    weights were added.
    """

    def __init__(self) -> None:
        self.averaged: Weights = {}
        self.count = 0

    def begin(self, training: Training) -> None:
        """Forget any training before."""
        self._training = training
        self._means: list[Tensor] = []
        self.averaged, self.count = {}, 0

    def share(self) -> float:
        """Return the share of the weights that are added next: by default all count alike."""
        return 1 / (self.count + 1)

    @torch.no_grad()
    def add(self, training: Training) -> None:
        """Add the weights as they are now."""
        parameters = list(training.model.parameters())
        if not self.count:
            self._means = [p.to(_precise(p), copy=True) for p in parameters]
        else:
            pairs = zip(parameters, self._means, strict=True)
            ends = [p if p.dtype == mean.dtype else p.to(mean.dtype) for p, mean in pairs]
            torch._foreach_lerp_(self._means, ends, self.share())
        self.count += 1

    def end(self, training: Training) -> None:
        """Lay the average out by name."""
        if self.count:
            means = dict(zip(training.model.parameters(), self._means, strict=True))
            named = training.model.named_parameters(remove_duplicate=False)
            averages = {name: means[p].to(p.dtype) for name, p in named}
            self.averaged = copy_of(training.model) | averages

    def model(self, data: Any = None, *, batch: int = 1000) -> nn.Module:
        """Return a copy of the model with the averaged weights, ready to predict.

        Its batch normalization is re-estimated on *data*, by default the training set. Raises
        BadValue where nothing was averaged.
        """
        model = copy.deepcopy(self._begun().model)
        self.put_into(model)
        reestimate(model, self._training.data if data is None else data, batch=batch)
        return model.eval()

    def put_into(self, model: nn.Module) -> None:
        """Write the averaged weights into *model*, which warns until its moments are re-estimated.

        Raises BadValue where nothing was averaged.
        """
        self._begun()
        model.load_state_dict(self.averaged)
        mark(model)

    def _begun(self) -> Training:
        if not self.averaged:
            raise BadValue(
                f"{type(self).__name__} has no average: fit has not ended with it, or ended before "
                "its start."
            )
        return self._training

    def state(self) -> dict[str, Any]:
        """Return the average so far, and how many weights it is of."""
        return {"means": self._means, "count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, on the devices of the parameters."""
        pairs = zip(state["means"], self._training.model.parameters(), strict=False)
        self._means = [mean.to(p.device) for mean, p in pairs]
        self.count = state["count"]


def _precise(parameter: Tensor) -> torch.dtype:
    return torch.promote_types(parameter.dtype, torch.float32)


class Ema(Average):
    """The exponential moving average of the weights after every update.

    It begins with the weights after the first update, as torch's ``AveragedModel`` does, and keeps
    the share *decay* of itself at each update after it.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        check_number("decay", decay, 0, 1)
        self.decay = decay

    def share(self) -> float:
        """Return the share of the newest weights."""
        return 1 - self.decay

    def after_update(self, training: Training) -> None:
        """Add the weights."""
        self.add(training)


class PolyakTail(Average):
    """The mean of the weights after every update past number *start* (Polyak & Juditsky 1992).

    ``PolyakTail(0)`` averages over all updates, ``PolyakTail(900)`` of 1,000 over the last 100.
    """

    def __init__(self, start: int) -> None:
        super().__init__()
        check_count("start", start, 0)
        self.start = start

    def after_update(self, training: Training) -> None:
        """Add the weights, once the tail has begun."""
        if training.place.update > self.start:
            self.add(training)


class Swa(Average):
    """Stochastic weight averaging: the mean of the weights at regular moments past the start.

    They are those after every epoch past number *start*; or, where *every* is a number, after each
    so many updates past update number *start*. Meant for a learning rate that is constant or
    cyclical by then (Izmailov et al. 2018, Averaging weights leads to wider optima).
    """

    def __init__(self, start: int, every: int | Literal["epoch"] = "epoch") -> None:
        super().__init__()
        check_count("start", start, 0)
        if every != "epoch":
            check_count("every", every)
        self.start, self.every = start, every

    def after_update(self, training: Training) -> None:
        """Add the weights where it is their turn by the count of updates."""
        if self.every == "epoch":
            return
        past = training.place.update - self.start
        if past > 0 and past % self.every == 0:
            self.add(training)

    def after_epoch(self, training: Training, epoch: Epoch) -> None:
        """Add the weights where it is their turn by the count of epochs."""
        if self.every == "epoch" and epoch.number > self.start:
            self.add(training)
