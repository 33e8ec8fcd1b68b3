"""A schedule that ends before the run leaves the rest of it without a learning rate, or at odds."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Course, Evidence
from thalweg.doctor.finding import Finding, Severity, change
from thalweg.doctor.signs import rise, spent


@check(
    code="GD405",
    name="schedule ends before the run",
    finds="""A schedule after whose end the run went on: at a learning rate that is as good as none,
        or at one that rises again, as that of a cosine does past its `T_max`.""",
    why="""At a thousandth of the rate updates change next to nothing: the rest of the run is spent
        for nothing. A cosine that goes on past its end climbs back to the full rate, and undoes
        what was gained by decaying it; where the run ends is then left to chance.""",
    fix="""Give the schedule the length of the run, in the unit that it is stepped in: `T_max`,
        `total_steps` or `total_iters` equal to epochs times batches an epoch where it is stepped
        once an update. For restarts on purpose there is `CosineAnnealingWarmRestarts`.""",
    reference="""Loshchilov & Hutter 2017, SGDR: stochastic gradient descent with warm restarts,
        arXiv:1608.03983; PyTorch documentation, torch.optim.lr_scheduler""",
    needs=("schedulers", "losses"),
    explains=("GD201", "GD202", "GD204", "GD205", "GD206", "GD209"),
)
def schedule_too_short(
    seen: Evidence, *, idle: float = 0.12, severe: float = 0.5, back: float = 0.1
) -> Iterator[Finding]:
    """Yield a finding where a share *idle* of the run was at no rate, or it rose by *back*.

    That is a share of the largest rate. With the share *severe* at no rate it is an error.
    """
    for course in seen.courses:
        if course.kind == "ReduceLROnPlateau" or not course.done:
            continue
        lost, risen = spent(seen), rise(seen, course)
        if lost > idle:
            yield _idle(seen, course, lost, "error" if lost >= severe else "warning")
        elif risen > back and course.length and course.done > (1 + back) * course.length:
            yield _risen(seen, course, risen)


def _idle(seen: Evidence, course: Course, lost: float, severity: Severity) -> Finding:
    last = round((1 - lost) * course.updates)
    told = (
        f"{course.kind} brought the learning rate to nothing after update {last:,} of "
        f"{course.updates:,}: {lost:.0%} of the run changed next to nothing."
    )
    numbers = {"idle": lost, "length": course.length, "done": course.done}
    return Finding(severity, 0.95, told, _longer(seen, course), numbers, step=last)


def _risen(seen: Evidence, course: Course, risen: float) -> Finding:
    told = (
        f"{course.kind} was at its end after {course.length:,} of the {course.done:,} steps that "
        f"it was taken; since then the learning rate rose by {risen:.0%} of its largest value."
    )
    numbers = {"risen": risen, "length": course.length, "done": course.done}
    return Finding("warning", 0.95, told, _longer(seen, course), numbers)


def _longer(seen: Evidence, course: Course) -> str:
    """Return the length to set, or the decay that leaves a hundredth of the rate at the end."""
    if course.length:
        name = course.setting or f"length of {course.kind}"
        return f"{name}={course.length} → {max(course.done, course.length + 1)}"
    settings = next((each.settings for each in seen.schedulers if each.kind == course.kind), {})
    if gamma := settings.get("gamma"):
        decays = course.done / settings.get("step_size", 1)
        return change("gamma", gamma, 0.01 ** (1 / max(decays, 1)))
    return f"let {course.kind} come to its end after {course.done:,} steps"
