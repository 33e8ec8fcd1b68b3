"""The board of a race as text: what stands in each column of each rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from thalweg.racing import Result, Row
from thalweg.racing.statistics import median, ratio
from thalweg.report import numerals
from thalweg.report.race import words


class Column(NamedTuple):
    """What is told of a rule under a title."""

    title: str
    tell: Callable[[Row], str]


def columns(result: Result) -> list[Column]:
    """Return the columns beside the names of the rules; one with nothing in it is left out."""
    header = result.header
    write, by_loss = words.writer(header), header.terms.metric == "loss"
    found = [
        Column(*_setting(result)),
        Column(words.metric(header), lambda row: numerals.estimate(row.loss, write)),
        *([_accuracy("accuracy", lambda row: row.accuracies)] if by_loss else []),
        Column("test loss", lambda row: _middle(row.test_losses, numerals.significant)),
        _accuracy("test accuracy", lambda row: row.test_accuracies),
        *(_times(result) if result.target is not None else []),
        Column("note", words.notes),
    ]
    return [each for each in found if any(map(each.tell, result.board))]


def _setting(result: Result) -> tuple[str, Callable[[Row], str]]:
    """Return the title and the values of the chosen settings, short where only lr was searched."""
    if all(set(row.setting) == {"lr"} for row in result.board):
        return "lr", lambda row: f"{row.setting['lr']:g}"
    return "setting", words.setting


def _accuracy(title: str, values: Callable[[Row], Sequence[float]]) -> Column:
    """Return a column of accuracies, which mean nothing where half of the runs diverged."""

    def tell(row: Row) -> str:
        known = not any(map(math.isnan, values(row)))
        return _middle(
            values(row) if known and math.isfinite(row.loss.value) else (), numerals.share
        )

    return Column(title, tell)


def _middle(values: Sequence[float], write: Callable[[float], str]) -> str:
    """Write the median, or nothing where there are no values."""
    return write(median(values).value) if values else ""


def _times(result: Result) -> list[Column]:
    best, seeds = result.board[0], result.header.terms.seeds

    def updates(row: Row) -> str:
        return numerals.estimate(median(row.times)) if row.arrivals else "never"

    def pace(row: Row) -> str:
        if not row.arrivals or not best.arrivals:
            return numerals.NONE
        return numerals.significant(ratio(row.times, best.times).estimate.value)

    return [
        Column("updates to target", updates),
        Column("× best", pace),
        Column("reached", lambda row: f"{row.arrivals}/{seeds}"),
    ]
