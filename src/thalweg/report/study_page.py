"""One training, or several that differ in the learning rate, on a page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from thalweg.report import study_figures, study_words, words
from thalweg.report.frame import Figure, framed, paragraphs, table

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
        "loss": study_figures.loss(study),
        "accuracy": study_figures.accuracy(study),
        "rate": study_figures.rate(study),
    }
    pictures = {name: figure for name, figure in drawn.items() if figure is not None}
    return framed("study", _texts(study, pictures), pictures)


def _texts(study: Study, pictures: dict[str, Figure]) -> dict[str, str]:
    return {
        "count": str(len(study.runs)),
        "title": escape(study_words.title(study)),
        "claim": escape(study_words.claim(study)),
        "warning": paragraphs(study_words.warnings(study), "warning"),
        "protocol": paragraphs(study_words.protocol(study), ""),
        "description": escape(words.sentence(study.description)),
        "versions": escape(study_words.versions(study)),
        "sections": "\n".join(_section(name) for name in pictures),
        "runs": table(["run", *study_words.COLUMNS, "id"], list(_runs(study))),
        "reading": escape(study_words.reading(study)),
        "epochs": "\n".join(_epochs(run, len(study.runs) == 1) for run in study.runs),
    }


def _runs(study: Study) -> Iterator[list[str]]:
    for run in study.runs:
        yield [escape(cell) for cell in (*study_words.cells(run), run.id)]
        yield from ([*map(escape, cells), ""] for cells in study_words.made_cells(run))


def _section(name: str) -> str:
    title, reading = _READINGS[name]
    return (
        f'<section>\n<h2>{title}</h2>\n<p class="soft">{reading}</p>\n'
        f'<div class="plot" id="{name}"></div>\n</section>'
    )


def _epochs(run: Trained, open_: bool) -> str:
    rows = table(_EPOCHS, [_epoch(epoch) for epoch in run.epochs])
    return (
        f"<details{' open' if open_ else ''}>\n<summary>Epochs of {escape(study_words.label(run))}"
        f'</summary>\n<section class="wide">{rows}</section>\n</details>'
    )


def _epoch(epoch: Epoch) -> list[str]:
    losses = (epoch.running_loss, epoch.train_loss, epoch.valid_loss)
    return [
        str(epoch.number), f"{epoch.updates:,}", *map(study_words.loss, losses),
        study_words.share(epoch.valid_accuracy), words.seconds(epoch.seconds),
    ]  # fmt: skip
