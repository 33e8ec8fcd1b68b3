"""A problem is data, a model, a loss, and a budget that makes a fair race short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.data import DataLoader, Dataset

Data: TypeAlias = "tuple[Any, Any] | Dataset | DataLoader"


class Split(NamedTuple):
    """Inputs (examples, ...) and targets (examples, ...): tensors, numpy arrays or memory maps.

    Inputs are floats or, for tokens, whole numbers. Targets are floats, classes (int64), or the
    inputs themselves.
    """

    inputs: Any
    targets: Any


class Loss(Protocol):
    """Anything called with output and targets that returns their mean loss as one number."""

    def __call__(self, output: Tensor, targets: Tensor, /) -> Tensor:
        """Return the mean loss over the examples, a tensor without dimensions."""


class OwnGradient(Loss, Protocol):
    """A loss for a model whose gradient does not come from autograd."""

    def gradient(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Add to ``.grad`` of the parameters, as backward() does, and return the loss."""


def own_gradient(loss: Any) -> Callable[..., Tensor] | None:
    """Return how a loss writes the gradient itself; None for one that is left to autograd."""
    return getattr(loss, "gradient", None)


@dataclass(frozen=True, eq=False)
class Problem:
    """A problem, the same for every rule that is tried on it.

    ``make_model(seed)`` returns the untrained model, equal for equal seeds. ``train``,
    ``validation`` and ``test`` are each a Split, a torch Dataset or a DataLoader; the last two may
    be None. ``loss`` takes the model's output and the targets and returns the mean; where it has a
    method ``gradient``, that is what training calls (see OwnGradient). ``batch_size`` counts
    examples, or is ``"all"``; ``epochs`` counts passes over ``train``. ``known`` holds facts that
    hold for any rule, such as the loss of a guess. ``threads`` is how many of torch's threads a run
    should use, None for all: a small model is no faster on several, and many times slower where
    another program wants a core. ``digest`` tells one text of a problem file from another, and
    ``source`` is the name or path that `load` was given, empty for any other problem. One with a
    source is pickled as that, and loaded again where it is needed.
    """

    name: str
    description: str
    make_model: Callable[[int], nn.Module]
    train: Data
    validation: Data | None
    test: Data | None
    loss: Loss
    batch_size: int | Literal["all"]
    epochs: int
    known: Mapping[str, float]
    threads: int | None = None
    digest: str = ""
    source: str = field(default="", init=False, repr=False)

    def from_source(self, source: str) -> Problem:
        """Note where this problem can be loaded from, and return it."""
        object.__setattr__(self, "source", source)
        return self

    def __reduce__(self) -> Any:
        from thalweg.problems import load

        if self.source:
            return load, (self.source,)
        return _again, (
            {each.name: getattr(self, each.name) for each in fields(self) if each.init},
        )


def _again(parts: dict[str, Any]) -> Problem:
    return Problem(**parts)
