"""A race is fair, repeatable, honest about its edges, and leaves plain data behind."""

import dataclasses
import math
from itertools import chain
from typing import Annotated, Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from thalweg.algebra import Range
from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.problems import Problem, Split
from thalweg.problems.perceptron import known, perceptron
from thalweg.problems.seeded import seeded
from thalweg.racing import prepare, race
from thalweg.racing.protocol import follow
from thalweg.racing.result import FINAL, REFERENCE_FINAL, REFERENCE_TRIAL, TRIAL, Task, Terms
from thalweg.racing.run import Crew
from thalweg.racing.sampling import samplers
from thalweg.rules import catalogue, find, rule
from thalweg.training.threads import threads

_WIDTHS = (4, 8, 3)


def _blobs(seed):
    noise = torch.Generator().manual_seed(seed)
    targets = torch.arange(48) % 3
    centres = torch.eye(3, 4) * 3
    return Split(centres[targets] + torch.randn(48, 4, generator=noise), targets)


@pytest.fixture(scope="module")
def problem():
    return Problem(
        name="blobs",
        description="Three clouds of points",
        make_model=perceptron(*_WIDTHS),
        train=_blobs(1),
        validation=_blobs(2),
        test=_blobs(3),
        loss=cross_entropy,
        batch_size=16,
        epochs=3,
        known=known(*_WIDTHS),
        threads=1,
    )


@pytest.fixture
def one_by_one(problem):
    """Return the problem with a loader, so that runs are trained one after the other."""
    train = problem.train
    return dataclasses.replace(problem, train=DataLoader(TensorDataset(*train), 16, shuffle=True))


@rule("Reckless")
def reckless(g, *, lr: Annotated[float, Range(low=0.0, search=(1e30, 1e36))] = 1e36):
    """Step along the gradient, with a search range that ends in overflow."""
    return lr * g


def _spied(problem, seen):
    """Return the problem with a loss that notes, for every batch, whether it is learnt from."""

    def loss(output, targets):
        seen.append((output.requires_grad, targets))
        return cross_entropy(output, targets)

    return dataclasses.replace(problem, loss=loss)


def test_every_run_starts_at_the_same_weights_and_sees_the_data_in_the_same_order(one_by_one):
    starts: list[list[torch.Tensor]] = []
    seen: list[Any] = []

    def make_model(seed):
        model = one_by_one.make_model(seed)
        starts.append([each.clone() for each in model.parameters()])
        return model

    watched = dataclasses.replace(_spied(one_by_one, seen), make_model=make_model)
    plan = prepare(watched, ["sgd", "adam"], Terms(trials=2, seeds=2, reference=None))
    crew = Crew(plan, None, None)
    starts.clear()
    seen.clear()
    runs = [crew.train([task]) for task in _tasks(plan, seeds=[0, 5])]
    trained = [targets.tolist() for learning, targets in seen if learning]
    per_run = [trained[k : k + 9] for k in range(0, len(trained), 9)]
    assert len(runs) == len(starts) == len(per_run) == 4
    assert per_run[0] == per_run[1] != per_run[2] == per_run[3]
    for first, other in ((0, 1), (2, 3)):
        assert all(torch.equal(*pair) for pair in zip(starts[first], starts[other], strict=True))
    assert not torch.equal(starts[0][0], starts[2][0])


def _tasks(plan, seeds):
    return [Task(TRIAL, key, {"lr": 0.01}, seed) for seed in seeds for key in plan.header.rules]


def test_the_order_of_the_data_changes_from_epoch_to_epoch(one_by_one):
    seen: list[Any] = []
    race(_spied(one_by_one, seen), ["sgd"], trials=1, seeds=1, epochs=2, reference=None)
    trained = [targets.tolist() for learning, targets in seen if learning]
    assert trained[-3:] != trained[-6:-3]
    last, before = (sorted(chain(*part)) for part in (trained[-3:], trained[-6:-3]))
    assert last == before


@pytest.mark.parametrize("given", ["problem", "one_by_one"])
def test_the_same_seed_gives_the_same_race_and_another_seed_another(given, request):
    given = request.getfixturevalue(given)

    def raced(seed):
        return race(given, ["sgd", "adam"], seed=seed, trials=2, seeds=2, reference=None)

    first, again, other = (
        [(run.task, run.curve) for run in raced(seed).runs] for seed in (3, 3, 4)
    )
    assert first == again
    assert not {curve for _, curve in first} & {curve for _, curve in other}


