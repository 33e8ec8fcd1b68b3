"""Prints a rule as the equations of a paper, with the author's variable names."""

import math
from typing import Any

from thalweg.algebra.expr import Expr, node, postorder, symbol
from thalweg.algebra.operations import ATOM, COMPARISON, OPERATIONS, POWER, PRODUCT, SUM
from thalweg.algebra.python import Written, name_nodes, write
from thalweg.algebra.rank import ranks
from thalweg.algebra.signature import FromHyper, FromInput, Number, Scalar, Signature
from thalweg.algebra.trace import symbols, traced

_GREEK = frozenset(
    {"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu",
     "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega"}
)  # fmt: skip
_FIELD = {
    "lr": r"\eta", "eps": r"\epsilon", "momentum": r"\mu", "dampening": r"\tau",
    "weight_decay": r"\lambda", "momentum_decay": r"\psi", "rho_inf": r"\rho_\infty",
    "etaminus": r"\eta^{-}", "etaplus": r"\eta^{+}",
}  # fmt: skip
_ACCENTS = {"hat": r"\hat", "bar": r"\bar", "tilde": r"\tilde"}


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
    lines.append(rf"\theta_t &= \theta_{{t-1}} - {text.operand(found.outputs[0], PRODUCT)}")
    return [*lines, *map(text.line, after)]


def initial_values(rule: Any) -> list[str]:
    """Return how each state slot begins, as LaTeX; a slot that needs no beginning is left out."""
    found = traced(rule)
    text = _Text(rule.signature, found.outputs, found.names)
    shown = []
    for slot, initial in rule.signature.slots.items():
        value = _initial(initial)
        if value is not None:
            shown.append(f"{text.letters[slot]}_0 = {value}")
    return shown


def _initial(initial: Any) -> str | None:
    if isinstance(initial, (Number, Scalar)):
        return number(initial.value)
    if isinstance(initial, FromHyper):
        return letter(initial.name)
    return r"\theta_0" if isinstance(initial, FromInput) else None


class _Text:
    """The names of one rule's symbols and values, and the writing of its right-hand sides."""

    def __init__(
        self, signature: Signature, outputs: tuple[Expr, ...], names: dict[Expr, str]
    ) -> None:
        self.ranks = ranks(outputs)
        self.table: dict[Expr, str] = {symbol("clock", "t"): "t"}
        self.letters: dict[str, str] = {}
        taken = symbols(signature)
        self._name_state(signature, outputs, names)
        self._name_symbols(signature, taken)
        self.new_parameter = node("sub", symbol("input", "p"), outputs[0])
        self.table[self.new_parameter] = r"\theta_t"
        self.lines = {
            current: self._indexed(current, text)
            for current, text in self._worth_a_line(outputs, names, taken).items()
        }

    def _name_state(self, signature, outputs, names) -> None:
        for slot, new in zip(signature.slots, outputs[1:], strict=True):
            self.letters[slot] = letter(names.get(new, slot))

    def _name_symbols(self, signature: Signature, taken: dict[str, Expr]) -> None:
        for name in signature.inputs:
            self.table[taken[name]] = {"g": "g_t", "p": r"\theta_{t-1}"}.get(name, letter(name))
        for slot in signature.slots:
            self.table[taken[slot]] = f"{self.letters[slot]}_{{t-1}}"
        for name in (*signature.hyperparameters, *signature.shared):
            self.table[taken[name]] = letter(name)

    def _worth_a_line(self, outputs, names, taken) -> dict[Expr, str]:
        slots = dict(zip(outputs[1:], self.letters, strict=True))
        kept = {current: names.get(current) for current in (*names, *outputs[1:])}
        named = name_nodes(outputs, {c: n or slots[c] for c, n in kept.items()}, set(taken))
        return {c: n for c, n in named.items() if c in kept and c not in self.table}

    def around_the_step(self) -> tuple[list[Expr], list[Expr]]:
        """Return the lines that come before the new parameter is known, and those that use it."""
        after = [each for each in self.lines if self.new_parameter in set(postorder((each,)))]
        return [each for each in self.lines if each not in set(after)], after

    def _indexed(self, current: Expr, name: str) -> str:
        if all(each.op == "constant" or each.payload[0] == "hyper" for each in _leaves(current)):
            return letter(name)
        if name.endswith("_next"):
            return f"{letter(name.removesuffix('_next'))}_{{t+1}}"
        return f"{letter(name)}_t"

    def line(self, current: Expr) -> str:
        """Return ``name &= right-hand side``; later lines refer to the name."""
        right = self.operand(current, 0)
        self.table[current] = self.lines[current]
        return f"{self.lines[current]} &= {right}"

    def operand(self, current: Expr, least: int) -> str:
        """Return *current* written out, in parentheses if it binds looser than *least*."""
        text, binds = write(current, self.table.get, _leaf, _compose)
        return text if binds >= least else rf"\left({text}\right)"


