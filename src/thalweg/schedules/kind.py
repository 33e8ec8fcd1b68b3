"""A kind of schedule is a formula with settings; called with numbers for them, it makes one."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any

from thalweg.algebra import Expr, Signature, Traced, constant, minimum, symbol, trace_with
from thalweg.algebra.expr import substitute
from thalweg.algebra.latex import formula
from thalweg.algebra.letters import word
from thalweg.algebra.python import assignments
from thalweg.errors import BadType, BadValue, nearest
from thalweg.schedules.evaluation import K
from thalweg.schedules.schedule import Schedule

Settings = Mapping[str, Any]

COUNTS = (
    "steps", "first", "every", "cycles", "warmup", "half", "stable", "at", "batch", "examples",
)  # fmt: skip
"""Settings that are counted, from 1 up; all others are finite numbers."""


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of schedule: called with its settings, it makes one.

    ``compute`` is its text, a function of the index k and of the settings, traced with symbols for
    all of them; a list is traced as a list of symbols. A setting called steps is the horizon,
    beyond which k stands still. ``check`` refuses settings that do not go together, and
    ``example`` has some that do.
    """

    name: str
    compute: Callable[..., Any]
    summary: str
    source: str = ""
    check: Callable[..., None] | None = None
    example: Settings = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<kind of schedule {self.signature}>"

    def __call__(self, *args: Any, **settings: Any) -> Schedule:
        """Return the schedule of these settings; BadType or BadValue where one cannot be used."""
        given = self._bound(args, settings)
        self._check(given)
        symbols = _symbols(given)
        numbers = dict(_pairs(symbols, given))
        horizon = given.get("steps")
        if horizon is not None:
            numbers[K] = minimum(K, horizon - 1)
        (value,) = substitute((self._formula(symbols),), numbers)
        return Schedule(value, horizon)

    def _check(self, given: Settings) -> None:
        try:
            if self.check:
                self.check(**given)
        except BadValue as error:
            raise BadValue(f"{self.name}: {error}") from None

    def _formula(self, symbols: Settings) -> Expr:
        found = self.compute(K, **symbols)
        return found if isinstance(found, Expr) else constant(found)

    @cached_property
    def traced(self) -> Traced:
        """Its value as an expression of k and its settings, with the author's variable names."""
        symbols = _symbols({name: self.example.get(name) for name in self._parameters})
        files = {self.compute.__code__.co_filename}
        return trace_with(lambda _: (self._formula(symbols),), Signature((), {}, {}, False), files)

    @property
    def text(self) -> str:
        """Its formula in the index k and its settings, as lines of Python."""
        return assignments(f"{self.name}(k)", self.traced.outputs[0], self.traced.names)

    @property
    def latex(self) -> str:
        """Its formula in the index k and its settings, as LaTeX lines."""
        left = rf"{word(self.name)}\left(k\right)"
        return formula(left, self.traced.outputs[0], self.traced.names)

    def _bound(self, args: tuple, settings: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = inspect.signature(self.compute).bind(K, *args, **settings)
        except TypeError as error:
            unknown = [each for each in settings if each not in self._parameters]
            hints = [f"{each!r} is unknown.{nearest(each, self._parameters)}" for each in unknown]
            told = " ".join(hints) or f"{error}."
            raise BadType(f"{self.name}: {told} It is called as {self.signature}.") from None
        bound.apply_defaults()
        found = dict(list(bound.arguments.items())[1:])
        return {name: checked(self.name, name, value) for name, value in found.items()}

    @property
    def _parameters(self) -> dict[str, inspect.Parameter]:
        return dict(list(inspect.signature(self.compute).parameters.items())[1:])

    @property
    def signature(self) -> str:
        """How it is called."""
        return f"{self.name}{inspect.Signature(list(self._parameters.values()))}"

    @property
    def call(self) -> str:
        """How its example is called."""
        keyword = inspect.Parameter.KEYWORD_ONLY
        shown = (
            f"{name}={value!r}" if self._parameters[name].kind is keyword else repr(value)
            for name, value in self.example.items()
        )
        return f"{self.name}({', '.join(shown)})"


def _symbols(given: Settings) -> dict[str, Any]:
    """Return a symbol in place of each setting, and a list of them in place of a list."""
    return {
        name: [symbol("hyper", f"{name}_{i}") for i in range(len(value))]
        if isinstance(value, (list, tuple))
        else symbol("hyper", name)
        for name, value in given.items()
    }


def _pairs(symbols: Settings, given: Settings) -> list[tuple[Expr, Expr]]:
    """Return each symbol with the number that stands for it."""
    pairs: list[tuple[Expr, Expr]] = []
    for name, value in given.items():
        if isinstance(value, list):
            pairs += zip(symbols[name], map(constant, value), strict=True)
        else:
            pairs.append((symbols[name], constant(value)))
    return pairs


def checked(owner: str, name: str, value: Any) -> Any:
    """Return a setting as a number, or a list as a list of numbers; refuse what is none."""
    if isinstance(value, (list, tuple)):
        return [checked(owner, name, each) for each in value]
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise BadType(f"{owner}: {name}={value!r}; expected a finite number.")
    number = float(value)
    if name in COUNTS and (number < 1 or not number.is_integer()):
        raise BadValue(f"{owner}: {name}={value!r}; expected a whole number of at least 1.")
    return int(number) if name in COUNTS else number


def schedule(
    source: str = "", *, check: Callable[..., None] | None = None, **example: Any
) -> Callable[[Callable[..., Any]], Kind]:
    """Make a pure function of k and some settings a kind of schedule; *source* is its paper.

    *check* is given the settings and refuses what does not go together. *example* has settings
    with which it is drawn.
    """

    def decorate(function: Callable[..., Any]) -> Kind:
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        return Kind(function.__name__, function, summary, source, check, example)

    return decorate
