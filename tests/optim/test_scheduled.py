"""Schedules in place of numbers: as if somebody had set the number before every update."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

import thalweg
from thalweg import optim
from thalweg.errors import BadType, BadValue
from thalweg.optim.lr_scheduler import FollowLR
from thalweg.schedules import (
    Schedule,
    adamwr,
    constant,
    cosine,
    exponential,
    inverse_time,
    join,
    lanes,
    linear,
    one_cycle,
    piecewise,
    polynomial,
    triangular,
    warm_restarts,
    warmup,
)

unchecked: Any = optim
LR = cosine(3e-2, steps=20).after(warmup(5))
DECAY = linear(0.1, 0.0, steps=20)


def leaf() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.linspace(-1, 1, 5))


def train(optimizer: Any, p: torch.nn.Parameter, updates: range, hand: Any = None) -> None:
    for k in updates:
        if hand:
            optimizer.param_groups[0].update(hand(k))
        p.grad = torch.sin(p.detach() * k + 1)
        optimizer.step()


def by_hand(updates: int) -> torch.Tensor:
    p = leaf()
    optimizer = optim.AdamW([p], lr=1.0)
    train(optimizer, p, range(updates), lambda k: {"lr": LR(k), "weight_decay": DECAY(k)})
    return p.detach()


def scheduled() -> tuple[Any, torch.nn.Parameter]:
    p = leaf()
    return optim.AdamW([p], lr=LR, weight_decay=DECAY), p


def test_a_schedule_is_the_number_set_before_every_update() -> None:
    optimizer, p = scheduled()
    train(optimizer, p, range(30))
    assert torch.equal(p.detach(), by_hand(30))


def test_the_group_shows_the_number_that_the_last_update_used() -> None:
    optimizer, p = scheduled()
    assert optimizer.param_groups[0]["lr"] == LR(0)
    train(optimizer, p, range(7))
    assert optimizer.param_groups[0]["lr"] == LR(6)
    assert optimizer.param_groups[0]["weight_decay"] == DECAY(6)


@pytest.mark.parametrize("interrupted", [1, 6, 25])
def test_a_resumed_run_equals_the_straight_one(interrupted: int) -> None:
    first, p = scheduled()
    train(first, p, range(interrupted))
    second, q = scheduled()
    q.data.copy_(p.data)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, q, range(interrupted, 30))
    assert torch.equal(q.detach(), by_hand(30))


MAKERS: dict[str, Callable[[Any], Any]] = {
    "restarts": lambda p: optim.AdamW([p], lr=warm_restarts(0.1, first=3), weight_decay=DECAY),
    "momentum": lambda p: optim.SGD([p], lr=0.1, momentum=linear(0, 0.9, steps=15)),
    "pair": lambda p: optim.Adam([p], betas=(linear(0.5, 0.9, steps=15), 0.99)),
    "joined": lambda p: optim.RMSprop([p], lr=join(constant_for(6), one_cycle(0.1, steps=11))),
    "by name": lambda p: thalweg.Optimizer([p], "lion", lr=triangular(1e-3, 1e-2, half=4)),
    "adamwr": lambda p: thalweg.Optimizer(
        [p], "adamw", like="paper", **adamwr(0.1, 0.1, batch=4, examples=10, first=1)
    ),
    "two groups": lambda p: optim.NAdam([{"params": [p], "lr": LR}, {"params": [leaf()]}]),
}


def constant_for(updates: int) -> Schedule:
    return linear(0.05, 0.05, steps=updates)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("interrupted", [0, 1, 7, 16])
def test_every_schedule_goes_on_from_a_checkpoint(name: str, interrupted: int) -> None:
    straight, p = leaf(), leaf()
    train(MAKERS[name](straight), straight, range(20))
    first = MAKERS[name](p)
    train(first, p, range(interrupted))
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    q = torch.nn.Parameter(p.detach().clone())
    second = MAKERS[name](q)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    train(second, q, range(interrupted, 20))
    assert torch.equal(q, straight)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_goes_on_where_the_original_stands(copied: Any) -> None:
    optimizer, p = scheduled()
    train(optimizer, p, range(8))
    other = copied(optimizer)
    (q,) = other.param_groups[0]["params"]
    train(optimizer, p, range(8, 20))
    train(other, q, range(8, 20))
    assert torch.equal(p, q)


def test_groups_have_schedules_of_their_own() -> None:
    p, q = leaf(), leaf()
    groups = [{"params": [p], "lr": linear(1.0, 0.0, steps=3)}, {"params": [q]}]
    optimizer = thalweg.Optimizer(groups, "sgd", lr=0.5)
    for _ in range(2):
        p.grad = q.grad = torch.ones(5)
        optimizer.step()
    torch.testing.assert_close(p.detach(), leaf().detach() - 1.5)
    torch.testing.assert_close(q.detach(), leaf().detach() - 1.0)


def test_one_number_of_a_pair_may_follow_a_schedule() -> None:
    p = leaf()
    optimizer = optim.Adam([p], betas=(linear(0.9, 0.5, steps=3), 0.999))
    train(optimizer, p, range(2))
    assert optimizer.param_groups[0]["betas"] == (0.7, 0.999)


def test_a_skipped_update_uses_up_nothing() -> None:
    p = leaf()
    optimizer = thalweg.Optimizer([p], "sgd", lr=linear(1.0, 0.0, steps=3), nonfinite="skip")
    p.grad = torch.full((5,), float("nan"))
    optimizer.step()
    train(optimizer, p, range(1))
    assert optimizer.param_groups[0]["lr"] == 1.0


def test_torchs_checkpoints_of_plain_numbers_are_not_touched() -> None:
    optimizer = optim.AdamW([leaf()])
    assert "updates" not in optimizer.state_dict()["param_groups"][0]


def test_torchs_schedulers_work_on_plain_numbers_beside_a_schedule() -> None:
    p = leaf()
    optimizer = optim.AdamW([p], lr=0.1, weight_decay=DECAY)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for k in range(3):
        train(optimizer, p, range(k, k + 1))
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0125)
    assert optimizer.param_groups[0]["weight_decay"] == DECAY(2)


def test_a_scheduled_number_set_by_hand_is_refused_and_not_lost() -> None:
    optimizer, p = scheduled()
    train(optimizer, p, range(2))
    optimizer.param_groups[0]["lr"] = 0.5
    before = p.detach().clone()
    with pytest.raises(BadValue, match=r"lr follows a schedule, but was set to 0\.5"):
        optimizer.step()
    assert torch.equal(p.detach(), before)


def test_a_scheduler_over_a_schedule_is_refused_before_it_first_interferes() -> None:
    optimizer, p = scheduled()
    torch.optim.lr_scheduler.MultiStepLR(optimizer, [1000])
    with pytest.raises(BadValue, match=r"lr follows a schedule, .* give it .*FollowLR"):
        train(optimizer, p, range(1))
    assert torch.equal(p.detach(), leaf().detach())


def test_a_plateau_over_a_schedule_is_refused_when_it_first_interferes() -> None:
    optimizer, p = scheduled()
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    train(optimizer, p, range(5))
    plateau.step(1.0)
    train(optimizer, p, range(5, 6))
    plateau.step(1.0)
    before = p.detach().clone()
    with pytest.raises(BadValue, match="lr follows a schedule, but was set to"):
        optimizer.step()
    assert torch.equal(p.detach(), before)


def test_a_checkpoint_of_a_run_with_a_scheduler_may_go_on_with_a_schedule() -> None:
    p = leaf()
    before = optim.AdamW([p], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(before, 0.5)
    train(before, p, range(1))
    scheduler.step()
    after, q = scheduled()
    after.load_state_dict(before.state_dict())
    train(after, q, range(2))
    assert after.param_groups[0]["lr"] == LR(1)


def test_a_checkpoint_of_its_own_does_not_hide_a_scheduler() -> None:
    """Some trainers load an optimizer's own state back into it before the first update."""
    optimizer, p = scheduled()
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1.0)
    optimizer.load_state_dict(optimizer.state_dict())
    with pytest.raises(BadValue, match="lr follows a schedule"):
        train(optimizer, p, range(1))


