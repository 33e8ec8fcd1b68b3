"""The verdict of a race in plain words: what its numbers support, and nothing else.

The rule with the lowest median is compared with every other, seed by seed. A rule counts as worse
only where the interval of the difference leaves out zero; each comparison stands for itself.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from thalweg.errors import BadValue
from thalweg.racing.result import Row, finite
from thalweg.racing.statistics import FEWEST_SEEDS, Estimate, difference, median, ratio


def verdict(entries: Iterable[Row], metric: str = "loss", unit: str = "steps") -> str:
    """Return the verdict as one paragraph; *unit* is what times are counted in.

    Raises BadValue where there are no entries, or not the same seeds for all.
    """
    return " ".join(sentences(entries, metric, unit))


def sentences(entries: Iterable[Row], metric: str = "loss", unit: str = "steps") -> list[str]:
    """Return the sentences of the verdict, the most important first."""
    entries = list(entries)
    _check(entries)
    best = min(entries, key=lambda entry: entry.loss.value)
    others = [entry for entry in entries if entry is not best]
    found = [*_ranking(best, others, metric), *_arrivals(best, others, unit)]
    return [*found, *_failures(entries), *_doubts(entries)]


def _check(entries: list[Row]) -> None:
    if not entries:
        raise BadValue("a verdict needs at least one rule, none was given.")
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise BadValue(f"every rule needs a name of its own in a verdict; got {', '.join(names)}.")
    seeds, timed = len(entries[0].losses), bool(entries[0].times)
    for entry in entries:
        if (len(entry.losses), len(entry.times)) != (seeds, seeds * timed):
            raise BadValue(
                f"every rule has losses, and times if any, for the same seeds: {names[0]} has "
                f"{seeds} and {len(entries[0].times)}, {entry.name} has {len(entry.losses)} and "
                f"{len(entry.times)}."
            )


def _ranking(best: Row, others: list[Row], metric: str) -> Iterator[str]:
    if math.isinf(best.loss.value):
        yield _nobody([best, *others])
    elif not others:
        yield f"{_at(best)} ends at a {metric} of {_estimate(best.losses)}."
        yield "It ran alone: there is nothing to compare it with."
    elif len(best.losses) < FEWEST_SEEDS:
        equal = [entry for entry in others if entry.loss.value == best.loss.value]
        alike = listed(map(_at, (best, *equal)))
        yield f"{alike} came out lowest, at a {metric} of {_estimate(best.losses)}."
        yield _too_few(len(best.losses))
    else:
        yield from _compared(best, others, metric)


def _nobody(entries: list[Row]) -> str:
    if any(finite(entry.losses) for entry in entries):
        return "No verdict: no rule finished with more than half of its seeds."
    return "No verdict: every run diverged."


def _too_few(seeds: int) -> str:
    if seeds == 1:
        return "One seed shows nothing: another may put the rules in another order."
    return f"{seeds} seeds are too few to show a difference; that takes at least {FEWEST_SEEDS}."


def _compared(best: Row, others: list[Row], metric: str) -> Iterator[str]:
    against = {entry.name: difference(entry.losses, best.losses) for entry in others}
    alike = [name for name, found in against.items() if not found.shown]
    lower = [name for name, found in against.items() if found.lower]
    lowest = f"{_at(best)} has the lowest median {metric}: {_estimate(best.losses)}"
    if len(alike) == len(others):
        yield f"No difference was shown. {lowest}, but {listed(alike)} cannot be told from it."
        return
    yield f"{lowest}."
    if alike:
        yield f"Indistinguishable from it: {listed(alike)}."
    if lower:
        yield f"Seed by seed {listed(lower)} came out lower: no order is claimed between them."
    if not alike and not lower:
        yield f"{listed(against) if len(against) < 3 else 'Every other rule'} came out higher."


def _arrivals(best: Row, others: list[Row], unit: str) -> Iterator[str]:
    entries, seeds = [best, *others], len(best.losses)
    if not best.times or not any(finite(entry.losses) for entry in entries):
        return
    if not any(entry.arrivals for entry in entries):
        yield "The target was never reached."
        return
    if math.isfinite(median(best.times).value):
        yield f"{best.name} reaches the target in {_estimate(best.times, f' {unit}')}."
        yield from _paces(best, [entry for entry in others if entry.arrivals], unit)
    yield from _partly("reached the target", {each.name: each.arrivals for each in entries}, seeds)
    never = [entry.name for entry in entries if not entry.arrivals and finite(entry.losses)]
    if never:
        yield f"{listed(never)} never reached the target."


def _paces(best: Row, others: list[Row], unit: str) -> Iterator[str]:
    """Say who needs how many times the best rule's time, where a difference was shown."""
    if not others or len(best.times) < FEWEST_SEEDS:
        return
    found = {entry.name: ratio(entry.times, best.times) for entry in others}
    shown = {name: each.estimate for name, each in found.items() if each.shown}
    told = [
        (name, each)
        for name, each in shown.items()
        if math.isfinite(each.value) and _number(each.value) != "1"
    ]
    if told:
        (name, each), *rest = told
        first = f"{name} needs {_pace(each, f' the {unit}')}"
        yield f"{listed([first, *(f'{name} {_pace(each)}' for name, each in rest)])}."
    if not shown:
        yield f"No difference in {unit} was shown between it and {listed(found)}."


