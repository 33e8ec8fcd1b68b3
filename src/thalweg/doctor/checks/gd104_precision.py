"""In low precision a step smaller than the spacing of numbers is rounded away."""

from collections.abc import Iterator
from functools import partial

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Evidence, ParameterProbe, Probe
from thalweg.doctor.finding import Finding, Severity, short
from thalweg.doctor.signs import at_work, median_over, remaining, sloped

DIGITS = {"bfloat16": 8, "float16": 11}
"""Binary digits of a number, the leading one included."""


@check(
    code="GD104",
    name="parameters that stopped moving",
    finds="""Parameters in bfloat16 or float16 of which most elements have a gradient and are the
        same after the update as before it.""",
    why="""Neighbouring numbers of bfloat16 lie up to 1/128 of their size apart, of float16 1/1024.
        A step of less than half of that leaves the weight as it was, however often it is taken:
        what should add up to a change adds up to nothing, first for the largest weights.""",
    fix="""Keep the parameters in float32 and compute in bfloat16 under `torch.autocast`, or use an
        optimizer that keeps what rounding lost (Kahan summation) or rounds at random. A larger
        learning rate helps only until it is decayed.""",
    reference="""Zamirai et al. 2020, Revisiting BFloat16 training, arXiv:2010.06192; Gupta et al.
        2015, Deep learning with limited numerical precision, arXiv:1502.02551""",
    needs=("settings", "gradients"),
    glances=("losses",),
    explains=("GD201", "GD205", "GD206", "GD209"),
)
def stopped_moving(
    seen: Evidence, *, moving: float = 0.5, severe: float = 0.15, learned: float = 0.01
) -> Iterator[Finding]:
    """Yield a finding for each low precision in which less than the share *moving* moved.

    It is an error below *severe*. Where the loss came down to the share *learned*, steps are small
    for a reason.
    """
    if remaining(seen) <= learned:
        return
    for dtype in DIGITS:
        moved = median_over(at_work(seen), partial(_moved, seen, dtype))
        if moved is not None and moved < moving:
            yield _finding(dtype, moved, "error" if moved < severe else "warning")


def _moved(seen: Evidence, dtype: str, probe: Probe) -> float | None:
    """Return the share of elements in *dtype* with a gradient that the update changed."""
    found: list[tuple[float, float]] = [
        (each.moved, sloped(each, seen.model.parameters[name].elements))
        for name, each in probe.parameters.items()
        if each.moved is not None and _counts(seen, name, dtype, each)
    ]
    total = sum(elements for _, elements in found)
    return sum(moved * elements for moved, elements in found) / total if total else None


def _counts(seen: Evidence, name: str, dtype: str, probe: ParameterProbe) -> bool:
    return seen.model.parameters[name].dtype == dtype and bool(probe.weight)


def _finding(dtype: str, moved: float, severity: Severity) -> Finding:
    told = (
        f"An update changes {moved:.0%} of the elements in {dtype} that have a gradient; the steps "
        f"of the others are below {short(2.0 ** -DIGITS[dtype])} of the weight and rounded away."
    )
    remedy = f"model.to(torch.{dtype}) → model.float() under torch.autocast(dtype=torch.{dtype})"
    return Finding(severity, 1 - moved / 2, told, remedy, {"moved": moved, "dtype": dtype})
