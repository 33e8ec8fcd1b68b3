import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as lrs

from scheduled import scheduled
from thalweg.doctor import Evidence, diagnose, find_check, watch
from watched import net, points

CHECK = find_check("GD408")


def test_a_schedule_in_epochs_that_is_stepped_by_updates_is_found() -> None:
    evidence = scheduled(lambda each: lrs.CosineAnnealingLR(each, 10), epoch=20)
    (found,) = CHECK(evidence)
    assert (found.code, found.severity) == ("GD408", "warning")
    assert "T_max=10 → 200" in found.change
    assert diagnose(evidence).findings[0].code == "GD408"


def test_a_decay_in_epochs_that_is_stepped_by_updates_is_an_error() -> None:
    (found,) = CHECK(scheduled(lambda each: lrs.StepLR(each, 10, 0.1), epoch=20))
    assert found.severity == "error"
    assert found.change == "scheduler.step() after each update → once, at the end of each epoch"


def test_a_schedule_in_updates_that_is_stepped_by_epochs_is_found() -> None:
    (found,) = CHECK(scheduled(lambda each: lrs.CosineAnnealingLR(each, 200), every=20))
    assert "T_max=200 → 10" in found.change


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
def test_a_scheduler_that_steps_before_the_optimizer_is_found() -> None:
    (found,) = CHECK(scheduled(lambda each: lrs.CosineAnnealingLR(each, 200), before=True))
    assert found.change == "scheduler.step(); optimizer.step() → optimizer.step(); scheduler.step()"


def test_a_scheduler_that_is_never_stepped_is_found() -> None:
    (found,) = CHECK(scheduled(lambda each: lrs.CosineAnnealingLR(each, 200), every=0))
    assert "never stepped" in found.sentence


def test_schedules_in_their_own_unit_are_left_alone() -> None:
    assert not CHECK(scheduled(lambda each: lrs.CosineAnnealingLR(each, 10), every=20, epoch=20))
    assert not CHECK(scheduled(lambda each: lrs.StepLR(each, 3, 0.3), every=20, epoch=20))
    assert not CHECK(scheduled(lambda each: lrs.LinearLR(each, 0.1, total_iters=10), epoch=20))


def test_a_schedule_that_is_merely_too_short_or_too_long_is_another_finding() -> None:
    for length in (60, 1000):
        assert not CHECK(scheduled(lambda each: lrs.CosineAnnealingLR(each, length)))  # noqa: B023


def accumulated(length: int) -> Evidence:
    """The evidence of a cosine that is stepped at each batch, four of which make an update."""
    model, loss_fn, (inputs, labels) = net(), nn.CrossEntropyLoss(), points()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scheduler = lrs.CosineAnnealingLR(optimizer, length)
    with watch(model, optimizer, loss_fn, at_exit=0) as watching:
        for _ in range(40):
            optimizer.zero_grad()
            for rows in range(0, 32, 8):
                here = slice(rows, rows + 8)
                (loss_fn(model(inputs[here]), labels[here]) / 4).backward()
                if rows == 24:
                    optimizer.step()
                scheduler.step()
    return watching.evidence


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
def test_a_schedule_in_updates_that_is_stepped_by_batches_is_found() -> None:
    seen = accumulated(40)
    (found,) = CHECK(seen)
    assert "after each batch → after each optimizer.step()" in found.change
    assert diagnose(seen).findings[0].code == "GD408"
    assert not CHECK(accumulated(160))


def test_warm_restarts_that_come_several_times_an_epoch_counted_epochs() -> None:
    (found,) = CHECK(scheduled(lambda each: lrs.CosineAnnealingWarmRestarts(each, 5), epoch=20))
    assert "T_0=5 → 100" in found.change
    assert not CHECK(scheduled(lambda each: lrs.CosineAnnealingWarmRestarts(each, 40), epoch=20))
