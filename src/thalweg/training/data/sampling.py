"""Orders in which examples are drawn: by one of torch's samplers, by weight, by class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import WeightedRandomSampler

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.training.data.forms import Examples
from thalweg.training.data.order import Order, generator_of

Draw = Callable[[torch.Generator], Iterable[int]]

_MOST_WEIGHTS = 2**24
"""As many as torch.multinomial can tell apart."""


def sampled(make_sampler: Draw) -> Order:
    """Return the order of a torch sampler.

    ``make_sampler(generator)`` returns a `torch.utils.data.Sampler`, or another iterable of the
    numbers of examples. It is called in every epoch with that epoch's random numbers and may draw
    from nothing else: two trials before the first update have to agree.
    """
    if not callable(make_sampler):
        raise BadType(
            f"sampled() was given a {type(make_sampler).__name__}; expected a function that makes "
            "one: sampled(lambda generator: RandomSampler(data, generator=generator))."
        )
    return _Sampled("sampled", make_sampler)


def weighted(weights: Any, count: int | None = None, replacement: bool = True) -> Order:
    """Return the order in which examples are drawn with probabilities proportional to *weights*.

    There is one weight for each example, finite and at least 0. *count* examples make an epoch, by
    default as many as there are. Drawn by torch's `WeightedRandomSampler`.
    """
    return _weighted("weighted", weights, count, replacement)


def class_balanced(targets: Any, count: int | None = None) -> Order:
    """Return the order in which every class is drawn with the same probability.

    *targets* holds the class of each example as a whole number. Within a class all examples are
    equally probable; they are drawn with replacement.
    """
    classes = torch.as_tensor(targets)
    if classes.ndim != 1 or classes.is_floating_point() or classes.is_complex():
        raise BadType(
            f"the targets have shape {tuple(classes.shape)} and type {classes.dtype}; expected the "
            "class of each example, a whole number."
        )
    _, numbers, sizes = classes.unique(return_inverse=True, return_counts=True)
    return _weighted("class balanced", 1 / sizes.double()[numbers], count, True)


def _weighted(name: str, weights: Any, count: int | None, replacement: bool) -> Order:
    given = torch.as_tensor(weights, dtype=torch.float64).cpu()
    _check_weights(given)
    drawn = len(given) if count is None else count
    _check_drawn(drawn, given, replacement)

    def make(generator: torch.Generator) -> Iterable[int]:
        return WeightedRandomSampler(given, drawn, replacement, generator)  # type: ignore[arg-type]

    return _Sampled(name, make, len(given))


def _check_weights(weights: Tensor) -> None:
    if weights.ndim != 1 or not 0 < len(weights) <= _MOST_WEIGHTS:
        raise BadValue(
            f"the weights have shape {tuple(weights.shape)}; expected one for each example, of "
            f"which there may be {_MOST_WEIGHTS:,}."
        )
    wrong = ~(weights.isfinite() & (weights >= 0))
    if wrong.any():
        place = int(wrong.nonzero()[0])
        raise BadValue(
            f"the weight of example {place:,} is {weights[place]:g}; expected a finite number of "
            "at least 0."
        )
    if not weights.any():
        raise BadValue("all weights are 0, so that no example can be drawn.")


def _check_drawn(count: Any, weights: Tensor, replacement: bool) -> None:
    check_count("count", count)
    possible = int(weights.count_nonzero())
    if not replacement and count > possible:
        raise BadValue(
            f"{count:,} examples cannot be drawn without replacement: {possible:,} have a weight "
            f"that is not 0. Ask for count={possible} or fewer."
        )


class _Sampled(Order):
    """What a new sampler draws in every epoch, made for *count* examples or for any number."""

    def __init__(self, name: str, make: Draw, count: int | None = None) -> None:
        self.name, self.make, self.count = name, make, count
        self.drawn = 0

    def __str__(self) -> str:
        return self.name

    def prepare(self, examples: Examples, epochs: int) -> None:
        """Draw the first epoch twice, of random numbers that no epoch uses."""
        if self.count not in (None, len(examples)):
            raise BadValue(
                f"the {self.name} order was made for {self.count:,} examples; the training set "
                f"has {len(examples):,}."
            )
        with torch.random.fork_rng(devices=[]):
            trial, again = (self.indices(len(examples), 0, generator_of(0, 0)) for _ in "12")
        if not torch.equal(trial, again):
            raise BadValue(
                "the sampler draws other examples when it is made again with the same random "
                "numbers, so that no epoch could be resumed. Hand it the generator: "
                "RandomSampler(data, generator=generator)."
            )
        self.drawn = len(trial)

    def length(self, count: int, epoch: int) -> int:
        """Return how many were drawn when it was tried."""
        return self.drawn

    def indices(self, count: int, epoch: int, generator: torch.Generator) -> Tensor:
        """Return all that a new sampler draws; raise BadValue for examples that do not exist."""
        found = _whole_numbers(self.make(generator))
        outside = (found < 0) | (found >= count)
        if outside.any():
            raise BadValue(
                f"the {self.name} order draws example number {int(found[outside][0]):,}; the "
                f"training set has {count:,}, counted from 0."
            )
        return found


def _whole_numbers(drawn: Iterable[int]) -> Tensor:
    try:
        found = torch.as_tensor(list(drawn))
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadType(
            f"the sampler does not draw numbers of examples ({error}); a batch sampler, which "
            "draws lists of them, has no place here."
        ) from error
    if found.numel() == 0:
        raise BadValue("the sampler draws no examples.")
    if found.ndim != 1 or found.is_floating_point() or found.dtype == torch.bool:
        raise BadType(
            f"the sampler draws {found.dtype} of shape {tuple(found.shape)}; expected the numbers "
            "of examples, one after the other."
        )
    return found.long()
