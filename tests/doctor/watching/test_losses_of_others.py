"""Calls of a loss that models share count where they are on what the watched one put out."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.doctor import Evidence, Watch
from watched import net, points, sgd

INPUTS, LABELS = points()
OTHERS = 1 - LABELS[:64]


def plain(scores: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(scores, labels)


class Pair:
    """Two models under one loss: the first is watched; the second sees other classes."""

    def __init__(self, loss_fn: Any) -> None:
        self.loss_fn = loss_fn
        self.first, self.second = net(), net()
        self.optimizers = [sgd(each.parameters()) for each in (self.first, self.second)]
        self.seen: list[float] = []

    def own(self) -> Tensor:
        loss: Tensor = self.loss_fn(self.first(INPUTS[:32]), LABELS[:32])
        self.seen.append(loss.item())
        return loss

    def other(self) -> Tensor:
        loss: Tensor = self.loss_fn(self.second(INPUTS[:64]), OTHERS)
        return loss

    def step(self) -> None:
        for each in self.optimizers:
            each.step()
            each.zero_grad()


def own_first(pair: Pair) -> None:
    own, other = pair.own(), pair.other()
    own.backward()
    other.backward()


def other_first(pair: Pair) -> None:
    other, own = pair.other(), pair.own()
    own.backward()
    other.backward()


def other_between(pair: Pair) -> None:
    scores = pair.first(INPUTS[:32])
    other = pair.other()
    own = pair.loss_fn(scores, LABELS[:32])
    pair.seen.append(own.item())
    other.backward()
    own.backward()


def one_after_the_other(pair: Pair) -> None:
    pair.own().backward()
    pair.other().backward()


def never_trained_by(pair: Pair) -> None:
    own = pair.own()
    pair.other()
    (own + 0.01 * sum(p.square().sum() for p in pair.first.parameters())).backward()


def watched(pair: Pair, turn: Any, loss_fn: Any) -> Evidence:
    with Watch(pair.first, pair.optimizers[0], loss_fn, overhead=1e9, at_exit=5.0) as watch:
        for _ in range(20):
            turn(pair)
            pair.step()
    return watch.evidence


TURNS = [own_first, other_first, other_between, one_after_the_other, never_trained_by]


@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(), plain])
@pytest.mark.parametrize("turn", TURNS)
def test_the_loss_of_another_model_is_not_taken_for_ones_own(turn: Any, loss_fn: Any) -> None:
    pair = Pair(loss_fn)
    found = watched(pair, turn, loss_fn)
    losses = [each.loss for each in found.steps]
    if turn is not never_trained_by or loss_fn is not plain:
        assert losses == pytest.approx(pair.seen)
    assert {each.classes for each in found.labels} == {tuple(LABELS[:32].tolist())}
    assert {each.examples for each in found.steps} == {32}
    assert [each.backwards for each in found.steps] == [1] * 20
    assert not found.validations
    assert not found.failed
    assert found.curvature is not None
    with torch.no_grad():
        right = (net()(INPUTS[:32]).argmax(1) == LABELS[:32]).float().mean()
    assert found.probes[0].accuracy == pytest.approx(float(right))


def validated(pair: Pair, order: str, loss_fn: Any) -> Evidence:
    """Train both, and after every second update try out either or both without a gradient."""
    turn = own_first if order == "together" else never_trained_by
    with Watch(pair.first, pair.optimizers[0], loss_fn, at_exit=0) as watch:
        for step in range(4):
            turn(pair)
            pair.step()
            with torch.no_grad():
                if order != "other alone":
                    scores = pair.first(INPUTS[:50])
                other = pair.second(INPUTS[:64])
                loss_fn(other, OTHERS)
                if order != "other alone" and step % 2:
                    loss_fn(scores, LABELS[:50])
    return watch.evidence


def test_another_model_that_is_tried_out_is_no_validation() -> None:
    for loss_fn in (nn.CrossEntropyLoss(), plain):
        assert not validated(Pair(loss_fn), "other alone", loss_fn).validations


def test_of_two_models_that_are_tried_out_the_watched_one_is_validated() -> None:
    for loss_fn in (nn.CrossEntropyLoss(), plain):
        seen = validated(Pair(loss_fn), "together", loss_fn).validations
        assert [(each.step, each.examples) for each in seen] == [(2, 50), (4, 50)]


def test_scores_that_were_gathered_over_batches_are_a_validation_all_the_same() -> None:
    model, loss_fn = net(), nn.CrossEntropyLoss()
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, loss_fn, at_exit=0) as watch:
        for _ in range(2):
            loss_fn(model(INPUTS), LABELS).backward()
            optimizer.step()
        with torch.no_grad():
            scores = torch.cat([model(INPUTS[:100]), model(INPUTS[100:])])
            loss_fn(scores, LABELS)
    assert [(each.step, each.examples) for each in watch.evidence.validations] == [(2, 256)]


def critic() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))


def generator() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 4))


@pytest.mark.parametrize("which", [0, 1])
def test_of_a_generator_and_its_critic_either_can_be_watched(which: int) -> None:
    models, loss_fn = [generator(), critic()], nn.BCEWithLogitsLoss()
    optimizers = [torch.optim.Adam(each.parameters(), lr=1e-3) for each in models]
    real, ones, zeros = INPUTS[:32], torch.ones(32, 1), torch.zeros(32, 1)
    seen: list[list[float]] = [[], []]
    noise = torch.Generator().manual_seed(3)
    with Watch(models[which], optimizers[which], loss_fn, overhead=1e9, at_exit=5.0) as watch:
        for _ in range(40):
            made = models[0](torch.randn(32, 3, generator=noise))
            optimizers[1].zero_grad()
            of_critic = loss_fn(models[1](real), ones) + loss_fn(models[1](made.detach()), zeros)
            of_critic.backward()
            optimizers[1].step()
            optimizers[0].zero_grad()
            of_generator = loss_fn(models[1](made), ones)
            of_generator.backward()
            optimizers[0].step()
            seen[0].append(of_generator.item())
            seen[1].append(of_critic.item())
    evidence = watch.evidence
    assert [each.loss for each in evidence.steps] == pytest.approx(seen[which])
    assert {each.classes for each in evidence.labels} == (
        {(1,) * 32 + (0,) * 32} if which else set()
    )
    assert {each.backwards for each in evidence.steps} == {1}
    assert not evidence.validations
    assert not evidence.failed
    assert not {"GD502", "GD307", "GD504"} & {each.code for each in watch.findings}
