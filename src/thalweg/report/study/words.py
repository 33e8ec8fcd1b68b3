"""The sentences and numbers of trainings, said once for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from thalweg.report import numerals
from thalweg.schedules.spread import spreads

if TYPE_CHECKING:
    from thalweg.training import Evaluation, Settings, Study, Trained

COLUMNS = ("best epoch", "its loss", "last loss", "accuracy", "test loss", "accuracy", "time")
"""What is told of a run beside its name."""


def title(study: Study) -> str:
    """Name what was trained with what."""
    several = len(study.runs) > 1
    rates = f" at {len(study.runs)} learning rates" if several else ""
    return f"{study.runs[0].settings.rule} on {study.problem}{rates}"


def claim(study: Study) -> str:
    """Say with which settings."""
    return f"{', '.join(_settings(study.runs[0].settings, len(study.runs)))}."


def _settings(settings: Settings, runs: int) -> Iterator[str]:
    yield numerals.count(settings.epochs or 0, "epoch") + (" each" if runs > 1 else "")
    if settings.batch is not None:
        yield f"batches of {settings.batch}"
    if settings.accumulate != 1:
        yield f"{settings.accumulate} of them for an update"
    if runs == 1:
        yield f"learning rate {numerals.rate(settings.lrs[0])}"
    schedule = settings.schedule or "constant"
    if settings.snapshots is not None:
        yield f"{numerals.count(settings.snapshots, 'cosine')} with a snapshot at the end of each"
    elif schedule != "constant":
        yield f"{schedule} ({spreads[schedule][0]})"
    if settings.warmup:
        yield f"after {numerals.count(settings.warmup, 'update')} of warm-up"
    if settings.clip is not None:
        yield f"gradient clipped to norm {settings.clip:g}"
    if settings.noise is not None:
        yield f"gradient noise of variance {settings.noise:g}, annealed"
    if settings.stop_after is not None:
        yield f"stopped after {numerals.count(settings.stop_after, 'epoch')} without progress"
    if settings.ema is not None:
        yield f"averaged with decay {settings.ema:g}"
    yield from (f"{name} {value:g}" for name, value in (settings.hyper or {}).items())


def protocol(study: Study) -> list[str]:
    """Say what was the same for several runs."""
    if len(study.runs) == 1:
        return []
    return [
        "Every run starts from the same weights and sees the same mini-batches in the same order; "
        "the learning rate alone differs."
    ]


def versions(study: Study) -> str:
    """Name the software, the threads and the seed on one line."""
    run = study.runs[0]
    known = [f"{name} {run.provenance[name]}" for name in ("thalweg", "torch", "numpy", "python")]
    threads = numerals.count(run.provenance["threads"], "thread")
    return ", ".join([*known, threads, f"seed {run.settings.seed}"])


def label(run: Trained) -> str:
    """Name a run among those of its study."""
    return f"lr {numerals.rate(run.settings.lrs[0])}"


def warnings(study: Study) -> list[str]:
    """Say of every run that diverged that it did."""
    return [
        f"{label(run)} diverged {_when(run)}: its loss was no longer finite."
        for run in study.runs
        if run.diverged
    ]


def _when(run: Trained) -> str:
    whole = len(run.epochs)
    return "in the first epoch" if not whole else f"after {numerals.count(whole, 'epoch')}"


def reading(study: Study) -> str:
    """Say on what the best epoch is chosen, and how the time is meant."""
    epochs = [epoch for run in study.runs for epoch in run.epochs]
    held_out = any(epoch.valid_loss is not None for epoch in epochs)
    chosen = "validation set" if held_out else "training set, for there is no validation set"
    tested = " The test set was touched once, at the end."
    return (
        f"The best epoch, and its loss, are chosen on the {chosen}. Time is that of the updates."
        f"{tested if any(run.test for run in study.runs) else ''}"
    )


def cells(run: Trained) -> list[str]:
    """Return a run's name and what stands in its columns."""
    best, last = run.best, run.epochs[-1] if run.epochs else None
    return [
        label(run),
        str(best.number) if best else numerals.NONE,
        numerals.loss(best and best.judged),
        "diverged" if run.diverged else numerals.loss(last and last.judged),
        numerals.share(last and last.valid_accuracy),
        *_evaluated(run.test),
        numerals.seconds(sum(epoch.seconds for epoch in run.epochs)),
    ]


def made_cells(run: Trained) -> list[list[str]]:
    """Return the same for each model that was made of the run's weights, such as their average."""
    return [
        [f"  its {name}", "", "", *_evaluated(made.valid), *_evaluated(made.test), ""]
        for name, made in run.made.items()
    ]


def _evaluated(found: Evaluation | None) -> list[str]:
    return (
        [numerals.loss(found.loss), numerals.share(found.accuracy)]
        if found
        else [numerals.NONE, numerals.NONE]
    )


def epoch_line(epoch: Mapping[str, Any]) -> str:
    """Tell an epoch, as the record has it, on one line."""
    parts = [f"epoch {epoch['number']}", f"running loss {numerals.loss(epoch['running_loss'])}"]
    if epoch["valid_loss"] is not None:
        parts.append(f"validation loss {numerals.loss(epoch['valid_loss'])}")
    if epoch["valid_accuracy"] is not None:
        parts.append(f"accuracy {numerals.share(epoch['valid_accuracy'])}")
    return "  ".join([*parts, numerals.seconds(epoch["seconds"])])
