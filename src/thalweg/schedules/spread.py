"""A schedule by its name alone, spread over a run whose number of updates is known."""

from collections.abc import Callable

from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue, UnknownName, nearest
from thalweg.schedules import kinds
from thalweg.schedules.schedule import Schedule

Maker = Callable[[float, int], Schedule]


def _part(parts: int, steps: int) -> int:
    """Return one of *parts* equal parts of the run, at least one update long."""
    return max(1, -(-steps // parts))


def _stable(steps: int) -> int:
    """Return what a twentieth and a fifth of the run leave, at least one update."""
    return max(1, steps - _part(20, steps) - _part(5, steps))


spreads: dict[str, tuple[str, Maker]] = {
    "constant": ("one value", lambda value, steps: kinds.constant(value)),
    "linear": ("a line to 0", lambda value, steps: kinds.linear(value, 0.0, steps=steps)),
    "polynomial": (
        "the square of the time left, to 0",
        lambda value, steps: kinds.polynomial(value, steps=steps, power=2.0),
    ),
    "step_decay": (
        "a tenth after each third of the run",
        lambda value, steps: kinds.step_decay(value, every=_part(3, steps), factor=0.1),
    ),
    "exponential": (
        "a hundredth of the value by the last update",
        lambda value, steps: kinds.exponential(value, factor=0.01 ** (1 / max(1, steps - 1))),
    ),
    "inverse_time": (
        "a tenth of the value by the last update",
        lambda value, steps: kinds.inverse_time(value, rate=9 / max(1, steps - 1)),
    ),
    "cosine": ("half a cosine to 0", lambda value, steps: kinds.cosine(value, steps=steps)),
    "warm_restarts": (
        "three cosines, each twice as long as the one before",
        lambda value, steps: kinds.warm_restarts(value, first=_part(7, steps)),
    ),
    "triangular": (
        "two triangles between a tenth of the value and the value",
        lambda value, steps: kinds.triangular(value / 10, value, half=_part(4, steps)),
    ),
    "triangular2": (
        "four such triangles, each half as high as the one before",
        lambda value, steps: kinds.triangular2(value / 10, value, half=_part(8, steps)),
    ),
    "exp_range": (
        "four such triangles, their height falling to a tenth",
        lambda value, steps: kinds.exp_range(
            value / 10, value, half=_part(8, steps), factor=0.1 ** (1 / steps)
        ),
    ),
    "one_cycle": (
        "a rise from a 25th in the first three tenths, then a fall to nearly 0",
        lambda value, steps: kinds.one_cycle(value, steps=steps),
    ),
    "warmup_stable_decay": (
        "a twentieth of the run up, a fifth down to 0, the value in between",
        lambda value, steps: kinds.warmup_stable_decay(
            value, steps=steps, warmup=_part(20, steps), stable=_stable(steps)
        ),
    ),
    "snapshot_cosine": (
        "five cosines of equal length",
        lambda value, steps: kinds.snapshot_cosine(value, steps=steps, cycles=min(5, steps)),
    ),
}
"""What each kind becomes when it is given a value and the number of updates: in words, and made."""

_REFUSED = {
    "warmup": "it is a share, to be put in front of another schedule: ask for a warm-up instead",
    "piecewise": "its values and where they begin have to be given",
    "vaswani": "it follows from the width of a transformer, which has to be given",
    "normalized_decay": "it is a schedule of the weight decay, not of the learning rate",
}


def spread(
    name: str, value: float, steps: int, warmup: int = 0, cycles: int | None = None
) -> Schedule:
    """Return the schedule called *name* of a run of *steps* updates, with *value* its highest.

    `spreads` says which settings it picks. *warmup* updates of linear rise come first, and the
    schedule takes those that are left. *cycles* is how many snapshot_cosine has in place of five;
    no other takes it. Raises UnknownName, and BadValue for a kind that needs
    more than these numbers and for a run that is too short.
    """
    make = maker(name)
    check_count("steps", steps)
    check_count("warmup", warmup, 0)
    if warmup >= steps:
        raise BadValue(
            f"a warm-up of {warmup:,} updates leaves none of the run's {steps:,} for {name}. "
            "Shorten the warm-up, or train for longer."
        )
    if cycles is None:
        made = make(value, steps - warmup)
    elif name == "snapshot_cosine":
        made = kinds.snapshot_cosine(value, steps=steps - warmup, cycles=cycles)
    else:
        raise BadValue(f"cycles={cycles} was given, but {name} has no number of cycles.")
    return made.after(kinds.warmup(warmup)) if warmup else made


def depends_on_length(name: str) -> bool:
    """Say whether the schedule called *name* would be another one in a longer run."""
    maker(name)
    return name != "constant"


def maker(name: str) -> Maker:
    """Return what makes the schedule called *name* of a value and a number of updates."""
    if not isinstance(name, str):
        raise BadType(f"a schedule is given by its name here, such as 'cosine', not as {name!r}.")
    if name in _REFUSED:
        raise BadValue(
            f"the schedule {name!r} cannot be spread over a run by its name: {_REFUSED[name]}."
        )
    if name not in spreads:
        raise UnknownName(
            f"there is no schedule {name!r}.{nearest(name, spreads)} Those that a run can be "
            f"given by name: {', '.join(spreads)}."
        )
    return spreads[name][1]
