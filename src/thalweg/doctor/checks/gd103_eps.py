"""Where eps is larger than the gradient, it decides the step of an adaptive rule."""

import math
from collections.abc import Iterator
from functools import partial

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, GroupFacts, Probe
from thalweg.doctor.finding import Finding, Severity, change, short
from thalweg.doctor.signs import median_over, remaining, sloped

HALF = 2.0**-25
"""What is not above this is zero in float16."""


@check(
    code="GD103",
    name="eps above the gradient",
    finds="""An adaptive rule of whose gradients, as it remembers their sizes, most are not above
        eps; or an eps that is zero in the precision of its parameters.""",
    why="""Adam divides by √v̂ + eps. Where eps is the larger, the step shrinks with the gradient
        instead of being about the learning rate: the rule has become gradient descent with a tiny
        rate. In float16 an eps of 1e-8 is rounded to zero, a squared gradient below 6e-8 as well,
        and a step is divided by zero.""",
    fix="""Do not divide the loss by large numbers (the mean over what is already a mean), or choose
        an eps well below the typical size of a gradient; 1e-8 is the common one. Keep parameters in
        float32 and compute in float16 under `torch.autocast` with a `GradScaler`.""",
    reference="""Kingma & Ba 2015, Adam, arXiv:1412.6980, section 2; Micikevicius et al. 2018, Mixed
        precision training, arXiv:1710.03740""",
    needs=("settings",),
    glances=("gradients", "losses"),
    explains=("GD101", "GD104", "GD201", "GD205", "GD206", "GD207", "GD209"),
)
def eps_underflow(
    seen: Evidence, *, share: float = 0.5, severe: float = 10.0, learned: float = 0.1
) -> Iterator[Finding]:
    """Yield a finding for each group whose eps is zero in float16, and one for gradients below eps.

    The latter needs this *share* of the gradients, and is an error where eps is *severe* times
    their size. Where the loss came down to the share *learned*, the steps are large enough.
    """
    zero = [k for k, each in enumerate(seen.optimizer.groups) if _vanishes(seen, each)]
    yield from (_zero(seen, number, seen.optimizer.groups[number]) for number in zero)
    below = median_over([*seen.probes], partial(_below, seen))
    size = median_over([*seen.probes], partial(_size, seen))
    eps = max((float(each.settings.get("eps", 0.0)) for each in seen.optimizer.groups), default=0)
    if below is not None and size and below >= share and remaining(seen) > learned and not zero:
        yield _small(below, size, eps, "error" if eps >= severe * size else "warning")


def _vanishes(seen: Evidence, group: GroupFacts) -> bool:
    """Whether eps is zero in float16, in torch's rules that compute as their parameters are."""
    settings = group.settings
    plain = "differentiable" in settings and not settings.get("fused")
    half = any(seen.model.parameters[each].dtype == "float16" for each in group.parameters)
    return plain and half and settings.get("eps", 1.0) <= HALF


def _zero(seen: Evidence, number: int, group: GroupFacts) -> Finding:
    """Return an error where numbers that are not finite were seen to come of it, or a warning."""
    eps = float(group.settings["eps"])
    spoilt = seen.nonfinite is not None and seen.nonfinite.what != "input"
    told = f"eps={short(eps)} is zero in float16, the precision of the parameters" + (
        ", and a step was divided by zero." if spoilt else "."
    )
    remedy = f"model.half() → model.float() under torch.autocast, or {change('eps', eps, 1e-4)}"
    severity: Severity = "error" if spoilt else "warning"
    return Finding(severity, 1.0, told, remedy, {"eps": eps}, f"group {number}")


def _below(seen: Evidence, probe: Probe) -> float | None:
    """Return which share of the gradients other than zero is not above eps."""
    below = total = 0.0
    for name, each in probe.parameters.items():
        if each.below_eps is not None:
            elements = seen.model.parameters[name].elements
            below += elements * max(0.0, each.below_eps - each.zeros)
            total += sloped(each, elements)
    return below / total if total else None


def _size(seen: Evidence, probe: Probe) -> float | None:
    """Return the root mean square of the gradients other than zero."""
    square = total = 0.0
    for name, each in probe.parameters.items():
        total += sloped(each, seen.model.parameters[name].elements)
        square += (each.gradient or 0.0) ** 2
    return math.sqrt(square / total) if total else None


def _small(below: float, size: float, eps: float, severity: Severity) -> Finding:
    told = (
        f"{below:.0%} of the gradients are not above eps={short(eps)}; their typical size is "
        f"{short(size)}, so that a step is about {short(size / (size + eps))} of the learning rate."
    )
    smaller = 1e-8 if size > 1e-5 else 10.0 ** math.floor(math.log10(size) - 3)
    remedy = f"{change('eps', eps, smaller)}, or scale the loss up"
    numbers = {"share": below, "size": size, "eps": eps}
    return Finding(severity, min(1.0, below), told, remedy, numbers)
