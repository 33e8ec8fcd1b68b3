"""The loss of the next update, gathered from calls of the loss module and of ``backward``."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from thalweg.doctor.evidence import Validation
from thalweg.doctor.watching.targets import right

Number = float | Tensor
"""A number, or a tensor of one number that is fetched later, to wait for no device."""


class Held(NamedTuple):
    """One call of a loss on held-out data, and how the model was called for it."""

    loss: Number
    examples: int
    correct: Number | None = None
    training: bool = False
    graded: bool = False


def number_of(tensor: Tensor) -> Number:
    """Return a tensor's one number where that costs no waiting, the tensor cut loose elsewhere."""
    return tensor.item() if tensor.is_cpu else tensor.detach()


class Losses:
    """What was seen since the last update, and the passes over held-out data before it.

    ``calls`` have the losses, and the lengths of those in evaluation mode, that no ``backward`` has
    used yet. ``closing`` is set while the optimizer calls the loop's closure: of its losses only
    the first is at the weights that the update begins with.
    """

    def __init__(self) -> None:
        self.total: Number = 0.0
        self.backwards = 0
        self.closing = False
        self._of_module, self._passed = False, 0
        self.validations: list[Validation] = []
        self.calls: list[tuple[Number, int]] = []
        self._offered: Number = 0.0
        self._passing: list[Held] = []

    def pass_begins(self) -> None:
        """The model is called: the loss calls to come are about this pass."""
        self._passed = len(self.calls)

    def called(self, kind: str, args: tuple[Any, ...], output: Any, training: bool) -> None:
        """Take in what a loss module returned: with a gradient to train by, else to validate.

        *training* is the mode of the model. In evaluation mode it may be to validate all the same.
        """
        if not isinstance(output, Tensor) or output.numel() != 1:
            return
        if output.requires_grad:
            if not self.calls:
                self._passed = 0
            number = output.item() if output.is_cpu else output.detach()
            self.calls.append((number, 0 if training else _length(args)))
        elif len(args) > 1:
            count, correct = right(args[0], args[1], kind)
            known = None if correct is None else number_of(correct)
            self._passing.append(Held(number_of(output), count, known, training))

    def offered(self, loss: Tensor) -> None:
        """Take in a loss whose gradient is about to be computed, for whom is not yet known."""
        calls = self.calls
        self._of_module = bool(calls)
        if len(calls) == 1:
            self._offered = calls.pop()[0]
        else:
            self._offered = self._called(loss) if calls else number_of(loss)

    def _called(self, loss: Tensor) -> Number:
        """Return the calls that *loss* is made of: all if they add up to it, or the last pass's."""
        value, newest = number_of(loss), self.calls[self._passed :]
        whole = sum(number for number, _ in self.calls)
        if newest and (isinstance(value, Tensor) or abs(value - float(whole)) > 1e-5 * abs(value)):
            del self.calls[self._passed :]
            self._let_go()
            return sum(number for number, _ in newest)
        self.calls.clear()
        return whole

    def _let_go(self) -> None:
        """Nothing was trained by the calls so far: those in evaluation mode were to validate."""
        self._passing += [Held(loss, size, graded=True) for loss, size in self.calls if size]
        self.calls.clear()

    def accepted(self) -> Number:
        """Return the loss that was offered: it is one of this model."""
        if not (self.closing and self.backwards):
            self.total = self.total + self._offered
            self.backwards += 1
        return self._offered

    def taken(self, updates: int) -> tuple[Number | None, int]:
        """Return the loss of the update after *updates* and its backwards, and begin anew."""
        if self.calls or self._passing:
            self.end_pass(updates)
        backwards = self.backwards
        loss = self.total / (backwards if self._of_module else 1) if backwards else None
        self.total, self.backwards, self.closing = 0.0, 0, False
        return loss, backwards

    def end_pass(self, updates: int) -> None:
        """Sum up the pass over held-out data, if there was one, after so many updates."""
        if self.calls:
            self._let_go()
        if self._passing:
            self.validations.append(_summed(updates, self._passing))
            self._passing.clear()


def _length(args: tuple[Any, ...]) -> int:
    """Return how many examples a loss was called on, 1 where they cannot be counted."""
    first = args[0] if args else None
    return len(first) if isinstance(first, Tensor) and first.ndim else 1


def _summed(updates: int, passing: list[Held]) -> Validation:
    """Return the means over the examples of some calls."""
    examples = sum(each.examples for each in passing)
    weights = [max(each.examples, 1) for each in passing]
    whole = sum(float(a.loss) * b for a, b in zip(passing, weights, strict=True))
    correct = [each.correct for each in passing if each.correct is not None]
    known = examples and len(correct) == len(passing)
    return Validation(
        updates, whole / sum(weights), examples or None,
        sum(map(float, correct)) / examples if known else None,
        any(each.training for each in passing), any(each.graded for each in passing),
    )  # fmt: skip
