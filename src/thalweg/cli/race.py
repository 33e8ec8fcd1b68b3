"""`thalweg race`: which rule suits a problem, and at which learning rate?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from thalweg import problems, record, report, rules
from thalweg.cli.app import (
    DIVERGED,
    Epochs,
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
    from thalweg.problems import Problem
    from thalweg.racing import Ledger, Plan, Result
    from thalweg.record import Record, RunSummary
    from thalweg.rules import Rule

METRICS = ("loss", "error")
SAMPLERS = ("sobol", "random", "grid", "bayesian")
"""What a race knows by these names, said here so that a wrong one is refused without loading it."""

PAGE = Path("race.html")
MEBIBYTE = 2**20


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise typer.BadParameter(f"{text!r} names nothing at some place; write a,b,c.")
    return names


@app.command()
def race(
    problem: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROBLEM...", help="Names or files; digits unless given."),
    ] = None,
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
    workers: Annotated[
        int,
        typer.Option(metavar="N", parser=whole(1, 1000), help="Processes that do the work."),
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="A Ray cluster that does the work; local starts one here."
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
    --resume; `thalweg races` shows past ones. Several problems are raced on
    one after the other, and compared by performance profiles.

    Exit code 0: done; 1: every run diverged; 2: refused, or a file could not
    be written; 130 and 143: interrupted.
    """
    asked = _asked(
        trials=trials, seeds=seeds, epochs=epochs, seed=seed, schedule=schedule, sampler=sampler,
        search=search, metric=metric, reference=reference, target=target,
        memory=memory and memory * MEBIBYTE,
    )  # fmt: skip
    names = list(dict.fromkeys(problem or ["digits"]))
    chosen = _checked(names, rules_, asked)
    place = report.check_page(out or PAGE)
    places = {"--record": record.open(record_).path, "--out": place}
    check_distinct(places)
    again = command("race", *names, "--resume", record=record_, out=out, ray=ray)
    with stoppable(), plain_warnings():
        raced = _race(names, chosen, asked, Way(record_, resume, workers, ray, again))
        _show(raced, places, command("races", raced[0][1], record=record_, out=place), again)
    raise typer.Exit(DIVERGED if all(result.failed for result, _ in raced) else 0)


def _asked(**terms: Any) -> dict[str, Any]:
    """Return the terms that were given; the reference ``none`` as None."""
    given = {name: value for name, value in terms.items() if value is not None}
    return given | ({"reference": None} if given.get("reference") == "none" else {})


def _checked(
    names: list[str], keys: Sequence[str] | None, asked: dict[str, Any]
) -> list[Rule] | None:
    """Return the rules meant, with what can be refused before torch is loaded refused."""
    for name in names:
        problems.find(name)
    if asked.get("reference"):
        rules.find(asked["reference"])
    if "schedule" in asked:
        maker(asked["schedule"])
    return None if keys is None else list(map(rules.find, keys))


class Way(NamedTuple):
    """How races are carried out: in which record, anew or not, by how many processes or where.

    *again* is the command that goes on with them.
    """

    record: Path | None
    resume: bool
    workers: int
    ray: str | None
    again: str


def _race(
    names: list[str], chosen: list[Rule] | None, asked: dict[str, Any], way: Way
) -> list[tuple[Result, str]]:
    """Race on one problem after the other; return each result with the id of its race."""
    book = record.open(way.record)
    found: list[tuple[Result, str]] = []
    try:
        for each in _loaded(names, asked):
            plan, earlier = _planned(book, each, chosen, asked, way.resume)
            ended = _ended(book, plan) if way.resume and earlier is None else None
            found.append(ended or _run(book, plan, earlier, way))
    except KeyboardInterrupt as stop:
        note(
            f"Interrupted. Go on with: {way.again}" if found else "Interrupted; nothing was begun."
        )
        raise typer.Exit(exit_code(stop)) from None
    finally:
        with suppress(BadFile):
            book.close()
    return found


def _loaded(names: list[str], asked: dict[str, Any]) -> list[Problem]:
    with leaving_at_once(notices), notices.status(f"Loading torch and {', '.join(names)}"):
        from thalweg.racing import check_targets

        if len(names) > 1:
            check_targets(asked)
        return list(map(problems.load, names))


def _planned(
    book: Record, problem: Problem, chosen: list[Rule] | None, asked: dict[str, Any], resume: bool
) -> tuple[Plan, RunSummary | None]:
    """Return what is about to be done, and the race that it goes on with."""
    from thalweg.racing import settle, unfinished

    earlier = unfinished(book, problem.name) if resume else None
    return settle(earlier, problem, chosen, asked), earlier


def _ended(book: Record, plan: Plan) -> tuple[Result, str] | None:
    """Return the race that is planned where it has ended already; say which of the two it is."""
    from thalweg.racing import done, read

    race, name = done(book, plan), plan.header.problem
    if race is None:
        note(f"There is no unfinished race of {name}: a new one begins.")
        return None
    note(f"Race {race.id} of {name} has ended already; nothing is trained.")
    return read(book, race.id), race.id


def _run(book: Record, plan: Plan, earlier: RunSummary | None, way: Way) -> tuple[Result, str]:
    from thalweg.racing import enter, execute

    ledger: Ledger | None = None
    try:
        with enter(book, plan, earlier) as ledger:
            if ledger.way.why:
                note(f"Trained one after the other: {ledger.way.why}")
            with report.follow(notices, plan.header.terms.metric) as show:
                return execute(ledger.plan, ledger, show, way.workers, way.ray), ledger.id
    except BadFile as error:
        if ledger is None:
            raise
        raise BadFile(f"{error}\nGo on with: {way.again}") from error
    except KeyboardInterrupt as stop:
        if ledger is None:
            raise
        note(f"Interrupted. Go on with: {way.again}")
        raise typer.Exit(exit_code(stop)) from None


def _show(raced: list[tuple[Result, str]], places: dict[str, Path], page: str, again: str) -> None:
    """Print what came out, and write the page; *page* and *again* are the commands that do so."""
    from thalweg.racing import Contest

    single = len(raced) == 1
    result = raced[0][0] if single else Contest(tuple(each for each, _ in raced))
    try:
        screen.print(report.summary(result))
        for each, id in raced:
            say(f"Race {id} of {each.problem} in {places['--record']}")
        say(f"Page: {report.page(result, places['--out'])}")
    except BadFile as error:
        raise BadFile(f"{error}\n{_recorded(single, page, again)}") from error
    except KeyboardInterrupt as stop:
        note(f"Interrupted. {_recorded(single, page, again)}")
        raise typer.Exit(exit_code(stop)) from None


def _recorded(single: bool, page: str, again: str) -> str:
    if single:
        return f"The race is done and recorded. Its page: {page}"
    return f"All races are done and recorded. Their page: {again}"
