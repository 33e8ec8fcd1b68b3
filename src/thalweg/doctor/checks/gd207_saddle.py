"""At a saddle the gradient vanishes though the loss could fall: along negative curvature."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, change, rounded, short
from thalweg.doctor.flatness import (
    escape,
    falls_high,
    indefinite,
    level,
    leverage_at_end,
    never_left,
)
from thalweg.doctor.pace import pace_of
from thalweg.doctor.signs import rate


@check(
    code="GD207",
    name="saddle",
    finds="""A loss that stands still high up, with a gradient next to nothing, where the most
        negative curvature is as strong as a good part of the most positive; or one that stood at
        its start for half of the run with such a gradient, and then fell.""",
    why="""Near a saddle descent slows down as it does at a minimum, but the loss could fall on
        both sides of it. The way off begins exponentially slowly: the nearer to the saddle, as
        with weights that begin near zero or alike, the longer it takes.""",
    fix="""Begin farther away: weights that are random and not small. Momentum and adaptive rules
        leave a saddle sooner, noise in the gradient helps, and saddle-free Newton follows the
        negative curvature itself.""",
    reference="""Dauphin et al. 2014, Identifying and attacking the saddle point problem,
        arXiv:1406.2572""",
    needs=("losses", "gradients"),
    glances=("curvature",),
    explains=("GD201", "GD206", "GD301"),
)
def saddle(
    seen: Evidence, *, negative: float = 0.3, weak: float = 0.02, leverage: float = 0.1,
    kept: float = 0.2, folds: float = 0.5, fell: float = 0.7,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where the loss is level, above *kept* of its start, and the ground a saddle.

    That is where *negative* is the share of the most negative curvature in the largest, *weak* for
    a loss that never left its start, and the gradient has less than *leverage* over the loss.
    Curvature by which the run would have moved away by fewer than *folds* e-folds is none. Of a
    saddle that was left, the loss tells: level at first, and at the share *fell* of that at last.
    """
    if _left(seen, leverage, fell):
        yield _late(seen)
        return
    found, lever = seen.curvature, leverage_at_end(seen)
    if found is None or lever is None or lever >= leverage or seen.updates < 20:
        return
    started = never_left(seen)
    ground = indefinite(seen, weak if started else negative) and escape(seen) >= folds
    if ground and (started or (level(seen) and falls_high(seen, kept))):
        yield _finding(seen, lever)


def _left(seen: Evidence, leverage: float, fell: float, moved: float = 0.01) -> bool:
    """Whether the loss *moved* by less than this share in half of the run, and then fell."""
    stretches, pace = seen.losses.finite.medians(8), pace_of(seen)
    if len(stretches) < 8 or seen.updates < 20 or pace is None or pace.leverage >= leverage:
        return False
    first = stretches[:4]
    return max(first) - min(first) <= moved * first[0] and stretches[-1] <= fell * first[0]


def _late(seen: Evidence) -> Finding:
    stretches, pace = seen.losses.finite.medians(8), pace_of(seen)
    assert pace is not None
    told = (
        f"For half of the run the loss stood at {short(stretches[0])}, with a gradient whose "
        f"leverage over it was {short(pace.leverage)} at first, and then it fell to "
        f"{short(stretches[-1])}: so long it took to leave a saddle."
    )
    numbers = {"begun": stretches[0], "last": stretches[-1], "leverage": pace.leverage}
    remedy = "a larger random initialization (nn.init.kaiming_normal_), or momentum=0.9"
    return Finding("warning", 0.7, told, remedy, numbers)


def _finding(seen: Evidence, lever: float) -> Finding:
    found = seen.curvature
    assert found is not None
    now = rate(seen)
    told = (
        f"The loss stands at {short(seen.losses.finite.medians(8)[-1])} with a gradient whose "
        f"leverage over it is {short(lever)}, and the curvature goes from {short(found.smallest)} "
        f"to {short(found.largest)}: the loss falls to both sides."
    )
    numbers = {"smallest": found.smallest, "largest": found.largest, "leverage": lever}
    room = found.stable_lr[1] / 4
    raised = f", or {change('lr', now, rounded(room))}" if now < room < float("inf") else ""
    remedy = f"a larger random initialization (nn.init.kaiming_normal_){raised}, or momentum=0.9"
    return Finding("warning", 0.8, told, remedy, numbers)
