"""A scheduler counts its own steps: taken in another unit, its lengths mean something else."""

from collections.abc import Iterator

from thalweg.doctor.check import check
from thalweg.doctor.evidence import Course, Evidence
from thalweg.doctor.finding import Finding, Severity
from thalweg.doctor.signs import epoch, rise, spent


@check(
    code="GD408",
    name="scheduler stepped in the wrong place or unit",
    finds="""A scheduler whose length counts epochs and that is stepped after every update, or the
        reverse; one whose length counts updates, stepped after every batch of several an update;
        one that is stepped before the first update, or not at all.""",
    why="""Thirty epochs' worth of decay are over after thirty updates, or thirty thousand updates'
        worth have hardly begun when the run ends. Stepped before the first update, the schedule
        skips its first rate; never stepped, the rate stays what it was.""",
    fix="""Step it where its length is counted: after each `optimizer.step()` where `T_max`,
        `step_size` or `total_steps` are updates, once at the end of each epoch where they are
        epochs; always after the optimizer, never before it.""",
    reference="""PyTorch documentation, torch.optim: how to adjust the learning rate""",
    needs=("schedulers", "losses"),
    explains=("GD201", "GD202", "GD204", "GD205", "GD206", "GD209", "GD405", "GD406", "GD407"),
)
def scheduler_step(
    seen: Evidence, *, fits: float = 1.3, few: int = 30, many: int = 20, severe: float = 0.5
) -> Iterator[Finding]:
    """Yield a finding where a length is the number of the other unit, but for a factor of *fits*.

    Where it is not known how long an epoch was, a length of up to *few* steps that are over *many*
    times counted epochs. With the share *severe* of the run at no rate it is an error.
    """
    for course in seen.courses:
        if course.kind == "ReduceLROnPlateau" or course.kind == "Schedule":
            continue
        if _restarts(seen, course):
            yield _restarted(seen, course)
        elif _counts_epochs(seen, course, fits, (few, many)):
            yield _by_updates(seen, course, "error" if spent(seen) >= severe else "warning")
        elif _counts_updates(course, fits):
            yield _by_epochs(course)
        elif course.unit == "batch" and _fits(course, fits):
            yield _by_batches(course)
        elif _never(seen, course):
            yield _not_stepped(course)
        elif (1, 1) in {each.positions[0] for each in seen.schedulers if each.positions}:
            yield _before(course)


def _counts_epochs(seen: Evidence, course: Course, fits: float, unknown: tuple[int, int]) -> bool:
    """Whether a schedule that is stepped by updates ended where its length in epochs is."""
    if course.unit != "update" or (spent(seen) < 0.3 and rise(seen, course) < 0.1):
        return False
    size = epoch(seen)
    if course.length is None:
        return _decays_by_epochs(seen, course, size)
    if size:
        return 1 / fits <= course.length / (course.updates / size) <= fits
    few, many = unknown
    return course.length <= few and course.done >= many * course.length


def _cycle(seen: Evidence, course: Course) -> int:
    """Return how many steps lie between two warm restarts that are evenly apart, 0 if none."""
    settings = next((each.settings for each in seen.schedulers if each.kind == course.kind), {})
    return int(settings.get("T_0", 0)) if settings.get("T_mult") == 1 else 0


def _restarts(seen: Evidence, course: Course) -> bool:
    """Whether a schedule stepped by updates begins anew more than once an epoch."""
    size, cycle = epoch(seen), _cycle(seen, course)
    return course.unit == "update" and size is not None and 0 < 2 * cycle <= size


def _decays_by_epochs(seen: Evidence, course: Course, size: int | None) -> bool:
    """Whether a decay without end would have left some of the rate, had it been by epochs."""
    settings = next((each.settings for each in seen.schedulers if each.kind == course.kind), {})
    gamma = settings.get("gamma")
    if not gamma:
        return False
    epochs = course.updates / size if size else course.updates / 50
    return bool(gamma ** (epochs / settings.get("step_size", 1)) >= 1e-4)


def _counts_updates(course: Course, fits: float) -> bool:
    """Whether a schedule that is stepped by epochs is as long as the run has updates."""
    wanted = course.length or 0
    return course.unit == "epoch" and _fits(course, fits) and course.done < 0.3 * wanted


def _fits(course: Course, fits: float) -> bool:
    """Whether the length of a schedule is the number of updates, but for a factor."""
    return course.updates / fits <= (course.length or 0) <= course.updates * fits


def _never(seen: Evidence, course: Course) -> bool:
    """Whether a run that was long enough for an epoch never stepped its scheduler."""
    long = bool(epoch(seen)) or bool(course.length and seen.updates >= 0.7 * course.length)
    return course.done == 0 and seen.updates >= 20 and long


def _by_updates(seen: Evidence, course: Course, severity: Severity) -> Finding:
    length = f"its length is {course.length:,}" if course.length else "its decay is one by epochs"
    told = f"{length}; for {spent(seen):.0%} of the run at its end the rate was as good as none."
    change = "after each update → once, at the end of each epoch"
    return _miscounted(severity, course, f"updates, and {told}", change, course.updates)


def _restarted(seen: Evidence, course: Course) -> Finding:
    size, cycle = epoch(seen), _cycle(seen, course)
    told = (
        f"{course.kind} begins anew after {cycle:,} updates, and an epoch has {size:,}: T_0 counts "
        "epochs."
    )
    remedy = (
        f"scheduler.step() once, at the end of each epoch; or T_0={cycle} → {cycle * (size or 1)}"
    )
    return Finding("warning", 0.8, told, remedy, {"cycle": cycle, "epoch": size})


def _by_epochs(course: Course) -> Finding:
    told = f"updates, and its length is {course.length:,}: that counts updates."
    change = "at the end of each epoch → after each update"
    return _miscounted("warning", course, told, change, course.done)


def _by_batches(course: Course) -> Finding:
    told = (
        f"updates, each of several batches, and its length is {course.length:,}: "
        "that counts updates."
    )
    change = "after each batch → after each optimizer.step()"
    return _miscounted("warning", course, told, change, course.done)


def _miscounted(severity: Severity, course: Course, told: str, change: str, length: int) -> Finding:
    """Return a finding with the *change* of the place of a step, or of the schedule's *length*."""
    sentence = f"{course.kind} was stepped {course.done:,} times in {course.updates:,} {told}"
    remedy = f"scheduler.step() {change}"
    if course.length and course.setting:
        remedy += f"; or {course.setting}={course.length} → {length}"
    numbers = {"length": course.length, "done": course.done, "updates": course.updates}
    return Finding(severity, 0.9, sentence, remedy, numbers)


def _not_stepped(course: Course) -> Finding:
    told = (
        f"{course.kind} was never stepped in {course.updates:,} updates: the rate did not change."
    )
    remedy = "optimizer.step() → optimizer.step(); scheduler.step()"
    return Finding("warning", 0.9, told, remedy, {"done": 0, "updates": course.updates})


def _before(course: Course) -> Finding:
    told = f"{course.kind} was stepped before the first update, so its first rate was skipped."
    remedy = "scheduler.step(); optimizer.step() → optimizer.step(); scheduler.step()"
    return Finding("warning", 1.0, told, remedy, {"done": course.done}, step=1)