def _leaves(root: Expr) -> list[Expr]:
    return [each for each in postorder((root,)) if not each.args]


def _leaf(current: Expr) -> Written:
    if current.op == "symbol":
        return letter(current.payload[1]), ATOM
    text = number(current.payload)
    return text, SUM if text.startswith("-") else ATOM


def number(value: float) -> str:
    """Return a number as a paper prints it: 1, 0.999, 10^{-8}."""
    if value == math.pi:
        return r"\pi"
    text = f"{value:.12g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        power = f"10^{{{int(exponent)}}}"
        return power if mantissa == "1" else rf"{mantissa} \cdot {power}"
    return text.replace("inf", r"\infty").replace("nan", r"\mathrm{NaN}")


def letter(name: str) -> str:
    r"""Return a variable's name as a symbol: beta1 → \beta_1, v_hat → \hat{v}, lr → \eta."""
    if name in _FIELD:
        return _FIELD[name]
    stem, _, accent = name.rpartition("_")
    if accent in _ACCENTS:
        return f"{_ACCENTS[accent]}{{{letter(stem)}}}"
    if accent == "prime":
        return f"{letter(stem)}'"
    if stem and len(stem) == 1:
        return rf"{stem}^{{\mathrm{{{accent}}}}}"
    base = name.rstrip("0123456789")
    digits = name[len(base) :]
    symbol_ = rf"\{base}" if base in _GREEK else base
    if len(base) > 1 and base not in _GREEK:
        symbol_ = rf"\mathrm{{{base.replace('_', chr(92) + '_')}}}"
    return f"{symbol_}_{digits}" if digits else symbol_


def _compose(current: Expr, args: list[Written]) -> Written:
    if current.op == "mul" and current.args[0] is current.args[1]:
        return f"{_base(args[0])}^2", POWER
    operation = OPERATIONS[current.op]
    texts = [text for text, _ in args]
    if current.op == "pow":
        texts[0] = _base(args[0])
    elif current.op in ("mul", "mod"):
        texts = [_grouped(args[0], PRODUCT), _grouped(args[1], PRODUCT)]
        if current.op == "mul" and texts[1][0].isdigit():
            return rf"{texts[0]} \cdot {texts[1]}", PRODUCT
    elif current.op == "sub":
        texts[1] = _grouped(args[1], PRODUCT)
    elif current.op == "neg" or current.op.startswith("sum_"):
        texts[0] = _grouped(args[0], PRODUCT)
    binds = {"single": args[0][1], "where": COMPARISON, "div": POWER}.get(
        current.op, operation.binds
    )
    return operation.latex.format(*texts), binds


def _base(arg: Written) -> str:
    """Return what an exponent may stand on: no second superscript, no loose sum."""
    text = _grouped(arg, ATOM)
    return f"{{{text}}}" if "^" in text or "'" in text else text


def _grouped(arg: Written, least: int) -> str:
    text, binds = arg
    return text if binds >= least else rf"\left({text}\right)"
