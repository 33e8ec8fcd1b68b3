"""Trains a problem by its settings: recorded, with checkpoints, and taken up again where it was."""

from __future__ import annotations

import os
from dataclasses import replace

import torch
from torch import nn

from thalweg import problems, record
from thalweg.optim import Optimizer
from thalweg.problems import Data, Problem
from thalweg.record import Record, Run, RunSummary
from thalweg.training import randomness
from thalweg.training.checkpoints import Checkpoints
from thalweg.training.evaluation import evaluate
from thalweg.training.fitting import fit
from thalweg.training.strategies.averaging import Average
from thalweg.training.strategies.snapshots import Snapshots
from thalweg.training.strategies.strategy import Strategy
from thalweg.training.study.notes import Listener, Nobody, Overheard
from thalweg.training.study.plan import Plan, planned
from thalweg.training.study.settings import LONGER, Settings
from thalweg.training.study.trained import AVERAGE, ENSEMBLE, Study, Trained, read
from thalweg.training.threads import threads

FOLDER = "checkpoints"
"""Where checkpoints go unless another folder is named; each run has one of its own in it."""

KINDS = ("train", "study")
"""What a training is in a record: a run, or one that stands for several."""

DONE = ("finished", "diverged")
"""How a run ends that there is nothing to go on with."""

_CHANGES = {
    "problem": "The text of {name}.py has changed since the run began.",
    "data": "The training data of {name} are not those that the run began with; fix the seed of "
    "what makes them.",
}


def train_problem(
    problem: str | Problem,
    settings: Settings | None = None,
    book: Record | None = None,
    folder: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    every: int | None = None,
    listener: Listener | None = None,
) -> Study:
    """Train a problem, or a problem file, and return what the record then says about it.

    Everything is noted in *book*, ``./thalweg.db`` by default. Checkpoints go to a folder of the
    run's id in *folder*, ``./checkpoints`` by default: one after each epoch, and one after *every*
    updates if given. Several learning rates are trained one after the other, with the same weights
    and the same order of the data.

    With *resume* the newest training of this problem that has not ended goes on, with the settings
    it was begun with; what has finished of it is not repeated. Where there is none, one is begun.

    The seed fixes torch's, NumPy's and Python's random numbers of this process. Raises UnknownName,
    BadValue, BadType or BadFile before the first update for what cannot work, and Interrupted when
    a signal stopped it and the checkpoint is written.
    """
    loaded = problems.load(problem) if isinstance(problem, str) else problem
    book, listener = book or record.open(), listener or Nobody()
    earlier = unfinished(book, loaded.name) if resume else None
    if resume and earlier is None:
        listener.remarks(f"There is no unfinished training of {loaded.name}: a new one begins.")
    with threads(loaded.threads):
        plan = planned(loaded, *_what(settings or Settings(), folder, earlier))
        runs = Experiment(plan, book, every, listener).train(earlier)
    return Study(loaded.name, loaded.description, tuple(runs))


def unfinished(book: Record, name: str) -> RunSummary | None:
    """Return the newest training of a problem that has not ended; those that run now come last."""
    found = [
        run
        for kind in KINDS
        for run in book.runs(kind, name)
        if run.parent is None and run.status not in DONE and Settings.recorded(run)
    ]
    return max(found, key=lambda run: (run.status != "running", run.started), default=None)


def _what(
    asked: Settings, folder: str | os.PathLike[str] | None, earlier: RunSummary | None
) -> tuple[Settings, str | os.PathLike[str]]:
    """Return the settings and the folder: those of the earlier run where there is one."""
    before = Settings.recorded(earlier) if earlier else None
    if earlier is None or before is None:
        return asked, folder or FOLDER
    return asked.resumed(before), folder or earlier.hyper["checkpoints"]


