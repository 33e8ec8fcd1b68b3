"""A gradient that is not the slope of the loss leads somewhere else than down."""

from collections.abc import Iterator, Sequence

import numpy as np

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, GradientCheck, Mismatch
from thalweg.doctor.finding import Finding, Severity, short

SHOWN = 3
"""So many parameters are named at most."""


@check(
    code="GD102",
    name="wrong gradient",
    finds="""A gradient that differs from the slope of the loss, as finite differences in double
        precision measure it along random directions, and the custom function that it comes from.
        Kinks, as rectifiers have, are no such difference.""",
    why="""Every rule takes the gradient for the slope. With another one the loss falls more slowly
        than it could, or to another place, or not at all, and no learning rate mends that. It does
        not show: a network can learn a good deal by a gradient that is wrong.""",
    fix="""Derive the backward pass of the custom `autograd.Function` that is named anew and hold it
        against `torch.autograd.gradcheck`. Where none is named, look for `detach`, `.data`,
        `torch.no_grad`, or a tensor changed in place between the parameter and the loss. A
        straight-through estimator passes a gradient where the slope is zero on purpose.""",
    reference="""Griewank & Walther 2008, Evaluating derivatives, chapter 1; PyTorch documentation,
        Gradcheck mechanics""",
    needs=("gradient check",),
    explains=(
        "GD101", "GD201", "GD202", "GD203", "GD204", "GD206", "GD207", "GD208", "GD209", "GD303",
        "GD401",
    ),
)  # fmt: skip
def wrong_gradient(
    seen: Evidence, *, error: float = 1e-2, through: float = 1e-4
) -> Iterator[Finding]:
    """Yield a finding for each function behind gradients that are off by *error*.

    It is a remark where all slopes are below *through* times the gradient: a gradient is passed
    straight through steps.
    """
    found = seen.gradient_check
    if found is None:
        return
    wrong = [each for each in found.mismatches if _off(each) > error]
    for function in dict.fromkeys(each.function for each in wrong):
        yield _finding(function, [each for each in wrong if each.function == function], through)
    if not wrong and not found.complete and not found.kinked and found.error > error:
        yield _whole(found)


def _off(each: Mismatch) -> float:
    size = max(abs(each.gradient), abs(each.slope))
    return abs(each.gradient - each.slope) / size if size else 0.0


def _finding(function: str, wrong: Sequence[Mismatch], through: float) -> Finding:
    worst = max(wrong, key=_off)
    straight = all(abs(each.slope) < through * abs(each.gradient) for each in wrong)
    names = ", ".join(each.parameter for each in wrong[:SHOWN])
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    told = (
        f"Along a random direction of {worst.parameter} the loss has the slope "
        f"{short(worst.slope)} and the gradient says {short(worst.gradient)}; wrong are those of "
        f"{names}{more}{f', behind {function}' if function else ''}."
    )
    numbers = {
        "gradient": worst.gradient, "slope": worst.slope, "function": function,
        "parameters": [each.parameter for each in wrong],
    }  # fmt: skip
    remedy = _remedy(function, wrong, straight)
    severity: Severity = "remark" if straight else "error"
    return Finding(severity, 1.0, told, remedy, numbers, function or worst.parameter)


def _remedy(function: str, wrong: Sequence[Mismatch], straight: bool) -> str:
    if straight:
        return "leave it if a gradient is meant to pass straight through a step"
    place = f"{function}.backward" if function else f"the way from {wrong[0].parameter} to the loss"
    ratios = [each.slope / each.gradient for each in wrong if each.gradient]
    if len(ratios) == len(wrong) > 1 and np.ptp(ratios) < 0.02 * abs(np.mean(ratios)):
        return f"{place}: gradient → {short(float(np.mean(ratios)))} * gradient"
    return f"{place}: return the derivative; torch.autograd.gradcheck tells when it is right"


def _whole(found: GradientCheck) -> Finding:
    told = (
        f"Along a random direction of all parameters the gradient is {found.error:.1%} off the "
        "slope of the loss; there was no time to look at each parameter."
    )
    remedy = "torch.autograd.gradcheck on each custom function; look for detach and .data"
    severity: Severity = "error" if found.error > 0.1 else "warning"
    return Finding(severity, 0.8, told, remedy, {"error": found.error})
