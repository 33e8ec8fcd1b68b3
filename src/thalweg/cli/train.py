"""`thalweg train`: train a problem, and go on where it was stopped."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg import problems, record, report, rules
from thalweg.cli.app import (
    DIVERGED,
    Batch,
    Epochs,
    ProblemName,
    RecordPlace,
    app,
    note,
    notices,
    number_of,
    one_of,
    plain_warnings,
    say,
    screen,
    whole,
)
from thalweg.cli.places import check_written, command
from thalweg.cli.stopping import exit_code, leaving_at_once, stoppable
from thalweg.cli.together import (
    ENGINES,
    Crew,
    check_alone,
    numbers_of_workers,
    train_together,
)
from thalweg.errors import BadFile, BadValue
from thalweg.schedules.spread import maker

if TYPE_CHECKING:
    from torch import nn

    from thalweg.problems import Problem
    from thalweg.record import Record
    from thalweg.training import Study, Trained


def _rates(text: str) -> float | tuple[float, ...]:
    numbers = tuple(number_of(part) for part in text.split(","))
    return numbers if len(numbers) > 1 else numbers[0]


def _named(texts: list[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set {text!r}: expected name=number, such as beta1=0.95.")
        found[name.strip()] = number_of(value)
    return found


@app.command()
def train(
    problem: ProblemName,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="The rule, such as adam. Default: adamw, or the algorithm's."
        ),
    ] = None,
    lr: Annotated[
        Any,
        typer.Option(
            metavar="RATE",
            parser=_rates,
            help="Learning rate, or several such as 0.01,0.1 in turn. Default: the rule's.",
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of the learning rate, over the whole run, such as cosine."
        ),
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole(0), help="Updates in which the rate rises first."),
    ] = None,
    batch: Batch = None,
    epochs: Epochs = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N", parser=whole(0), help="Fixes weights and order of data. Default: 0."
        ),
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(metavar="N", parser=whole(1), help="Batches behind one update.")
    ] = None,
    clip: Annotated[
        Any, typer.Option(metavar="NORM", parser=number_of, help="Clip the gradient to this norm.")
    ] = None,
    noise: Annotated[
        Any,
        typer.Option(
            metavar="ETA",
            parser=number_of,
            help="Add annealed noise of this variance to the gradient.",
        ),
    ] = None,
    stop_after: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole(1), help="Stop after N epochs without progress."),
    ] = None,
    ema: Annotated[
        Any,
        typer.Option(
            metavar="DECAY", parser=number_of, help="Average the weights too, with this decay."
        ),
    ] = None,
    snapshots: Annotated[
        int | None,
        typer.Option(
            metavar="M",
            parser=whole(1),
            help="An ensemble of M models, each from the end of a cosine.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=X", help="Another hyperparameter of the rule; may be repeated."
        ),
    ] = None,
    record_: RecordPlace = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where each run has a folder. Default: checkpoints."),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            metavar="N", parser=whole(1), help="Updates between two checkpoints. Default: an epoch."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a page with curves; with --parallel .json and .csv hold data. An old file "
            "is replaced.",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the final weights alone, as safetensors."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the newest training that has not ended.")
    ] = False,
    parallel: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Let workers share it by downpour, easgd, local_sgd, …"),
    ] = None,
    workers: Annotated[
        Any,
        typer.Option(
            metavar="N,…",
            parser=numbers_of_workers,
            help="How many workers, or several such as 1,2,4 in turn. Default: 2.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            parser=one_of("engine", ENGINES),
            help="inproc simulates the workers, in virtual time; ray gives each a process; torch: "
            "torchrun does. Default: inproc.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Ray cluster; snapshots go to --checkpoints."),
    ] = None,
) -> None:
    """Train a problem; stopped or killed at any moment, it goes on with --resume.

    Ctrl-C and SIGTERM finish the update and write a checkpoint. With --parallel they let workers
    finish their batches, and what was done is kept, but not resumed. Exit code 0: done; 1: every
    run diverged; 2: refused, or a file could not be written; 130 and 143: interrupted.
    """
    settings = {
        "rule": rule, "lr": lr, "schedule": schedule, "warmup": warmup, "batch": batch,
        "epochs": epochs, "seed": seed, "accumulate": accumulate, "clip": clip, "noise": noise,
        "stop_after": stop_after, "ema": ema, "snapshots": snapshots,
        "hyper": _named(set_ or []) or None,
    }  # fmt: skip
    places: dict[str, Any] = {
        "--record": record_,
        "--checkpoints": checkpoints,
        "--out": out,
        "--save": save,
    }
    crew = Crew(parallel, workers, engine, ray)
    if parallel is not None:
        given = {**places, "--every": every, "--resume": resume}
        train_together(problem, crew, settings, given)
    check_alone(crew)
    _check(problem, settings, places)
    again = command(
        "train", problem, "--resume", record=record_, checkpoints=checkpoints, out=out, save=save,
        every=every,
    )  # fmt: skip
    with stoppable(), plain_warnings():
        study = _train(problem, settings, places, every, resume, again)
        try:
            _show(study, places)
        except KeyboardInterrupt as stop:
            note("Interrupted. The training is done and recorded.")
            raise typer.Exit(exit_code(stop)) from None
    raise typer.Exit(DIVERGED if study.diverged else 0)


def _check(problem: str, settings: dict[str, Any], places: dict[str, Any]) -> None:
    """Refuse what can be refused before torch is loaded."""
    problems.find(problem)
    if settings["rule"]:
        rules.find(settings["rule"])
    if settings["schedule"]:
        maker(settings["schedule"])
    check_written(places)


def _train(
    problem: str, settings: dict[str, Any], places: dict[str, Any], every: int | None,
    resume: bool, again: str,
) -> Study:  # fmt: skip
    with leaving_at_once(notices), notices.status(f"Loading torch and {problem}"):
        from thalweg.training import Settings, train_problem

        loaded = problems.load(problem)
    book = record.open(places["--record"])
    if places["--save"]:
        _check_single(loaded, book if resume else None, settings["lr"])
    try:
        with report.follow_training(notices) as listener:
            return train_problem(
                loaded, Settings(**settings), book, places["--checkpoints"],
                resume=resume, every=every, listener=listener,
            )  # fmt: skip
    except BadFile as error:
        if not listener.began:
            raise
        raise BadFile(f"{error}\nGo on with: {again}") from error
    except KeyboardInterrupt as stop:
        note(str(stop) or "Interrupted.")
        note(f"Go on with: {again}" if listener.began else "Nothing was begun.")
        raise typer.Exit(exit_code(stop)) from None
    finally:
        with suppress(BadFile):
            book.close()


def _check_single(problem: Problem, book: Record | None, lr: Any) -> None:
    from thalweg.training import unfinished

    earlier = unfinished(book, problem.name) if book else None
    if isinstance(earlier.hyper["lr"] if earlier else lr, list | tuple):
        raise BadValue("--save writes the weights of one training; give one learning rate.")


def _show(study: Study, places: dict[str, Any]) -> None:
    screen.print(report.summary(study))
    for run in study.runs:
        say(f"Run {run.id}: checkpoints in {run.folder}{_best(run)}")
    say(f"Record: {record.open(places['--record']).path}")
    if places["--save"]:
        say(f"Weights: {_save(study.runs[0].model, places['--save'])}")
    if places["--out"]:
        say(f"Page: {report.page(study, places['--out'])}")


def _save(model: nn.Module | None, path: Path) -> Path:
    from thalweg.training import Ensemble, save_weights

    assert model is not None
    if not isinstance(model, Ensemble):
        return save_weights(model, path)
    model.save(path)
    return path


def _best(run: Trained) -> str:
    from thalweg.training import Checkpoints

    best = Checkpoints(run.folder).best
    return f", the best in {best.name}" if best else ""