class Experiment:
    """A plan that is carried out: one run in a record, or one for each learning rate."""

    def __init__(self, plan: Plan, book: Record, every: int | None, listener: Listener) -> None:
        self.plan, self.book, self.every, self.listener = plan, book, every, listener
        self.problem = plan.problem

    def train(self, earlier: RunSummary | None) -> list[Trained]:
        """Train what is left of it; several runs belong to one that stands for them all."""
        settings = self.plan.settings
        if len(settings.each()) == 1:
            return [self._train(settings.each()[0], earlier)]
        with self._begun(settings, earlier, kind=KINDS[1]) as study:
            return [self._member(each, study.id) for each in settings.each()]

    def _member(self, settings: Settings, study: str) -> Trained:
        """Train one of a study, or return what the record says where that is done."""
        own = self.book.runs(parent=study)
        earlier = next((run for run in own if run.hyper["lr"] == settings.lr), None)
        if earlier is None or earlier.status not in DONE:
            return self._train(settings, earlier, study)
        trained = read(self.book, earlier.id)
        self.listener.ends(trained)
        return trained

    def _train(
        self, settings: Settings, earlier: RunSummary | None, study: str | None = None
    ) -> Trained:
        randomness.seed(settings.seed or 0)
        model, optimizer = self.plan.build(settings)
        source = optimizer.state_dict_rule()
        with self._begun(settings, earlier, source, parent=study) as run:
            checkpoints = self._checkpoints(run, resumed=earlier is not None)
            notes = Overheard(run, self.listener)
            self.listener.begins(settings, self.plan.updates_per_epoch)
            model = self._fit(model, optimizer, settings, checkpoints, notes)
            run.end(notes.status)
        trained = replace(read(self.book, run.id, model), folder=checkpoints.folder)
        self.listener.ends(trained)
        return trained

    def _checkpoints(self, run: Run, resumed: bool) -> Checkpoints:
        found = Checkpoints(self.plan.folder / run.id, every=self.every, resume=True)
        if resumed and found.last is None:
            self.listener.remarks(
                f"Run {run.id} has no checkpoint in {found.folder}: it begins from its start."
            )
        return found

    def _fit(
        self, model: nn.Module, optimizer: Optimizer, settings: Settings, checkpoints: Checkpoints,
        notes: Overheard,
    ) -> nn.Module:  # fmt: skip
        """Train and test the model; return it, or what was made of its weights."""
        problem, strategies = self.problem, settings.strategies()
        result = fit(
            model, optimizer, problem.loss, problem.train, problem.validation,
            batch=settings.batch or 1, epochs=settings.epochs or 1, seed=settings.seed or 0,
            accumulate=settings.accumulate or 1, strategies=strategies, checkpoints=checkpoints,
            run=notes,
        )  # fmt: skip
        if result.diverged:
            return model
        return self._tested(model, _made_of(strategies), result.history[-1].updates, notes)

    def _tested(
        self, model: nn.Module, made: dict[str, nn.Module], updates: int, notes: Overheard
    ) -> nn.Module:
        """Note how the model does on the test set, and those made of its weights; return the last.

        Those made are told of on the validation set, too.
        """
        test = self._evaluated(model, self.problem.test)
        if test is not None:
            notes.emit("test", updates, test["loss"], {"accuracy": test["accuracy"]})
        parts = {"valid": self.problem.validation, "test": self.problem.test}
        for name, model in made.items():
            found = {part: self._evaluated(model, data) for part, data in parts.items()}
            notes.emit(name, updates, None, found)
        return model

    def _evaluated(self, model: nn.Module, data: Data | None) -> dict[str, float | None] | None:
        return None if data is None else evaluate(model, self.problem.loss, data)._asdict()

    def _begun(
        self, settings: Settings, earlier: RunSummary | None, source: str | None = None,
        kind: str = "train", parent: str | None = None,
    ) -> Run:  # fmt: skip
        """Begin a run, or go on with one."""
        if earlier:
            return self._resumed(settings, earlier)
        return self.book.begin(
            self.problem.name, self.plan.hyper(settings), settings.seed or 0, source, kind, parent,
            torch.get_num_threads(),
        )  # fmt: skip

    def _resumed(self, settings: Settings, earlier: RunSummary) -> Run:
        now = self.plan.hyper(settings)
        for name, words in _CHANGES.items():
            if now[name] != earlier.hyper[name]:
                self.listener.remarks(words.format(name=self.problem.name))
        run = self.book.resume(earlier.id)
        if settings.epochs and settings.epochs > earlier.hyper["epochs"]:
            run.emit(LONGER, settings.epochs)
        return run


def _made_of(strategies: list[Strategy]) -> dict[str, nn.Module]:
    """Return the models that the strategies have made of the weights, by the names of events."""
    found: dict[str, nn.Module] = {}
    for strategy in strategies:
        if isinstance(strategy, Average):
            found[AVERAGE] = strategy.model()
        elif isinstance(strategy, Snapshots):
            found[ENSEMBLE] = strategy.ensemble()
    return found
