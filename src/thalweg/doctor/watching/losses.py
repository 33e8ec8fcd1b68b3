"""The loss of the next update, gathered from calls of the loss module and of ``backward``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.doctor.evidence import Validation
from thalweg.doctor.watching.targets import right

Number = float | Tensor
"""A number, or a tensor of one number that is fetched later, to wait for no device."""


def number_of(tensor: Tensor) -> Number:
    """Return a tensor's one number where that costs no waiting, the tensor cut loose elsewhere."""
    return tensor.item() if tensor.is_cpu else tensor.detach()


class Losses:
    """What was seen since the last update, and the passes over held-out data before it.

    ``closing`` is set while the optimizer calls the loop's closure: of its losses only the first is
    at the weights that the update begins with.
    """

    def __init__(self) -> None:
        self.total: Number = 0.0
        self.backwards = 0
        self.closing = False
        self._of_module, self._passed = False, 0
        self.validations: list[Validation] = []
        self._calls: list[Number] = []
        self._offered: Number = 0.0
        self._passing: list[tuple[Number, int, Number | None]] = []

    def pass_begins(self) -> None:
        """The model is called: the loss calls to come are about this pass."""
        self._passed = len(self._calls)

    def called(self, kind: str, args: tuple[Any, ...], output: Any) -> None:
        """Take in what a loss module returned: with a gradient to train by, else to validate."""
        if not isinstance(output, Tensor) or output.numel() != 1:
            return
        if output.requires_grad:
            self._calls.append(number_of(output))
        elif len(args) > 1:
            count, correct = right(args[0], args[1], kind)
            known = None if correct is None else number_of(correct)
            self._passing.append((number_of(output), count, known))

    def offered(self, loss: Tensor) -> None:
        """Take in a loss whose gradient is about to be computed, for whom is not yet known."""
        self._of_module = bool(self._calls)
        self._offered = self._called(loss) if self._calls else number_of(loss)
        self._calls.clear()

    def _called(self, loss: Tensor) -> Number:
        """Return the calls that *loss* is made of: all if they add up to it, or the last pass's."""
        if len(self._calls) == 1:
            return self._calls[0]
        whole, newest = sum(self._calls), self._calls[self._passed :]
        value = number_of(loss)
        if newest and (isinstance(value, Tensor) or abs(value - float(whole)) > 1e-5 * abs(value)):
            return sum(newest)
        return whole

    def accepted(self) -> Number:
        """Return the loss that was offered: it is one of this model."""
        if not (self.closing and self.backwards):
            self.total = self.total + self._offered
            self.backwards += 1
        return self._offered

    def taken(self) -> tuple[Number | None, int]:
        """Return the loss of the update that was taken and its backwards, and begin anew."""
        backwards = self.backwards
        loss = self.total / (backwards if self._of_module else 1) if backwards else None
        self.total, self.backwards, self.closing = 0.0, 0, False
        return loss, backwards

    def end_pass(self, updates: int) -> None:
        """Sum up the pass over held-out data, if there was one, after so many updates."""
        self._calls.clear()
        if self._passing:
            losses, examples, correct = zip(*self._passing, strict=True)
            self._passing.clear()
            weights = [max(each, 1) for each in examples]
            mean = sum(float(a) * b for a, b in zip(losses, weights, strict=True)) / sum(weights)
            known = sum(examples) and all(each is not None for each in correct)
            accuracy = sum(map(float, correct)) / sum(examples) if known else None
            self.validations.append(Validation(updates, mean, sum(examples) or None, accuracy))
