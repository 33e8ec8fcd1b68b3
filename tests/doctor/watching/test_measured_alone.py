"""While one watch measures, or a run of our own goes on inside it, no other watch hears of it."""

from dataclasses import asdict

import pytest
import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, Watch, examine, suggest_lr
from watched import net, points, sgd

INPUTS, LABELS = points()


def normalized() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))


def update(model: nn.Module, optimizer: torch.optim.Optimizer, loss_fn: nn.Module) -> None:
    optimizer.zero_grad()
    loss_fn(model(INPUTS), LABELS).backward()
    optimizer.step()


def test_what_one_watch_measures_at_its_end_is_no_validation_of_another() -> None:
    first, second, loss_fn = normalized(), normalized().eval(), nn.CrossEntropyLoss()
    optimizers = [sgd(each.parameters()) for each in (first, second)]
    watches = [
        Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=60.0)
        for model, optimizer in zip((first, second), optimizers, strict=True)
    ]
    for _ in range(3):
        for model, optimizer in zip((first, second), optimizers, strict=True):
            update(model, optimizer, loss_fn)
    kept = [list(each._seen.passes.kept) for each in watches]
    for each in watches:
        assert each.evidence.curvature is not None
    for each, before in zip(watches, kept, strict=True):
        each.close()
        assert not each.evidence.validations
        assert [len(on.rest[0]) for on in before] == [256] * 3
        assert "GD307" not in {found.code for found in each.findings}


def test_two_watches_of_one_model_do_not_look_at_one_anothers_passes() -> None:
    model, loss_fn = net(), nn.CrossEntropyLoss()
    optimizer = sgd(model.parameters())
    first = Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=60.0)
    second = Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=0.0)
    update(model, optimizer, loss_fn)
    scores = model(INPUTS)
    layers = second._seen.prober.layers.seen
    means = {name: float(each["mean"]) for name, each in layers.items()}
    assert means
    assert first.evidence.curvature is not None
    assert {name: float(each["mean"]) for name, each in layers.items()} == means
    loss_fn(scores, LABELS).backward()
    optimizer.step()
    for each in (first, second):
        each.close()
        assert not each.evidence.validations
        assert [step.backwards for step in each.evidence.steps] == [1, 1]


def inside_of_a_watch(run: str, loss_fn: nn.Module) -> Evidence:
    """A training that is watched, in which something else of ours is run before each backward."""
    model = net()
    optimizer = sgd(model.parameters())
    with Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=0) as watch:
        for step in range(2):
            optimizer.zero_grad()
            loss = loss_fn(model(INPUTS[:32]), LABELS[:32])
            if run == "suggest_lr" and step:
                suggest_lr(net(), loss_fn, (INPUTS, LABELS), rule="sgd", updates=20)
            elif run == "examine" and step:
                assert examine("rosenbrock", epochs=3).evidence.losses.values.size == 3
            (3 * loss).backward()
            optimizer.step()
    return watch.evidence


@pytest.mark.parametrize("run", ["suggest_lr", "examine"])
def test_a_run_of_our_own_inside_a_watched_training_is_not_heard(run: str) -> None:
    alone = inside_of_a_watch("nothing", nn.CrossEntropyLoss())
    found = inside_of_a_watch(run, nn.CrossEntropyLoss())
    assert [each.loss for each in found.steps] == [each.loss for each in alone.steps]
    assert [each.backwards for each in found.steps] == [1, 1]
    assert asdict(found.probes[0])["layers"] == asdict(alone.probes[0])["layers"]
    assert found.labels == alone.labels
    assert not found.validations
    assert not found.others


class Counting(nn.Module):
    """A loss that counts its calls."""

    calls = 0

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        self.calls += 1
        return nn.functional.cross_entropy(scores, labels)


def test_after_a_measurement_a_watch_hears_again() -> None:
    model, loss_fn = net(), Counting()
    optimizer = sgd(model.parameters())
    watch = Watch(model, optimizer, loss_fn, at_exit=1.0)
    update(model, optimizer, loss_fn)
    assert watch.evidence.updates == 1
    assert loss_fn.calls > 1
    update(model, optimizer, loss_fn)
    watch.close()
    assert [each.backwards for each in watch.evidence.steps] == [1, 1]
