"""What is learned after the best validation loss is learned by heart."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Curve, Evidence
from thalweg.doctor.finding import Finding, Severity, short


@check(
    code="GD504",
    name="overfitting",
    finds="""A validation loss that has risen well above its lowest value while the training loss
        went on falling, or stayed down: the moment to stop was missed.""",
    why="""From the lowest point on the model learns what is peculiar to the training examples. The
        weights at the end are worse than those it had before, and all updates since were spent on
        making them so.""",
    fix="""Stop when the validation loss has not fallen for some passes, and keep the weights of the
        best one. More data, augmentation, weight decay, dropout or a smaller model move that point
        further out and lower.""",
    reference="""Prechelt 1998, Early stopping - but when?; Goodfellow, Bengio & Courville 2016,
        Deep learning, section 7.8""",
    needs=("validation", "losses"),
    explains=("GD209", "GD507"),
)
def overfitting(
    seen: Evidence, *, risen: float = 0.2, severe: float = 1.0, lost: float = 0.1, gap: float = 1.2
) -> Iterator[Finding]:
    """Yield a finding where the last two validation losses are above the lowest by *risen*.

    That is a share of the lowest, and an error from *severe* on; the share *lost* of what had been
    gained by then must be lost again as well. The training loss must not have risen since, and lie
    *gap* times below the validation loss.
    """
    curve = seen.validation.finite
    if len(curve) < 3:
        return
    best = int(curve.values.argmin())
    lowest, end = float(curve.values[best]), float(curve.values[-2:].min())
    begun = max(float(curve.values[0]), *seen.losses.finite.medians(10)[:1])
    regained = end - lowest >= lost * (begun - lowest)
    if lowest <= 0 or end < (1 + risen) * lowest or not regained:
        return
    before, last = _training(seen.losses.finite, int(curve.steps[best]))
    if last <= before and gap * last < end:
        severity: Severity = "error" if end >= (1 + severe) * lowest else "warning"
        yield _finding(curve, best, (before, last), severity)


def _training(losses: Curve, step: int) -> tuple[float, float]:
    """Return the training loss around a step, and at the end."""
    reach = max(5, len(losses) // 20)
    place = int((losses.steps < step).sum())
    around = losses[max(0, place - reach) : place + reach]
    (before,), (last,) = around.medians(1) or [0.0], losses[-2 * reach :].medians(1) or [0.0]
    return before, last


def _finding(curve: Curve, best: int, training: tuple[float, float], severity: Severity) -> Finding:
    step, lowest = int(curve.steps[best]), float(curve.values[best])
    end, updates = float(curve.values[-1]), int(curve.steps[-1])
    told = (
        f"The validation loss was lowest, {short(lowest)}, after {step:,} updates, and is "
        f"{short(end)} after {updates:,}; meanwhile the training loss went from "
        f"{short(training[0])} to {short(training[1])}."
    )
    remedy = f"updates={updates} → {step}: stop early, and keep the best weights"
    numbers = {"best": step, "lowest": lowest, "end": end, "training": training[1]}
    return Finding(severity, min(1.0, end / lowest - 0.5), told, remedy, numbers, step=step)
