"""What goes wrong in the watching itself is told in the report, and never reaches the training."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thalweg.doctor import Watch
from thalweg.doctor.watching.bystanders import Schedulers
from thalweg.doctor.watching.labels import Labels
from thalweg.doctor.watching.layers import Layers
from thalweg.doctor.watching.losses import Losses
from thalweg.doctor.watching.passes import Passes
from thalweg.doctor.watching.probe import Prober
from thalweg.doctor.watching.trouble import Trouble
from watched import points, sgd

INPUTS, LABELS = points()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.two(torch.relu(self.one(inputs)))


def plain(scores: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(scores, labels)


def trained(loss_fn: Any, watched: bool) -> tuple[list[float], Watch | None]:
    torch.manual_seed(0)
    model = Net()
    optimizer = sgd(model.parameters())
    watch = Watch(model, optimizer, loss_fn, overhead=1e9, at_exit=0) if watched else None
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = loss_fn(model(INPUTS), LABELS)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, watch


@pytest.mark.parametrize("loss_fn", [nn.CrossEntropyLoss(), plain])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Layers, "_look"), (Layers, "_measure"), (Losses, "offered"),
        (Losses, "taken"), (Passes, "called"), (Passes, "scored"), (Passes, "trained"),
        (Prober, "begin_pass"), (Prober, "before_step"), (Prober, "after_step"), (Labels, "add"),
        (Trouble, "loss"), (Trouble, "gradient"), (Schedulers, "look"),
    ],
)  # fmt: skip
def test_a_watch_that_fails_inside_leaves_the_training_as_it_is(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, loss_fn: Any
) -> None:
    expected, _ = trained(loss_fn, watched=False)
    calls = []

    def broken(*_: Any) -> None:
        calls.append(name)
        raise KeyError("broken")

    monkeypatch.setattr(owner, name, broken)
    losses, watch = trained(loss_fn, watched=True)
    assert losses == expected
    monkeypatch.undo()
    assert watch is not None
    assert calls
    assert "broken" in watch.report()
    watch.close()
