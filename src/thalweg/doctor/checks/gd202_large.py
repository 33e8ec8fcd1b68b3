"""With a learning rate that is too large the loss jumps about, or leaves its valley for good."""

from collections.abc import Iterator

import numpy as np

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, Severity, change, rounded, short
from thalweg.doctor.floor import NOISY, floor_share
from thalweg.doctor.pace import Pace, beginning, pace_of
from thalweg.doctor.signs import erratic, limit_over_rate, rate, replaced, spikes, stuck

USUAL = 0.03
"""What an update of a well set rate promises at the start of a run, as a share of the loss."""

LONG = 0.3
"""Steps are long that promise this share of the loss each, with what momentum piles up."""


@check(
    code="GD202",
    name="learning rate too large",
    finds="""A loss that stays high and jumps about at a rate near the edge of what is stable, or
        where long steps killed rectified units, that was down and went back to where it began, or
        that shot up in the first updates.""",
    why="""Between one and two over the curvature each step lands on the other side of the valley:
        the loss oscillates and cannot settle. A few such steps early on throw the weights far
        away, to where units are dead or saturated and the loss is flat.""",
    fix="""Lower the learning rate by factors of three, or warm it up over the first hundreds of
        updates and decay it later. Clip the gradient if only single steps are too long.""",
    reference="""LeCun, Bottou, Orr & Müller 1998, Efficient backprop, section 4.6; Goodfellow,
        Bengio & Courville 2016, Deep learning, section 8.3.1""",
    needs=("losses", "gradients"),
    glances=("curvature", "noise"),
    explains=("GD204", "GD205", "GD206", "GD207", "GD209", "GD301", "GD302", "GD504"),
)
def large(
    seen: Evidence, *, kept: float = 0.25, edge: float = 2.0, adaptive_edge: float = 6.0,
    jumps: float = 0.1, overshoot: float = 1.0, forgets: float = 0.25, risen: float = 2.0,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding for the first of the signs that is there.

    A loss that keeps more than *kept* of its start, no longer falls and *jumps* from update to
    update, at a rate within *edge* times of the largest stable one (*adaptive_edge* for Adam's
    family, whose limit grows with its own noise); one that does not fall, though updates promise
    *overshoot* times all of it, or each *forgets* this share of most matrices; one at its start
    whose units long steps killed; one that went back there; one that has *risen* to that multiple
    of it, beyond what batches differ by, or had early on.
    """
    begun, pace, stretches = beginning(seen), pace_of(seen), seen.losses.finite.medians(8)
    if begun is None or pace is None or len(stretches) < 8 or seen.updates < 20:
        return
    last, near = stretches[-1] / begun, adaptive_edge if seen.optimizer.adaptive else edge
    reasons = _stuck(seen, pace, last, (near, jumps, overshoot, forgets))
    held = last >= kept and stuck(seen)
    if first := next(reasons, None) if held else None:
        yield first
    elif last >= risen * (1 + 2 * erratic(seen)):
        yield _finding(seen, last, 0.8, _rose(max(stretches) * last / stretches[-1], last))
    elif not held and last >= kept / 4 and (high := _early_peak(seen)) >= risen:
        yield _finding(seen, last, 0.6, _shot(high, last))


def _stuck(
    seen: Evidence, pace: Pace, last: float, limits: tuple[float, float, float, float]
) -> Iterator[Finding]:
    """Yield the reasons why a loss does not fall, the surest first."""
    near, jumps, overshoot, forgets = limits
    limit, share = limit_over_rate(seen), replaced(seen)
    if limit is not None and limit <= near and erratic(seen) >= jumps:
        yield _finding(seen, last, 0.9, _edge(seen, last))
    if share >= forgets:
        yield _finding(seen, last, 0.75, _forgets(share, last))
    far = limit is not None and limit > (10 * near if seen.optimizer.adaptive else near)
    if pace.update >= overshoot and not far and not _noisy(seen):
        yield _finding(seen, last, 0.7, _promised(pace, last))
    if last >= 0.9 and pace.piled >= LONG and (dead := _killed(seen)):
        yield _finding(seen, last, 0.75, _died(dead, last))
    if last >= 0.9 and _went_back(seen, pace, last):
        yield _finding(seen, last, 0.7, _back(seen, last))


def _killed(seen: Evidence, dead: float = 0.7, few: float = 0.3) -> str:
    """Return the first layer of rectifiers of which *few* were dead at first and are now *dead*."""
    for name in seen.model.order:
        units = seen.units.get(name)
        if units is None or units.begun is None:
            continue
        if units.begun >= (1 - few) * units.units and units.active <= (1 - dead) * units.units:
            return name
    return ""


def _went_back(seen: Evidence, pace: Pace, last: float, long: float = LONG) -> bool:
    """Whether a loss that is where it began came there by long steps, and not by noise or spikes.

    Steps are *long* that promise this share of the loss each; shorter ones must have brought it
    down before.
    """
    lowest = last * min(seen.losses.finite.medians(8)) / seen.losses.finite.medians(8)[-1]
    grown = last >= 1.5 and last >= 2 * lowest
    was_down = lowest <= 0.9 and last > 1.15 * lowest and not spikes(seen)
    long_steps = pace.piled >= long or (was_down and pace.piled >= long / 10)
    return long_steps and (grown or not _noisy(seen))


def _noisy(seen: Evidence) -> bool:
    """Whether a rule follows noise: then gradients are long for that.

    For Adam's family, of which only the most that noise can be is known, it must be all of it.
    """
    return (floor_share(seen) or 0.0) >= (1.0 if seen.optimizer.adaptive else NOISY)


def _early_peak(seen: Evidence, width: int = 5) -> float:
    """Return the highest loss of the first fifth over the first one, by medians of a few.

    It is 0 unless it stands far above the loss at the end, for else it may be noise.
    """
    values, begun = seen.losses.finite.values, beginning(seen)
    width = max(width, 64 // (seen.steps[0].examples or 64))
    first = values[: max(width, len(values) // 5)]
    if begun is None or len(first) < width:
        return 0.0
    medians = np.median(np.lib.stride_tricks.sliding_window_view(first, width), 1)
    return float(medians.max()) / begun if medians.max() > 4 * np.median(values[-20:]) else 0.0


def _finding(seen: Evidence, last: float, sure: float, told: str) -> Finding:
    severity: Severity = "error" if last >= 0.95 else "warning"
    now, limit = rate(seen), limit_over_rate(seen)
    numbers = {"lr": now, "remaining": last, "limit_over_lr": limit}
    remedy = change("lr", now, rounded(_lower(seen, now, limit)))
    return Finding(severity, sure, told, remedy, numbers)


def _lower(seen: Evidence, now: float, limit: float | None) -> float:
    """Return a rate whose first update promises what is usual, within half of its limit."""
    first = pace_of(seen, 1)
    share = USUAL / first.piled if first and first.piled > 0 else 0.1
    return now * min(max(min(share, limit / 2 if limit else 1.0), 1e-3), 1 / 3)


def _edge(seen: Evidence, last: float) -> str:
    limit = limit_over_rate(seen)
    assert limit is not None
    return (
        f"The loss keeps {last:.0%} of its start and jumps by {erratic(seen):.0%} from one update "
        f"to the next; the largest stable rate is {short(limit)} times lr={short(rate(seen))}."
    )


def _forgets(share: float, last: float) -> str:
    return (
        f"Each update replaces {share:.0%} of most matrices, and the loss keeps {last:.0%} of its "
        "start."
    )


def _promised(pace: Pace, last: float) -> str:
    return (
        f"The first updates went {short(pace.update)} times as far as the loss is high above zero, "
        f"to first order, and it keeps {last:.0%} of its start."
    )


def _died(layer: str, last: float) -> str:
    return (
        f"Long steps drove the units of {layer} to where they are zero for every example, and the "
        f"loss keeps {last:.0%} of its start."
    )


def _back(seen: Evidence, last: float) -> str:
    stretches = seen.losses.finite.medians(8)
    return (
        f"The loss was down to {last * min(stretches) / stretches[-1]:.0%} of its start and ended "
        f"at {last:.0%}: long steps threw it out of its valley."
    )


def _rose(high: float, last: float) -> str:
    return f"The loss rose to {short(high)} times its start, and ended at {last:.0%} of it."


def _shot(high: float, last: float) -> str:
    return (
        f"The loss shot up to {short(high)} times its start in the first fifth of the run, and "
        f"ended at {last:.0%} of it."
    )
