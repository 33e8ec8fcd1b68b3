"""Schedulers and averages stand beside the optimizer; both are found without being shown."""

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler, swa_utils

from thalweg import schedules
from thalweg.doctor import Watch
from thalweg.doctor.evidence import AverageFacts
from thalweg.doctor.watching.bystanders import Schedulers
from thalweg.optim import Optimizer
from watched import points, sgd


def test_a_scheduler_is_found_with_its_settings_and_positions() -> None:
    model = nn.Linear(4, 2)
    optimizer = sgd(model.parameters())
    scheduler = lr_scheduler.MultiStepLR(optimizer, [3, 5])
    inputs, labels = points()
    with Watch(model, optimizer, at_exit=0) as watch:
        for _ in range(3):
            for _ in range(2):
                nn.CrossEntropyLoss()(model(inputs), labels).backward()
                optimizer.step()
            scheduler.step()
    (found,) = watch.evidence.schedulers
    assert found.kind == "MultiStepLR"
    assert found.settings["milestones"] == [3, 5]
    assert found.settings["gamma"] == 0.1
    assert found.positions == ((1, 0), (3, 1), (5, 2), (6, 3))


def test_a_scheduler_that_leaves_no_mark_is_found_and_that_of_another_is_not() -> None:
    model, other = nn.Linear(4, 2), nn.Linear(4, 2)
    optimizer = sgd(model.parameters())
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)
    elsewhere = lr_scheduler.StepLR(sgd(other.parameters()), 3)
    with Watch(model, optimizer, at_exit=0) as watch:
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
    assert [each.kind for each in watch.evidence.schedulers] == [type(plateau).__name__]
    assert elsewhere.last_epoch == 0


def averaged(reestimate: bool) -> AverageFacts:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = sgd(model.parameters())
    average = swa_utils.AveragedModel(model)
    inputs, labels = points()
    with Watch(model, optimizer, at_exit=0) as watch:
        for _ in range(4):
            nn.CrossEntropyLoss()(model(inputs), labels).backward()
            optimizer.step()
            average.update_parameters(model)
    if reestimate:
        swa_utils.update_bn(inputs.split(64), average)
    (found,) = watch.evidence.averages
    return found


def test_an_average_is_found_and_whether_its_batch_norms_were_measured_anew() -> None:
    assert averaged(reestimate=False) == AverageFacts(4, ("1",), reestimated=False)
    assert averaged(reestimate=True) == AverageFacts(4, ("1",), reestimated=True)


def test_schedulers_are_searched_for_once_after_the_newest_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = nn.Linear(4, 2)
    optimizer = sgd(model.parameters())
    searches: list[int] = []
    monkeypatch.setattr(Schedulers, "search", lambda self: searches.append(1))
    with Watch(model, optimizer, at_exit=0) as watch:
        for count in (1, 2):
            model(torch.ones(1, 4)).sum().backward()
            optimizer.step()
            assert [watch.evidence.updates for _ in range(3)] == [count] * 3
            assert len(searches) == count


def searches_of(
    monkeypatch: pytest.MonkeyPatch, optimizer: torch.optim.Optimizer, model: nn.Module, slow: bool
) -> int:
    """How often schedulers are searched for during eight updates at rates that change."""
    searches: list[int] = []
    with Watch(model, optimizer, at_exit=0), monkeypatch.context() as patched:
        patched.setattr(Schedulers, "search", lambda self: searches.append(1))
        for _ in range(8):
            model(torch.ones(1, 4)).sum().backward()
            optimizer.step()
            if slow:
                optimizer.param_groups[0]["lr"] *= 0.9
    return len(searches)


def test_rates_that_are_changed_by_hand_are_searched_for_but_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = nn.Linear(4, 2)
    assert searches_of(monkeypatch, sgd(model.parameters()), model, slow=True) == 1


def test_for_the_schedule_of_an_optimizer_nothing_is_searched_during_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = nn.Linear(4, 2)
    optimizer = Optimizer(model.parameters(), "sgd", lr=schedules.cosine(0.1, steps=20))
    assert searches_of(monkeypatch, optimizer, model, slow=False) == 0


def test_a_scheduler_that_is_made_after_the_rate_was_changed_by_hand_is_found() -> None:
    model = nn.Linear(4, 2)
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, at_exit=0) as watch:
        for step in range(6):
            model(torch.ones(1, 4)).sum().backward()
            optimizer.step()
            if step < 2:
                optimizer.param_groups[0]["lr"] *= 0.9
            elif step == 2:
                scheduler = lr_scheduler.StepLR(optimizer, 1)
            else:
                scheduler.step()
    (found,) = watch.evidence.schedulers
    assert found.positions == ((5, 1), (6, 2), (6, 3))
