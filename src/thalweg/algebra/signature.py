"""A rule's signature is its schema: what it reads, what it keeps, what may be set, and its clock.

| part of the signature        | meaning                                              |
|------------------------------|------------------------------------------------------|
| positional, no default       | an input: ``g`` the gradient, ``p`` the parameter    |
| positional, with a default   | a state slot and how it begins                       |
| keyword-only, no default     | the clock ``t``, 1 at the first update               |
| keyword-only, with a default | a hyperparameter; its annotation carries its range   |
"""

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from thalweg.errors import BadType, BadValue, UnknownName, nearest


@dataclass(frozen=True)
class FromHyper:
    """A slot that begins at the value of a hyperparameter."""

    name: str

    def __repr__(self) -> str:
        return f'from_hyper("{self.name}")'


@dataclass(frozen=True)
class FromInput:
    """A slot that begins as a copy of an input."""

    name: str

    def __repr__(self) -> str:
        return f'from_input("{self.name}")'


@dataclass(frozen=True)
class FirstGradient:
    """A slot whose value after the first update is the gradient that reached the rule."""

    def __repr__(self) -> str:
        return "first_gradient"


@dataclass(frozen=True)
class Scalar:
    """A slot with one number for the whole parameter, kept in float32 as torch keeps it."""

    value: float

    def __repr__(self) -> str:
        return f"scalar({self.value!r})"


@dataclass(frozen=True)
class Number:
    """A slot that begins with every element at one number."""

    value: float

    def __repr__(self) -> str:
        return repr(self.value)


Initial = Number | FromHyper | FromInput | FirstGradient | Scalar

from_hyper = FromHyper
from_input = FromInput
first_gradient = FirstGradient()
scalar = Scalar


@dataclass(frozen=True)
class Range:
    """Where a hyperparameter may lie, and the part of it worth searching.

    *low* and *high* are legal themselves unless *open_low* or *open_high* is set; *scale* is
    ``linear``, ``log``, or ``log1m`` (logarithmic in 1 - value, for values close to one). With
    *whole* only whole numbers are legal.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    search: tuple[float, float] | None = None
    scale: str = "linear"
    whole: bool = False

    def __contains__(self, value: float) -> bool:
        if self.whole and not value.is_integer():
            return False
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        left = "(" if self.open_low or self.low == -math.inf else "["
        right = ")" if self.open_high or self.high == math.inf else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}{', whole' if self.whole else ''}"


@dataclass(frozen=True)
class Hyperparameter:
    """A number that can be set: its name, default and legal range."""

    name: str
    default: float
    range: Range = field(default_factory=Range)

    @property
    def low(self) -> float:
        """The lowest legal value, or the bound it must stay above."""
        return self.range.low

    @property
    def high(self) -> float:
        """The highest legal value, or the bound it must stay below."""
        return self.range.high

    @property
    def open_low(self) -> bool:
        """Whether the lowest value itself is illegal."""
        return self.range.open_low

    @property
    def open_high(self) -> bool:
        """Whether the highest value itself is illegal."""
        return self.range.open_high

    @property
    def search(self) -> tuple[float, float] | None:
        """The interval worth searching, or None."""
        return self.range.search

    def check(self, value: Any, owner: str, label: str | None = None) -> None:
        """Refuse a value that is no number or lies outside the legal range."""
        label = label or self.name
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            raise BadType(
                f"{owner}: {label} must be a number in {self.range}, "
                f"not {type(value).__name__} ({value!r})."
            )
        if float(value) not in self.range:
            raise BadValue(
                f"{owner}: {label}={float(value)!r} is outside its legal range {self.range}. "
                f"The default is {self.default!r}."
            )


def check_beginnings(owner: str, slots: dict[str, Initial], known: Iterable[str]) -> None:
    """Refuse slots that begin at a hyperparameter which is not among *known*."""
    for slot, initial in slots.items():
        if isinstance(initial, FromHyper) and initial.name not in known:
            raise UnknownName(
                f"{owner}: the state slot {slot} begins at {initial!r}, but there is no such "
                f"hyperparameter.{nearest(initial.name, known)}"
            )


@dataclass(frozen=True)
class Signature:
    """The parsed signature of a rule or transform.

    ``shared`` names keyword-only parameters without a default other than the clock: a transform's
    way of reading a hyperparameter that another part of the chain declares.
    """

    inputs: tuple[str, ...]
    slots: dict[str, Initial]
    hyperparameters: dict[str, Hyperparameter]
    clock: bool
    shared: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash((self.inputs, tuple(self.slots), tuple(self.hyperparameters)))


RESERVED = frozenset(
    {
        "g", "p", "p_new", "step", "t", "params", "rule", "like", "nonfinite", "self", "state",
        "foreach", "fused", "capturable", "differentiable",
    }
)  # fmt: skip
"""Names that rules, chains and parameter groups already give a meaning."""


def parse(function: Callable) -> Signature:
    """Read the schema of *function*; BadType where a parameter fits no part of it."""
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    owner = function.__name__
    inputs, slots, hyperparameters, shared = [], {}, {}, []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise BadType(
                f"{owner}: {parameter} stands for parameters without names. A rule's signature is "
                "its schema: name every input, slot and hyperparameter."
            )
        keyword, empty = (
            parameter.kind is parameter.KEYWORD_ONLY,
            parameter.default is parameter.empty,
        )
        if keyword and empty:
            shared.append(parameter.name)
        elif keyword:
            hyperparameters[parameter.name] = _hyperparameter(owner, parameter)
        elif empty:
            inputs.append(parameter.name)
        else:
            slots[parameter.name] = _initial(owner, parameter)
    for name in (*slots, *hyperparameters):
        if name in RESERVED:
            raise BadValue(
                f"{owner}: {name!r} cannot name a state slot or a hyperparameter: it already means "
                "something in every rule or optimizer. Choose another name."
            )
    clock = "t" in shared
    rest = tuple(name for name in shared if name != "t")
    return Signature(tuple(inputs), slots, hyperparameters, clock, rest)


def _hyperparameter(owner: str, parameter: inspect.Parameter) -> Hyperparameter:
    ranges = [item for item in get_args(parameter.annotation) if isinstance(item, Range)]
    found = Hyperparameter(parameter.name, parameter.default, *ranges[:1])
    found.check(parameter.default, owner)
    return replace(found, default=float(parameter.default))


def _initial(owner: str, parameter: inspect.Parameter) -> Initial:
    default = parameter.default
    if isinstance(default, FromInput) and default.name != "p":
        raise BadValue(
            f"{owner}: the state slot {parameter.name} begins at {default!r}; only a copy of the "
            'parameter, from_input("p"), can be made before the first update.'
        )
    if isinstance(default, Initial):
        return default
    if isinstance(default, (int, float)) and not isinstance(default, bool):
        return Number(float(default))
    raise BadType(
        f"{owner}: the state slot {parameter.name} begins at {default!r}; expected a number, "
        'from_hyper("name"), from_input("name"), first_gradient or scalar(number).'
    )
