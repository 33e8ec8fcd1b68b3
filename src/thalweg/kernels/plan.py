"""Lowers a rule to a plan: what is computed once per row on the host, and what per element."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial, reduce
from typing import TYPE_CHECKING

from thalweg.algebra import Expr, Rank, constant, levels, node, ranks
from thalweg.algebra.expr import postorder, rewritten
from thalweg.algebra.operations import REDUCTIONS
from thalweg.algebra.signature import Scalar
from thalweg.errors import BadType
from thalweg.rules import Rule

if TYPE_CHECKING:
    from thalweg.kernels.shard import Shard


RECENT = 256
"""How many plans, and how many kernels, are remembered beside those that launches hold."""


@dataclass(frozen=True)
class Plan:
    """The work of one launch, engine by engine the same.

    ``slots`` are the element state tensors and ``scalars`` the per-parameter numbers, in order.
    ``stored`` are the host values a row keeps for its loops. ``stages[k]`` lists the host values
    computed after k passes of reductions, and ``sums[k]`` the reductions of pass k. ``writes``
    pairs each element slot, and the parameter under the name p, with its new value. ``names`` are
    the author's.
    """

    rule: Rule
    slots: tuple[str, ...]
    scalars: tuple[str, ...]
    stored: tuple[Expr, ...]
    stages: tuple[tuple[Expr, ...], ...]
    sums: tuple[tuple[Expr, ...], ...]
    writes: tuple[tuple[str, Expr], ...]
    scalar_writes: tuple[tuple[str, Expr], ...]
    names: dict[Expr, str] = field(default_factory=dict, compare=False)

    @property
    def reads_every_row(self) -> bool:
        """Whether some value depends on every parameter of the launch."""
        return any(each.op == "sum_launch" for level in self.sums for each in level)

    @property
    def one_row_of_uniforms_each(self) -> bool:
        """Whether host values differ between parameters of one group at the same clock."""
        return bool(self.sums or self.scalars or self.draws_noise)

    @property
    def needs_shapes(self) -> bool:
        """Whether values depend on the axes of a tensor, which flat loops do not know."""
        return any(each.op == "unit_mean" for each in postorder(self.rule.results))

    @property
    def draws_noise(self) -> bool:
        """Whether values depend on the place of each element, in the order of its indices."""
        return any(each.op == "noise_key" for stage in self.stages for each in stage)

    def check_shard(self, shard: "Shard") -> None:
        """Refuse means over units of which every process holds only a part."""
        if self.needs_shapes and shard.cuts_units():
            raise BadType(
                f"{self.rule.name} takes means over the units of a layer, and these are spread "
                f"over processes: the parameter is placed {shard.placements}. Shard it along its "
                "first dimension, Shard(0), or leave the transform out."
            )

    def check_sparse(self) -> None:
        """Refuse to be run on some rows of a parameter where that is not a part of the whole."""
        if not self.sums and not self.draws_noise:
            return
        reason = (
            "sums over every element" if self.sums else "draws noise by the place of each element"
        )
        raise BadType(
            f"{self.rule.name} {reason}, so it cannot take a sparse gradient, which names only "
            "some rows of a parameter. Rules and transforms that work element by element can, such "
            "as Adam or clipping by value. Or use a dense gradient (nn.Embedding: sparse=False)."
        )


@lru_cache(maxsize=RECENT)
def lower(rule: Rule) -> Plan:
    """Return the plan of *rule*."""
    known = rewritten(rule.results, _MEANINGS)
    p, *state = (known[root] for root in rule.results)
    new = dict(zip(rule.signature.slots, state, strict=True))
    scalars = tuple(n for n, i in rule.signature.slots.items() if isinstance(i, Scalar))
    slots = tuple(name for name in new if name not in scalars)
    writes = (("p", p), *((name, new[name]) for name in slots))
    scalar_writes = tuple((name, new[name]) for name in scalars)
    roots = tuple(value for _, value in (*writes, *scalar_writes))
    _check_scalars(rule, scalar_writes)
    stored, stages, sums = _schedule(roots)
    names = {known[node]: name for node, name in rule.traced.names.items() if node in known}
    return Plan(rule, slots, scalars, stored, stages, sums, writes, scalar_writes, names)


def _check_scalars(rule: Rule, scalar_writes: Iterable[tuple[str, Expr]]) -> None:
    for name, new in scalar_writes:
        if ranks([new])[new] == Rank.ELEMENT:
            raise BadType(
                f"{rule.name}: {name} is one number for the whole parameter, but its new value "
                "differs between elements. Reduce it with sum_tensor or norm, or begin the slot "
                "with a number instead of scalar(...)."
            )


# What loops do not know, as what it means: noise is a key, computed once per row on the host, and
# the noise that this key has at each element.
_MEANINGS: dict[str, Callable[..., Expr]] = {
    "clip": lambda x, low, high: node("minimum", node("maximum", x, low), high),
    "normal": lambda seed, t: node("noise_at", node("noise_key", seed, t)),
    "pow": lambda base, exponent: _power(base, exponent),
}


def _power(base: Expr, exponent: Expr) -> Expr:
    """Return a power; one whose exponent is a sign times host values is a choice of three.

    A power per element costs more than all the rest of a step; these three are computed once.
    """
    factors = _factors(exponent)
    rank = ranks([base, *factors, constant(1)])
    signs = [each for each in factors if each.op == "sign"]
    sizes = [each for each in factors if each.op != "sign"] or [constant(1)]
    if not signs or any(rank[each] != Rank.UNIFORM for each in (base, *sizes)):
        return node("pow", base, exponent)
    size, sign = (reduce(partial(node, "mul"), each) for each in (sizes, signs))
    shrunk = node("where", node("lt", sign, 0), node("pow", base, node("neg", size)), 1)
    return node("where", node("gt", sign, 0), node("pow", base, size), shrunk)


def _factors(product: Expr) -> list[Expr]:
    if product.op != "mul":
        return [product]
    return [factor for arg in product.args for factor in _factors(arg)]


def _schedule(roots: tuple[Expr, ...]) -> tuple:
    rank, level = ranks(roots), levels(roots)
    order = postorder(roots)
    hosted = [c for c in order if rank[c] < Rank.ELEMENT and c.op != "constant"]
    keep = set(_crossing(order, rank, level)) | {c for c in hosted if c.op in REDUCTIONS}
    keep |= {root for root in roots if root in set(hosted)}
    passes = max(level.values(), default=0)
    computed = [c for c in hosted if c.op not in REDUCTIONS]
    stages = tuple(tuple(c for c in computed if level[c] == k) for k in range(passes + 1))
    sums = tuple(
        tuple(c for c in hosted if c.op in REDUCTIONS and level[c] == k + 1) for k in range(passes)
    )
    return tuple(c for c in hosted if c in keep), stages, sums


def _crossing(order: list[Expr], rank: dict, level: dict) -> Iterable[Expr]:
    """Yield the host values that are read in a loop, or by the host after a later pass."""
    for current in order:
        for arg in current.args:
            if rank[arg] == Rank.ELEMENT or arg.op == "constant":
                continue
            if rank[current] == Rank.ELEMENT or level[arg] < level[current]:
                yield arg
