"""What is seen beside the update itself: leftovers, other optimizers, modes, courses, averages."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler, swa_utils

from thalweg import schedules
from thalweg.doctor import Evidence, Watch
from thalweg.doctor.evidence import Course
from thalweg.doctor.signs import output_ratio, weight_ratio
from thalweg.optim import Optimizer
from watched import net, points, sgd, train

INPUTS, LABELS = points()
LOSS = nn.CrossEntropyLoss()


def leftovers(evidence: Evidence) -> list[float | None]:
    return [each.leftover for each in evidence.probes]


def test_a_head_that_is_trained_alone_leaves_nothing_though_what_is_before_it_does() -> None:
    model = net()
    optimizer = sgd(model[2].parameters())
    with Watch(model, optimizer, LOSS, overhead=1e9, at_exit=0) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            LOSS(model(INPUTS), LABELS).backward()
            optimizer.step()
    assert model[0].weight.grad is not None
    assert leftovers(watch.evidence) == [0.0, 0.0, 0.0]


def critic(clear: bool) -> Evidence:
    """The evidence of a critic that a generator's loss is differentiated through as well."""
    model, generator = net(), nn.Linear(4, 4)
    optimizers = sgd(model.parameters()), sgd(generator.parameters())
    with Watch(model, optimizers[0], overhead=1e9, at_exit=0) as watch:
        for _ in range(3):
            if clear:
                optimizers[0].zero_grad()
            (LOSS(model(INPUTS), LABELS) + model(generator(INPUTS)).mean()).backward()
            optimizers[0].step()
            optimizers[1].zero_grad()
            (-model(generator(INPUTS)).mean()).backward()
            optimizers[1].step()
    return watch.evidence


def test_a_critic_that_is_cleared_after_the_generators_turn_leaves_nothing() -> None:
    assert leftovers(critic(clear=True)) == [0.0, 0.0, 0.0]
    kept = leftovers(critic(clear=False))
    assert kept[0] == 0.0
    assert all(kept[1:])


def test_weights_are_the_trained_matrices_in_the_order_of_the_pass() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.norm = nn.Linear(8, 2), nn.LayerNorm(8)
            self.first, self.frozen = nn.Linear(4, 8), nn.Linear(8, 8).requires_grad_(False)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.last(self.frozen(self.norm(self.first(inputs))))

    torch.manual_seed(0)
    assert train(model=Backwards(), steps=2).evidence.model.weights == (
        "first.weight", "last.weight",
    )  # fmt: skip


def validated(training: bool, graded: bool) -> Evidence:
    model = net()
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, LOSS, at_exit=0) as watch:
        for _ in range(2):
            model.train()
            for _ in range(2):
                optimizer.zero_grad()
                LOSS(model(INPUTS[:32]), LABELS[:32]).backward()
                optimizer.step()
            model.train(training)
            with torch.set_grad_enabled(graded):
                for rows in (slice(100), slice(100, 150)):
                    LOSS(model(INPUTS[rows]), LABELS[rows])
    return watch.evidence


@pytest.mark.parametrize(("training", "graded"), [(False, False), (True, False), (False, True)])
def test_a_validation_is_seen_with_the_mode_that_it_ran_in(training: bool, graded: bool) -> None:
    evidence = validated(training, graded)
    seen = [(each.step, each.examples, each.training, each.graded) for each in evidence.validations]
    assert seen == [(2, 150, training, graded), (4, 150, training, graded)]
    assert len({each.loss for each in evidence.validations}) == 2
    assert [each.loss is None for each in evidence.steps] == [False] * 4


def test_a_model_trained_in_evaluation_mode_is_not_validated_by_that() -> None:
    model = net().eval()
    evidence = train(model=model, steps=3).evidence
    assert not evidence.validations
    assert [each.training for each in evidence.steps] == [False] * 3


def test_another_optimizer_of_the_same_parameters_is_seen_with_whether_it_steps() -> None:
    model = net()
    first, second = sgd(model.parameters()), torch.optim.Adam(model[2].parameters())
    elsewhere = sgd(nn.Linear(2, 2).parameters())
    with Watch(model, first, LOSS, at_exit=0) as watch:
        for step in range(4):
            first.zero_grad()
            LOSS(model(INPUTS), LABELS).backward()
            first.step()
            if step == 0:
                second.step()
    (found,) = watch.evidence.others
    assert (found.kind, found.parameters) == ("Adam", ("2.weight", "2.bias"))
    assert found.stepped
    assert elsewhere.param_groups


