"""The sentences and numbers of a race, said once for the terminal and the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thalweg.racing import Header, Result, Row


def claim(header: Header) -> str:
    """Say in one sentence what the race measures and how each rule was treated."""
    return (
        f"Lowest validation loss after {count(header.epochs, 'epoch')} of {header.problem}, when "
        f"each rule {_choice(header.trials)}."
    )


def _choice(trials: int) -> str:
    if trials == 1:
        return "runs once with its default learning rate"
    return f"may keep the best of {trials} learning rates"


def sentence(text: str) -> str:
    """End a text with a full stop unless it ends as a sentence already."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def protocol(header: Header) -> list[str]:
    """Say what was the same for all rules and what the numbers do not show."""
    chosen = (
        ""
        if header.trials == 1
        else (
            "The learning rate is chosen on the same validation set that the table shows, which "
            "flatters every rule a little. "
        )
    )
    return [
        f"Every rule starts from the same weights, sees the same mini-batches of "
        f"{header.batch_size} in the same order and gets the same number of trials. "
        f"{_spacing(header.trials)}",
        f"{chosen}The test set was not touched. One seed ({header.seed}), so no claim of "
        "significance: another seed can reorder rules that are close.",
    ]


def _spacing(trials: int) -> str:
    if trials == 1:
        return "One trial each: a race of defaults, not of tuned rules."
    return "Learning rates are evenly spaced in logarithm over each rule's own search range."


def unfinished(result: Result) -> str:
    """Say how much of an interrupted race is shown; empty for a complete one."""
    if result.complete:
        return ""
    done, planned = len(result.runs), result.header.planned
    return (
        f"Interrupted: {done} of {count(planned, 'run')} finished, so the rules have not all had "
        "the same chance."
    )


def notes(row: Row, header: Header) -> str:
    """Say what is doubtful about a row: runs that diverged or are missing, a best at the edge."""
    found = []
    if row.edge:
        found.append(f"best lr is the {row.edge} tried")
    if row.failures:
        found.append(f"{row.failures} of {row.finished} diverged")
    if row.finished < header.trials:
        found.append(f"{row.finished} of {header.trials} runs")
    return "; ".join(found)


def reading(result: Result) -> str:
    """Say how the time column is meant, and the edge note where some row carries it."""
    time = "Time adds up all runs of a rule, with whatever had to be compiled."
    if not any(row.edge for row in result.board):
        return time
    return (
        f"{time} Where the best learning rate is the lowest or highest tried, one outside the grid "
        "may do better."
    )


def versions(header: Header) -> str:
    """Name the software, the threads and the seed of a race on one line."""
    software = [f"{name} {version}" for name, version in header.versions.items()]
    return ", ".join([*software, count(header.threads, "thread"), f"seed {header.seed}"])


def rate(lr: float) -> str:
    """Write a learning rate with three significant digits."""
    return f"{lr:.3g}"


def loss(value: float) -> str:
    """Write a loss with four significant digits, or ``diverged``."""
    if not math.isfinite(value):
        return "diverged"
    return f"{value:.4f}" if 0.001 <= value < 1000 else f"{value:.3g}"


def accuracy(value: float) -> str:
    """Write a share between 0 and 1 as a percentage with one decimal; ``-`` where there is none."""
    return "-" if math.isnan(value) else f"{value:.1%}"


def seconds(value: float) -> str:
    """Write a duration in seconds, with one decimal below a hundred."""
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def count(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural where it is not one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