def test_training_lowers_the_loss_and_the_curve_counts_epochs_from_one(problem):
    result = race(problem, ["adam"], trials=4, seeds=2, reference=None)
    best = min(result.runs, key=lambda run: run.loss)
    assert [epoch.number for epoch in best.curve] == [1, 2, 3]
    assert best.loss < problem.known["guess_loss"]
    assert best.accuracy > problem.known["guess_accuracy"]


def test_the_board_has_the_setting_that_validated_best_and_the_fresh_seeds_of_it(problem):
    result = race(problem, ["sgd", "adam", "adamw"], trials=4, seeds=3)
    for row in result.board:
        trials = [
            run for run in result.runs if (run.task.phase, run.task.rule) == (TRIAL, row.rule)
        ]
        finals = [
            run for run in result.runs if (run.task.phase, run.task.rule) == (FINAL, row.rule)
        ]
        assert row.setting == min(trials, key=lambda run: run.loss).task.setting
        assert [run.task.setting for run in finals] == [row.setting] * 3
        assert [run.task.seed for run in finals] == [1, 2, 3]
        assert list(row.losses) == [run.loss for run in finals]
        assert list(row.trials) == [run.loss for run in trials]
    medians = [row.loss.value for row in result.board]
    assert medians == sorted(medians)


def test_all_rules_race_by_default_but_those_of_late_gradients(problem):
    result = race(problem, trials=1, seeds=1, epochs=1)
    assert set(catalogue) - set(result.header.rules) == {"adaptive_revision"}


def test_every_rule_of_the_catalogue_can_race(problem):
    result = race(problem, catalogue, trials=1, seeds=1, epochs=1)
    assert {row.rule for row in result.board} == set(catalogue)
    assert {run.task.phase for run in result.runs} <= {
        TRIAL, FINAL, REFERENCE_TRIAL, REFERENCE_FINAL
    }  # fmt: skip


@pytest.mark.parametrize("given", ["problem", "one_by_one"])
def test_a_run_that_diverges_is_infinite_ends_there_and_is_counted(given, request):
    result = race(
        request.getfixturevalue(given), [reckless, "adam"], trials=2, seeds=4, reference=None
    )
    wild = [run for run in result.runs if run.task.rule == "reckless"]
    assert all(run.failed and run.loss == math.inf and len(run.curve) == 1 for run in wild)
    last = result.board[-1]
    assert (last.rule, last.failures, last.edges) == ("reckless", 4, {})
    assert math.isinf(last.loss.value)
    assert "Reckless diverged with every seed." in result.verdict


def test_the_test_set_is_looked_at_once_for_every_final_run_and_never_before(one_by_one):
    seen: list[Any] = []
    test = Split(one_by_one.test.inputs, one_by_one.test.targets.flip(0))
    watched = dataclasses.replace(_spied(one_by_one, seen), test=test)
    plan = prepare(watched, ["sgd", "adamw"], Terms(trials=4, seeds=3))
    crew = Crew(plan, None, None)
    looks: dict[str, int] = {}

    def train(tasks):
        for task in tasks:
            seen.clear()
            crew.train([task])
            found = sum(torch.equal(targets, test.targets) for _, targets in seen)
            looks.setdefault(task.phase, 0)
            looks[task.phase] += found
        return [crew.known[task.key] for task in tasks]

    follow(plan.header, train)
    assert looks.pop(FINAL) == 6
    assert set(looks) >= {TRIAL, REFERENCE_TRIAL}
    assert set(looks.values()) == {0}


def test_the_test_set_decides_nothing(one_by_one):
    wrong = Split(one_by_one.test.inputs, (one_by_one.test.targets + 1) % 3)
    swapped = dataclasses.replace(one_by_one, test=wrong)
    first, other = (
        race(each, ["sgd", "adamw"], trials=2, seeds=2) for each in (one_by_one, swapped)
    )
    assert [row.setting for row in first.board] == [row.setting for row in other.board]
    assert first.verdict == other.verdict
    assert first.target == other.target
    assert [row.test_losses for row in first.board] != [row.test_losses for row in other.board]


def test_the_results_on_the_test_set_stand_in_the_order_of_the_seeds(one_by_one):
    result = race(one_by_one, ["sgd", "adam"], trials=1, seeds=3, reference=None)
    for row in result.board:
        finals = [
            run for run in result.runs if (run.task.phase, run.task.rule) == (FINAL, row.rule)
        ]
        assert list(row.test_losses) == [run.test_loss for run in finals]
        assert len(row.test_accuracies) == 3


