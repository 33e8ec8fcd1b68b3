"""Whatever is wrong around a training, its watch closes, and the training goes on."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from thalweg.doctor import Watch
from thalweg.doctor.watching import session, taps
from thalweg.doctor.watching.bystanders import Averages, Schedulers
from thalweg.doctor.watching.probe import Prober
from watched import net, points, sgd

INPUTS, LABELS = points()


def update(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(INPUTS), LABELS).backward()
    optimizer.step()


@pytest.fixture
def unfinished() -> list[Any]:
    """An optimizer and a scheduler whose constructors failed, and that are still there."""
    optimizer = torch.optim.SGD.__new__(torch.optim.SGD)
    scheduler = torch.optim.lr_scheduler.StepLR.__new__(torch.optim.lr_scheduler.StepLR)
    assert isinstance(scheduler, LRScheduler)
    return [optimizer, scheduler]


def test_an_optimizer_whose_constructor_failed_is_passed_over(unfinished: list[Any]) -> None:
    model, other = net(), net()
    optimizer = sgd(model.parameters())
    beside = torch.optim.Adam(model[2].parameters())
    elsewhere = sgd(other.parameters())
    unfinished[1].optimizer = optimizer
    with Watch(model, optimizer, at_exit=0) as watch:
        update(model, optimizer)
    evidence = watch.evidence
    assert [each.kind for each in evidence.others] == [type(beside).__name__]
    assert not evidence.schedulers
    assert not evidence.failed
    assert elsewhere.param_groups


BROKEN: list[tuple[Any, str]] = [
    (Schedulers, "search"), (Schedulers, "beside"), (Schedulers, "facts"), (Averages, "facts"),
    (Prober, "disarm"), (Prober, "units"), (taps, "leave"), (session, "settled"),
]  # fmt: skip


@pytest.mark.parametrize(("owner", "name"), BROKEN)
@pytest.mark.parametrize("closing", ["with", "close", "open"])
def test_what_goes_wrong_where_a_watch_ends_is_a_failed_probe(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, closing: str
) -> None:
    model = net()
    optimizer = sgd(model.parameters())
    calls = []

    def broken(*_: Any) -> None:
        calls.append(name)
        raise KeyError("broken")

    watch = Watch(model, optimizer, nn.CrossEntropyLoss(), overhead=0, at_exit=1.0)
    update(model, optimizer)
    monkeypatch.setattr(owner, name, broken)
    if closing == "with":
        with watch:
            pass
    elif closing == "close":
        watch.close()
    told = watch.report()
    monkeypatch.undo()
    watch.close()
    taps.leave(watch._seen)
    assert ("broken" in told) == bool(calls)
    assert calls or closing == "open"
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())
