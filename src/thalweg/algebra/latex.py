"""Prints a rule as the equations of a paper, with the author's variable names."""

from abc import ABC
from typing import Any

from thalweg.algebra.expr import Expr, constant, node, postorder, symbol
from thalweg.algebra.letters import letter, number, word
from thalweg.algebra.operations import ATOM, COMPARISON, OPERATIONS, POWER, PRODUCT, SUM
from thalweg.algebra.python import Written, name_nodes, write
from thalweg.algebra.signature import FromHyper, FromInput, Number, Scalar, Signature
from thalweg.algebra.trace import symbols, traced


def latex(rule: Any) -> str:
    r"""Return *rule* as LaTeX lines for an ``aligned`` environment, from gradient to parameter.

    State carries time indices (``m_t`` from ``m_{t-1}``); a value that is neither state nor named
    by the author is written out where it is used.
    """
    return r"\begin{aligned}" + "\n" + " \\\\\n".join(equations(rule)) + "\n" + r"\end{aligned}"


def equations(rule: Any) -> list[str]:
    """Return the lines of `latex`, each ``left &= right``."""
    found = traced(rule)
    text = _Text(rule.signature, found.outputs, found.names)
    before, after = text.around_the_step()
    lines = [r"g_t &= \nabla f(\theta_{t-1})", *map(text.line, before)]
    lines.append(rf"\theta_t &= {text.right_of_the_parameter()}")
    return [*lines, *map(text.line, after), *text.lines_of_kept_values()]


def initial_values(rule: Any) -> list[str]:
    """Return how each state slot begins, as LaTeX; a slot that needs no beginning is left out."""
    found = traced(rule)
    text = _Text(rule.signature, found.outputs, found.names)
    values = {slot: _initial(each) for slot, each in rule.signature.slots.items()}
    return [f"{text.slot(slot, '0')} = {value}" for slot, value in values.items() if value]


def formula(left: str, value: Expr, names: dict[Expr, str]) -> str:
    """Return as LaTeX the lines that lead to a *value*, of which the last calls it *left*.

    A value within it has a line of its own where *names* has a name for it.
    """
    text = _Formula(value, names)
    lines = [*map(text.line, text.named), f"{left} &= {text.operand(value, 0)}"]
    return r"\begin{aligned}" + "\n" + " \\\\\n".join(lines) + "\n" + r"\end{aligned}"


def _initial(initial: Any) -> str | None:
    if isinstance(initial, (Number, Scalar)):
        return number(initial.value)
    if isinstance(initial, FromHyper):
        return letter(initial.name)
    return r"\theta_0" if isinstance(initial, FromInput) else None


class _Writing(ABC):
    """Writes right-hand sides; what stands in ``table`` goes by the symbol that it has there."""

    table: dict[Expr, str]

    def operand(self, current: Expr, least: int) -> str:
        """Return *current* written out, in parentheses if it binds looser than *least*."""
        return _grouped(write(current, self.table.get, _leaf, self._compose), least)

    def _compose(self, current: Expr, args: list[Written]) -> Written:
        if current.op == "where":
            return self._cases(current), COMPARISON
        if current.op == "sqrt" and self._is_norm(current):
            (total,) = current.args
            over = _NORMS[total.op]
            inside = self.operand(total.args[0].args[0], 0)
            return rf"\left\lVert {inside} \right\rVert{over}", ATOM
        if current.op == "div" and self._is_scaled(current.args[0]):
            scale, rest = current.args[0].args
            fraction = OPERATIONS["div"].latex.format(self.operand(rest, 0), args[1][0])
            return rf"{self.operand(scale, PRODUCT)}\,{fraction}", PRODUCT
        return _compose(current, args)

    def _open(self, current: Expr, op: str) -> bool:
        return current.op == op and current not in self.table

    def _is_norm(self, root: Expr) -> bool:
        (total,) = root.args
        if total.op not in _NORMS or total in self.table:
            return False
        (squares,) = total.args
        return squares.op == "mul" and squares.args[0] is squares.args[1]

    def _is_scaled(self, numerator: Expr) -> bool:
        """Tell whether a numerator is itself a fraction times something."""
        return self._open(numerator, "mul") and self._open(numerator.args[0], "div")

    def _cases(self, current: Expr) -> str:
        rows = self._choices(current)
        while len(rows) > 2 and rows[-2][1] is rows[-1][1]:
            del rows[-2]
        texts = [self._case(*row, first=row is rows[0]) for row in rows]
        return OPERATIONS["where"].latex.format(" \\\\ ".join(texts))

    def _choices(
        self, value: Expr, given: tuple[Expr, ...] = ()
    ) -> list[tuple[tuple[Expr, ...], Expr]]:
        """Return the values of nested choices with their conditions; the first to apply holds."""
        if not self._open(value, "where"):
            return [(given, value)]
        condition, chosen, other = value.args
        return [*self._choices(chosen, (*given, condition)), *self._choices(other, given)]

    def _case(self, given: tuple[Expr, ...], value: Expr, first: bool) -> str:
        conditions = r" \text{ and } ".join(self.operand(each, 0) for each in given)
        when = rf"\text{{{'if' if first else 'else if'} }} {conditions}" if given else _OTHERWISE
        return f"{self.operand(value, 0)} & {when}"