def test_a_final_run_that_diverged_counts_as_infinite_on_the_test_set_too(one_by_one):
    (row,) = race(one_by_one, [reckless], trials=1, seeds=2, reference=None).board
    assert row.test_losses == (math.inf, math.inf)


def test_a_rule_reaches_the_target_that_it_sets_itself(problem):
    result = race(problem, ["adamw", "sgd"], trials=4, seeds=6)
    assert result.target is not None
    row = next(row for row in result.board if row.rule == "adamw")
    assert row.arrivals >= 3
    assert all(time % result.header.updates == 0 for time in row.times if math.isfinite(time))


def test_a_target_that_nobody_reaches_is_said_and_is_no_error(problem):
    result = race(problem, ["sgd", "adam"], trials=2, seeds=6, target=-1.0)
    assert result.target == -1.0
    assert [row.times for row in result.board] == [(math.inf,) * 6] * 2
    assert "The target was never reached." in result.verdict
    assert {run.task.phase for run in result.runs} == {TRIAL, FINAL}


def test_a_race_of_one_trial_is_one_of_defaults(problem):
    result = race(problem, ["sgd", "adam"], trials=1, seeds=2, reference=None)
    assert {run.task.setting == {} for run in result.runs} == {True}
    assert [row.setting for row in result.board] == [{}, {}]
    assert "with its defaults" in result.verdict


def test_a_schedule_is_raced_with(one_by_one):
    constant, cosine = (
        race(one_by_one, ["sgd"], trials=2, seeds=1, reference=None, schedule=name)
        for name in ("constant", "cosine")
    )
    for one, other in zip(constant.runs, cosine.runs, strict=True):
        assert one.task == other.task or one.task.phase == FINAL
        assert one.curve != other.curve


@pytest.mark.parametrize("name", samplers)
def test_every_sampler_makes_a_race_that_repeats_itself(problem, name):
    terms: dict[str, Any] = {"trials": 4, "seeds": 1, "sampler": name, "search": ["lr", "beta1"]}
    first, again = (race(problem, ["sgd", "adam"], epochs=1, **terms) for _ in "12")
    assert [(run.task, run.curve) for run in first.runs] == [
        (run.task, run.curve) for run in again.runs
    ]


def test_settings_that_are_the_same_are_trained_once(problem):
    @rule("Narrow")
    def narrow(g, *, lr: Annotated[float, Range(1.0, 1.004)] = 1.0):
        """Step along the gradient, at a learning rate that hardly varies."""
        return lr * g

    told: list[Any] = []
    terms: dict[str, Any] = {"trials": 16, "seeds": 1, "epochs": 1, "reference": None}
    result = race(problem, [narrow], on_progress=told.append, **terms)
    assert len(result.board[0].trials) == 16
    assert told[-1].done <= 3


def test_progress_goes_from_nothing_to_all_epochs_of_all_trainings(problem):
    places: list[Any] = []
    race(problem, ["sgd", "adam"], trials=1, seeds=3, reference=None, on_progress=places.append)
    done = [place.done for place in places]
    assert done[0] == 0
    assert done == sorted(done)
    assert done[-1] == places[-1].planned == (2 + 6) * 3
    assert [place.phase for place in places[:1] + places[-1:]] == [TRIAL, FINAL]
    assert places[-1].best.loss == min(place.best.loss for place in places if place.best)


def test_the_header_records_the_conditions(problem):
    header = race(problem, ["sgd"], trials=1, seeds=2, seed=5, epochs=2).header
    assert (header.problem, header.rules, header.epochs) == ("blobs", ("sgd",), 2)
    assert header.terms == Terms(trials=1, seeds=2, epochs=2, seed=5)
    assert (header.batch_size, header.updates, header.threads, header.tested) == (16, 3, 1, True)
    assert set(header.spaces) == {"sgd", "adamw"}
    assert {"thalweg", "torch", "python"} <= set(header.versions)


def test_a_race_uses_as_many_of_torchs_threads_as_the_problem_asks_for(one_by_one):
    inside = set()

    def loss(output, targets):
        inside.add(torch.get_num_threads())
        return cross_entropy(output, targets)

    def began(place):
        if place.done == 0:
            inside.clear()

    watched = dataclasses.replace(one_by_one, loss=loss)
    with threads(2):
        race(watched, ["sgd"], trials=1, seeds=1, on_progress=began)
        assert torch.get_num_threads() == 2
    assert inside == {1}


