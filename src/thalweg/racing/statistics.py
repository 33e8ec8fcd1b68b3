"""What a race may conclude from its numbers: medians with intervals, differences, costs of tuning.

Lower is better. A failure is an infinite loss, a target never reached is an infinite time, and
both are calculated with as such; a loss of NaN or minus infinity is a failure too. All of it is
exact: a bootstrap interval counts every resample there is instead of drawing some, so it needs no
seed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from thalweg.errors import BadValue

TAIL = Fraction(1, 40)
"""What an interval leaves out at either end, so that it holds 95 %."""

FEWEST_SEEDS = next(count for count in range(1, 99) if Fraction(1, 2**count) <= TAIL)
"""With fewer seeds, all of them favour one side by chance more often than an interval allows."""

NEAR = 0.1
"""A trial is near the best where its loss exceeds the lowest by at most this share of it."""

LARGEST_RATIO = 4.0
"""How many times the best time a performance profile looks at."""

INCLUDES = {
    "momentum": ("sgd",),
    "nesterov": ("sgd",),
    "adam": ("momentum", "sgd"),
    "nadam": ("nesterov", "sgd"),
}
"""The rules that a rule contains as special or limiting cases. Source: Choi et al. 2019."""


class Estimate(NamedTuple):
    """A median and its 95 % bootstrap interval, which may be infinite."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """One rule against another, seed by seed: the median difference or ratio.

    ``equal`` is the value that says that there is none: 0 of a difference, 1 of a ratio.
    """

    estimate: Estimate
    seeds: int
    equal: float

    @property
    def shown(self) -> bool:
        """Whether a difference was shown: its interval leaves out equality, on enough seeds."""
        enough = self.seeds >= FEWEST_SEEDS
        return enough and not self.estimate.low <= self.equal <= self.estimate.high

    @property
    def lower(self) -> bool:
        """Whether the first was shown to be lower than the second."""
        return self.shown and self.estimate.high < self.equal

    @property
    def higher(self) -> bool:
        """Whether the first was shown to be higher than the second."""
        return self.shown and self.estimate.low > self.equal


@dataclass(frozen=True)
class Undertuned:
    """A rule that lost to one which it contains, and so was not tuned as well."""

    rule: str
    lost_to: str
    comparison: Comparison


def median(values: Sequence[float]) -> Estimate:
    """Return the median and its percentile bootstrap interval, over all resamples.

    Of an even number of values it is the middle between two: infinite where one of them is, and 0
    between minus and plus infinity. Source: Efron 1979; the distribution in Maritz & Jarrett 1978.
    """
    ranked = sorted(math.inf if math.isnan(value) else value for value in _some("values", values))
    resampled = sorted(_resampled_medians(len(ranked)), key=lambda each: _middle(ranked, each[0]))
    centre = ((len(ranked) - 1) // 2, len(ranked) // 2)
    ends = _place(resampled, TAIL), _place(resampled[::-1], TAIL)
    return Estimate(*(_middle(ranked, places) for places in (centre, *ends)))


_Places = tuple[int, int]


def _middle(ranked: list[float], places: _Places) -> float:
    first, second = ranked[places[0]], ranked[places[1]]
    if math.isinf(first) and first == -second:
        return 0.0
    return first if first == second else first / 2 + second / 2


def _place(weighted: Sequence[tuple[Any, Fraction]], share: Fraction) -> Any:
    """Return the first of the weighted places at which their weights add up to *share*."""
    totals = accumulate(weight for _, weight in weighted)
    found = zip(weighted, totals, strict=True)
    return next(place for (place, _), total in found if total >= share)


@cache
def _resampled_medians(count: int) -> tuple[tuple[_Places, Fraction], ...]:
    """Return which two of *count* ranked values are in the middle of a resample, and how often."""
    if count % 2:
        return tuple(((place, place), _odd(count, place)) for place in range(count))
    pairs = ((low, high) for low in range(count) for high in range(low, count))
    return tuple((pair, _even(count, *pair)) for pair in pairs)


def _odd(count: int, place: int) -> Fraction:
    """Return how often the middle of an odd resample is the value at *place*."""
    half = count // 2 + 1
    return _at_least(half, count, place + 1) - _at_least(half, count, place)


def _even(count: int, low: int, high: int) -> Fraction:
    """Return how often the middle two of an even resample are the values at these places."""
    half = count // 2
    if low < high:
        below = (low + 1) ** half - low**half
        above = (count - high) ** half - (count - high - 1) ** half
        return Fraction(math.comb(count, half) * below * above, count**count)
    above = count - low - 1
    around = Fraction(math.comb(count, half) * (low * above) ** half, count**count)
    return 1 - _at_least(half, count, low) - _at_least(half, count, above) + around


def _at_least(hits: int, draws: int, favourable: int) -> Fraction:
    """Return the probability of at least *hits* in *draws* from as many, some *favourable*."""
    ways = (
        math.comb(draws, k) * favourable**k * (draws - favourable) ** (draws - k)
        for k in range(hits, draws + 1)
    )
    return Fraction(sum(ways), draws**draws)


def difference(these: Sequence[float], those: Sequence[float]) -> Comparison:
    """Return by how much *these* exceed *those*, the same seed in the same place of both.

    A failure exceeds whatever did not fail by infinity, and two failures are a tie.
    """
    exceeding = _exceeding(_losses(these), _losses(those))
    return Comparison(median(exceeding), len(exceeding), 0.0)


def ratio(these: Sequence[float], those: Sequence[float]) -> Comparison:
    """Return how many times as large *these* are as *those*, the same seed in the same place.

    Two that are equal, also where both are infinite or 0, have the ratio 1. Medians are taken of
    logarithms, so turning the question round inverts the answer.
    """
    exceeding = _exceeding(_logarithms(these), _logarithms(those))
    return Comparison(Estimate(*map(_power, median(exceeding))), len(exceeding), 1.0)


def _exceeding(these: list[float], those: list[float]) -> list[float]:
    if len(these) != len(those):
        raise BadValue(
            f"paired values have the same seeds, so there are equally many: got {len(these)} and "
            f"{len(those)}."
        )
    pairs = zip(these, those, strict=True)
    return [0.0 if this == that else this - that for this, that in pairs]


def _logarithms(values: Sequence[float]) -> list[float]:
    found = _losses(values)
    if min(found, default=0.0) < 0:
        raise BadValue(f"a ratio needs values of at least 0, got {min(found):g}.")
    return [math.log(value) if value > 0 else -math.inf for value in found]


def _power(logarithm: float) -> float:
    try:
        return math.exp(logarithm)
    except OverflowError:
        return math.inf


def reached(curve: Iterable[tuple[float, float]], target: float) -> float:
    """Return where a curve of (steps or seconds, loss) is first at or below *target*.

    Infinite where it never is. Nothing is interpolated: only what was measured counts.
    """
    if math.isnan(target):
        raise BadValue("the target is not a number; no loss can be at or below it.")
    return next((float(place) for place, loss in curve if loss <= target), math.inf)


def expected_best(losses: Sequence[float], trials: int) -> float:
    """Return the mean of the lowest of *trials* losses over all ways to pick them.

    They are picked without replacement from the *losses* of all trials, best or not. Infinite
    where a pick may hold failures alone. Source: Dodge et al. 2019, who pick with replacement.
    """
    weighted = [(loss, weight) for loss, weight in _lowest(losses, trials) if weight]
    if math.isinf(weighted[-1][0]):
        return math.inf
    return float(sum(Fraction(loss) * weight for loss, weight in weighted))


def median_best(losses: Sequence[float], trials: int) -> float:
    """Return a value that the lowest of *trials* losses does not exceed in half of all picks.

    Picked as for `expected_best`; finite as long as half of all picks hold a trial that finished.
    """
    return _place(_lowest(losses, trials), Fraction(1, 2))


def _lowest(losses: Sequence[float], trials: int) -> list[tuple[float, Fraction]]:
    """Return the losses in order, each with how often it is the lowest of so many picked."""
    ranked = sorted(_losses(_some("losses", losses)))
    count = len(ranked)
    if not 1 <= trials <= count:
        raise BadValue(f"between 1 and {count} trials can be picked of {count}, got {trials}.")
    picks = math.comb(count, trials)
    ways = (math.comb(count - place - 1, trials - 1) for place in range(count))
    return [(loss, Fraction(each, picks)) for loss, each in zip(ranked, ways, strict=True)]


def sensitivity(losses: Sequence[float]) -> float:
    """Return the share of trials whose loss is within a tenth of the lowest; 0 if all failed."""
    found = _losses(_some("losses", losses))
    best = min(found)
    if math.isinf(best):
        return 0.0
    return sum(loss <= best + NEAR * abs(best) for loss in found) / len(found)


@dataclass(frozen=True)
class Profile:
    """On which share of the problems a rule needs at most so many times the best rule's time.

    ``ratios`` has one entry per problem, infinite where the target was not reached.
    """

    ratios: tuple[float, ...]

    def share(self, at_most: float) -> float:
        """Return the share of problems on which the ratio is *at_most* that."""
        return sum(ratio <= at_most for ratio in self.ratios) / len(self.ratios)

    @property
    def steps(self) -> list[tuple[float, float]]:
        """The corners (ratio, share) of the profile, from 1 to the largest ratio looked at."""
        jumps = {each for each in self.ratios if each < LARGEST_RATIO}
        return [(each, self.share(each)) for each in sorted({1.0, LARGEST_RATIO, *jumps})]

    @property
    def score(self) -> float:
        """The mean height of the profile: 1 for a rule that is the fastest on every problem."""
        width = LARGEST_RATIO - 1
        gains = (max(LARGEST_RATIO - ratio, 0.0) / width for ratio in self.ratios)
        return sum(gains) / len(self.ratios)


def profiles(times: Mapping[str, Sequence[float]]) -> dict[str, Profile]:
    """Return the performance profile of each rule, from its time to the target on each problem.

    The problems stand in the same order for all rules; infinite where a target was not reached. A
    problem that no rule solved counts against all of them. Source: Dolan & More 2002.
    """
    counts = {len(each) for each in times.values()}
    if len(counts) != 1 or counts == {0}:
        raise BadValue(
            "performance profiles need at least one rule, with a time for each of the same "
            f"problems; got {', '.join(f'{key}: {len(each)}' for key, each in times.items())}."
        )
    fastest = [min(_losses(each)) for each in zip(*times.values(), strict=True)]
    return {rule: Profile(tuple(_times(each, fastest))) for rule, each in times.items()}


def _times(these: Sequence[float], fastest: Sequence[float]) -> list[float]:
    pairs = zip(_losses(these), fastest, strict=True)
    return [_quotient(this, best) for this, best in pairs]


def _quotient(this: float, best: float) -> float:
    if math.isinf(this):
        return math.inf
    return 1.0 if this == best else this / best if best else math.inf


def undertuned(losses: Mapping[str, Sequence[float]]) -> list[Undertuned]:
    """Return which rules were shown to lose to one that they contain, and so lack tuning.

    *losses* has each rule's final losses by its key, the same seed in the same place for all.
    """
    pairs = ((rule, inner) for rule in INCLUDES for inner in INCLUDES[rule])
    known = [pair for pair in pairs if losses.keys() >= set(pair)]
    found = [Undertuned(*pair, difference(*(losses[key] for key in pair))) for pair in known]
    return [each for each in found if each.comparison.higher]


def _losses(values: Iterable[float]) -> list[float]:
    """Return the values with every failure made infinite."""
    return [float(value) if math.isfinite(value) else math.inf for value in values]


def _some(name: str, values: Sequence[float]) -> Sequence[float]:
    if len(values) == 0:
        raise BadValue(f"{name} should be at least one number, got none.")
    return values