def test_following_reports_the_rates_and_sets_nothing() -> None:
    optimizer, p = scheduled()
    follower = FollowLR(optimizer)
    assert follower.get_last_lr() == [LR(0)]
    for k in range(30):
        train(optimizer, p, range(k, k + 1))
        follower.step()
        assert follower.get_last_lr() == [LR(k)]
    assert torch.equal(p.detach(), by_hand(30))
    assert set(optimizer.param_groups[0]) == set(scheduled()[0].param_groups[0])


def test_a_follower_has_nothing_to_save() -> None:
    optimizer, p = scheduled()
    follower = FollowLR(optimizer)
    train(optimizer, p, range(3))
    assert follower.state_dict() == {}
    follower.load_state_dict({})
    assert follower.get_last_lr() == [LR(2)]


def test_an_update_that_the_scaler_skips_uses_up_nothing() -> None:
    optimizer, p = scheduled()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for factor in (1.0, float("inf"), 1.0):
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert optimizer.param_groups[0]["lr"] == LR(1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"lr": linear(0.1, -0.1, steps=10)}, r"lr=-0\.1 is outside .* at index 9, for update 10"),
        (
            {"betas": (linear(0.9, 1.0, steps=5), 0.999)},
            r"betas\[0\]=1\.0 is outside .* at index 4",
        ),
        ({"lr": constant(-1)}, r"lr=-1\.0 is outside .* at index 0"),
        ({"lr": polynomial(0.1, steps=10, power=-1)}, r"lr=inf is not finite.* at index 9"),
        ({"lr": exponential(0.1, factor=1.01)}, r"lr=inf is not finite.* at index 71\d\d\d"),
        ({"lr": polynomial(0.1, steps=10, power=0.5) * inverse_time(1, rate=-1)}, "=inf is not"),
        ({"lr": piecewise([0.1, -0.1, 0.1], at=[77_000, 77_001])}, "at index 77000"),
        ({"lr": linear(0.1, -0.1, steps=10**9)}, "at index 999999999"),
    ],
)
def test_a_schedule_that_leaves_the_legal_range_is_refused_at_once(wrong: Any, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        optim.AdamW([leaf()], **wrong)


def test_a_momentum_that_begins_at_zero_is_looked_at_as_momentum() -> None:
    with pytest.raises(BadValue, match=r"momentum=-1\.0 is outside .* at index 4"):
        optim.SGD([leaf()], momentum=linear(0, -1, steps=5))
    p, q = leaf(), leaf()
    rising = optim.SGD([p], lr=0.1, momentum=linear(0, 0.8, steps=5))
    train(rising, p, range(8))
    plain = optim.SGD([q], lr=0.1, momentum=1.0)
    train(plain, q, range(8), lambda k: {"momentum": linear(0, 0.8, steps=5)(k)})
    assert torch.equal(p, q)
    assert not torch.equal(p, leaf())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: unchecked.Adam([leaf()], amsgrad=constant(1)),
            "amsgrad follows a schedule, but it",
        ),
        (lambda: optim.SGD([leaf()], dampening=constant(0.1)), "dampening follows a schedule"),
        (lambda: optim.Adam([leaf()], lr=lanes([constant(1), constant(2)])), "of 2 lanes"),
        (lambda: thalweg.Optimizer([leaf()], "sgd", lr=lanes([constant(1)])), "of 1 lanes"),
        (lambda: unchecked.Adam([leaf()], lr=cosine), "must be a number"),
    ],
)
def test_what_cannot_follow_a_schedule_is_refused(make: Any, words: str) -> None:
    with pytest.raises(BadType, match=words):
        make()


def test_what_lay_beyond_the_updates_looked_at_is_refused_when_it_comes() -> None:
    p = leaf()
    optimizer = optim.SGD([p], lr=piecewise([0.1, -0.1], at=[200_000]))
    train(optimizer, p, range(2))
    optimizer.param_groups[0]["updates"] = 200_000
    before = p.detach().clone()
    with pytest.raises(BadValue, match=r"group 0: lr=-0\.1 is outside .* at index 200000"):
        optimizer.step()
    assert torch.equal(p.detach(), before)


def test_a_schedule_without_end_may_be_used() -> None:
    p = leaf()
    optimizer = optim.SGD([p], lr=warm_restarts(0.1, first=2))
    train(optimizer, p, range(3))
    assert optimizer.param_groups[0]["lr"] == 0.1
