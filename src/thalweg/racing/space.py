"""The space that is searched for a rule: which of its hyperparameters, from where to where.

Learning rates are searched over equally many decades whatever the rule, and every other
hyperparameter over the range that the rule itself names. A point has one number from 0 to 1 for
each axis, so the same points can be tried for every rule.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from thalweg.algebra import Hyperparameter, Range
from thalweg.errors import BadValue, UnknownName, nearest
from thalweg.rules import Rule

SEARCHED = ("lr",)
"""What is searched unless more is asked for; everything else keeps the rule's default."""

DECADES = 3.0
"""The width of every rule's search for a learning rate."""

DIGITS = 3
"""The significant digits of a value, so that what is printed is what was run."""

EDGE = 0.05
"""The share of an axis, at either end, where a winner says that a better one may lie outside."""

_Map = Callable[[float], float]
_SCALES: dict[str, tuple[_Map, _Map]] = {
    "linear": (float, float),
    "log": (math.log10, lambda place: 10.0**place),
    "log1m": (lambda value: -math.log10(1.0 - value), lambda place: 1.0 - 10.0**-place),
}


@dataclass(frozen=True)
class Axis:
    """One searched hyperparameter: from *low* to *high*, evenly on a scale, within *legal*.

    The scale is ``linear``, ``log``, or ``log1m``, which is logarithmic in 1 - value.
    """

    name: str
    low: float
    high: float
    scale: str = "log"
    legal: Range = field(default_factory=Range, repr=False)

    def __post_init__(self) -> None:
        reachable = {"linear": True, "log": self.low > 0, "log1m": self.high < 1}
        if not (self.low < self.high < math.inf and reachable[self.scale]):
            raise BadValue(
                f"{self.name} cannot be searched from {self.low:g} to {self.high:g} on the scale "
                f"{self.scale!r}; a log scale begins above 0, and log1m ends below 1."
            )

    def value(self, unit: float) -> float:
        """Return the value at *unit*, from 0 (the low end) to 1, with three significant digits."""
        low, width = self._place(self.low), self.width
        exact = _SCALES[self.scale][1](low + width * _checked_unit(unit, self.name))
        return min(max(_rounded(exact, self.scale), self.low), self.high)

    def unit(self, value: float) -> float:
        """Return where *value* lies, from 0 (the low end) to 1; outside the axis, outside those."""
        return (self._place(value) - self._place(self.low)) / self.width

    @property
    def width(self) -> float:
        """The distance from end to end: in decades, or in plain numbers on a linear scale."""
        return self._place(self.high) - self._place(self.low)

    def extended(self, side: str) -> "Axis":
        """Return the axis one decade longer at its ``"low"`` or ``"high"`` end.

        A linear one becomes as long again. It ends where values are no longer legal.
        """
        if side not in ("low", "high"):
            raise BadValue(f"an axis is extended at its 'low' or 'high' end, got {side!r}.")
        more = self.width if self.scale == "linear" else 1.0
        place = self._place(self.low) - more if side == "low" else self._place(self.high) + more
        end = _rounded(_SCALES[self.scale][1](place), self.scale)
        end = min(max(end, self.legal.low), self.legal.high)
        low, high = (end, self.high) if side == "low" else (self.low, end)
        return replace(self, low=low, high=high) if end in self.legal else self

    def edge(self, value: float) -> str:
        """Return ``"low"`` or ``"high"`` where *value* lies at that end, else an empty string."""
        unit = self.unit(value)
        return "low" if unit <= EDGE else "high" if unit >= 1 - EDGE else ""

    def __str__(self) -> str:
        ends = f"{self.name} {self.low:g} to {self.high:g}"
        if self.scale == "linear":
            return f"{ends} (linear)"
        of = f" of 1 - {self.name}" if self.scale == "log1m" else ""
        return f"{ends} (log{of}, {self.width:.2g} decades)"

    def _place(self, value: float) -> float:
        return _SCALES[self.scale][0](value)


