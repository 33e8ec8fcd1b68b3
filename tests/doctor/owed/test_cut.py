"""Cuts through the loss at the end of a run, against losses that are known."""

import pytest
import torch
from torch import nn

from thalweg.doctor import watch
from thalweg.doctor.evidence import LossSlice
from thalweg.doctor.owed.case import Case
from thalweg.doctor.owed.clock import Clock, Refused
from thalweg.doctor.owed.cut import COST, POINTS, cut
from thalweg.doctor.owed.settle import MEASURES
from thalweg.doctor.watching.passes import Pass
from thalweg.doctor.watching.views import find_view
from watched import net, points, sgd, train


def case(model: nn.Module, loss_fn: nn.Module, rows: int = 32) -> Case:
    """A training of the model as it stands, with batches of so many points."""
    inputs, labels = points()
    scores = model(inputs[:rows])
    batches = zip(inputs.split(rows), labels.split(rows), strict=True)
    passes = [Pass((x,), scores=scores.shape, rest=(y,)) for x, y in batches]
    optimizer = sgd(model.parameters())
    return Case(model, optimizer, loss_fn, find_view(scores, scores), passes, 7)


def plenty(pass_seconds: float = 1e-3) -> Clock:
    """A clock with a minute on it."""
    clock = Clock(60.0)
    clock.pass_seconds = pass_seconds
    return clock


def watched(model: nn.Linear, inputs: torch.Tensor, lr: float) -> LossSlice | None:
    """The slice after a step of a fit to the sum of the inputs."""
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=lr), nn.MSELoss()
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        loss_fn(model(inputs), inputs.sum(1, keepdim=True)).backward()
        optimizer.step()
    return watching.evidence.loss_slice


def test_the_middle_is_the_loss_at_the_weights_on_the_batches_that_were_kept() -> None:
    model, loss_fn = net(), nn.CrossEntropyLoss()
    found = cut(case(model, loss_fn), plenty())
    inputs, labels = points()
    assert (found.step, found.batches) == (7, 8)
    assert list(found.places) == [k / 8 for k in range(-8, 9)]
    here = loss_fn(model(inputs), labels).item()
    assert found.random[POINTS // 2] == pytest.approx(here, rel=1e-6)
    assert found.downhill[POINTS // 2] == found.random[POINTS // 2]


def test_down_the_gradient_of_a_quadratic_the_losses_are_those_of_the_book() -> None:
    model = nn.Linear(2, 1, bias=False)
    inputs = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]])
    found = watched(model, inputs, lr=0.1)
    assert found is not None
    weight, heights = model.weight.detach()[0].double(), torch.tensor([1.0, 0.01])
    slope = heights * (weight - 1)
    direction = -slope * weight.norm() / slope.norm()
    expected = [
        float((heights * (weight + place * direction - 1).square()).sum()) for place in found.places
    ]
    assert found.downhill == pytest.approx(expected, rel=1e-4)
    assert found.downhill[POINTS // 2 + 1] < found.downhill[POINTS // 2]


def test_the_random_direction_is_the_same_whenever_it_is_drawn() -> None:
    found = [cut(case(net(), nn.CrossEntropyLoss()), plenty()).random for _ in range(2)]
    torch.randn(3)
    assert found[0] == found[1]
    assert len(set(found[0])) > POINTS // 2


def test_without_a_gradient_only_the_random_direction_is_cut() -> None:
    model = nn.Sequential(net(), nn.Threshold(1e9, 0.0))
    found = cut(case(model, nn.CrossEntropyLoss()), plenty())
    assert list(found.random) == pytest.approx([torch.tensor(2.0).log().item()] * POINTS)
    assert not found.downhill


def test_it_takes_as_many_batches_as_there_is_time_for() -> None:
    training = case(net(), nn.CrossEntropyLoss())
    assert cut(training, plenty(pass_seconds=55.0 / (2 * COST))).batches == 2
    with pytest.raises(Refused, match="is enough"):
        cut(training, plenty(pass_seconds=61.0 / COST))


def test_it_comes_last_and_is_left_out_where_the_time_is_up() -> None:
    assert list(MEASURES)[-1] == "loss slice"
    evidence = train(at_exit=1e-9).evidence
    assert evidence.loss_slice is None
    assert "at_exit=1e-09" in (evidence.lacks("loss slice") or "")


def test_weights_gradients_buffers_modes_and_random_numbers_stay_bit_for_bit() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), net())
    training = case(model, nn.CrossEntropyLoss())
    training.model(points()[0]).sum().backward()
    model[1].eval()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    tensors = [*model.state_dict().values(), *gradients]
    before = [each.clone() for each in (*tensors, torch.get_rng_state())]
    assert cut(training, plenty()).downhill
    assert all(map(torch.equal, before, (*tensors, torch.get_rng_state())))
    assert [each.training for each in model] == [True, False, True]


def test_without_the_loss_as_a_function_there_is_none_and_it_says_so() -> None:
    evidence = train(at_exit=60.0, loss_fn=None).evidence
    assert evidence.loss_slice is None
    assert evidence.lacks("loss slice") == "not available without loss_fn"
