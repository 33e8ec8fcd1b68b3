"""A race is fair, repeatable, honest about its edges, and leaves plain data behind."""

import dataclasses
import math
from typing import Annotated

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from thalweg import racing
from thalweg.algebra import Range
from thalweg.errors import BadType, BadValue, UnknownName
from thalweg.problems import Problem, Split
from thalweg.problems.perceptron import known, perceptron
from thalweg.racing import conclude, execute, prepare, race
from thalweg.racing.plan import grid
from thalweg.rules import catalogue, find, rule

_WIDTHS = (4, 8, 3)
DROPOUT = torch.nn.Dropout(0.5)


def _blobs(seed):
    noise = torch.Generator().manual_seed(seed)
    targets = torch.arange(48) % 3
    centres = torch.eye(3, 4) * 3
    return Split(centres[targets] + torch.randn(48, 4, generator=noise), targets)


@pytest.fixture
def problem():
    untouchable: Split = None  # type: ignore[assignment]
    return Problem(
        name="blobs",
        description="Three clouds of points",
        make_model=perceptron(*_WIDTHS),
        train=_blobs(1),
        validation=_blobs(2),
        test=untouchable,
        loss=cross_entropy,
        batch_size=16,
        epochs=3,
        known=known(*_WIDTHS),
        threads=1,
    )


@rule("Reckless")
def reckless(g, *, lr: Annotated[float, Range(low=0.0, search=(1e-2, 1e36))] = 1e36):
    """Step along the gradient, with a search range that ends in overflow."""
    return lr * g


def test_every_rule_gets_the_same_number_of_trials(problem):
    result = race(problem, trials=2, epochs=1)
    counts = {key: sum(run.rule == key for run in result.runs) for key in catalogue}
    assert counts == dict.fromkeys(catalogue, 2)
    assert result.complete


def test_the_grid_spans_the_search_range_evenly_in_logarithm():
    assert grid(find("adam"), 4) == (0.0001, 0.001, 0.01, 0.1)


def test_a_single_trial_is_the_default():
    assert grid(find("adam"), 1) == (find("adam").hyperparameters["lr"].default,)


def test_the_same_seed_gives_the_same_curves(problem):
    first, again = (race(problem, ["sgd", "adam"], seed=3) for _ in range(2))
    assert [run.curve for run in first.runs] == [run.curve for run in again.runs]


def test_another_seed_gives_other_curves(problem):
    first, other = (race(problem, ["sgd"], seed=seed, trials=1) for seed in (0, 1))
    assert first.runs[0].curve != other.runs[0].curve


def test_every_run_starts_at_the_same_weights_and_sees_the_data_in_the_same_order(problem):
    starts: list[list[torch.Tensor]] = []
    orders: list[list[list[int]]] = []

    def make_model(seed):
        model = problem.make_model(seed)
        starts.append([each.clone() for each in model.parameters()])
        orders.append([])
        return model

    def loss(logits, targets):
        seen = targets.tolist()
        if logits.requires_grad:
            orders[-1].append(seen)
        return problem.loss(logits, targets)

    watched = dataclasses.replace(problem, make_model=make_model, loss=loss)
    race(watched, ["sgd", "adam"], trials=2)
    trained = [order for order in orders if order]
    assert len(trained) == 4
    assert len(starts) >= 4
    assert all(order == trained[0] for order in trained)
    for start in starts:
        assert all(torch.equal(*pair) for pair in zip(start, starts[0], strict=True))


def test_the_order_of_the_data_changes_from_epoch_to_epoch(problem):
    seen = []

    def loss(logits, targets):
        if logits.requires_grad:
            seen.append(targets.tolist())
        return problem.loss(logits, targets)

    race(dataclasses.replace(problem, loss=loss), ["sgd"], trials=1, epochs=2)
    batches = 48 // 16
    first, second = seen[-2 * batches : -batches], seen[-batches:]
    assert len(first) == batches
    assert first != second


def test_training_lowers_the_loss_and_the_curve_counts_epochs_from_one(problem):
    run = race(problem, ["adam"], trials=4).board[0].best
    assert [epoch.number for epoch in run.curve] == [1, 2, 3]
    assert run.loss < problem.known["guess_loss"]
    assert run.accuracy > problem.known["guess_accuracy"]


def test_the_board_holds_the_lowest_final_validation_loss_of_each_rule_best_first(problem):
    result = race(problem, ["sgd", "adam", "rmsprop"], trials=3)
    for row in result.board:
        assert row.best.loss == min(run.loss for run in result.runs if run.rule == row.rule)
    losses = [row.best.loss for row in result.board]
    assert losses == sorted(losses)


def test_a_run_that_diverges_has_infinite_loss_and_is_counted_as_a_failure(problem):
    result = race(problem, [reckless], trials=2)
    tame, wild = result.runs
    assert not tame.failed
    assert wild.failed
    assert wild.loss == math.inf
    assert len(wild.curve) == 1
    assert (result.board[0].best, result.board[0].failures) == (tame, 1)


