"""On a plateau the loss does not depend on the weights, and no step leads anywhere."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, Severity, short
from thalweg.doctor.flatness import escape, indefinite, never_left
from thalweg.doctor.pace import Pace, pace_of
from thalweg.doctor.signs import length


@check(
    code="GD206",
    name="plateau",
    finds="""A loss that never left its start, where the gradient is next to nothing, or is nothing
        but noise that long enough steps have followed in vain.""",
    why="""Far out on a saturating function the slope is zero in all directions for a long way, and
        a step is as long as the slope is steep. Where targets have nothing to do with inputs, as
        far as this model can see, it is the same: batches disagree and their mean is zero.""",
    fix="""Begin elsewhere: a smaller initialization, scores of size one, a loss on logits in place
        of one on saturated probabilities (`BCEWithLogitsLoss`). Normalize between the layers.
        Look whether inputs and targets still belong together. An adaptive rule crosses a plateau
        that is not quite flat.""",
    reference="""Goodfellow, Bengio & Courville 2016, Deep learning, section 8.2.3; Glorot & Bengio
        2010, Understanding the difficulty of training deep feedforward neural networks""",
    needs=("losses", "gradients"),
    glances=("curvature",),
)
def plateau(
    seen: Evidence, *, leverage: float = 0.1, promised: float = 0.8, saddle: float = 0.02,
    kept: float = 0.1,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding where the loss never left its start, for one of two reasons.

    The gradient has less than *leverage* over it, or updates that *promised* more than all of it
    were in vain, and the gradient kept the share *kept* of its norm: else the run has arrived.
    Negative curvature of a share *saddle* of the largest makes it a saddle.
    """
    pace = pace_of(seen)
    if not never_left(seen):
        return
    flat = pace is None or pace.leverage < leverage
    at_saddle = flat and indefinite(seen, saddle) and escape(seen) >= 0.5
    in_vain = pace is not None and pace.whole >= promised and _lasts(seen, kept)
    if not at_saddle and (flat or in_vain):
        yield _finding(seen, pace, flat)


def _lasts(seen: Evidence, kept: float) -> bool:
    """Whether the gradient at the end is no smaller than the share *kept* of the first ones."""
    norms = [size for each in seen.probes if (size := length(each, "gradient")) > 0]
    return bool(norms) and norms[-1] >= kept * max(norms[:2])


def _finding(seen: Evidence, pace: Pace | None, flat: bool) -> Finding:
    stretches = seen.losses.finite.medians(8)
    severity: Severity = "error" if flat else "warning"
    why = (
        f"the gradient's leverage over it is {short(pace.leverage if pace else 0.0)}, where about "
        "one is usual"
        if flat or pace is None
        else f"though to first order its updates promised {short(pace.whole)} times all of it"
    )
    told = (
        f"The loss was {short(stretches[0])} at the start and {short(stretches[-1])} after "
        f"{seen.updates:,} updates; {why}."
    )
    remedy = (
        "initialize smaller and put the loss on logits (nn.BCEWithLogitsLoss, nn.CrossEntropyLoss)"
        if flat
        else "look whether inputs and targets belong together; then a larger model"
    )
    numbers = {"leverage": pace and pace.leverage, "promised": pace and pace.whole}
    return Finding(severity, 0.8 if flat else 0.6, told, remedy, numbers)