class _Text(_Writing):
    """The names of one rule's symbols and values, and the writing of its right-hand sides."""

    def __init__(
        self, signature: Signature, outputs: tuple[Expr, ...], names: dict[Expr, str]
    ) -> None:
        self.table: dict[Expr, str] = {symbol("clock", "t"): "t"}
        self.owners: dict[str, str] = {}
        self.new = dict(zip(signature.slots, outputs[1:], strict=True))
        taken = symbols(signature)
        self._name_symbols(signature, taken)
        self.step = outputs[0]
        self.arrives = self._open(self.step, "sub") and self.step.args[0] is taken.get("p")
        p = symbol("input", "p")
        self.new_parameter = self.step.args[1] if self.arrives else node("sub", p, self.step)
        named = self._worth_a_line(outputs, names, set(taken) - set(self.new))
        self.names = self._name_slots(named)
        for slot in self.new:
            self.table[taken[slot]] = self.slot(slot, "t-1")
        self.lines = {current: self._indexed(current, name) for current, name in named.items()}

    def _symbol(self, name: str, time: str = "") -> str:
        """Return the symbol of a name, or the name as it is if the symbol is another's."""
        found = letter(name, time)
        return found if self.owners.setdefault(found, name) == name else word(name, time)

    def _name_symbols(self, signature: Signature, taken: dict[str, Expr]) -> None:
        for name in signature.inputs:
            self.table[taken[name]] = {"g": "g_t", "p": r"\theta_{t-1}"}.get(name, letter(name))
        for name in (*signature.hyperparameters, *signature.shared):
            self.table[taken[name]] = self._symbol(name)

    def _worth_a_line(
        self, outputs: tuple[Expr, ...], names: dict[Expr, str], taken: set[str]
    ) -> dict[Expr, str]:
        wanted = {new: slot for slot, new in self.new.items() if new.args} | names
        if outputs[0].op == "where":
            wanted.setdefault(outputs[0], "step")
        wanted.pop(self.new_parameter, None)
        return {c: n for c, n in name_nodes(outputs, wanted, taken).items() if c in wanted}

    def _name_slots(self, named: dict[Expr, str]) -> dict[str, str]:
        """Return for each slot the name of its new value, or its own if that one is taken."""
        names: dict[str, str] = {}
        for slot, new in self.new.items():
            name = named.get(new, slot)
            names[slot] = slot if name in names.values() else name
        return names

    def slot(self, slot: str, time: str) -> str:
        """Return the symbol of a state slot at a time."""
        return self._symbol(self.names[slot], time)

    def around_the_step(self) -> tuple[list[Expr], list[Expr]]:
        """Return the lines that come before the new parameter is known, and those that use it."""
        after = [each for each in self.lines if self.new_parameter in set(postorder((each,)))]
        return [each for each in self.lines if each not in set(after)], after

    def right_of_the_parameter(self) -> str:
        """Return what the new parameter is: it less the step, or what the step leads to."""
        if self.arrives:
            text = self.operand(self.new_parameter, 0)
        else:
            text = rf"\theta_{{t-1}} - {self.operand(self.step, PRODUCT)}"
        self.table[self.new_parameter] = r"\theta_t"
        return text

    def lines_of_kept_values(self) -> list[str]:
        """Return a line for each slot that keeps a value which goes by another symbol."""
        kept = {self.slot(slot, "t"): self.operand(new, 0) for slot, new in self.new.items()}
        return [f"{left} &= {right}" for left, right in kept.items() if left != right]

    def _indexed(self, current: Expr, name: str) -> str:
        if all(each.op == "constant" or each.payload[0] == "hyper" for each in _leaves(current)):
            return self._symbol(name)
        if name.endswith("_next"):
            return self._symbol(name.removesuffix("_next"), "t+1")
        return self._symbol(name.removesuffix("_t"), "t")

    def line(self, current: Expr) -> str:
        """Return ``name &= right-hand side``; later lines refer to the name."""
        right = self.operand(current, 0)
        self.table[current] = self.lines[current]
        return f"{self.lines[current]} &= {right}"