def test_a_loss_that_writes_gradients_itself_is_asked_for_them(problem):
    class Fixed:
        def __call__(self, output, targets):
            return cross_entropy(output, targets)

        def gradient(self, model, inputs, targets):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            return torch.tensor(7.0)

    fixed = dataclasses.replace(problem, loss=Fixed())
    run = race(fixed, ["sgd"], trials=1, seeds=1, reference=None).runs[0]
    assert [epoch.train_loss for epoch in run.curve] == [7.0] * 3


def test_dropout_is_the_same_for_every_run_of_a_seed(one_by_one):
    dropping = dataclasses.replace(
        one_by_one,
        make_model=lambda seed: nn.Sequential(one_by_one.make_model(seed), nn.Dropout(0.5)),
    )
    first, again = (
        race(dropping, ["sgd"], trials=1, seeds=1, reference=None).runs for _ in range(2)
    )
    assert [run.curve for run in first] == [run.curve for run in again]


# What makes no race.


@rule("Twin")
def one_twin(g, *, lr=1.0):
    """Step along the gradient."""
    return lr * g


@rule("Twin")
def other_twin(g, *, lr=1.0):
    """Step along twice the gradient."""
    return 2 * lr * g


@rule("Fixed")
def fixed(g):
    """Step along the gradient itself."""
    return g


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0}, "trials=0; expected a whole number of at least 1"),
        ({"seeds": 0}, "seeds=0; expected a whole number of at least 1"),
        ({"epochs": -3}, "epochs=-3; expected a whole number of at least 1"),
        ({"seed": -1}, "seed=-1; expected a whole number from 0 to"),
        ({"memory": 0}, "memory=0; expected a whole number of at least 1"),
        ({"target": math.nan}, "target=nan; expected a finite number"),
        ({"rules": []}, "at least one rule"),
        ({"rules": [dataclasses.replace(one_twin, key="twin"),
                    dataclasses.replace(other_twin, key="twin")]}, "two different"),
        ({"rules": [fixed]}, "no hyperparameter lr"),
        ({"rules": ["sgd"], "search": ["lr", "dampening"]}, "none of the rules has a hyper"),
        ({"rules": ["momentum"], "search": ["dampening"]}, "names no range in which dampening"),
    ],
)  # fmt: skip
def test_values_that_make_no_race_are_refused_before_training(problem, arguments, message):
    with pytest.raises((BadValue, UnknownName), match=message):
        race(problem, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rules": ["adm"]}, "no rule 'adm'. Did you mean 'adam'"),
        ({"reference": "adamww"}, "no rule 'adamww'. Did you mean 'adamw'"),
        ({"sampler": "sobel"}, "no sampler 'sobel'. Did you mean 'sobol'"),
        ({"schedule": "cosin"}, "'cosin'.* Did you mean 'cosine'"),
        ({"metric": "los"}, "no metric 'los'. Did you mean 'loss'"),
        ({"metric": 3}, "no metric 3"),
        ({"search": ["epz"]}, "no.* hyperparameter 'epz'. Did you mean 'eps'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(problem, arguments, message):
    with pytest.raises(UnknownName, match=message):
        race(problem, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"trials": 2.5}, {"epochs": True}, {"rules": "adam"}, {"rules": [3]}, {"search": "lr"},
     {"target": "low"}, {"reference": find("adam")}],
)  # fmt: skip
def test_values_of_the_wrong_type_are_refused(problem, arguments):
    with pytest.raises(BadType):
        race(problem, **arguments)


def test_an_unknown_problem_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="no problem 'digit'. Did you mean 'digits'"):
        race("digit")


def test_a_schedule_that_is_no_name_is_refused(problem):
    function: Any = lambda step: 0.1  # noqa: E731
    with pytest.raises(BadType, match="given by its name"):
        race(problem, ["sgd"], trials=1, seeds=1, schedule=function)


class Branching(nn.Module):
    """Does something else where the mean of its inputs is negative."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, inputs):
        return self.layer(inputs if inputs.mean() > 0 else -inputs)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Branching, "depends on the values of its data"),
        (lambda: nn.LazyLinear(3), "lazy modules"),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout()), None),
    ],
)
def test_why_trainings_stand_alone_is_said_in_a_sentence_of_its_own(problem, make, reason):
    odd = dataclasses.replace(problem, make_model=seeded(make))
    (remark,) = race(odd, ["sgd"], trials=1, seeds=4, epochs=1, reference=None).remarks
    assert "github" not in remark
    assert remark.startswith("Trained one after the other" if reason else "Trained side by side")
    assert (reason or "side by side") in remark