def _pace(times: Estimate, unit: str = "") -> str:
    return f"{_number(times.value)} times{unit} ({_interval(times)})"


def _failures(entries: list[Row]) -> Iterator[str]:
    seeds = len(entries[0].losses)
    counts = {entry.name: entry.failures for entry in entries}
    always = [name for name, count in counts.items() if count == seeds]
    yield from _partly("diverged", counts, seeds)
    if always and len(always) < len(entries):
        yield f"{listed(always)} diverged with {'every' if seeds > 1 else 'the one'} seed."


def _partly(did: str, counts: Mapping[str, int], seeds: int) -> Iterator[str]:
    """Say of rules to which something happened with some seeds only, with how many it did."""
    partly = {name: count for name, count in counts.items() if 0 < count < seeds}
    if len(partly) == 1:
        ((name, count),) = partly.items()
        yield f"{name} {did} with {count} of {seeds} seeds."
    elif partly:
        groups = [
            f"{listed(name for name in partly if partly[name] == count)} ({count})"
            for count in sorted(set(partly.values()), reverse=True)
        ]
        yield f"These {did} with only some of the {seeds} seeds: {', '.join(groups)}."


def _doubts(entries: list[Row]) -> Iterator[str]:
    lost = [entry for entry in entries if entry.lost_to]
    if len(lost) == 1:
        yield (
            f"{lost[0].name} lost to {listed(lost[0].lost_to)}, which it contains as a special or "
            "limiting case: it is under-tuned, and its place says little."
        )
    elif lost:
        pairs = (f"{entry.name} to {listed(entry.lost_to)}" for entry in lost)
        yield (
            f"Lost to rules that they contain as special or limiting cases: {'; '.join(pairs)}. "
            "They are under-tuned, and their places say little."
        )
    yield from _at_the_ends([(entry, *edge) for entry in entries for edge in entry.edges.items()])


def _at_the_ends(found: list[tuple[Row, str, str]]) -> Iterator[str]:
    """Say of settings that lie at an end of what was searched that a better one may lie beyond."""
    if len(found) == 1:
        ((entry, name, side),) = found
        yield (
            f"The {name} chosen for {entry.name}, {_number(entry.setting[name], 9)}, lies at "
            f"the {_ENDS[side]} end of what was searched: a better one may lie beyond it."
        )
    elif found:
        ends = (
            f"{name} {_number(entry.setting[name], 9)} of {entry.name} ({_ENDS[side]})"
            for entry, name, side in found
        )
        yield (
            f"Chosen at an end of what was searched: {', '.join(ends)}. Better ones may lie beyond."
        )


_ENDS = {"low": "lower", "high": "upper"}


def _at(entry: Row) -> str:
    setting = {name: _number(value, 9) for name, value in entry.setting.items()}
    if not setting:
        return f"{entry.name} with its defaults"
    if list(setting) == ["lr"]:
        return f"{entry.name} at {setting['lr']}"
    return f"{entry.name} at {', '.join(f'{name} {value}' for name, value in setting.items())}"


def _estimate(values: Sequence[float], unit: str = "") -> str:
    """Write the median, with its interval where there are enough values for one."""
    found = median(values)
    enough = len(values) >= FEWEST_SEEDS
    return f"{_number(found.value)}{unit}{f' ({_interval(found)})' if enough else ''}"


def _interval(found: Estimate) -> str:
    return f"{_number(found.low)} to {_number(found.high)}"


def _number(value: float, digits: int = 3) -> str:
    """Write a number with at most so many significant digits: 0.143, 1200, 1.1e-3, infinity."""
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if value == 0 or 0.01 <= abs(value) < 1e6:
        return f"{float(f'{value:.{digits}g}'):.{max(digits, 6)}g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{float(mantissa):.{digits}g}e{int(exponent)}"


def listed(names: Iterable[str]) -> str:
    """Write names one after the other: a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