class _Formula(_Writing):
    """The names within one value that has no state, and the writing of its right-hand sides."""

    def __init__(self, value: Expr, names: dict[Expr, str]) -> None:
        taken = {each.payload[1] for each in _leaves(value) if each.op == "symbol"}
        self.table = {}
        self.named = {
            current: name
            for current, name in name_nodes((value,), names, taken, "k").items()
            if current in names and current is not value
        }

    def line(self, current: Expr) -> str:
        """Return ``name &= right-hand side``; later lines refer to the name."""
        right = self.operand(current, 0)
        self.table[current] = letter(self.named[current])
        return f"{self.table[current]} &= {right}"


_NORMS = {"sum_tensor": "", "sum_launch": r"_{\text{all}}"}
_OTHERWISE = r"\text{otherwise}"


def _leaves(root: Expr) -> list[Expr]:
    return [each for each in postorder((root,)) if not each.args]


def _leaf(current: Expr) -> Written:
    if current.op == "symbol":
        return letter(current.payload[1]), ATOM
    text = number(current.payload)
    return text, SUM if text.startswith("-") else ATOM


_FIRST_UPDATE = node("le", symbol("clock", "t"), constant(1))


def _compose(current: Expr, args: list[Written]) -> Written:
    if current is _FIRST_UPDATE:
        return "t = 1", COMPARISON
    if current.op == "mul" and current.args[0] is current.args[1]:
        return f"{_base(args[0])}^2", POWER
    operation = OPERATIONS[current.op]
    texts = [text for text, _ in args]
    if current.op == "pow":
        texts[0] = _base(args[0])
    elif current.op == "mul":
        texts = [_grouped(args[0], PRODUCT), _second(args[1], PRODUCT)]
        if texts[1][0].isdigit():
            return rf"{texts[0]} \cdot {texts[1]}", PRODUCT
    elif current.op == "mod":
        texts = [_grouped(args[0], POWER), _grouped(args[1], POWER)]
    elif current.op in ("add", "sub"):
        texts[1] = _second(args[1], SUM if current.op == "add" else PRODUCT)
    elif current.op == "neg" or current.op.startswith("sum_"):
        texts[0] = _grouped(args[0], PRODUCT)
    binds = {"single": args[0][1], "div": POWER}.get(current.op, operation.binds)
    return operation.latex.format(*texts), binds


def _base(arg: Written) -> str:
    """Return what an exponent may stand on: no second superscript, no loose sum."""
    text = _grouped(arg, ATOM)
    return f"{{{text}}}" if "^" in text or "'" in text else text


def _second(arg: Written, least: int) -> str:
    """Return a right operand; one that begins with a minus is set apart from the sign before it."""
    return _grouped(arg, ATOM if arg[0].startswith("-") else least)


def _grouped(arg: Written, least: int) -> str:
    text, binds = arg
    return text if binds >= least else rf"\left({text}\right)"
