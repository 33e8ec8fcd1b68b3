"""`thalweg train --parallel`: several workers share one training, here or on a cluster."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from thalweg import problems, record, report
from thalweg.cli.app import DIVERGED, note, notices, plain_warnings, say, screen, whole
from thalweg.cli.places import check_written
from thalweg.cli.stopping import exit_code, leaving_at_once, stoppable
from thalweg.errors import BadValue

if TYPE_CHECKING:
    from thalweg.parallel import Algorithm, Engine, Result, Teams

ENGINES = ("inproc", "ray", "torch")
SHARED = ("rule", "lr", "hyper", "batch", "epochs", "seed")
"""The settings of a training that one with many workers has too."""

WORKERS = (2,)
"""How many workers there are unless told otherwise."""


def numbers_of_workers(text: str) -> tuple[int, ...]:
    """Return a number of workers, or several such as 1,2,4, each given once."""
    parse = whole(1)
    found = tuple(parse(part.strip()) for part in text.split(","))
    twice = [count for count in found if found.count(count) > 1]
    if twice:
        raise typer.BadParameter(f"{text!r} has {twice[0]} twice; give each number once.")
    return found


class Crew(NamedTuple):
    """Who trains: an algorithm's name, how many workers, on which engine, and where Ray is."""

    parallel: str | None
    workers: tuple[int, ...] | None
    engine: str | None
    ray: str | None

    @property
    def on_ray(self) -> bool:
        """Whether the engine is Ray."""
        return self.engine == "ray" or self.ray is not None

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of workers to train with, one after the other."""
        started = (int(os.environ["WORLD_SIZE"]),) if self.in_step else WORKERS
        return self.workers or started

    @property
    def in_step(self) -> bool:
        """Whether torchrun starts the workers, each of which runs this command."""
        return self.engine == "torch"

    @property
    def leads(self) -> bool:
        """Whether this process is the one that prints and records."""
        return not self.in_step or os.environ.get("RANK", "0") == "0"


def check_alone(crew: Crew) -> None:
    """Refuse what only several workers have."""
    given = [f"--{name}" for name, value in crew._asdict().items() if value is not None]
    if given:
        raise BadValue(f"{given[0]} is for several workers; add --parallel downpour, for example.")


def train_together(name: str, crew: Crew, settings: dict[str, Any], places: dict[str, Any]) -> None:
    """Train a problem with several workers, into the record, and say how it went; then exit."""
    _check(name, crew, settings, places)
    with stoppable(), plain_warnings():
        if not crew.leads:
            followed = _followed(name, crew, settings, places)
            raise typer.Exit(DIVERGED if followed.diverged else 0)
        try:
            teams = _trained(name, crew, settings, places)
        except KeyboardInterrupt as stop:
            _show_what_was_done(stop, places)
            raise typer.Exit(exit_code(stop)) from None
        _show(teams, places)
    raise typer.Exit(DIVERGED if teams.diverged else 0)


def _check(name: str, crew: Crew, settings: dict[str, Any], places: dict[str, Any]) -> None:
    """Refuse what can be refused before torch is loaded."""
    problems.find(name)
    other = [f"--{key.replace('_', '-')}" for key in settings.keys() - {*SHARED} if settings[key]]
    other += [key for key in ("--every", "--resume") if places.get(key)]
    if places["--checkpoints"] and not crew.on_ray:
        other.append("--checkpoints")
    if other:
        raise BadValue(f"{min(other)} does not go with --parallel {crew.parallel}.")
    if crew.ray and not places["--checkpoints"]:
        raise BadValue(
            "--ray needs --checkpoints FOLDER for snapshots, a folder that all of its nodes share."
        )
    if crew.ray and crew.engine not in (None, "ray"):
        raise BadValue(f"--ray names a cluster, --engine {crew.engine} has none; give one of them.")
    if crew.in_step and len(crew.workers or ()) > 1:
        raise BadValue(
            "--engine torch has as many workers as torchrun has started processes; give --workers "
            "one number, and start torchrun once for each."
        )
    if crew.in_step and "WORLD_SIZE" not in os.environ:
        again = shlex.join(["-m", "thalweg", *sys.argv[1:]])
        raise BadValue(
            "--engine torch trains in processes that torchrun starts, and this one was started "
            f"alone. Run:\ntorchrun --nproc-per-node {crew.workers[0] if crew.workers else 2} "
            f"{again}"
        )
    if isinstance(settings["lr"], tuple):
        raise BadValue("--lr has several rates; give one with --parallel.")
    if places["--save"] and len(crew.counts) > 1:
        raise BadValue("--save writes the weights of one training; give one number of --workers.")
    check_written({key: places[key] for key in ("--out", "--save", "--record")})


def _trained(name: str, crew: Crew, settings: dict[str, Any], places: dict[str, Any]) -> Teams:
    with leaving_at_once(notices), notices.status(f"Loading torch and {name}"):
        from thalweg import parallel

        problem = problems.load(name)
        algorithm = _algorithm(crew, settings)
    how = {key: settings[key] for key in ("batch", "epochs")}
    with record.open(places["--record"]) as book, report.follow_teams(notices) as listener:
        return parallel.train_problem(
            problem, algorithm, crew.counts, lambda count: _engine(crew, settings, places, count),
            seed=settings["seed"] or 0, name=crew.parallel, book=book, listener=listener, **how,
        )  # fmt: skip


def _followed(name: str, crew: Crew, settings: dict[str, Any], places: dict[str, Any]) -> Result:
    """Take part in a training that another process records and tells of."""
    from thalweg import parallel

    problem, seed = problems.load(name), settings["seed"] or 0
    (workers,), epochs = crew.counts, settings["epochs"] or problem.epochs
    return parallel.fit(
        problem.make_model(seed), problem.loss, problem.train, problem.validation,
        algorithm=_algorithm(crew, settings), workers=workers, epochs=epochs, seed=seed,
        engine=_engine(crew, settings, places, workers),
        batch=settings["batch"] or problem.batch_size, looks=parallel.looks(epochs),
    )  # fmt: skip


def _algorithm(crew: Crew, settings: dict[str, Any]) -> Algorithm:
    """Return the algorithm, with those settings that it has."""
    from thalweg import parallel

    algorithm: Any = parallel.find(str(crew.parallel))
    given = {key: settings[key] for key in ("rule", "lr", "hyper") if settings[key] is not None}
    for key in given.keys() - algorithm.__dataclass_fields__.keys():
        option = "--set" if key == "hyper" else f"--{key}"
        raise BadValue(f"{option} does not go with --parallel {crew.parallel}, which has none.")
    found: Algorithm = replace(algorithm, **given)
    return found


def _engine(crew: Crew, settings: dict[str, Any], places: dict[str, Any], count: int) -> Engine:
    """Return the engine for so many workers; each number of several has snapshots of its own."""
    from thalweg import parallel

    seed = settings["seed"] or 0
    if crew.in_step:
        return parallel.TorchEngine(seed=seed)
    if not crew.on_ray:
        return parallel.InProcess(seed=seed)
    folder = places["--checkpoints"]
    if folder and len(crew.counts) > 1:
        folder = folder / f"workers-{count}"
    return parallel.RayEngine(crew.ray, snapshots=folder, seed=seed)


def _show_what_was_done(stop: KeyboardInterrupt, places: dict[str, Any]) -> None:
    """Say where a training was stopped, and show what there is of it."""
    from thalweg.parallel import Interrupted

    note(f"{str(stop) or 'Interrupted.'} A training with several workers cannot be resumed.")
    if isinstance(stop, Interrupted) and any(team.history for team in stop.result.teams):
        _show(stop.result, places)


def _show(teams: Teams, places: dict[str, Any]) -> None:
    screen.print(report.summary(teams))
    ids = ", ".join(team.id for team in teams.teams)
    say(f"Record: {record.open(places['--record']).path}, run{'s' * (len(teams.teams) > 1)} {ids}")
    if places["--save"]:
        from thalweg.training import save_weights

        model = teams.teams[0].model
        assert model is not None
        say(f"Weights: {save_weights(model, Path(places['--save']))}")
    if places["--out"]:
        say(f"Page: {report.page(teams, places['--out'])}")
