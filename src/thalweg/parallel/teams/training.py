"""Trains a problem with one number of workers after the other, into the record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from thalweg import problems, record
from thalweg.arguments import check_count
from thalweg.errors import BadType, BadValue
from thalweg.parallel.algorithms.algorithm import Algorithm, check_algorithm
from thalweg.parallel.engine import Engine
from thalweg.parallel.fitting import fit
from thalweg.parallel.inproc.engine import InProcess
from thalweg.parallel.result import Interrupted
from thalweg.parallel.server.snapshots import unused
from thalweg.parallel.teams.team import Team, Teams, read
from thalweg.parallel.watching import Listener
from thalweg.problems import Problem
from thalweg.record import Record, Run

LOOKS = 20
"""How often the parameters are judged in a training of fewer epochs than that."""

KIND, SEVERAL = "parallel", "teams"
"""What a training is in a record: a run, or one that stands for several."""


def train_problem(
    problem: str | Problem,
    algorithm: Algorithm,
    workers: Sequence[int] = (1,),
    engine: Engine | Callable[[int], Engine] | None = None,
    *,
    batch: int | Literal["all"] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    name: str | None = None,
    book: Record | None = None,
    listener: Listener | None = None,
) -> Teams:
    """Train a problem, or a problem file, with each number of *workers* and return how it went.

    All begin with the same weights and share the same batches, those of the problem unless *batch*
    and *epochs* are given. The engine simulates in this process unless another is given, or a
    function that returns one for so many workers. Everything is noted in *book*, ``./thalweg.db``
    by default, where the algorithm is called *name*, by default what its class is called.

    Raises UnknownName, BadValue, BadType or BadFile before the first gradient for what cannot work,
    and Interrupted with the trainings so far when a signal stopped it.
    """
    loaded = problems.load(problem) if isinstance(problem, str) else problem
    _check(algorithm, workers)
    shared = {
        "batch": loaded.batch_size if batch is None else batch,
        "epochs": loaded.epochs if epochs is None else epochs, "seed": seed,
    }  # fmt: skip
    _check_counts(shared)
    said = {"parallel": name or type(algorithm).__name__, **settings_of(algorithm), **shared}
    make = engine if callable(engine) else lambda count: engine or InProcess()
    engines = {count: make(count) for count in workers}
    _check_engines(engines)
    call = Call(loaded, algorithm, engines, shared, said, listener)
    return call.train(book or record.open(), sorted(workers))


def _check(algorithm: Any, workers: Any) -> None:
    check_algorithm(algorithm)
    if not isinstance(workers, Sequence) or not workers:
        raise BadValue(f"workers={workers!r}; expected numbers of workers, such as (1, 2, 4).")
    for count in workers:
        check_count("workers", count)
        algorithm.serving(count)
    if len({*workers}) < len(workers):
        raise BadValue(f"workers={workers!r} has a number twice; give each one once.")


def _check_counts(shared: Mapping[str, Any]) -> None:
    check_count("epochs", shared["epochs"])
    if shared["batch"] != "all":
        check_count("batch", shared["batch"])


def _check_engines(engines: Mapping[int, Any]) -> None:
    """Refuse what would stop a later team when earlier ones have trained already."""
    for count, engine in engines.items():
        if not isinstance(engine, Engine):
            raise BadType(f"engine={engine!r} for workers={count}; expected one as InProcess().")
    found = [getattr(engine, "snapshots", None) for engine in engines.values()]
    folders = [folder for folder in found if folder is not None]
    for folder in folders:
        unused(folder, 1)
    if len({*folders}) < len(folders):
        raise BadValue(
            f"snapshots={folders[0]!r} is one folder for several trainings. Give a function that "
            "returns an engine for each number of workers, with a folder of its own."
        )


def settings_of(chosen: Any) -> dict[str, Any]:
    """Return the settings of an algorithm or an engine as a record can hold them."""
    plain = str | int | float | bool | None
    return {k: v if isinstance(v, plain) else str(v) for k, v in vars(chosen).items()}


@dataclass(frozen=True, eq=False)
class Call:
    """What is the same for all teams: the problem, how it is trained, and what the record says."""

    problem: Problem
    algorithm: Algorithm
    engines: Mapping[int, Engine]
    shared: Mapping[str, Any]
    said: Mapping[str, Any]
    listener: Listener | None

    def train(self, book: Record, workers: Sequence[int]) -> Teams:
        """Train with each number of workers; several trainings belong to one that stands for them.

        What was done when a signal came goes with Interrupted.
        """
        done: list[Team] = []
        try:
            if len(workers) == 1:
                self._train(book, workers[0], None, done)
            else:
                with self._begun(book, SEVERAL, {"workers": workers}, None) as several:
                    for count in workers:
                        self._train(book, count, several.id, done)
        except Interrupted as stop:
            raise Interrupted(str(stop), stop.signal, self._teams(done)) from None
        return self._teams(done)

    def _teams(self, done: Sequence[Team]) -> Teams:
        return Teams(self.problem.name, self.problem.description, tuple(done))

    def _train(self, book: Record, workers: int, parent: str | None, done: list[Team]) -> None:
        """Train with so many workers, and add what came of it, be it cut short."""
        engine, problem = self.engines[workers], self.problem
        model = problem.make_model(self.shared["seed"])
        own = {"workers": workers, "engine": type(engine).__name__, "time": engine.unit,
               "cores": os.cpu_count(), **settings_of(engine), **self.shared}  # fmt: skip
        with self._begun(book, KIND, own, parent) as run:
            try:
                result = fit(
                    model, problem.loss, problem.train, problem.validation,
                    algorithm=self.algorithm, workers=workers, engine=engine,
                    looks=looks(self.shared["epochs"]), run=run, listener=self.listener,
                    **self.shared,
                )  # fmt: skip
            except Interrupted:
                run.end("interrupted")
                done.append(read(book, run.id, model))
                raise
            run.end("diverged" if result.diverged else "finished")
        done.append(read(book, run.id, model))

    def _begun(self, book: Record, kind: str, own: Mapping[str, Any], parent: str | None) -> Run:
        return book.begin(
            self.problem.name, {**self.said, **own}, self.shared["seed"], kind=kind, parent=parent,
            threads=torch.get_num_threads(),
        )  # fmt: skip


def looks(epochs: int) -> int:
    """Return how often the parameters are judged in each of so many epochs."""
    return -(-LOOKS // epochs)
