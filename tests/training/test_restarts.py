"""Random restarts keep the best of several trainings and say how far all of them spread."""

import gc
import math
import warnings
import weakref
from typing import Any

import pytest
import torch
from torch import nn

from thalweg.errors import BadType, BadValue
from thalweg.training import Epoch, Restart, Result, fit, random_restarts
from thalweg.training.restarts import Spread


def ended(loss: float, diverged: bool = False, model: nn.Module | None = None) -> Result:
    epochs = [Epoch(k, k, k, 9.0, 9.0, loss + (k == 1), None, 0.0) for k in (1, 2)]
    return Result(model or nn.Linear(1, 1), tuple(epochs), "done", diverged)


LOSSES = {5: 0.4, 6: 0.2, 7: 0.9, 8: 0.3}


def test_the_best_is_the_one_with_the_lowest_loss_after_the_last_epoch() -> None:
    found = random_restarts(lambda seed: ended(LOSSES[seed]), LOSSES)
    assert found.seed == 6
    assert found.best.history[-1].valid_loss == 0.2
    assert found.runs == tuple(Restart(seed, loss) for seed, loss in LOSSES.items())
    assert found.spread == pytest.approx(Spread(best=0.2, median=0.35, worst=0.9, failed=0))


def test_a_number_of_seeds_counts_from_0() -> None:
    found = random_restarts(lambda seed: ended(float(seed)), 3)
    assert [run.seed for run in found.runs] == [0, 1, 2]


@pytest.mark.parametrize(
    "failed", [ended(0.0, diverged=True), ended(math.nan), Result(nn.Linear(1, 1), (), "stopped")]
)
def test_a_training_that_failed_counts_as_infinite_and_is_never_the_best(failed) -> None:
    found = random_restarts(lambda seed: ended(0.5) if seed == 2 else failed, 3)
    assert found.seed == 2
    assert found.spread == Spread(best=0.5, median=math.inf, worst=math.inf, failed=2)


def test_where_all_failed_it_says_so() -> None:
    found = random_restarts(lambda seed: ended(0.0, diverged=True), 2)
    assert found.spread == Spread(math.inf, math.inf, math.inf, failed=2)
    assert found.best.diverged


def test_another_judge_may_look_at_the_best_epoch() -> None:
    results = {0: ended(1.0), 1: ended(1.5)}
    found = random_restarts(
        results.__getitem__, 2, judge=lambda result: -max(epoch.judged for epoch in result.history)
    )
    assert found.seed == 1
    assert found.runs[1].loss == -2.5


def test_each_training_is_told_as_it_ends() -> None:
    told: list[Any] = []

    def train(seed: int) -> Result:
        told.append(seed)
        return ended(seed)

    random_restarts(train, 2, on_restart=told.append)
    assert told == [0, Restart(0, 0.0), 1, Restart(1, 1.0)]


@pytest.mark.parametrize("losses", [(3, 2, 1, 0), (0, 1, 2, 3), (1, 0, 3, 2)])
def test_the_models_that_lost_are_freed(losses) -> None:
    models: list[weakref.ref] = []

    def train(seed: int) -> Result:
        gc.collect()
        assert sum(model() is not None for model in models) <= 1
        model = nn.Linear(1, 1)
        models.append(weakref.ref(model))
        return ended(losses[seed], model=model)

    found = random_restarts(train, 4)
    gc.collect()
    assert [model() for model in models if model() is not None] == [found.best.model]


def parabolas(seed: int) -> Result:
    """Descend on a function with two valleys, of which the left one is deeper."""
    torch.manual_seed(seed)
    model = nn.Linear(1, 1, bias=False)
    nn.init.uniform_(model.weight, -2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return ((outputs**2 - 1) ** 2 + 0.3 * outputs).mean()

    data = torch.ones(4, 1), torch.ones(4, 1)
    return fit(model, optimizer, loss, data, batch="all", epochs=100)


def test_restarts_find_the_deeper_of_two_valleys() -> None:
    found = random_restarts(parabolas, 6)
    assert isinstance(found.best.model, nn.Linear)
    assert found.best.model.weight.item() == pytest.approx(-1.036, abs=2e-3)
    assert found.spread.worst - found.spread.best == pytest.approx(0.6, abs=0.02)


def test_a_run_can_be_had_again_from_its_seed() -> None:
    found = random_restarts(parabolas, [3, 4])
    again = parabolas(found.seed)
    assert again.history[-1].judged == min(run.loss for run in found.runs)


def test_divergence_is_a_failure_and_no_error() -> None:
    def train(seed: int) -> Result:
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e20)
        data = torch.ones(4, 1), torch.zeros(4, 1)
        return fit(model, optimizer, nn.functional.mse_loss, data, batch=2, epochs=9)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the training diverged")
        assert random_restarts(train, 1).spread.failed == 1


def test_errors_are_not_taken_for_failures() -> None:
    with pytest.raises(ZeroDivisionError):
        random_restarts(lambda seed: ended(1 / seed), 2)


def never(seed: int) -> Result:
    raise AssertionError("trained")


@pytest.mark.parametrize("seeds", [0, -1, [], [1, 1]])
def test_seeds_that_make_no_sense_are_refused(seeds) -> None:
    with pytest.raises(BadValue, match="seeds"):
        random_restarts(never, seeds)


def test_what_train_has_to_return_is_said() -> None:
    wrong: Any = lambda seed: nn.Linear(1, 1)  # noqa: E731
    with pytest.raises(BadType, match=r"Linear; expected what fit"):
        random_restarts(wrong, 2)
