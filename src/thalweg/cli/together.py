"""`thalweg train --parallel`: several workers share one training, here or on a cluster."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from thalweg import problems, record
from thalweg.cli.app import DIVERGED, note, notices, plain_warnings, say
from thalweg.cli.stopping import exit_code, leaving_at_once, stoppable
from thalweg.errors import BadFile, BadValue

if TYPE_CHECKING:
    from thalweg.parallel import Algorithm, Engine, Result
    from thalweg.problems import Problem
    from thalweg.record import Record, Run

ENGINES = ("inproc", "ray", "torch")
SHARED = ("rule", "lr", "hyper", "batch", "epochs", "seed")
"""The settings of a training that one with many workers has too."""


class Crew(NamedTuple):
    """Who trains: an algorithm's name, how many workers, on which engine, and where Ray is."""

    parallel: str | None
    workers: int | None
    engine: str | None
    ray: str | None

    @property
    def on_ray(self) -> bool:
        """Whether the engine is Ray."""
        return self.engine == "ray" or self.ray is not None

    @property
    def in_step(self) -> bool:
        """Whether torchrun starts the workers, each of which runs this command."""
        return self.engine == "torch"

    @property
    def leads(self) -> bool:
        """Whether this process is the one that prints and records."""
        return not self.in_step or os.environ.get("RANK", "0") == "0"

    @property
    def size(self) -> int:
        """How many workers there are."""
        return self.workers or (int(os.environ["WORLD_SIZE"]) if self.in_step else 2)


def check_alone(crew: Crew) -> None:
    """Refuse what only several workers have."""
    given = [f"--{name}" for name, value in crew._asdict().items() if value is not None]
    if given:
        raise BadValue(f"{given[0]} is for several workers; add --parallel downpour, for example.")


def train_together(name: str, crew: Crew, settings: dict[str, Any], places: dict[str, Any]) -> None:
    """Train a problem with several workers, into the record, and say how it went; then exit."""
    _check(name, crew, settings, places)
    with stoppable(), plain_warnings():
        try:
            result = _trained(name, crew, settings, places)
        except KeyboardInterrupt as stop:
            note("Interrupted; a training with several workers cannot be resumed.")
            raise typer.Exit(exit_code(stop)) from None
    if crew.leads:
        _show(result, places)
    raise typer.Exit(DIVERGED if result.diverged else 0)


def _check(name: str, crew: Crew, settings: dict[str, Any], places: dict[str, Any]) -> None:
    """Refuse what can be refused before torch is loaded."""
    problems.find(name)
    other = [f"--{key.replace('_', '-')}" for key in settings.keys() - {*SHARED} if settings[key]]
    other += [key for key in ("--out", "--every", "--resume") if places.get(key)]
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
    if crew.in_step and "WORLD_SIZE" not in os.environ:
        again = shlex.join(["-m", "thalweg", *sys.argv[1:]])
        raise BadValue(
            "--engine torch trains in processes that torchrun starts, and this one was started "
            f"alone. Run:\ntorchrun --nproc-per-node {crew.workers or 2} {again}"
        )
    if isinstance(settings["lr"], tuple):
        raise BadValue("--lr has several rates; give one with --parallel.")


def _trained(name: str, crew: Crew, settings: dict[str, Any], places: dict[str, Any]) -> Result:
    with leaving_at_once(notices), notices.status(f"Loading torch and {name}"):
        from thalweg import parallel

        problem = problems.load(name)
        algorithm, engine = _algorithm(crew, settings), _engine(crew, settings, places)
    workers, seed = crew.size, settings["seed"] or 0
    how: dict[str, Any] = {"batch": settings["batch"] or problem.batch_size,
           "epochs": settings["epochs"] or problem.epochs, "seed": seed}  # fmt: skip
    said = {**_said(algorithm), **crew._asdict(), **how, "workers": workers}
    fit = partial(
        parallel.fit, problem.make_model(seed), problem.loss, problem.train, problem.validation,
        algorithm=algorithm, workers=workers, engine=engine, **how,
    )  # fmt: skip
    if not crew.leads:
        return fit()
    with record.open(places["--record"]) as book, _running(book, problem, said, seed) as run:
        told = Told(run, "seconds" if crew.on_ray or crew.in_step else "virtual seconds")
        result = fit(run=told)
        run.emit("tally", result.history[-1].gradients, data=_tallied(result))
        run.end("diverged" if result.diverged else "finished")
    return result


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


def _engine(crew: Crew, settings: dict[str, Any], places: dict[str, Any]) -> Engine:
    from thalweg import parallel

    seed = settings["seed"] or 0
    if crew.in_step:
        return parallel.TorchEngine(seed=seed)
    if not crew.on_ray:
        return parallel.InProcess(seed=seed)
    return parallel.RayEngine(crew.ray, snapshots=places["--checkpoints"], seed=seed)


def _said(algorithm: Any) -> dict[str, Any]:
    """Return an algorithm's settings as a record can hold them."""
    plain = str | int | float | bool | None
    return {k: v if isinstance(v, plain) else str(v) for k, v in vars(algorithm).items()}


@contextmanager
def _running(book: Record, problem: Problem, said: dict[str, Any], seed: int) -> Iterator[Run]:
    """Begin a run, and say that it failed where it does."""
    run = book.begin(problem.name, said, seed, kind="parallel")
    try:
        yield run
    except BaseException as error:
        with suppress(BadFile):
            run.end("failed" if isinstance(error, Exception) else "interrupted")
        raise


class Told:
    """A run whose progress is shown as it comes, with time in *unit*."""

    def __init__(self, run: Run, unit: str) -> None:
        self._run, self.id, self._unit = run, run.id, unit

    def emit(self, name: str, step: int, value: float | None = None, data: Any = None) -> None:
        """Note an event, and say where the training stands."""
        self._run.emit(name, step, value, data)
        if name == "parallel":
            note(f"{step:,} gradients in {data['time']:.1f} {self._unit}: loss {_judged(data)}")

    def flush(self) -> None:
        """Put what was noted where it outlives this process."""
        self._run.flush()

    def end(self, status: str) -> None:
        """Say how it ended."""
        self._run.end(status)


def _judged(point: dict[str, Any]) -> str:
    if point["valid_loss"] is None:
        return f"{point['running_loss']:.4f}"
    accuracy = point["valid_accuracy"]
    return f"{point['valid_loss']:.4f}" + ("" if accuracy is None else f", accuracy {accuracy:.2%}")


def _tallied(result: Result) -> dict[str, Any]:
    """Return everything that was counted and is not zero."""
    receipts = {f"pushes {each.value}": n for each, n in result.tally.receipts.items()}
    latest = max(result.tally.staleness, default=0)
    others = {k: n for k, n in vars(result.tally).items() if isinstance(n, int) and n}
    return {**receipts, "updates late at most": latest, **others}


def _show(result: Result, places: dict[str, Any]) -> None:
    say(f"{result.history[-1].examples:,} examples: loss {_judged(result.history[-1]._asdict())}")
    say(", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in _tallied(result).items()))
    say(f"Record: {record.open(places['--record']).path}")
    if places["--save"]:
        from thalweg.training import save_weights

        say(f"Weights: {save_weights(result.model, Path(places['--save']))}")