@dataclass(frozen=True)
class Space:
    """What is searched for a rule, by its key: one axis per hyperparameter, the first is lr."""

    rule: str
    axes: tuple[Axis, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The searched hyperparameters, in the order of the numbers of a point."""
        return tuple(axis.name for axis in self.axes)

    @property
    def volume(self) -> float:
        """The product of the widths of all axes."""
        return math.prod(axis.width for axis in self.axes)

    def settings(self, point: Sequence[float]) -> dict[str, float]:
        """Return the value of every searched hyperparameter at *point*, a number 0 to 1 for each.

        A longer point is used from its beginning; BadValue for a shorter one.
        """
        if len(point) < len(self.axes):
            raise BadValue(
                f"a point in the space of {self.rule} has {len(self.axes)} numbers "
                f"({', '.join(self.names)}), got {len(point)}."
            )
        pairs = zip(self.axes, point, strict=False)
        return {axis.name: axis.value(float(unit)) for axis, unit in pairs}

    def point(self, settings: Mapping[str, float]) -> tuple[float, ...]:
        """Return the point whose settings these are; hyperparameters not searched are ignored."""
        missing = [name for name in self.names if name not in settings]
        if missing:
            raise BadValue(f"the settings of {self.rule} lack a value for {', '.join(missing)}.")
        return tuple(axis.unit(settings[axis.name]) for axis in self.axes)

    def extended(self, side: str, name: str) -> "Space":
        """Return the space one decade longer at the ``"low"`` or ``"high"`` end of one axis.

        A space without that axis is returned as it is, for it is extended for all rules together.
        """
        return replace(
            self,
            axes=tuple(axis.extended(side) if axis.name == name else axis for axis in self.axes),
        )

    def on_edge(
        self, settings: Mapping[str, float], tried: Iterable[Mapping[str, float]] = ()
    ) -> dict[str, str]:
        """Return the names that lie on a boundary, and at which end: ``"low"`` or ``"high"``.

        That is the outermost twentieth of an axis, or the outermost of the values *tried* on it. An
        end beyond which no value is legal is no boundary.
        """
        seen = list(tried)
        found = {
            axis.name: axis.edge(settings[axis.name])
            or _outermost(settings[axis.name], [each[axis.name] for each in seen])
            for axis in self.axes
        }
        return {
            name: side for name, side in found.items() if side and self.extended(side, name) != self
        }

    def __str__(self) -> str:
        return f"{self.rule}: {'; '.join(map(str, self.axes))}"


def space(rule: Rule, searched: Iterable[str] = SEARCHED) -> Space:
    """Return the space of *rule*; names among *searched* that the rule does not have are left out.

    The learning rate is always searched, over three decades around the middle of the range that
    the rule names, or around its default where it names none. Raises BadValue for a hyperparameter
    that names no range.
    """
    if "lr" not in rule.hyperparameters:
        raise BadValue(f"the rule {rule.key!r} has no hyperparameter lr, which a race varies.")
    wanted = [name for name in rule.hyperparameters if name in set(searched) - {"lr"}]
    others = [_named(rule, rule.hyperparameters[name]) for name in wanted]
    return Space(rule.key, (_learning_rate(rule, rule.hyperparameters["lr"]), *others))


def spaces(rules: Iterable[Rule], searched: Iterable[str] = SEARCHED) -> dict[str, Space]:
    """Return the space of each rule, by its key.

    Raises UnknownName for a name among *searched* that none of the rules has.
    """
    rules, searched = list(rules), list(searched)
    known = list(dict.fromkeys(name for rule in rules for name in rule.hyperparameters))
    for name in searched:
        if name not in known:
            raise UnknownName(
                f"none of the rules has a hyperparameter {name!r}.{nearest(name, known)} "
                f"They have: {', '.join(known)}."
            )
    return {rule.key: space(rule, searched) for rule in rules}


def _learning_rate(rule: Rule, lr: Hyperparameter) -> Axis:
    low, high = lr.search or (lr.default, lr.default)
    if not 0 < low <= high < math.inf:
        raise BadValue(
            f"{rule.key}: lr cannot be searched on a log scale around {low:g} to {high:g}. Give it "
            "a default above 0, or a search range that begins above 0."
        )
    middle = (math.log10(low) + math.log10(high)) / 2
    ends = (_rounded(10 ** (middle + side * DECADES / 2), "log") for side in (-1, 1))
    low, high = (min(max(end, lr.low), lr.high) for end in ends)
    return Axis("lr", low, high, "log", lr.range)


def _named(rule: Rule, hyper: Hyperparameter) -> Axis:
    if hyper.search is None:
        raise BadValue(
            f"{rule.key} names no range in which {hyper.name} is worth searching. Leave it out, or "
            "write the range into the rule: Annotated[float, Range(search=(low, high))]."
        )
    low, high = hyper.search
    return Axis(hyper.name, low, high, hyper.range.scale, hyper.range)


def _rounded(value: float, scale: str) -> float:
    """Round to three significant digits, on the scale log1m those of 1 - value."""
    if scale == "log1m":
        return round(1.0 - _rounded(1.0 - value, "log"), 15)
    return float(f"{value:.{DIGITS}g}")


def _checked_unit(unit: float, name: str) -> float:
    if not 0.0 <= unit <= 1.0:
        raise BadValue(f"a place on the axis {name} lies between 0 and 1, got {unit!r}.")
    return unit


def _outermost(value: float, tried: list[float]) -> str:
    if len(set(tried)) < 2 or value not in (min(tried), max(tried)):
        return ""
    return "low" if value == min(tried) else "high"
