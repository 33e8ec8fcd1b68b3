"""A loss that is a plain function is heard in validation as well, at no cost to the training."""

import functools
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.doctor import Evidence, Watch
from watched import net, points, sgd

INPUTS, LABELS = points()


class Method:
    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(scores, labels)


FUNCTIONS: dict[str, Any] = {
    "of torch": F.cross_entropy,
    "lambda": lambda scores, labels: F.cross_entropy(scores, labels),
    "method": Method().loss,
    "partial": functools.partial(F.cross_entropy, label_smoothing=0.0),
}


def validated(
    loss_fn: Any, updates: int = 40, modes: tuple[bool, bool] = (False, False)
) -> Evidence:
    """Validate after every twentieth update, in three batches, training and graded by *modes*."""
    training, graded = modes
    model = net()
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, loss_fn, overhead=0, at_exit=0) as watch:
        for step in range(updates):
            model.train()
            optimizer.zero_grad()
            loss_fn(model(INPUTS[:32]), LABELS[:32]).backward()
            optimizer.step()
            model.train(training)
            if step % 20 == 19:
                with torch.set_grad_enabled(graded):
                    for rows in (slice(100), slice(100, 200), slice(200, 250)):
                        loss_fn(model(INPUTS[rows]), LABELS[rows])
    assert sys.getprofile() is None
    return watch.evidence


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_plain_loss_is_heard_in_validation_as_a_module_is(kind: str) -> None:
    found = validated(FUNCTIONS[kind]).validations
    expected = validated(nn.CrossEntropyLoss()).validations
    assert [(each.step, each.examples) for each in found] == [(20, 250), (40, 250)]
    assert [each.loss for each in found] == pytest.approx([each.loss for each in expected])
    assert [each.accuracy for each in found] == [each.accuracy for each in expected]
    assert [each.training for each in found] == [False, False]


def test_a_validation_in_training_mode_is_told_apart() -> None:
    found = validated(F.cross_entropy, modes=(True, False)).validations
    assert [each.training for each in found] == [True, True]


def test_overfitting_is_found_with_a_plain_loss() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 256), nn.ReLU(), nn.Linear(256, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    wrong = torch.randint(2, (64,), generator=torch.Generator().manual_seed(5))
    with Watch(model, optimizer, F.cross_entropy, at_exit=0) as watch:
        for _ in range(300):
            optimizer.zero_grad()
            F.cross_entropy(model(INPUTS[:64]), wrong).backward()
            optimizer.step()
            with torch.no_grad():
                F.cross_entropy(model(INPUTS[64:]), LABELS[64:])
    assert "GD504" in {each.code for each in watch.findings}


def test_a_model_that_is_only_asked_is_soon_left_alone() -> None:
    model = net()
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, F.cross_entropy, overhead=0, at_exit=0) as watch:
        for _ in range(20):
            F.cross_entropy(model(INPUTS[:32]), LABELS[:32]).backward()
            optimizer.step()
        profiled = []
        with torch.no_grad():
            for _ in range(20):
                model(INPUTS)
                profiled.append(sys.getprofile() is not None)
        assert profiled[0]
        assert not profiled[-1]
        assert not any(each for each in model._forward_hooks.values())
    assert not watch.evidence.validations


def test_what_the_profiler_of_a_validation_sees_is_bounded() -> None:
    model = net()
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, F.cross_entropy, overhead=0, at_exit=0):
        with torch.no_grad():
            model(INPUTS)
        assert sys.getprofile() is not None
        for _ in range(100_000):
            functools.reduce(max, (1, 2))
        assert sys.getprofile() is None
