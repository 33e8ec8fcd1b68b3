"""Units with the same weights get the same gradient, and stay one unit however many they are."""

import math
from collections.abc import Iterator, Sequence

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, ParameterProbe, Probe
from thalweg.doctor.finding import Finding, Severity
from thalweg.doctor.places import initialized, matrices


@check(
    code="GD305",
    name="duplicate units",
    finds="""Layers of which many units have the same weights as another one, after the first update
        and after the second. The layer that makes the output is not looked at, nor are
        embeddings.""",
    why="""Units that are alike put out the same, get the same gradient and remain alike: a layer
        initialized to a constant is a layer of one unit. Only differences in what they feed into,
        dropout, or rounding break the symmetry, and rounding takes long.""",
    fix="""Draw the weights at random (`nn.init.kaiming_normal_`, `nn.init.xavier_normal_`); the
        biases alone may be constant. Where units were copied on purpose to widen a trained layer,
        add a little noise to the copies.""",
    reference="""Goodfellow, Bengio & Courville 2016, Deep learning, section 8.4 (breaking the
        symmetry between units); Chen, Goodfellow & Shlens 2016, Net2Net, arXiv:1511.05641""",
    needs=("gradients",),
    explains=("GD103", "GD201", "GD206", "GD207", "GD208", "GD209", "GD303", "GD304", "GD401"),
)
def duplicates(
    seen: Evidence, *, some: float = 0.5, severe: float = 0.25, least: int = 4
) -> Iterator[Finding]:
    """Yield one finding where a layer keeps no more than the share *some* of distinct units.

    It is an error at *severe*. Layers of fewer than *least* units do not count.
    """
    found = {name: _distinct(seen.probes[:2], name) for name in matrices(seen)[:-1]}
    counted = {name: each for name, each in found.items() if each and each[1] >= least}
    alike = {name: each for name, each in counted.items() if each[0] <= some * each[1]}
    if alike:
        yield _finding(seen, alike, severe)


def _distinct(probes: Sequence[Probe], name: str) -> tuple[int, int] | None:
    """Return how many units of a weight are distinct, and how many there are; None if unseen."""
    found = [each.parameters.get(name, ParameterProbe()) for each in probes]
    finite = [each for each in found if math.isfinite(each.update or 0.0)]
    return max(((p.distinct, p.rows) for p in finite if p.distinct and p.rows), default=None)


def _finding(seen: Evidence, alike: dict[str, tuple[int, int]], severe: float) -> Finding:
    worst = min(alike, key=lambda name: alike[name][0] / alike[name][1])
    distinct, units = alike[worst]
    share = 1 - distinct / units
    more = f"; so are units of {len(alike) - 1} more layers" if len(alike) > 1 else ""
    told = f"The {units:,} units of {worst} have {distinct:,} distinct rows of weights{more}."
    numbers = {"units": units, "distinct": distinct, "share": share, "weights": [*alike]}
    severity: Severity = "error" if distinct <= severe * units else "warning"
    where, remedy = seen.model.parameters[worst].module, initialized(seen, [*alike])
    return Finding(severity, min(1.0, 0.5 + share / 2), told, remedy, numbers, where)
