"""A callback for Lightning's Trainer that watches a training and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from torch import nn

from thalweg.doctor.hosts.ending import Ended, Say
from thalweg.doctor.watching.session import Watch
from thalweg.errors import BadValue, MissingPackage

try:
    from lightning.pytorch import Callback, LightningModule
except ImportError as error:
    raise MissingPackage("Lightning is not installed: pip install 'thalweg[hosts]'.") from error


@final
class WatchCallback(Ended, Callback):
    """Watches one optimizer of a LightningModule from the first update to the last.

    *model* names the submodule that ``training_step`` calls, such as ``"net"``; without it, it is
    the LightningModule if that has a ``forward`` of its own, else its only child with parameters.
    *loss_fn* is the loss, or the name of the attribute that is. *optimizer* is the place of one
    among several. *say* gets the report at the end, None for nobody. Overhead and the seconds at
    the end are those of `Watch`, which it raises for too.
    """

    def __init__(
        self, loss_fn: Callable[..., Any] | str | None = None, *, model: str = "",
        optimizer: int = 0, overhead: float = 0.03, at_exit: float = 2.0, say: Say | None = print,
    ) -> None:  # fmt: skip
        self._loss_fn, self._model, self._optimizer = loss_fn, model, optimizer
        self._costs, self._say = {"overhead": overhead, "at_exit": at_exit}, say

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch."""
        loss_fn: Any = self._loss_fn
        if isinstance(loss_fn, str):
            loss_fn = _attribute(pl_module, loss_fn)
        if not 0 <= self._optimizer < len(trainer.optimizers):
            raise BadValue(
                f"optimizer={self._optimizer}, and {type(pl_module).__name__} has "
                f"{len(trainer.optimizers)}. Count from 0."
            )
        optimizer = trainer.optimizers[self._optimizer]
        self.watch = Watch(_called(pl_module, self._model), optimizer, loss_fn, **self._costs)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure what is owed, and report."""
        self._end(self._say, trainer.is_global_zero)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Take all hooks away."""
        if self.watch is not None:
            self.watch.__exit__(type(exception), exception, None)


def _called(module: Any, name: str) -> nn.Module:
    """Return the module whose calls are the passes of the training."""
    if name:
        found: nn.Module = _attribute(module, name)
        return found
    children = [each for each in module.children() if any(True for _ in each.parameters())]
    own = type(module).forward is not LightningModule.forward
    return children[0] if len(children) == 1 and not own else module


def _attribute(module: Any, name: str) -> Any:
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise BadValue(f"{type(module).__name__} has no {name!r}; give the name of an attribute.")
    return found
