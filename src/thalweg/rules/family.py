"""The family tree of rules, computed: each rule hangs from the one whose tree differs least."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from thalweg.algebra import Expr
from thalweg.algebra.expr import postorder
from thalweg.rules.rule import Rule


@dataclass(frozen=True)
class Kin:
    """A rule's place: its nearest relative, and how many operations it has more and less."""

    rule: Rule
    parent: Rule | None
    more: int = 0
    less: int = 0

    @property
    def distance(self) -> int:
        """In how many operations the rule and its relative differ."""
        return self.more + self.less


def family(rules: Iterable[Rule]) -> list[Kin]:
    """Return the tree that joins *rules* by the fewest differences, from the first one outwards.

    Two rules differ by the operations that one of them has and the other has not, each taken with
    the kinds of its operands.
    """
    waiting = {rule: operations(rule) for rule in rules}
    first = next(iter(waiting))
    joined = {first: waiting.pop(first)}
    found = [Kin(first, None)]
    while waiting:
        pairs = (
            _kin(rule, waiting[rule], each, joined[each]) for rule in waiting for each in joined
        )
        nearest = min(pairs, key=lambda kin: kin.distance)
        found.append(nearest)
        joined[nearest.rule] = waiting.pop(nearest.rule)
    return found


def _kin(rule: Rule, own: Counter, parent: Rule, theirs: Counter) -> Kin:
    return Kin(rule, parent, (own - theirs).total(), (theirs - own).total())


def operations(rule: Rule) -> Counter[tuple[str, ...]]:
    """Count the operations of a rule by their name and the kinds of their operands."""
    order = [each for each in postorder(rule.results) if each.args]
    return Counter((each.op, *map(_kind, each.args)) for each in order)


def _kind(operand: Expr) -> str:
    if operand.op == "symbol":
        return operand.payload[0]
    return repr(operand.payload) if operand.op == "constant" else operand.op


def children(tree: list[Kin], parent: Rule) -> Iterator[Kin]:
    """Yield the rules that hang from *parent*, nearest first."""
    yield from sorted(
        (each for each in tree if each.parent is parent), key=lambda each: each.distance
    )
