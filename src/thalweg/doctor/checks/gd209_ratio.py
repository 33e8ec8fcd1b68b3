"""An update as large as its weight forgets what was learned; one of a millionth learns nothing."""

from collections.abc import Iterator

import numpy as np

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence
from thalweg.doctor.finding import Finding, change, rounded, short
from thalweg.doctor.signs import remaining, update_ratios

USUAL = 1e-3
"""What an update usually is beside the weight."""

HUGE = 100.0
"""Entries of this typical size are a cause: a layer norm behind them divides gradients by it."""


@check(
    code="GD209",
    name="update-to-weight ratio",
    finds="""A matrix or kernel whose updates are less than a millionth of its own norm, or about as
        large as it, at the updates that were looked at.""",
    why="""A thousandth is usual. A matrix that moves a millionth of itself with each update stays
        what it was initialized as for the whole run; one that is replaced by a few updates keeps
        nothing of what it learned.""",
    fix="""Give the matrix's group a learning rate that fits it, or initialize it at its usual
        scale: the ratio is the learning rate times the gradient over the weight.""",
    reference="""Karpathy, CS231n notes, Neural networks 3, ratio of weights to updates; You et al.
        2017, Large batch training of convolutional networks, arXiv:1708.03888""",
    needs=("gradients", "losses"),
    explains=("GD205", "GD301", "GD302"),
)
def ratio(
    seen: Evidence, *, low: float = 1e-6, high: float = 0.5, apart: float = 30.0,
    kept: float = 0.3,
) -> Iterator[Finding]:  # fmt: skip
    """Yield a finding for each matrix whose median ratio is below *low* or above *high*.

    A high one counts where it is *apart*, that many times the median of the others, or where it is
    so at the last one as well and the loss keeps more than *kept* of its start: what is
    replaced by the first ones alone had learned nothing yet.
    """
    known, late = update_ratios(seen), update_ratios(seen, slice(-1, None))
    bad = remaining(seen) > kept
    for name, each in known.items():
        others = [ratio for other, ratio in known.items() if other != name]
        alone = bool(others) and each > apart * float(np.median(others))
        if each < low or (each > high and (alone or (bad and late[name] > high))):
            yield _finding(seen, name, each)


def _finding(seen: Evidence, name: str, found: float) -> Finding:
    now = _rate(seen, (seen.model.parameters[name].groups or (0,))[0])
    told = (
        f"Updates of {name} are {short(found)} times its norm, by the median of the first that "
        "were looked at; about 0.001 is usual."
    )
    others = max(_rate(seen, number) for number in range(len(seen.optimizer.groups)))
    better = rounded(now * USUAL / found) if found else max(others, 10 * now)
    remedy = f"{change('lr', now, better)} for {name}"
    numbers = {"ratio": found, "lr": now}
    return Finding("warning", 0.7, told, remedy, numbers, name, explains=_drowned(seen, name))


def _rate(seen: Evidence, group: int) -> float:
    """Return the largest learning rate of a group, 0 where none was seen."""
    rates = seen.lrs(group).values
    return float(rates.max()) if len(rates) else 0.0


def _drowned(seen: Evidence, name: str) -> tuple[str, ...]:
    """Return the code of vanishing gradients for entries so huge that they hide what is added."""
    probed = next(each.parameters[name] for each in seen.probes if name in each.parameters)
    size = probed.weight / seen.model.parameters[name].elements ** 0.5
    return ("GD303",) if size > HUGE else ()
