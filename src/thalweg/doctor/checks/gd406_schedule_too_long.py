"""A schedule that ends after the run never comes to the small steps that it was made for."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Course, Evidence
from thalweg.doctor.finding import Finding
from thalweg.doctor.signs import largest_lrs


@check(
    code="GD406",
    name="schedule ends after the run",
    finds="""A schedule of known length of which the run did less than it should have, and ended at
        a learning rate that is still high, or not yet warm.""",
    why="""The last, small steps are where the noise averages out and the loss falls once more. A
        run that ends in the middle of its schedule ends at weights that still swing; its loss is
        that of a run at a constant rate. A warm-up as long as the run never reaches its rate.""",
    fix="""Give the schedule the length of the run in the unit that it is stepped in. Where a run
        was meant to be cut short, cut the schedule with it.""",
    reference="""Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983; Hoffmann et al. 2022, Training
        compute-optimal large language models, arXiv:2203.15556, section 3 and appendix B""",
    needs=("schedulers", "losses"),
    explains=("GD201", "GD202", "GD205"),
)
def schedule_too_long(
    seen: Evidence, *, done: float = 0.7, high: float = 0.2, least: int = 20
) -> Iterator[Finding]:
    """Yield a finding where less than the share *done* of a schedule was done.

    The rate must have ended above the share *high* of its largest value. A run of less than *least*
    updates is only a try.
    """
    rates = largest_lrs(seen)
    for course in seen.courses:
        began = course.length and 0 < course.done < done * course.length
        if began and seen.updates >= least and rates[-1] > high * rates.max():
            yield _finding(course, float(rates[-1] / rates.max()))


def _finding(course: Course, high: float) -> Finding:
    length = course.length or 0
    told = (
        f"The run did {course.done:,} of the {length:,} steps of {course.kind} "
        f"({course.done / length:.0%}), and ended at {high:.0%} of its largest learning rate."
    )
    name = course.setting or f"length of {course.kind}"
    numbers = {"length": length, "done": course.done, "end": high}
    return Finding("warning", 0.9, told, f"{name}={length} → {course.done}", numbers)
