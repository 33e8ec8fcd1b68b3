"""One training, or several that differ in the learning rate, on a page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from thalweg.report import numerals
from thalweg.report.figure import Figure
from thalweg.report.frame import framed, paragraphs, section, table
from thalweg.report.study import figures, words

if TYPE_CHECKING:
    from thalweg.training import Epoch, Study, Trained

_EPOCHS = (
    "epoch", "updates", "running loss", "training subset", "validation loss", "accuracy", "time",
)  # fmt: skip

_READINGS = {
    "loss": (
        "Loss",
        "The running loss, thin, is the mean of the mini-batches while the weights were changing; "
        "the fixed training subset, dashed, and the validation set, solid, are measured after each "
        "epoch.",
    ),
    "accuracy": ("Accuracy", "The share of right answers on the validation set."),
    "rate": ("Learning rate", "As it went; noted every ten updates."),
}


def study_page(study: Study) -> str:
    """Return the page of a study, as HTML."""
    drawn = {
        "loss": figures.loss(study),
        "accuracy": figures.accuracy(study),
        "rate": figures.rate(study),
    }
    pictures = {name: figure for name, figure in drawn.items() if figure is not None}
    return framed("study/page", _texts(study, pictures), pictures)


def _texts(study: Study, pictures: dict[str, Figure]) -> dict[str, str]:
    return {
        "title": escape(words.title(study)),
        "claim": escape(words.claim(study)),
        "warning": paragraphs(words.warnings(study), "warning"),
        "protocol": paragraphs(words.protocol(study), ""),
        "description": escape(study.description),
        "versions": escape(words.versions(study)),
        "sections": "\n".join(section(name, *_READINGS[name]) for name in pictures),
        "runs": table(["run", *words.COLUMNS, "id"], list(_runs(study))),
        "reading": escape(words.reading(study)),
        "epochs": "\n".join(_epochs(run, len(study.runs) == 1) for run in study.runs),
    }


def _runs(study: Study) -> Iterator[list[str]]:
    for run in study.runs:
        yield [escape(cell) for cell in (*words.cells(run), run.id)]
        yield from ([*map(escape, cells), ""] for cells in words.made_cells(run))


def _epochs(run: Trained, open_: bool) -> str:
    rows = table(_EPOCHS, [_epoch(epoch) for epoch in run.epochs])
    return (
        f"<details{' open' if open_ else ''}>\n<summary>Epochs of {escape(words.label(run))}"
        f'</summary>\n<section class="wide">{rows}</section>\n</details>'
    )


def _epoch(epoch: Epoch) -> list[str]:
    losses = (epoch.running_loss, epoch.train_loss, epoch.valid_loss)
    return [
        str(epoch.number), f"{epoch.updates:,}", *map(numerals.loss, losses),
        numerals.share(epoch.valid_accuracy), numerals.seconds(epoch.seconds),
    ]  # fmt: skip