def test_a_rule_that_always_diverges_stands_last_and_claims_no_edge(problem):
    result = race(problem, [reckless, "adam"], trials=1)
    assert [row.rule for row in result.board] == ["adam", "reckless"]
    assert result.board[1].best.failed
    assert result.board[1].edge == ""


@pytest.mark.parametrize(("winner", "edge"), [(0, "lowest"), (1, ""), (2, "highest")])
def test_a_best_learning_rate_at_the_end_of_the_grid_is_flagged(problem, winner, edge):
    plan = prepare(problem, ["adam"], trials=3)
    runs = [
        racing.Run("adam", lr, (racing.Epoch(1, 1.0, float(place != winner), 0.5),), 0.1)
        for place, lr in enumerate(grid(find("adam"), 3))
    ]
    assert conclude(plan, runs).board[0].edge == edge


def test_a_race_that_was_cut_short_says_so_and_shows_what_has_finished(problem):
    plan = prepare(problem, ["sgd", "adam"], trials=2)
    stream = execute(plan)
    result = conclude(plan, [next(stream)])
    assert not result.complete
    assert [row.rule for row in result.board] == ["sgd"]


def test_progress_is_reported_at_the_start_and_after_each_epoch_of_every_run(problem):
    places: list[racing.Progress] = []
    race(problem, ["sgd", "adam"], trials=1, on_progress=places.append)
    for run in (1, 2):
        assert [place.epoch for place in places if place.number == run] == [0, 1, 2, 3]
    assert [place.done for place in places if place.epoch] == [1, 2, 3, 4, 5, 6]
    assert {(place.planned, place.epochs) for place in places} == {(2, 3)}


def test_the_header_records_the_conditions(problem):
    header = race(problem, ["sgd"], trials=1, seed=5, epochs=2).header
    found = (header.problem, header.rules, header.trials, header.epochs, header.seed)
    assert found == ("blobs", ("sgd",), 1, 2, 5)
    assert {"thalweg", "torch", "python"} <= set(header.versions)


def test_torchs_threads_are_as_they_were_after_a_race(problem):
    before = torch.get_num_threads()
    inside = []
    race(
        problem, ["sgd"], trials=1, on_progress=lambda place: inside.append(torch.get_num_threads())
    )
    assert inside[-1] == 1
    assert torch.get_num_threads() == before


def test_an_unknown_rule_is_refused_with_the_nearest_name(problem):
    with pytest.raises(UnknownName, match="adam"):
        race(problem, ["adm"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0}, "trials=0; expected a whole number of at least 1"),
        ({"epochs": -3}, "epochs=-3; expected a whole number of at least 1"),
        ({"seed": -1}, "seed=-1; expected a whole number from 0 to"),
        ({"rules": []}, "at least one rule"),
        ({"rules": [rule("Twin")(lambda g, *, lr=1.0: lr * g) for _ in "ab"]}, "two different"),
        ({"rules": [rule("Fixed")(lambda g: g)]}, "no hyperparameter lr"),
    ],
)
def test_values_that_make_no_race_are_refused_before_training(problem, arguments, message):
    with pytest.raises(BadValue, match=message):
        race(problem, **arguments)


@pytest.mark.parametrize("arguments", [{"trials": 2.5}, {"epochs": True}, {"rules": "adam"}])
def test_values_of_the_wrong_type_are_refused(problem, arguments):
    with pytest.raises(BadType):
        race(problem, **arguments)


def test_a_problem_without_a_validation_set_is_refused_before_training(problem):
    alone = dataclasses.replace(problem, validation=None)
    with pytest.raises(BadValue, match="a race needs validation as a pair.*'blobs' has none"):
        race(alone, ["sgd"])


def test_targets_that_are_no_classes_have_no_accuracy(problem):
    copies = [split._replace(targets=split.inputs) for split in (problem.train, problem.validation)]
    autoencoder = dataclasses.replace(
        problem,
        make_model=perceptron(4, 2, 4),
        train=copies[0],
        validation=copies[1],
        loss=mse_loss,
        batch_size="all",
    )
    result = race(autoencoder, ["sgd"], trials=1, epochs=1)
    assert math.isnan(result.board[0].best.accuracy)
    assert result.board[0].best.loss < math.inf
    assert result.header.batch_size == 48


def test_a_loss_that_writes_gradients_itself_is_asked_for_them(problem):
    class Fixed:
        def __call__(self, output, targets):
            return cross_entropy(output, targets)

        def gradient(self, model, inputs, targets):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            return torch.tensor(7.0)

    run = race(dataclasses.replace(problem, loss=Fixed()), ["sgd"], trials=1).board[0].best
    assert [epoch.train_loss for epoch in run.curve] == [7.0] * 3


def test_dropout_is_the_same_for_every_run_of_a_seed(problem):
    dropping = dataclasses.replace(
        problem, make_model=lambda seed: torch.nn.Sequential(problem.make_model(seed), DROPOUT)
    )
    first, again = (race(dropping, ["sgd"], trials=1) for _ in range(2))
    assert first.runs[0].curve == again.runs[0].curve
