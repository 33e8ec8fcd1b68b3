"""The learning rate falls on a plateau as torch lets it fall, and falls alike when resumed."""

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau
from trained import adam, data, equal, kept, resumed, trained

from thalweg.errors import BadType, BadValue
from thalweg.optim import SGD
from thalweg.schedules import cosine
from thalweg.training import ReduceOnPlateau, Strategy

EPOCHS = 12


def noisy():
    """A validation set of wrong labels: its loss only rises, but for chance."""
    inputs, targets = data(20, 2)
    return inputs, 1 - targets


class Rates(Strategy):
    """Keeps the learning rates of all groups after every epoch."""

    def begin(self, training) -> None:
        self.seen: list[list[float]] = []

    def after_epoch(self, training, epoch) -> None:
        self.seen.append([float(group["lr"]) for group in training.optimizer.param_groups])


class Torch(Strategy):
    """torch's scheduler by hand, on rates of its own."""

    def __init__(self, **settings) -> None:
        self.settings = settings

    def begin(self, training) -> None:
        groups = training.optimizer.param_groups
        made = [{"params": [torch.zeros(1)], "lr": float(group["lr"])} for group in groups]
        self.optimizer = torch.optim.SGD(made)
        self.scheduler = ReduceLROnPlateau(self.optimizer, **self.settings)
        self.seen: list[list[float]] = []

    def after_epoch(self, training, epoch) -> None:
        self.scheduler.step(epoch.valid_loss)
        self.seen.append([group["lr"] for group in self.optimizer.param_groups])


def two_groups(made) -> torch.optim.Optimizer:
    return SGD([{"params": made[0].parameters()}, {"params": made[4].parameters(), "lr": 0.2}], 0.1)


SETTINGS = [
    {"patience": 2},
    {"patience": 0, "factor": 0.5, "min_lr": 0.002},
    {"patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
    {"patience": 1, "threshold": 0.2, "threshold_mode": "rel", "cooldown": 3},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("valid", [noisy, lambda: data(20, 2)], ids=["rising", "falling"])
@pytest.mark.parametrize("make", [two_groups, adam], ids=["ours", "torch's"])
def test_the_rates_are_those_of_torch_s_scheduler(make, valid, settings) -> None:
    rates, theirs = Rates(), Torch(**settings)
    how = {"make": make, "epochs": EPOCHS, "valid": valid()}
    trained(ReduceOnPlateau(**settings), rates, theirs, **how)
    assert rates.seen == theirs.seen
    assert (rates.seen[-1] < rates.seen[0]) or valid is not noisy


@pytest.mark.parametrize("cut", [9, 21, 40])
def test_resumed_it_ends_with_the_same_bits(cut, tmp_path) -> None:
    how = {"make": two_groups, "epochs": 8, "valid": noisy()}

    def strategy() -> ReduceOnPlateau:
        return ReduceOnPlateau(patience=1, factor=0.5)

    straight = trained(strategy(), **how)
    _, rest = resumed(strategy, cut, tmp_path, **how)
    assert equal(kept(rest.model), kept(straight.model))
    assert [epoch[:-1] for epoch in rest.history] == [epoch[:-1] for epoch in straight.history]


def test_a_rate_that_follows_a_schedule_is_refused_in_any_group() -> None:
    def make(made) -> torch.optim.Optimizer:
        second = {"params": made[4].parameters(), "lr": cosine(0.1, steps=21)}
        return SGD([{"params": made[0].parameters()}, second], lr=0.1)

    with pytest.raises(BadValue, match="lr of group 1 follows a schedule"):
        trained(ReduceOnPlateau(), make=make)


def test_another_hyperparameter_may_follow_a_schedule() -> None:
    rates = Rates()

    def make(made) -> torch.optim.Optimizer:
        return SGD(made.parameters(), lr=0.1, momentum=cosine(0.9, steps=21))

    trained(ReduceOnPlateau(patience=0), rates, make=make, valid=noisy())
    assert rates.seen[-1] < [0.1]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"factor": 1.0}, BadValue),
        ({"factor": 0}, BadValue),
        ({"factor": float("nan")}, BadValue),
        ({"patience": -1}, BadValue),
        ({"patience": 1.5}, BadType),
        ({"min_lr": -0.1}, BadValue),
        ({"min_lr": [0.1]}, BadType),
        ({"threshold": -1.0}, BadValue),
        ({"threshold_mode": "ratio"}, BadValue),
        ({"cooldown": True}, BadType),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, error) -> None:
    with pytest.raises(error, match=next(iter(settings))):
        ReduceOnPlateau(**settings)
