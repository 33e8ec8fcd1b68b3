"""Prints the loops that threads run over sparse examples; their update is the rule's own text."""

import inspect
from collections.abc import Callable, Iterable

from thalweg.algebra import OPERATIONS, Expr, Rank, ranks
from thalweg.algebra.expr import postorder
from thalweg.errors import BadType
from thalweg.kernels.plan import Plan, lower
from thalweg.rules import Rule

_HEADER = '''"""Hogwild loops of {name}, printed from its rule."""

import math
from typing import Any

import numpy as np
from numba import boolean, float32, float64, int64, njit, types, uint32, uint64

from thalweg.kernels.machine import select


def read(kind):
    return types.Array(kind, 1, "C", readonly=True)


INDICES, NUMBERS, ORDER = read({index}), read({dtype}), read(uint32)
TABLE, HOSTED, TOUCHES = {dtype}[:, ::1], float64[::1], int64[::1]
SPAN = (int64, int64, int64, int64)  # first and last place in the order, clock, its stride

'''

_LINEAR = '''
@njit(
    float64(
        INDICES, INDICES, NUMBERS, NUMBERS, NUMBERS, ORDER, boolean,
        TABLE, HOSTED, HOSTED, TOUCHES, *SPAN,
    ),
    nogil=True, error_model="numpy", cache=True,
)
def linear(
    starts, columns, values, targets, importance, order, has_intercept,
    table, scalars, hypers, touches, first, last, clock, stride,
):
    """Update the weights in *table* by the examples of a part of *order*; return their loss."""
    total, counting, intercept = 0.0, touches.size > 0, uint64(table.shape[0] - 1)
    {once}
    for place in range(uint64(first), uint64(last)):
        row = order[place]
        begin, end = uint64(starts[row]), uint64(starts[row + uint64(1)])
        t = float64(clock + stride * int64(place - uint64(first)))
        {each}
        z = table[intercept, 0]
        for k in range(begin, end):
            z += values[k] * table[uint64(columns[k]), 0]
        loss, slope = {loss}(float64(z), float64(targets[row]))
        total += importance[row] * loss
        d = {dtype}(importance[row] * slope)
        for k in range(begin, end):
            j = uint64(columns[k])
            g = d * values[k] + table[j, {decay}] * table[j, 0]
            {updated_j}
            if counting:
                touches[j] += 1
        if has_intercept:
            {updated_intercept}
        {after}
    return total
'''

_RATINGS = '''
@njit(
    float64(
        INDICES, INDICES, NUMBERS, ORDER, float64, float64, int64,
        TABLE, HOSTED, HOSTED, TOUCHES, *SPAN,
    ),
    nogil=True, error_model="numpy", cache=True,
)
def ratings(
    users, items, values, order, mean, penalty, rank,
    table, scalars, hypers, touches, first, last, clock, stride,
):
    """Update the factors in *table* by the ratings of a part of *order*; return their loss."""
    total, counting, width, alpha = 0.0, touches.size > 0, uint64(rank + 1), {dtype}(penalty)
    last_factor = uint64(rank)
    {once}
    for place in range(uint64(first), uint64(last)):
        row = order[place]
        user, item = uint64(users[row]), uint64(items[row])
        t = float64(clock + stride * int64(place - uint64(first)))
        {each}
        z = {dtype}(mean) + table[user, last_factor] + table[item, last_factor]
        for k in range(last_factor):
            z += table[user, k] * table[item, k]
        loss, d = squared_error(z, values[row])
        total += loss
        for k in range(last_factor):
            a, b = table[user, k], table[item, k]
            g = d * b + alpha * a
            {updated_user}
            g = d * a + alpha * b
            {updated_item}
        k = last_factor
        g = d + alpha * table[user, k]
        {updated_user}
        g = d + alpha * table[item, k]
        {updated_item}
        if counting:
            touches[user] += 1
            touches[item] += 1
        {after}
    return total
'''