def test_another_optimizer_that_never_steps_is_told_apart_and_one_optimizer_has_no_others() -> None:
    model = net()
    idle = torch.optim.Adam(model.parameters())
    assert [each.stepped for each in train(model=model).evidence.others] == [False]
    del idle
    assert not train().evidence.others


def test_gradients_of_outputs_vanish_where_the_ratio_of_weights_does_not() -> None:
    torch.manual_seed(0)
    deep = nn.Sequential(*(nn.Linear(4, 4) for _ in range(6)), nn.Linear(4, 2))
    with torch.no_grad():
        for layer in deep:
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(0.2 * torch.eye(4)[: layer.out_features])
            layer.bias.zero_()
    evidence = train(model=deep, steps=1).evidence
    (probe,) = evidence.probes
    assert output_ratio(evidence, probe) == pytest.approx(0.2**6, rel=0.5)
    weights = weight_ratio(evidence, probe)
    assert weights is not None
    assert 0.2 < weights < 5


def test_an_average_is_told_apart_from_the_model_once_the_model_goes_on() -> None:
    model = net()
    optimizer, average = sgd(model.parameters()), swa_utils.AveragedModel(model)
    equal = []
    with Watch(model, optimizer, LOSS, at_exit=0) as watch:
        for _ in range(2):
            LOSS(model(INPUTS), LABELS).backward()
            optimizer.step()
            average.update_parameters(model)
            equal.append(watch.evidence.averages[0].equal)
    assert equal == [True, False]


Make = Callable[[torch.optim.Optimizer], Any]


def courses(make: Make, every: int = 1, updates: int = 8, before: bool = False) -> list[Course]:
    model = nn.Linear(4, 2)
    optimizer = sgd(model.parameters())
    scheduler = make(optimizer)
    with Watch(model, optimizer, at_exit=0) as watch:
        for step in range(updates):
            if before and step % every == 0:
                scheduler.step()
            LOSS(model(INPUTS), LABELS).backward()
            optimizer.step()
            if not before and step % every == every - 1:
                scheduler.step()
    return watch.evidence.courses


def test_the_course_of_a_cosine_has_its_length_and_what_it_was_stepped_by() -> None:
    def cosine(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.CosineAnnealingLR(optimizer, 5)

    (found,) = courses(cosine, updates=5)
    assert found == Course("CosineAnnealingLR", 5, 5, 5, "update", setting="T_max")
    (slow,) = courses(cosine, every=4)
    assert (slow.length, slow.done, slow.updates, slow.unit) == (5, 2, 8, "epoch")


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
def test_a_course_that_begins_before_the_first_update_is_early() -> None:
    (found,) = courses(lambda optimizer: lr_scheduler.StepLR(optimizer, 3), before=True)
    assert found.early
    assert found.length is None


def test_schedulers_in_a_row_are_one_course_that_is_as_long_as_all() -> None:
    def warmed(optimizer: torch.optim.Optimizer) -> Any:
        parts: list[Any] = [
            lr_scheduler.LinearLR(optimizer, total_iters=2),
            lr_scheduler.CosineAnnealingLR(optimizer, 3),
        ]
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[2])

    (found,) = courses(warmed)
    assert (found.kind, found.length, found.done) == ("SequentialLR", 5, 8)


def test_updates_at_a_rate_of_nothing_are_counted() -> None:
    (found,) = courses(lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [2], gamma=1e-6))
    assert (found.length, found.idle) == (2, 0.75)


def test_the_course_of_a_schedule_inside_the_optimizer_is_that_of_its_horizon() -> None:
    def scheduled(params: Any) -> torch.optim.Optimizer:
        return Optimizer(params, "sgd", lr=schedules.cosine(0.1, steps=20))

    (found,) = train(scheduled, steps=30).evidence.courses
    assert (found.length, found.done, found.unit) == (20, 30, "update")
