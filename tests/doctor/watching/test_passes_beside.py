"""A pass that nothing is trained by does not stand for the one that an update follows from."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, Watch
from watched import net, points, sgd

INPUTS, LABELS = points()


def dropped() -> nn.Sequential:
    first, activation, last = net()
    return nn.Sequential(first, activation, nn.Dropout(0.1), last)


def evaluated(model: nn.Module, loss_fn: Any = None) -> None:
    mode = model.training
    model.eval()
    with torch.no_grad():
        scores = model(INPUTS[:7])
    if loss_fn is not None:
        loss_fn(scores, LABELS[:7])
    model.train(mode)


def seen(model: nn.Module, beside: Any, loss_fn: Any, before_loss: bool = False) -> Evidence:
    """Train for some updates, with something *beside* between each forward and its backward."""
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=5.0) as watch:
        for _ in range(20):
            optimizer.zero_grad()
            scores = model(INPUTS)
            if before_loss:
                beside()
            loss = loss_fn(scores, LABELS)
            if not before_loss:
                beside()
            loss.backward()
            optimizer.step()
    return watch.evidence


def check_trained_on_all(found: Evidence) -> None:
    assert all(each.training for each in found.steps)
    assert {each.examples for each in found.steps} == {len(INPUTS)}


def test_an_evaluation_between_forward_and_backward_is_no_update_in_eval_mode() -> None:
    for before_loss in (False, True):
        model, loss_fn = dropped(), nn.CrossEntropyLoss()
        found = seen(model, lambda model=model: evaluated(model), loss_fn, before_loss)
        check_trained_on_all(found)
        assert found.curvature is not None


def test_a_validation_between_forward_and_backward_is_one_in_eval_mode() -> None:
    model, loss_fn = dropped(), nn.CrossEntropyLoss()
    found = seen(model, lambda: evaluated(model, loss_fn), loss_fn)
    check_trained_on_all(found)
    assert found.curvature is not None
    assert [(each.examples, each.training) for each in found.validations] == [(7, False)] * 20


def plain(scores: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(scores, labels)


def test_a_plain_loss_that_also_validates_is_kept_as_it_trained() -> None:
    model = dropped()
    found = seen(model, lambda: evaluated(model, plain), plain, before_loss=True)
    check_trained_on_all(found)
    assert found.curvature is not None


def test_passes_of_a_copy_are_not_those_of_the_model() -> None:
    for copied in (copy.deepcopy, copy.copy):
        model = dropped()

        def teach(model: nn.Module = model, copied: Any = copied) -> None:
            teacher = copied(model)
            teacher.training = False
            teacher(INPUTS[:7])

        check_trained_on_all(seen(model, teach, nn.CrossEntropyLoss()))


class Reversed(nn.Module):
    """Calls a loss by name, the target first."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = nn.CrossEntropyLoss()

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        return self.loss(target=labels, input=scores)


def test_a_loss_called_by_name_has_its_arguments_in_the_order_of_its_signature() -> None:
    model, calling = dropped(), Reversed()
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, calling.loss, overhead=1e9, at_exit=5.0) as watch:
        for _ in range(20):
            optimizer.zero_grad()
            calling(model(INPUTS), LABELS).backward()
            optimizer.step()
    found = watch.evidence
    assert found.curvature is not None
    assert found.labels[0].classes == tuple(LABELS.tolist())
    assert found.probes[1].accuracy is not None
