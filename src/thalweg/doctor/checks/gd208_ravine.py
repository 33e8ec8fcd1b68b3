"""In a ravine the rate must suit the steep walls, and along the floor nothing moves."""

from collections.abc import Iterator
from itertools import pairwise

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Curvature, Evidence
from thalweg.doctor.finding import Finding, short
from thalweg.doctor.flatness import falls_high
from thalweg.doctor.pace import momentum_of
from thalweg.doctor.signs import limit_over_rate


@check(
    code="GD208",
    name="ravine",
    finds="""A loss that creeps down though the learning rate is near the largest stable one, in a
        valley whose steepest direction is hundreds of times steeper than most.""",
    why="""Gradient descent needs as many updates as the ratio of the curvatures says: what is
        stable on the steep walls hardly moves along the floor. Momentum needs the root of that
        number.""",
    fix="""Take the ravine away: centre and scale the inputs, decorrelate features, put a
        normalization between the layers. Or use a rule that bears it: momentum 0.9 to 0.99, Adam,
        or one of second order (LBFGS) for a small problem without noise.""",
    reference="""Goodfellow, Bengio & Courville 2016, Deep learning, section 8.2.1
        (ill-conditioning); Nocedal & Wright 2006, Numerical optimization, section 3.3""",
    needs=("losses", "curvature"),
    explains=("GD202",),
)
def ravine(
    seen: Evidence, *, ratio: float = 100.0, within: float = 15.0, kept: float = 0.01,
    bent: float = 0.003, creeps: float = 0.995, runs: float = 0.65, steady: float = 0.5,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where the curvatures have that *ratio* and the rate is *within* its limit.

    With momentum it takes the square of that ratio.

    The loss is above *kept* of its start, falls from each eighth of the run to the next, and its
    last quarter is between *runs* and *creeps* of the one before, by no less than the share
    *steady* of the fall before that: else it arrives. A valley has no negative curvature beyond a
    share *bent* of the largest.
    """
    found, limit = seen.curvature, limit_over_rate(seen)
    if found is None or found.quantile is None or limit is None or seen.optimizer.adaptive:
        return
    needed = ratio**2 if momentum_of(seen) >= 0.5 else ratio
    valley = -found.smallest <= bent * found.largest and found.largest >= needed * found.quantile
    if (
        valley
        and limit <= within
        and _creeps(seen, runs, creeps, steady)
        and falls_high(seen, kept)
    ):
        yield _finding(seen, found, limit)


def _creeps(seen: Evidence, runs: float, creeps: float, steady: float) -> bool:
    stretches = seen.losses.finite.medians(8)
    if len(stretches) < 8 or seen.updates < 50:
        return False
    downhill = all(b <= a for a, b in pairwise(stretches))
    before, middle, last = (sum(stretches[k : k + 2]) for k in (2, 4, 6))
    slows = middle - last < steady * (before - middle)
    return downhill and not slows and runs <= last / middle <= creeps


def _finding(seen: Evidence, found: Curvature, limit: float) -> Finding:
    assert found.quantile is not None
    spread = found.largest / found.quantile
    stretches = seen.losses.finite.medians(8)
    told = (
        f"The steepest curvature is {short(spread)} times that of most directions "
        f"({short(found.largest)} to {short(found.quantile)}); the largest stable rate is only "
        f"{short(limit)} times the one in use, and the loss creeps, to "
        f"{short(stretches[-1])} after {seen.updates:,} updates."
    )
    numbers = {"ratio": spread, "largest": found.largest, "limit_over_lr": limit}
    settings = seen.optimizer.groups[0].settings if seen.optimizer.groups else {}
    slow = not settings.get("momentum")
    remedy = "momentum=0 → 0.9" if slow else f"{seen.optimizer.kind or 'the rule'} → Adam or LBFGS"
    return Finding("warning", 0.75, told, f"{remedy}, or whiten the inputs", numbers)