class Loops:
    """The text of one rule's loops: *dtype* of the numbers, *index* of the places of columns."""

    def __init__(self, rule: Rule, dtype: str, index: str) -> None:
        self.plan, self.dtype, self.index = elementwise(rule), dtype, index
        roots = [value for _, value in (*self.plan.writes, *self.plan.scalar_writes)]
        self.rank = ranks(roots)
        self.names = {each: _name(each, k) for k, each in enumerate(postorder(tuple(roots)))}

    def linear(self, loss: Callable) -> str:
        """Return the module that learns the weights of linear models under *loss*."""
        decay = 1 + len(self.plan.slots)
        parts = {
            "loss": loss.__name__, "decay": str(decay),
            "updated_j": self._updated(self._columns("j")),
            "updated_intercept": self._updated(self._columns("intercept"), g="d"),
        }  # fmt: skip
        return self._module([loss], _LINEAR, parts)

    def ratings(self, loss: Callable) -> str:
        """Return the module that learns the factors of a matrix of ratings."""
        parts = {
            "updated_user": self._updated(self._blocks("user")),
            "updated_item": self._updated(self._blocks("item")),
        }
        return self._module([loss], _RATINGS, parts)

    def _columns(self, row: str) -> list[str]:
        """Return where a weight and its state stand: beside each other."""
        return [f"table[{row}, {column}]" for column in range(1 + len(self.plan.slots))]

    def _blocks(self, row: str) -> list[str]:
        """Return where factor k and its state stand: a row has all factors, then all of a slot."""
        return [f"table[{row}, {block} * width + k]" for block in range(1 + len(self.plan.slots))]

    def _module(self, losses: list[Callable], loop: str, parts: dict[str, str]) -> str:
        from thalweg.parallel.hogwild.passes import measure, merge

        passes = [_compiled(each, "error_model='numpy'") for each in losses]
        read, copies = "INDICES, INDICES, NUMBERS", f"{self.dtype}[:, :, ::1]"
        sums = "types.UniTuple(float64, 2)"
        compiled = 'nogil=True, error_model="numpy", cache=True'
        passes += [
            _compiled(measure, f"{sums}({read}, int64[::1], float64[::1]), {compiled}"),
            _compiled(merge, f"types.void(TABLE, {copies}, HOSTED, int64, int64), {compiled}"),
        ]
        head = _HEADER.format(name=self.plan.rule.name, dtype=self.dtype, index=self.index)
        filled = _fill(loop, {"dtype": self.dtype, **self._hosted(), **parts})
        return head + "\n\n".join([*passes, self.update_source(), filled])

    def update_source(self) -> str:
        """Return the rule as a function of one number: its new value, then its new state."""
        roots = [value for _, value in self.plan.writes]
        slots = [f"s_{slot}" for slot in self.plan.slots]
        taken = ["g_", "p_", *slots, *(self.names[each] for each in self.plan.stored)]
        computed = [each for each in self.names if self.rank[each] == Rank.ELEMENT and each.args]
        lines = [f"    {self.names[each]} = {self._text(each, self.dtype)}" for each in computed]
        results = ", ".join(self._operand(root, self.dtype) for root in roots)
        head = f"def update({', '.join(taken)}):"
        return "\n".join(['@njit(error_model="numpy")', head, *lines, f"    return {results}"])

    def _updated(self, places: list[str], g: str = "g") -> str:
        """Return the statement that updates the numbers at *places*."""
        hosted = [
            self.names[each] if _is_condition(each) else f"{self.dtype}({self.names[each]})"
            for each in self.plan.stored
        ]
        return f"{', '.join(places)} = update({', '.join([g, *places, *hosted])})"

    def _hosted(self) -> dict[str, str]:
        """Return the lines of values that all columns share: before the loop, and per example."""
        (values,) = self.plan.stages
        moving = self._moving(values)
        lines = {each: f"{self.names[each]} = {self._given(each)}" for each in values}
        after = [
            f"scalars[{self.plan.scalars.index(name)}] = {self._operand(new, 'float64')}"
            for name, new in self.plan.scalar_writes
        ]
        return {
            "once": "\n".join(lines[each] for each in values if each not in moving),
            "each": "\n".join(lines[each] for each in values if each in moving),
            "after": "\n".join(after),
        }

    def _moving(self, values: Iterable[Expr]) -> set[Expr]:
        """Return the shared values that change from example to example."""
        moving: set[Expr] = set()
        for each in values:
            own = each.op == "symbol" and each.payload[0] in ("clock", "scalar")
            if own or any(arg in moving for arg in each.args):
                moving.add(each)
        return moving

    def _given(self, each: Expr) -> str:
        if each.op != "symbol":
            return self._text(each, "float64")
        kind, name = each.payload
        if kind == "clock":
            return "t"
        if kind == "scalar":
            return f"scalars[{self.plan.scalars.index(name)}]"
        return f"hypers[{list(self.plan.rule.hyperparameters).index(name)}]"

    def _text(self, each: Expr, kind: str) -> str:
        operands = [self._operand(arg, kind) for arg in each.args]
        return OPERATIONS[each.op].kernel.format(*operands, T=kind)

    def _operand(self, each: Expr, kind: str) -> str:
        return f"{kind}({_literal(each.payload)})" if each.op == "constant" else self.names[each]


def elementwise(rule: Rule) -> Plan:
    """Return the plan of *rule*; BadType where it looks at more than one weight at a time."""
    plan = lower(rule)
    if plan.sums or plan.draws_noise or plan.needs_shapes:
        raise BadType(
            f"{rule.name} looks beyond one weight, at norms, means or places, and Hogwild updates "
            "single weights as examples touch them. Use a rule that works element by element, "
            "such as 'sgd', 'adagrad' or 'adam'."
        )
    return plan


def _name(each: Expr, number: int) -> str:
    if each.op != "symbol":
        return f"x{number}"
    kind, name = each.payload
    return (
        f"{name}_" if kind == "input" else f"{kind[0]}_{name}" if kind != "scalar" else f"n_{name}"
    )


def _is_condition(each: Expr) -> bool:
    return each.op in ("lt", "le", "gt", "ge", "eq", "ne")


def _literal(value: float) -> str:
    text = repr(value)
    return {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(text, text)


def _compiled(function: Callable, how: str) -> str:
    return f"@njit({how})\n{inspect.getsource(function)}"


def _fill(template: str, parts: dict[str, str]) -> str:
    """Put *parts* in place of their names, every line as deep as the name stood."""
    lines: list[str] = []
    for line in template.splitlines():
        for name, part in parts.items():
            if line.strip() == f"{{{name}}}":
                indent = line[: len(line) - len(line.lstrip())]
                lines += [indent + each for each in part.splitlines()]
                break
            line = line.replace(f"{{{name}}}", part)
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"
