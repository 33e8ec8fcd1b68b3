"""The loss of the next update, gathered from calls of the loss module and of ``backward``."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from thalweg.doctor.evidence import Validation
from thalweg.doctor.watching.calls import Call, Number, made_of
from thalweg.doctor.watching.targets import right

PENDING, MOST = 64, 16_384
"""Of so many newest calls the batch is kept until a gradient is computed of them; and so many calls
are kept at most."""


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

    ``closing`` is set while the optimizer calls the loop's closure: of its losses only the first is
    at the weights that the update begins with. ``calls`` are those that no ``backward`` has used
    yet; ``newest`` those that the loss of the newest gradient is made of.
    """

    def __init__(self) -> None:
        self.total: Number = 0.0
        self.backwards = 0
        self.closing = False
        self.newest: list[Call] = []
        self._of_module, self._since = False, 0
        self.validations: list[Validation] = []
        self.calls: list[Call] = []
        self._offered: Number = 0.0
        self._passing: list[Held] = []

    def called(self, call: Call) -> None:
        """Take in a call of the loss with a gradient to train by.

        In evaluation mode it may be to validate all the same.
        """
        self.calls.append(call)
        if len(self.calls) > PENDING:
            self.calls[-PENDING - 1] = self.calls[-PENDING - 1]._replace(on=None, rest=())
            del self.calls[:-MOST]

    def tried(self, kind: str, args: tuple[Any, ...], output: Any, training: bool) -> None:
        """Take in what a loss of this *kind* returned without a gradient, to validate.

        *training* is the mode of the model.
        """
        if isinstance(output, Tensor) and output.numel() == 1 and len(args) > 1:
            count, correct = right(args[0], args[1], kind)
            known = None if correct is None else number_of(correct)
            self._passing.append(Held(number_of(output), count, known, training))

    def offered(self, loss: Tensor) -> None:
        """Take in a loss whose gradient is about to be computed, for whom is not yet known.

        A single call is taken for it without a look at the graph.
        """
        calls = self.calls
        if len(calls) == 1 and calls[0].number is not None:
            self.newest, self._of_module, self._offered = calls, True, calls[0].number
            return
        self.newest = calls if len(calls) < 2 else made_of(loss, calls)
        numbers = [each.number for each in self.newest if each.number is not None]
        self._of_module = bool(numbers)
        self._offered = sum(numbers) if numbers else number_of(loss)

    def refused(self, loss: Tensor) -> bool:
        """Forget the calls that *loss* is made of: another model's; return whether there are any.

        Those that it is not made of may be this model's.
        """
        others = made_of(loss, self.calls)
        self.calls = _without(others, self.calls)
        return bool(others)

    def _let_go(self) -> None:
        """Nothing was trained by the calls so far: those in evaluation mode were to validate."""
        self._passing += [
            Held(each.number, each.examples, graded=True)
            for each in self.calls
            if each.examples and each.number is not None
        ]
        self._since += sum(not each.examples for each in self.calls)
        self.calls = []

    @property
    def waiting(self) -> int:
        """How many losses to train by were computed since the last update."""
        return self._since + sum(not each.examples for each in self.calls)

    def offer_newest(self) -> bool:
        """Offer the newest call in training mode, for no ``backward`` was seen; False if none."""
        found = [each for each in self.calls if not each.examples and each.number is not None]
        self.newest, self._of_module = found[-1:], True
        if found and found[-1].number is not None:
            self._offered = found[-1].number
        return bool(found)

    def accepted(self) -> Number:
        """Return the loss that was offered: it is one of this model."""
        alone = self.newest is self.calls
        self.calls = [] if alone else _without(self.newest, self.calls)
        self._since += 1
        if not (self.closing and self.backwards):
            self.total = self.total + self._offered
            self.backwards += 1
        return self._offered

    def begin_anew(self) -> None:
        """The losses of the next update so far are not to be trained by after all."""
        self.total, self.backwards = 0.0, 0

    def taken(self, updates: int) -> tuple[Number | None, int]:
        """Return the loss of the update after *updates* and its backwards, and begin anew."""
        if self.calls or self._passing:
            self.end_pass(updates)
        backwards = self.backwards
        loss = self.total / (backwards if self._of_module else 1) if backwards else None
        self.total, self.backwards, self.closing, self._since = 0.0, 0, False, 0
        return loss, backwards

    def end_pass(self, updates: int) -> None:
        """Sum up the pass over held-out data, if there was one, after so many updates."""
        if self.calls:
            self._let_go()
        if self._passing:
            self.validations.append(_summed(updates, self._passing))
            self._passing.clear()


def _without(some: list[Call], calls: list[Call]) -> list[Call]:
    known = set(map(id, some))
    return [each for each in calls if id(each) not in known]


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
