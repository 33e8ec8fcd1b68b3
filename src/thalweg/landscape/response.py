"""How a rule's steps answer to the gradient while its divisors stand still, read off its equation.

Near a point, a rule that divides by running sizes of gradients is a linear map: the sizes change
slowly, and what is left is the gradient times a number, and buffers that sum or average it. These
numbers are not written down here for any rule. They are the slopes of the rule's own expression,
in which every new divisor has been replaced by the value that the optimizer's state holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from thalweg.algebra import Expr, evaluate, symbol
from thalweg.algebra.expr import postorder, substitute
from thalweg.algebra.signature import FirstGradient
from thalweg.algebra.trace import symbols
from thalweg.errors import BadType
from thalweg.rules import Rule

G, P, EPS = symbol("input", "g"), symbol("input", "p"), symbol("hyper", "eps")

_NEVER = float("inf")


@final
@dataclass(frozen=True)
class Response:
    """What one step is made of, elementwise: numbers that multiply gradient, parameter, buffers.

    A buffer becomes ``keep * buffer + gather * g + lean * p``; the step is ``direct * g + shrink *
    p`` and ``through * buffer`` for each buffer, after its update.
    """

    direct: Tensor
    shrink: Tensor
    buffers: tuple["Buffer", ...]

    def to_gradient(self, turn: float) -> Tensor:
        """Return what a gradient is multiplied by that changes by the factor *turn* each step.

        1 is a gradient that stays as it is, and -1 one that swings to and fro.
        """
        return self.direct + self._sum(each.answer(each.gather, turn) for each in self.buffers)

    def to_parameter(self, turn: float) -> Tensor:
        """Return what a parameter is multiplied by, weight decay, when it changes by *turn*."""
        return self.shrink + self._sum(each.answer(each.lean, turn) for each in self.buffers)

    def _sum(self, answers: Iterable[Tensor]) -> Tensor:
        return sum(answers, torch.zeros_like(self.direct))


@final
@dataclass(frozen=True)
class Buffer:
    """A running sum or mean of gradients, see `Response`."""

    through: Tensor
    keep: Tensor
    gather: Tensor
    lean: Tensor

    def answer(self, weight: Tensor, turn: float) -> Tensor:
        """Return the step for a unit input that enters by *weight* and changes by *turn*."""
        return self.through * weight / (1 - self.keep / turn)


@final
class Frozen:
    """A rule whose divisors are symbols: its step is linear in gradient, parameter and buffers."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        table = symbols(rule.signature)
        step, *state = rule.outputs
        made = dict(zip(rule.signature.slots, state, strict=True))
        self.held = {name: symbol(table[name].payload[0], f"new {name}") for name in made}
        replaced = {made[name]: self.held[name] for name in made if made[name].args}
        (self.step,) = substitute((step,), replaced)
        self.new = {name: _without(new, replaced) for name, new in made.items()}
        self.buffers = [name for name in self.new if self._is_buffer(name, table[name])]
        inputs = {G, P, *(self.held[name] for name in self.buffers)}
        if degree(self.step, inputs) > 1 or not degree(self.step, inputs - {P}):
            raise BadType(
                f"a step of {rule.name} is no multiple of the gradient, so that curvature alone "
                "does not say which learning rates are stable. Rules that can be asked divide by "
                "sizes of past gradients, or by nothing: SGD, momentum, Adam and their kin."
            )

    def _is_buffer(self, name: str, old: Expr) -> bool:
        """Return whether a slot sums gradients and the step is a multiple of it."""
        new, held = self.new[name], self.held[name]
        return (
            degree(self.step, {held}) == 1
            and degree(new, {G}) == 1
            and degree(new, {G, P, old}) == 1
        )

    def reads_eps(self, slot: str) -> bool:
        """Return whether eps is added to a slot itself."""
        return EPS in set(postorder((self.new[slot],)))

    @property
    def divisors(self) -> list[str]:
        """The slots that are not buffers and on which a step depends."""
        read_by = (self.step, *(self.new[name] for name in self.buffers))
        known = set(postorder(read_by))
        table = symbols(self.rule.signature)
        both = [(name, {table[name], self.held[name]} & known) for name in self.new]
        return [name for name, read in both if read and name not in self.buffers]

    def response(
        self, values: Mapping[str, Any], state: Mapping[str, Tensor], like: Tensor, t: float
    ) -> Response:
        """Return the numbers for hyperparameters *values* and the divisors in *state*.

        They are float64, of the shape of *like*. *t* counts the updates that were made.
        """
        row = self._row(values, state, like, t)
        table = symbols(self.rule.signature)
        buffers = [
            Buffer(
                slope(self.step, self.held[name], row),
                *(slope(self.new[name], each, row) for each in (table[name], G, P)),
            )
            for name in self.buffers
        ]
        return Response(slope(self.step, G, row), slope(self.step, P, row), tuple(buffers))

    def _row(
        self, values: Mapping[str, Any], state: Mapping[str, Tensor], like: Tensor, t: float
    ) -> dict[Expr, Any]:
        zero = torch.zeros(like.shape, dtype=torch.float64, device=like.device)
        first = 2.0 if FirstGradient() in self.rule.signature.slots.values() else 1.0
        row: dict[Expr, Any] = {G: zero, P: zero, symbol("clock", "t"): max(t, first)}
        row |= {symbol("hyper", name): float(value) for name, value in values.items()}
        for name, old in symbols(self.rule.signature).items():
            if name in self.new:
                held = zero if name in self.buffers else state.get(name, zero).to(zero)
                row |= {old: held, self.held[name]: held}
        return row


def _without(new: Expr, replaced: dict[Expr, Expr]) -> Expr:
    """Return a slot's new value with every other slot's new value replaced."""
    others = {value: held for value, held in replaced.items() if value is not new}
    return substitute((new,), others)[0]


def slope(expression: Expr, by: Expr, row: Mapping[Expr, Any]) -> Tensor:
    """Return by how much a linear *expression* grows when *by*, zero in *row*, becomes one."""
    zero = row[by]
    rows = [dict(row), {**row, by: torch.ones_like(zero)}]
    (low,), (high,) = evaluate((expression,), rows)
    return (torch.as_tensor(high) - torch.as_tensor(low)).to(zero).expand_as(zero)


def degree(expression: Expr, variables: Iterable[Expr]) -> float:
    """Return the degree of *expression* as a polynomial in *variables*; infinite if it is none.

    A choice has the degree of its two values, provided that its condition does not depend on them.
    """
    chosen = set(variables)
    found: dict[Expr, float] = {}
    for current in postorder((expression,)):
        if current in chosen:
            found[current] = 1
        else:
            found[current] = _degree(current.op, [found[arg] for arg in current.args])
    return found[expression]


def _degree(op: str, args: list[float]) -> float:
    if not any(args):
        return 0
    if op in ("add", "sub", "neg"):
        return max(args)
    if op == "mul":
        return sum(args)
    if op == "div" and not args[1]:
        return args[0]
    if op == "where" and not args[0]:
        return max(args[1:])
    return _NEVER
