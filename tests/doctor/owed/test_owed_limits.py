"""What is owed takes the seconds it is given, changes nothing, and fails without harm."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor import Watch, watch
from watched import net, points, sgd, train


def test_what_would_take_too_long_is_refused_with_its_estimate() -> None:
    evidence = train(at_exit=1e-9).evidence
    assert evidence.curvature is None
    assert "at_exit=1e-09" in (evidence.lacks("curvature") or "")
    assert "one pass takes about" in (evidence.lacks("curvature") or "")


def test_nothing_is_measured_where_no_time_is_given() -> None:
    evidence = train(at_exit=0.0).evidence
    assert evidence.costs.ending == 0.0
    assert evidence.curvature is None


def trained(model: nn.Module) -> tuple[Watch, torch.optim.Optimizer]:
    optimizer, loss_fn = sgd(model.parameters()), nn.CrossEntropyLoss()
    inputs, labels = points()
    watching = watch(model, optimizer, loss_fn, at_exit=60.0)
    for _ in range(3):
        optimizer.zero_grad()
        loss_fn(model(inputs[:32]), labels[:32]).backward()
        optimizer.step()
    return watching, optimizer


def state(model: nn.Module) -> list[Tensor]:
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    values = [each.clone() for each in model.state_dict().values()]
    return [*values, *gradients, torch.get_rng_state()]


def test_weights_gradients_buffers_modes_and_random_numbers_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    watching, optimizer = trained(model)
    model[2].eval()
    before = state(model)
    assert watching.evidence.curvature is not None
    assert all(torch.equal(a, b) for a, b in zip(before, state(model), strict=True))
    assert model.training
    assert not model[2].training
    assert len(watching.evidence.steps) == 3
    assert optimizer.param_groups[0]["lr"] == 0.1
    watching.close()


def test_it_is_measured_once_for_the_same_weights_and_anew_for_others() -> None:
    model = net()
    watching, optimizer = trained(model)
    first = watching.evidence
    assert watching.evidence.curvature is first.curvature
    nn.CrossEntropyLoss()(model(points()[0]), points()[1]).backward()
    optimizer.step()
    assert watching.evidence.curvature is not first.curvature
    watching.close()


class Moody(nn.Module):
    """A network that only works while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(4, 2), 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 3:
            raise RuntimeError("an error of mine")
        return self.layer(inputs)


def test_a_probe_that_fails_is_reported_and_the_report_stays_healthy() -> None:
    watching, _ = trained(Moody())
    text = watching.report()
    watching.close()
    assert text.startswith("healthy")
    assert "failed probe" in text
    assert "error" not in text.lower()


def test_batches_that_were_written_to_since_are_not_used() -> None:
    model = net()
    optimizer, loss_fn = sgd(model.parameters()), nn.CrossEntropyLoss()
    inputs, labels = (each[:32].clone() for each in points())
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        for _ in range(3):
            loss_fn(model(inputs), labels).backward()
            optimizer.step()
            inputs.copy_(torch.randn(32, 4))
    assert watching.evidence.lacks("curvature") == "no call of loss_fn was seen"


VIEWS: dict[str, Any] = {
    "itself": lambda x: x,
    "flat": lambda x: x.view(-1, 2),
    "log softmax": lambda x: x.log_softmax(-1),
    "all but the last": lambda x: x[:-8],
}


@pytest.mark.parametrize("way", VIEWS)
def test_what_a_loop_does_to_the_output_before_the_loss_is_recognized(way: str) -> None:
    model = net()
    optimizer, loss_fn = sgd(model.parameters()), nn.CrossEntropyLoss()
    inputs, labels = points()
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        scores = VIEWS[way](model(inputs[:32]))
        loss_fn(scores, labels[: len(scores)]).backward()
        optimizer.step()
    known = way != "all but the last"
    assert (watching.evidence.gradient_check is not None) == known
    if not known:
        reason = "loss_fn was called on something else than the model's output"
        assert watching.evidence.lacks("curvature") == reason


def test_batches_of_the_same_examples_say_nothing_of_noise() -> None:
    model = net()
    optimizer, loss_fn = sgd(model.parameters()), nn.CrossEntropyLoss()
    inputs, labels = (each[:6] for each in points())
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        for step in range(8):
            order = torch.randperm(6, generator=torch.Generator().manual_seed(step))
            loss_fn(model(inputs[order]), labels[order]).backward()
            optimizer.step()
    assert "too few" in (watching.evidence.lacks("noise") or "")


def test_a_loss_that_is_nan_has_no_curvature_and_the_reason_is_said() -> None:
    model = net()
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=float("inf")), nn.CrossEntropyLoss()
    inputs, labels = points()
    with watch(model, optimizer, loss_fn, at_exit=60.0) as watching:
        for _ in range(3):
            optimizer.zero_grad()
            loss_fn(model(inputs), labels).backward()
            optimizer.step()
    assert "nan" in (watching.evidence.lacks("curvature") or "")
    assert not watching.evidence.failed
