"""A parameter that is held twice is stepped twice by one gradient."""

from collections.abc import Iterator, Sequence

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding

SHOWN = 3
"""So many parameters are named at most."""


@check(
    code="GD403",
    name="parameter held twice",
    finds="""Parameters that are twice in the groups of the optimizer, or in those of a second
        optimizer that steps as well.""",
    why="""Each update changes them twice by one gradient: their learning rate is twice that of the
        rest, or the sum of two, and so is their decay. A second optimizer keeps a momentum of its
        own and pushes on where the first one has turned around.""",
    fix="""List each parameter once. Tied weights are one parameter with two names: take them from
        `model.parameters()`, which yields each once, not from two modules' lists together. Give
        two optimizers parts of the model that have nothing in common.""",
    reference="PyTorch documentation, torch.optim: per-parameter options",
    needs=("settings",),
    explains=("GD202", "GD203", "GD204", "GD205", "GD208", "GD209", "GD304"),
)
def held_twice(seen: Evidence, *, least: int = 1) -> Iterator[Finding]:
    """Yield a finding for at least *least* parameters held twice, and for each other optimizer."""
    groups = {each.name: each.groups for each in seen.model.parameters.values()}
    twice = [name for name, held in groups.items() if len(held) > 1]
    if twice and len(twice) >= least:
        yield _listed_twice(seen, twice, groups[twice[0]])
    for other in seen.others:
        shared = [name for name in other.parameters if groups.get(name)]
        if other.stepped and len(shared) >= max(least, 1):
            yield _stepped_by(seen, other.kind, shared)


def _listed_twice(seen: Evidence, twice: Sequence[str], groups: Sequence[int]) -> Finding:
    numbers = ", ".join(f"{each}" for each in dict.fromkeys(groups))
    place = f"groups {numbers}" if len({*groups}) > 1 else f"group {numbers}"
    kind = seen.optimizer.kind
    told = f"{_named(twice)} held {len(groups)} times in {place} of {kind}."
    remedy = f"{kind}([*a, *b]) → {kind}(dict.fromkeys([*a, *b]).keys()): each parameter once"
    return Finding("error", 1.0, told, remedy, {"parameters": [*twice]}, twice[0])


def _stepped_by(seen: Evidence, other: str, shared: Sequence[str]) -> Finding:
    told = f"{_named(shared)} held by {seen.optimizer.kind} and by {other}, which steps as well."
    remedy = f"{seen.optimizer.kind} or {other}, not both, for {shared[0]}"
    if len(shared) > 1:
        remedy += f" and {len(shared) - 1} more"
    numbers = {"parameters": [*shared], "other": other}
    return Finding("error", 0.9, told, remedy, numbers, shared[0])


def _named(parameters: Sequence[str]) -> str:
    names = ", ".join(parameters[:SHOWN])
    more = f" and {len(parameters) - SHOWN} more" if len(parameters) > SHOWN else ""
    return f"{names}{more} {'is' if len(parameters) == 1 else 'are'}"
