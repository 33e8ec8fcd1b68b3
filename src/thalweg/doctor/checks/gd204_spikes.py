"""A loss that shoots up and comes back has met a cliff, or a batch unlike all others."""

from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, Severity, rounded, short
from thalweg.doctor.pace import beginning
from thalweg.doctor.signs import length, spikes


@check(
    code="GD204",
    name="loss spikes and cliffs",
    finds="""Losses that shot up to several times what was usual before them and came back, more
        than once in the run.""",
    why="""At the foot of a cliff, in a recurrent net or on an example unlike all others, the
        gradient is a hundred times larger than elsewhere. One step along it undoes what many
        have reached, and may throw the weights to where they do not come back from.""",
    fix="""Clip the norm of the gradient a little above what is usual: then its direction is kept,
        and no single step is long. Look at the batches of the spikes for values that are wrong.
        Where spikes come of themselves, lower the learning rate or Adam's beta2.""",
    reference="""Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural
        networks, arXiv:1211.5063; Goodfellow, Bengio & Courville 2016, Deep learning, section
        8.2.4 (cliffs and exploding gradients)""",
    needs=("losses",),
    glances=("gradients",),
    explains=("GD101", "GD206", "GD209", "GD301", "GD302", "GD304"),
)
def cliffs(
    seen: Evidence, *, times: float = 3.0, least: int = 2, rare: float = 0.05, wild: float = 30.0
) -> Iterator[Finding]:
    """Yield a finding for at least *least* spikes to *times* what was usual, if they are *rare*.

    One is enough where the loss never came back from it; it is an error then. Spikes in more than
    that share of the updates are noise, unless most are *wild*: that many times the loss at the
    start. A rate that is too large follows from them, unless the loss ended *times* above its
    start.
    """
    found, losses = spikes(seen, times), seen.losses.finite
    if len(found) < (1 if _thrown_out(seen) else least):
        return
    heights = dict(zip(losses.steps.tolist(), losses.values.tolist(), strict=True))
    begun, usual = beginning(seen), median(heights[step] for step in found)
    if len(found) <= max(least, rare * len(losses)) or (begun and usual >= wild * begun):
        worst = max(found, key=lambda step: heights[step])
        away = begun is None or losses.medians(8)[-1] >= times * begun
        finding = _finding(seen, found, (worst, heights[worst]))
        yield finding if away else replace(finding, explains=("GD202", "GD203"))


def _thrown_out(seen: Evidence) -> bool:
    """Whether the loss ended where it began, after it had been lower."""
    stretches = seen.losses.finite.medians(8)
    if not stretches:
        return False
    return stretches[-1] >= 0.9 * stretches[0] and stretches[-1] >= 1.15 * min(stretches)


def _finding(seen: Evidence, found: list[int], worst: tuple[int, float]) -> Finding:
    stretches = seen.losses.finite.medians(8)
    severity: Severity = "error" if _thrown_out(seen) else "warning"
    listed = ", ".join(f"{each:,}" for each in found[:5]) + (" …" if len(found) > 5 else "")
    told = (
        f"The loss shot up {len(found)} times, at updates {listed}; at {worst[0]:,} it was "
        f"{short(worst[1])}, where {short(min(stretches))} to {short(max(stretches))} was usual."
    )
    norm = _usual_norm(seen)
    remedy = f"torch.nn.utils.clip_grad_norm_(model.parameters(), {short(norm)}) before the step"
    confidence = min(1.0, 0.6 + 0.1 * len(found))
    return Finding(severity, confidence, told, remedy, {"updates": found}, step=worst[0])


def _usual_norm(seen: Evidence) -> float:
    """Return a norm a little above the usual one of the gradient, 1 where none was seen."""
    norms = [length(each, "gradient") for each in seen.probes]
    usual = sorted(each for each in norms if each > 0)
    return rounded(1.5 * usual[len(usual) // 2]) if usual else 1.0
