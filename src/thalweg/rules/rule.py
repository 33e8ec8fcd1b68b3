"""A rule is a pure function of a gradient and its state; everything else is derived from it."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from thalweg.algebra import (
    Expr,
    Hyperparameter,
    Signature,
    Traced,
    expand,
    parse,
    source,
    symbol,
    trace_with,
)
from thalweg.algebra.signature import check_beginnings
from thalweg.errors import BadType, UnknownName, nearest


@dataclass(frozen=True, eq=False)
class Rule:
    """One update rule: its text, where it comes from, and where others mean something else.

    Called with tensors, arrays or expressions it computes the step and the new state. `init` and
    `update` are its pure face; `thalweg.Optimizer` is its face as a torch optimizer.

    ``differences`` says, one sentence each, where libraries use the same name differently.
    ``pieces`` are the rules and transforms a chain is made of.
    """

    key: str
    name: str
    compute: Callable[..., Any]
    signature: Signature
    paper: str = ""
    arxiv: str = ""
    summary: str = ""
    differences: tuple[str, ...] = ()
    pieces: tuple[Any, ...] = ()
    module: str = field(default="", repr=False)

    def __call__(self, *args: Any, **values: Any) -> Any:
        """Return the step and the new state, given inputs and slots in order of the signature.

        This is the text of the rule, nothing more: that a slot begins as the first gradient is
        known to `update` and to optimizers only.
        """
        return self.compute(**self._arguments(args, values))

    def _arguments(self, args: tuple, values: dict[str, Any]) -> dict[str, Any]:
        """Return every argument by name; BadType where one is missing or there are too many."""
        names = (*self.signature.inputs, *self.signature.slots)
        begun = {n: i.value for n, i in self.signature.slots.items() if hasattr(i, "value")}
        defaults = {each.name: each.default for each in self.hyperparameters.values()}
        given = {**begun, **defaults, **dict(zip(names, args, strict=False)), **values}
        wanted = [*names, *defaults, *(["t"] if self.signature.clock else [])]
        if len(args) > len(names) or set(given) != set(wanted):
            wrong = sorted(set(wanted) ^ set(given)) or ["one too many"]
            raise BadType(
                f"{self.name} takes {', '.join(wanted)}; missing or not known: {', '.join(wrong)}."
            )
        return given

    @property
    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """Every number that can be set, by name, in the order of the signature."""
        return self.signature.hyperparameters

    @cached_property
    def traced(self) -> Traced:
        """The rule as expressions, with the names its author gave to intermediate values."""
        files = {each.compute.__code__.co_filename for each in self.pieces or (self,)}
        return trace_with(self.expand, self.signature, files)

    def expand(self, values: dict[str, Any]) -> tuple:
        """Return the step and the new state as expressions of *values*, themselves expressions."""
        if self.pieces:
            return self.compute(**values)
        return expand(self.compute, self.signature, values, self.key)

    @property
    def outputs(self) -> tuple:
        """The step and the new state values as one interned tuple of expressions."""
        return self.traced.outputs

    @property
    def results(self) -> tuple:
        """The new parameter and the new state values as expressions.

        A step written as ``p - x`` leads to x itself, without a rounding on the way.
        """
        return reached(symbol("input", "p"), self.outputs[0]), *self.outputs[1:]

    def settings(self, **hyper: Any) -> dict[str, Any]:
        """Return every hyperparameter's value: *hyper* where given, the default elsewhere.

        Numbers are checked against their legal ranges; tensors are passed on as they are.
        Raises UnknownName, BadType or BadValue.
        """
        for name, value in hyper.items():
            if name not in self.hyperparameters:
                known = ", ".join(self.hyperparameters) or "none"
                raise UnknownName(
                    f"{self.name} has no hyperparameter {name!r}."
                    f"{nearest(name, self.hyperparameters)} It takes: {known}."
                )
            if not hasattr(value, "shape"):
                self.hyperparameters[name].check(value, self.name)
        return {name: hyper.get(name, each.default) for name, each in self.hyperparameters.items()}

    def init(self, params: Any, **hyper: Any) -> dict[str, Any]:
        """Return the state before the first update: one entry per slot, shaped like *params*.

        *params* is an array or tensor, or a list, tuple or dict of them; so is each entry.
        """
        from thalweg.rules.functional import init

        return init(self, params, self.settings(**hyper))

    def update(self, params: Any, grads: Any, state: dict[str, Any], *, t: Any, **hyper: Any):
        """Return the parameters and the state after update number *t* (1 at the first).

        A pure function: nothing given is modified. Tensors differentiate and vmap through it,
        with respect to hyperparameters as well; so may *t* be one. *grads* has the structure of
        *params*.
        """
        from thalweg.rules.functional import update

        return update(self, params, grads, state, t, self.settings(**hyper))

    def __copy__(self) -> "Rule":
        return self

    def __deepcopy__(self, memo: dict) -> "Rule":
        return self

    def __reduce__(self) -> Any:
        if _is_registered(self):
            return _find, (self.key,)
        if self.pieces:
            about = {each: getattr(self, each) for each in ("key", *_ABOUT)}
            return _chain_again, (self.pieces, about, self.settings())
        if self.module and getattr(importlib.import_module(self.module), self.key, None) is self:
            return _look_up, (self.module, self.key)
        name = self.key if self.key.isidentifier() else "rule"
        about = {each: getattr(self, each) for each in _ABOUT}
        return _from_source, (source(self, name), self.hyperparameters, about)


def reached(p: Any, step: Any) -> Any:
    """Return where *step* leads from *p*: a step that is written as p - x leads to x itself."""
    if isinstance(step, Expr) and step.op == "sub" and step.args[0] is p:
        return step.args[1]
    return p - step


_ABOUT = ("name", "paper", "arxiv", "summary", "differences")


def _look_up(module: str, key: str) -> Any:
    return getattr(importlib.import_module(module), key)


def _is_registered(rule: "Rule") -> bool:
    from thalweg.rules import catalogue, variants

    return {**catalogue, **variants}.get(rule.key) is rule


def _find(key: str) -> "Rule":
    from thalweg.rules import find

    return find(key)


def _chain_again(pieces: tuple, about: dict[str, Any], defaults: dict[str, float]) -> "Rule":
    from thalweg.rules.chain import chain

    return chain(*pieces, **about, defaults=defaults)


def _from_source(text: str, hyperparameters: dict, about: dict[str, Any]) -> "Rule":
    from thalweg.algebra.trace import define

    function = define(text)
    signature = replace(parse(function), hyperparameters=hyperparameters)
    return Rule(function.__name__, compute=function, signature=signature, **about)


def rule(
    name: str, *, paper: str = "", arxiv: str = "", differences: Sequence[str] = ()
) -> Callable[[Callable], Rule]:
    """Make a pure function an update rule; its signature is its schema, its docstring its summary.

    The function takes the gradient ``g`` (and ``p`` if it reads the parameter), its state slots
    with their beginnings, and by keyword the clock ``t`` and its hyperparameters. It returns the
    step, then the new state in order; the parameter becomes ``p - step``.
    """

    if not isinstance(name, str):
        raise BadType(
            'write @rule("Name") above the function: the rule needs a name to be shown by.'
        )

    def decorate(function: Callable) -> Rule:
        signature = parse(function)
        _check_inputs(function.__name__, signature)
        return Rule(
            function.__name__, name, function, signature, paper, arxiv, first_line(function),
            tuple(differences), module=function.__module__ or "",
        )  # fmt: skip

    return decorate


def first_line(function: Callable) -> str:
    """Return the first line of a docstring, or an empty string."""
    return (function.__doc__ or "").strip().partition("\n")[0]


def _check_inputs(owner: str, signature: Signature) -> None:
    if "g" not in signature.inputs:
        raise BadType(
            f"{owner}: a rule's first argument is the gradient g; it has {signature.inputs}."
        )
    for name in signature.inputs:
        if name not in ("g", "p"):
            raise BadType(
                f"{owner}: the input {name!r} cannot be supplied. Inputs are g (the gradient) and "
                "p (the parameter); give it a default if it is state."
            )
    check_beginnings(owner, signature.slots, signature.hyperparameters)
    if signature.shared:
        raise BadType(
            f"{owner}: {signature.shared[0]!r} has no default. A rule's keyword arguments are the "
            "clock t and hyperparameters with defaults."
        )
