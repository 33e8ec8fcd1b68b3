"""With a learning rate that is too small the loss creeps down a line that leads nowhere in time."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, change, rounded, short
from thalweg.doctor.pace import Pace, pace_of
from thalweg.doctor.signs import limit_over_rate, rate, remaining

USUAL = 0.03
"""What an update of a well set rate promises at the start of a run, as a share of the loss."""


@check(
    code="GD201",
    name="learning rate too small",
    finds="""A run whose loss has hardly fallen, though the gradient is there and points somewhere:
        its updates together promised less than the loss, to first order.""",
    why="""The loss falls along a nearly straight, nearly flat line. Nothing is wrong with the
        direction; the steps are too short for the number of updates. Larger ones would have been
        stable.""",
    fix="""Raise the learning rate by factors of three until the loss falls in a curve and not in a
        line (`thalweg lr` does that). Add momentum, which makes steps ten times as long where they
        agree.""",
    reference="""Goodfellow, Bengio & Courville 2016, Deep learning, section 8.3.1 (how to set the
        learning rate); Bengio 2012, arXiv:1206.5533, section 3.1.1""",
    needs=("losses", "gradients"),
    glances=("curvature",),
    explains=("GD206", "GD207", "GD208", "GD209", "GD301"),
)
def slow(
    seen: Evidence, *, promised: float = 0.8, each: float = 0.004, kept: float = 0.6,
    leverage: float = 0.1, stable: float = 10.0, least: int = 20,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where the updates *promised* too little of the loss, and *each* did.

    The loss keeps more than *kept* of its start after *least* updates. A gradient with less than
    *leverage* over the loss is none to follow, and a rate within *stable* times the largest stable
    one cannot be raised.
    """
    pace, limit = pace_of(seen), limit_over_rate(seen)
    if pace is None or seen.updates < least or remaining(seen) < kept or not rate(seen):
        return
    short_of = 0 < pace.whole < promised and pace.piled < each and pace.leverage >= leverage
    if short_of and (limit is None or limit >= stable) and not _is_dead(seen):
        yield _finding(seen, pace, limit)


def _is_dead(seen: Evidence, share: float = 0.7) -> bool:
    """Whether most units of some layer are zero, so that longer steps would lead nowhere."""
    return any(each.active <= (1 - share) * each.units for each in seen.units.values())


def _finding(seen: Evidence, pace: Pace, limit: float | None) -> Finding:
    now = rate(seen)
    better = now * min(USUAL / pace.piled, (limit or float("inf")) / 4)
    told = (
        f"The loss kept {remaining(seen):.0%} of its start after {seen.updates:,} updates. To "
        f"first order these promised {pace.whole:.1%} of it all together at lr={short(now)}"
    )
    bound = f"; {short(limit)} times that rate would still be stable." if limit else "."
    numbers = {
        "lr": now, "promised": pace.whole, "remaining": remaining(seen), "limit_over_lr": limit,
    }  # fmt: skip
    confidence = 0.95 if limit else 0.85
    return Finding("warning", confidence, told + bound, change("lr", now, rounded(better)), numbers)
