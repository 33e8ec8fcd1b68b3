"""Loops that do without `backward`, without steps, or with another optimizer are told rightly."""

import functools
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.doctor import Evidence, Watch
from watched import forget_what_was_compiled, net, points, sgd


@pytest.fixture(autouse=True)
def nothing_compiled_yet() -> None:
    forget_what_was_compiled()


INPUTS, LABELS = points()


def by_grad(steps: bool, updates: int = 20) -> tuple[list[float], Watch]:
    """Train by `torch.autograd.grad`, the step taken by the optimizer or by hand."""
    model, loss_fn = net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []
    with Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=5.0) as watch:
        for _ in range(updates):
            loss = loss_fn(model(INPUTS), LABELS)
            seen.append(loss.item())
            slopes = torch.autograd.grad(loss, list(model.parameters()))
            for p, slope in zip(model.parameters(), slopes, strict=True):
                p.grad = slope
                if not steps:
                    p.data -= 0.1 * slope
            if steps:
                optimizer.step()
    return seen, watch


def test_the_loss_of_a_loop_by_autograd_grad_is_seen_at_its_steps() -> None:
    seen, watch = by_grad(steps=True)
    evidence = watch.evidence
    assert [each.loss for each in evidence.steps] == pytest.approx(seen)
    assert {each.examples for each in evidence.steps} == {256}
    assert {each.classes for each in evidence.labels} == {tuple(LABELS.tolist())}
    assert evidence.curvature is not None
    assert not evidence.validations
    assert not evidence.notes
    assert not [each for each in watch.findings if each.severity == "error"]


def told(watch: Watch) -> str:
    return " ".join(watch.report().split())


def test_of_weights_that_are_changed_by_hand_it_is_said_that_no_update_was_seen() -> None:
    _, watch = by_grad(steps=False)
    (note,) = watch.diagnosis.notes
    assert note.startswith("no update by SGD was seen, though the loss was computed 20 times")
    assert note in told(watch)


def replaced(after: int) -> Watch:
    model, loss_fn = net(), nn.CrossEntropyLoss()
    optimizer: torch.optim.Optimizer = sgd(model.parameters())
    with Watch(model, optimizer, loss_fn, at_exit=0) as watch:
        for step in range(30):
            if step == after:
                optimizer = torch.optim.Adam(model.parameters())
            optimizer.zero_grad()
            loss_fn(model(INPUTS), LABELS).backward()
            optimizer.step()
    return watch


def test_an_optimizer_that_was_replaced_during_the_watch_is_named() -> None:
    watch = replaced(after=10)
    assert watch.evidence.updates == 10
    (note,) = watch.diagnosis.notes
    assert note.startswith("no update by SGD was seen after number 10, though")
    assert "Adam holds the same parameters" in note
    assert note in told(watch)


def test_of_an_optimizer_that_takes_its_steps_nothing_is_noted() -> None:
    assert not replaced(after=30).diagnosis.notes


def weighted(scores: Tensor, smooth: float, labels: Tensor, *, scale: float = 1.0) -> Tensor:
    return scale * F.cross_entropy(scores, labels, label_smoothing=smooth)


def named(scores: Tensor, *, labels: Tensor) -> Tensor:
    return F.cross_entropy(scores, labels)


LOSSES: dict[str, Any] = {
    "middle bound by name": functools.partial(weighted, smooth=0.1),
    "all but one by name": functools.partial(weighted, smooth=0.0, scale=2.0),
    "targets by name alone": named,
}


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_whose_targets_are_given_by_name_is_measured(kind: str) -> None:
    model, loss_fn = net(), LOSSES[kind]
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=60.0) as watch:
        for _ in range(5):
            optimizer.zero_grad()
            loss = loss_fn(model(INPUTS), labels=LABELS)
            loss.backward()
            optimizer.step()
    found = watch.evidence
    assert {each.classes for each in found.labels} == {tuple(LABELS.tolist())}
    assert found.loss_slice is not None
    middle = found.loss_slice.random[len(found.loss_slice.random) // 2]
    assert middle == pytest.approx(float(loss_fn(model(INPUTS), labels=LABELS)), rel=1e-5)
    assert not found.failed


def seen_beside(loss_fn: Any, given: bool) -> Evidence:
    """Train with a pass in evaluation mode, with gradient, between each forward and backward."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.1), nn.Linear(16, 2))
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, loss_fn if given else None, overhead=1e9, at_exit=5.0) as watch:
        for _ in range(20):
            optimizer.zero_grad()
            loss = loss_fn(model(INPUTS), LABELS)
            model.eval()
            model(INPUTS[:7])
            model.train()
            loss.backward()
            optimizer.step()
    return watch.evidence


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(), F.cross_entropy])
def test_a_pass_in_eval_mode_before_backward_is_not_the_one_that_trains(
    loss_fn: Any, given: bool
) -> None:
    found = seen_beside(loss_fn, given)
    assert {(each.examples, each.training) for each in found.steps} == {(256, True)}
    assert (found.curvature is not None) == given


class Interrupted(nn.Module):
    """Is interrupted in the midst of a pass when it is told to."""

    now = False

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.inner(inputs))
        if self.now:
            raise KeyboardInterrupt
        return torch.tanh(hidden)


def test_a_pass_that_is_interrupted_leaves_no_mode_of_ours_behind() -> None:
    model = Interrupted()
    optimizer = sgd(model.parameters())
    watch = Watch(model, optimizer, nn.CrossEntropyLoss(), overhead=1e9, at_exit=0)
    F.cross_entropy(model(INPUTS), LABELS).backward()
    optimizer.step()
    model.now = True
    with pytest.raises(KeyboardInterrupt):
        model(INPUTS)
    total = torch.ones(2) + torch.ones(2)
    assert total.tolist() == [2.0, 2.0]
    assert not torch.overrides._get_current_function_mode_stack()
    assert sys.getprofile() is None
    model.now = False
    F.cross_entropy(model(INPUTS), LABELS).backward()
    optimizer.step()
    watch.close()
    assert not watch.evidence.failed
    assert all("tanh(relu(inner))" in each.layers for each in watch.evidence.probes)
