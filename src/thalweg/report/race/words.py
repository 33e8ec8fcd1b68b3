"""The sentences and numbers of a race, said once for the terminal and the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from thalweg.racing import Header, Result, Row
from thalweg.racing.board import SHARE
from thalweg.racing.protocol import EXTENSIONS, REFERENCE_TRIALS
from thalweg.racing.verdict import sentences
from thalweg.report import numerals


def title(header: Header) -> str:
    """Say who raced on what."""
    return f"{numerals.count(len(header.rules), 'rule')} on {header.problem}"


def question(header: Header) -> str:
    """Say what the race is decided by."""
    seeds = header.terms.seeds
    over = f"median of {seeds} fresh seeds" if seeds > 1 else "one fresh seed"
    epochs = numerals.count(header.epochs, "epoch")
    return f"{title(header)}, decided by the {metric(header)} after {epochs}, {over}."


def metric(header: Header) -> str:
    """Name the number that the race is decided by."""
    return f"validation {header.terms.metric}"


def writer(header: Header) -> Callable[[float], str]:
    """Return what writes such a number: a loss with three digits, a share of errors in percent."""
    return numerals.significant if header.terms.metric == "loss" else numerals.share


def verdict(result: Result) -> list[str]:
    """Return the sentences of the verdict, the most important first."""
    return sentences(result.board, metric(result.header), "updates")


def written(setting: Mapping[str, float]) -> str:
    """Write the searched hyperparameters with their values."""
    return ", ".join(f"{name} {value:g}" for name, value in setting.items()) or "defaults"


def setting(row: Row) -> str:
    """Write the setting that was chosen for a rule."""
    return written(row.setting)


def notes(row: Row) -> str:
    """Say what is doubtful about a row: tuning that fell short, runs that diverged."""
    found = [f"under-tuned: lost to {_listed(row.lost_to)}"] if row.lost_to else []
    found += [f"{name} at the {_ENDS[side]} end" for name, side in row.edges.items()]
    if row.failures:
        found.append(f"{row.failures} of {len(row.losses)} diverged")
    return "; ".join(found)


_ENDS = {"low": "lower", "high": "upper"}


def protocol(result: Result) -> list[str]:
    """Say how the race was carried out, a sentence or two for each of its steps."""
    header = result.header
    return [
        _equal(header),
        _search(header),
        *_extensions(result),
        _finals(result),
        _target(result),
        _numbers(header),
        *result.remarks,
    ]


def _equal(header: Header) -> str:
    terms = header.terms
    course = "stays constant" if terms.schedule == "constant" else f"follows {terms.schedule}"
    return (
        "With the same seed every rule starts from the same weights and sees the same mini-batches "
        f"in the same order: {header.batch_size} examples each, {header.updates} updates an epoch. "
        f"Each rule's learning rate {course} over all of a training; none is cut short."
    )


def _search(header: Header) -> str:
    terms = header.terms
    if terms.trials == 1:
        return (
            "One trial each, with the rule's defaults: this is a race of defaults, not of tuning."
        )
    return (
        f"{terms.trials} trials for each rule, with seed {terms.seed}, at the same points "
        f"({_SAMPLERS.get(terms.sampler, terms.sampler)}) of its search space; the one with the "
        f"lowest {metric(header)} is chosen."
    )


_SAMPLERS = {"sobol": "a scrambled Sobol sequence", "random": "random", "grid": "a grid"}


def _extensions(result: Result) -> Iterator[str]:
    if result.header.terms.trials == 1:
        return
    if not result.extended:
        yield "No rule's best trial lay at an end of what was searched, so nothing was extended."
        return
    added = [f"{name} beyond its {_ENDS[side]} end" for name, side in result.extended]
    yield (
        f"A best trial at an end of what was searched extends the search, for every rule and at "
        f"most {EXTENSIONS} times for each end: {_listed(added)}."
    )


def _finals(result: Result) -> str:
    header = result.header
    fresh = f"Each chosen setting then ran with {numerals.count(header.terms.seeds, 'fresh seed')}"
    tested = any(row.test_losses for row in result.board)
    looked = "was looked at once, after these" if tested else "was not looked at"
    return f"{fresh}, the same for all rules. The test set {looked}."


def _target(result: Result) -> str:
    header, terms = result.header, result.header.terms
    if terms.target is not None:
        return f"The target is a {metric(header)} of {writer(header)(terms.target)}, as was asked."
    if terms.reference is None:
        return "There is no target, so no time to it."
    name = header.names[terms.reference]
    if result.target is None:
        return f"{name}, which sets the target, diverged with half of its seeds: there is none."
    trials = numerals.count(REFERENCE_TRIALS * terms.trials, "trial")
    return (
        f"The target is a {metric(header)} of {writer(header)(result.target)}: the median of the "
        f"lowest that {name}, tuned with {trials} or more, reaches within {SHARE:.0%} of the "
        "epochs. Time to it is counted in updates, and looked at after each epoch."
    )


def _numbers(header: Header) -> str:
    if header.terms.seeds == 1:
        return "One seed is no measure of chance: another may put the rules in another order."
    return (
        "Behind a median stands its 95% bootstrap interval. Rules are compared seed by seed, and "
        "no difference is claimed where the interval of the median difference contains zero. A run "
        "that diverged counts as infinitely bad, a target never reached as an infinite time."
    )


def versions(header: Header) -> str:
    """Name the software, the threads and the seed of a race on one line."""
    software = [f"{name} {version}" for name, version in header.versions.items()]
    threads, seed = numerals.count(header.threads, "thread"), header.terms.seed
    return ", ".join([*software, threads, f"seed {seed}"])


def hidden(seen: Sequence[bool]) -> str:
    """Say how many rules a picture shows at first; empty where it shows all."""
    if all(seen):
        return ""
    return (
        f" At first it shows {sum(seen)} of the {len(seen)} rules, those that lead; the names of "
        "the others are pale."
    )


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
