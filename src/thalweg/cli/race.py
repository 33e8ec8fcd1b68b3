"""`thalweg race`: which rule suits a problem, and at which learning rate?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg import problems, record, report, rules
from thalweg.cli.app import (
    DIVERGED,
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
from thalweg.cli.places import check_distinct, command
from thalweg.cli.stopping import exit_code, leaving_at_once, stoppable
from thalweg.errors import BadFile
from thalweg.schedules.spread import maker

if TYPE_CHECKING:
    from thalweg.racing import Ledger, Plan, Result
    from thalweg.record import Record, RunSummary
    from thalweg.rules import Rule

METRICS = ("loss", "error")
SAMPLERS = ("sobol", "random", "grid", "bayesian")
"""What a race knows by these names, said here so that a wrong one is refused without loading it."""

PAGE = Path("race.html")
MEBIBYTE = 2**20


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


@app.command()
def race(
    problem: ProblemName = "digits",
    rules_: Annotated[
        Any,
        typer.Option(
            "--rules", metavar="KEYS", parser=_names, help="Such as adam,sgd. Default: all."
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(1, 1000),
            help="Settings tried for each rule; 1 means its defaults. Default: 16.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(1, 1000),
            help="Fresh seeds that the best setting is run with. Default: 10.",
        ),
    ] = None,
    epochs: Epochs = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole(0),
            help="Fixes points, weights and order of data. Default: 0.",
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the learning rate in every run, such as cosine."),
    ] = None,
    sampler: Annotated[
        Any,
        typer.Option(
            metavar="NAME", parser=one_of("sampler", SAMPLERS), help=f"{', '.join(SAMPLERS)}."
        ),
    ] = None,
    search: Annotated[
        Any,
        typer.Option(
            metavar="NAMES", parser=_names, help="What is searched, such as lr,beta1. Default: lr."
        ),
    ] = None,
    metric: Annotated[
        Any,
        typer.Option(
            metavar="loss|error",
            parser=one_of("metric", METRICS),
            help="What decides, on the validation set. Default: loss.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="KEY|none", help="The rule that sets the target. Default: adamw."),
    ] = None,
    target: Annotated[
        Any,
        typer.Option(
            metavar="X", parser=number_of, help="A target of your own; no rule sets one then."
        ),
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            metavar="MIB", parser=whole(1), help="What runs side by side may take, in MiB."
        ),
    ] = None,
    record_: RecordPlace = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the newest race that has not ended.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page; an old file is replaced. Default: race.html."),
    ] = None,
) -> None:
    """Find out which rule suits a problem, and at which learning rate.

    Every rule has the same number of trials, judged on the validation set.
    The best setting of each is run with fresh seeds, the same for all.

    Every run is recorded. Stopped or killed at any moment, a race goes on with
    --resume; `thalweg races` shows past ones.

    Exit code 0: done; 1: every run diverged; 2: refused, or a file could not
    be written; 130 and 143: interrupted.
    """
    asked = _asked(
        trials=trials, seeds=seeds, epochs=epochs, seed=seed, schedule=schedule, sampler=sampler,
        search=search, metric=metric, reference=reference, target=target,
        memory=memory and memory * MEBIBYTE,
    )  # fmt: skip
    chosen = _checked(problem, rules_, asked)
    place = report.check_path(out or PAGE)
    places = {"--record": record.open(record_).path, "--out": place}
    check_distinct(places)
    again = command("race", problem, "--resume", record=record_, out=out)
    with stoppable(), plain_warnings():
        result, id = _race(problem, chosen, asked, record_, resume, again)
        _show(result, id, places, record_)
    raise typer.Exit(DIVERGED if result.failed else 0)


def _asked(**terms: Any) -> dict[str, Any]:
    """Return the terms that were given; the reference ``none`` as None."""
    given = {name: value for name, value in terms.items() if value is not None}
    return given | ({"reference": None} if given.get("reference") == "none" else {})


def _checked(problem: str, names: Sequence[str] | None, asked: dict[str, Any]) -> list[Rule] | None:
    """Return the rules meant, with what can be refused before torch is loaded refused."""
    problems.find(problem)
    if asked.get("reference"):
        rules.find(asked["reference"])
    if "schedule" in asked:
        maker(asked["schedule"])
    return None if names is None else list(map(rules.find, names))


def _race(
    problem: str, chosen: list[Rule] | None, asked: dict[str, Any], place: Path | None,
    resume: bool, again: str,
) -> tuple[Result, str]:  # fmt: skip
    """Carry out the race; return its result and its id."""
    book = record.open(place)
    plan, earlier = _planned(book, problem, chosen, asked, resume)
    ledger: Ledger | None = None
    try:
        from thalweg.racing import enter

        with enter(book, plan, earlier) as ledger:
            return _run(ledger), ledger.id
    except BadFile as error:
        if ledger is None:
            raise
        raise BadFile(f"{error}\nGo on with: {again}") from error
    except KeyboardInterrupt as stop:
        note(f"Interrupted. Go on with: {again}" if ledger else "Interrupted; nothing was begun.")
        raise typer.Exit(exit_code(stop)) from None
    finally:
        with suppress(BadFile):
            book.close()


def _planned(
    book: Record, problem: str, chosen: list[Rule] | None, asked: dict[str, Any], resume: bool
) -> tuple[Plan, RunSummary | None]:
    """Return what is about to be done, and the race that it goes on with."""
    with leaving_at_once(notices), notices.status(f"Loading torch and {problem}"):
        from thalweg.racing import settle, unfinished

        loaded = problems.load(problem)
        earlier = unfinished(book, loaded.name) if resume else None
        plan = settle(earlier, loaded, chosen, asked)
    if resume and earlier is None:
        note(f"There is no unfinished race of {loaded.name}: a new one begins.")
    return plan, earlier


def _run(ledger: Ledger) -> Result:
    from thalweg.racing import execute

    if ledger.way.why:
        note(f"Trained one after the other: {ledger.way.why}")
    with report.follow(notices, ledger.plan.header.terms.metric) as show:
        return execute(ledger.plan, ledger, show)


def _show(result: Result, id: str, places: dict[str, Path], record_: Path | None) -> None:
    again = command("races", id, record=record_, out=places["--out"])
    try:
        screen.print(report.summary(result))
        say(f"Race {id} in {places['--record']}")
        say(f"Page: {report.page(result, places['--out'])}")
    except BadFile as error:
        raise BadFile(f"{error}\nThe race is done and recorded. Its page: {again}") from error
    except KeyboardInterrupt as stop:
        note(f"Interrupted. The race is done and recorded. Its page: {again}")
        raise typer.Exit(exit_code(stop)) from None
