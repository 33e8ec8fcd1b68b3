"""Schedulers, gradient scalers and profilers of torch work with our optimizers as with torch's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler
from twins import assert_same_bits, assert_same_place, build, leaf, parameters, ready, train

import thalweg
from thalweg import optim

Schedule = Callable[[Any], Any]

SCHEDULES: dict[str, Schedule] = {
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.3, total_iters=7),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=9),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 5, gamma=0.3),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [3, 20], gamma=0.3),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 30, power=2.0),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda k: 0.95),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5, 2),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.1, total_iters=5), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    "SWALR": lambda o: torch.optim.swa_utils.SWALR(o, 0.01, anneal_epochs=9),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 30, eta_min=1e-4),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=41),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.001, 0.1, step_size_up=5),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda k: 0.9**k),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, 0.1, total_iters=5), lr_scheduler.ExponentialLR(o, 0.9)],
        milestones=[5],
    ),
}
OPTIMIZERS = [
    ("SGD", {"momentum": 0.9}), ("Adam", {}), ("Adam", {"amsgrad": True}),
    ("AdamW", {"betas": (0.8, 0.99)}),
]  # fmt: skip
WITHOUT_STEPS = {"LRScheduler", "ReduceLROnPlateau", "_LRScheduler"}


def test_every_scheduler_of_torch_is_tried() -> None:
    """ReduceLROnPlateau is told a loss, and has a test of its own."""
    kinds = {
        name
        for name, each in vars(lr_scheduler).items()
        if isinstance(each, type) and issubclass(each, lr_scheduler.LRScheduler)
    }
    assert kinds - WITHOUT_STEPS == set(SCHEDULES) - {"SWALR"}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
def test_a_schedule_takes_torchs_path(name: str, options: dict[str, Any], schedule: str) -> None:
    """OneCycleLR and CyclicLR also cycle the momentum, which is a beta in Adam."""

    def run(source: Any) -> tuple[list[Tensor], list[float], list[Any]]:
        optimizer, params = ready(name, source, lr=0.05, **options)
        scheduler = SCHEDULES[schedule](optimizer)
        group = optimizer.param_groups[0]
        travelled = [0.0] * len(params)
        rates = [(group["lr"], group.get("momentum"), group.get("betas"))]
        for step in range(40):
            legs = train(optimizer, params, range(step, step + 1))
            travelled = [a + b for a, b in zip(travelled, legs, strict=True)]
            scheduler.step()
            rates.append((group["lr"], group.get("momentum"), group.get("betas")))
        return params, travelled, rates

    their_params, travelled, their_rates = run(torch.optim)
    our_params, _, our_rates = run(optim)
    assert our_rates == their_rates
    assert len({lr for lr, _, _ in our_rates}) > (1 if schedule == "ConstantLR" else 2)
    cycled = {(momentum, betas) for _, momentum, betas in our_rates}
    assert (len(cycled) > 3) == (schedule in ("OneCycleLR", "CyclicLR"))
    assert_same_place(our_params, their_params, travelled)


def test_reducing_on_a_plateau_takes_torchs_path() -> None:
    def run(source: Any) -> tuple[list[Tensor], list[float], set[float]]:
        optimizer, params = ready("Adam", source, lr=0.05)
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
        travelled = [0.0] * len(params)
        rates = set()
        for step in range(20):
            legs = train(optimizer, params, range(step, step + 1))
            travelled = [a + b for a, b in zip(travelled, legs, strict=True)]
            scheduler.step(max(1.0, 5.0 - step))
            rates.add(optimizer.param_groups[0]["lr"])
        return params, travelled, rates

    their_params, travelled, their_rates = run(torch.optim)
    our_params, _, our_rates = run(optim)
    assert our_rates == their_rates
    assert len(our_rates) > 4
    assert_same_place(our_params, their_params, travelled)


def test_a_scheduler_drives_a_rule_by_name() -> None:
    optimizer = thalweg.Optimizer(parameters(), "adam", lr=0.4)
    scheduler = lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.2


def test_a_scheduler_notices_a_missing_step() -> None:
    optimizer = optim.SGD([leaf(torch.ones(1))])
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()


@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam"])
def test_a_step_that_the_scaler_skips_leaves_no_trace(name: str) -> None:
    """The scaler finds infinity, skips the step and lowers its scale; then it goes on."""

    def run(bad: set[int]) -> tuple[list[Tensor], Any]:
        options = {"momentum": 0.9, "dampening": 0.5} if name == "SGD" else {}
        p = leaf(torch.ones(5))
        optimizer = build(optim, name, [p], lr=0.01, **options)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1000)
        for step in range(6):
            if step in bad:
                p.grad = torch.full((5,), torch.inf)
                scaler.scale(torch.ones(()))
                states = len(optimizer.state)
                scaler.step(optimizer)
                assert len(optimizer.state) == states
                scaler.update()
            optimizer.zero_grad()
            scaler.scale((p**2).sum() * (step + 1)).backward()
            scaler.step(optimizer)
            scaler.update()
        return [p, *optimizer.state[p].values()], scaler.get_scale()

    clean, scale = run(set())
    skipping, lowered = run({0, 3})
    assert_same_bits(skipping, clean)
    assert (scale, lowered) == (1024.0, 256.0)


def test_unscaling_and_clipping_before_the_step_takes_torchs_path() -> None:
    def run(source: Any) -> tuple[list[Tensor], list[float]]:
        p = leaf(torch.linspace(-2, 2, 9, dtype=torch.float64))
        optimizer = build(source, "AdamW", [p], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
        travelled = 0.0
        for _ in range(10):
            optimizer.zero_grad()
            scaler.scale((p**4).sum()).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_([p], 1.0)
            before = p.detach().clone()
            scaler.step(optimizer)
            scaler.update()
            travelled += float((p.detach() - before).abs().max())
        return [p], [travelled]

    their_params, travelled = run(torch.optim)
    our_params, _ = run(optim)
    assert_same_place(our_params, their_params, travelled)


@pytest.mark.parametrize("name", ["Adam", "SGDW"])
def test_a_profile_shows_the_step_and_the_clearing(name: str) -> None:
    optimizer, params = ready(name)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        train(optimizer, params, range(3))
        optimizer.zero_grad()
    counts = {each.key: each.count for each in profile.key_averages()}
    assert counts[f"Optimizer.step#{name}.step"] == 3
    assert counts[f"Optimizer.zero_grad#{name}.zero_grad"] == 1


def test_profiling_does_not_change_the_path() -> None:
    plain, expected = ready("Adam")
    train(plain, expected, range(6))
    optimizer, params = ready("Adam")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        train(optimizer, params, range(3))
    train(optimizer, params, range(3, 6))
    assert_same_bits(params, expected)


def test_averaged_models_and_clipping_of_torch_meet_our_parameters() -> None:
    torch.manual_seed(0)
    first = nn.Linear(4, 8)
    model = nn.Sequential(first, nn.Tanh(), nn.Linear(8, 1))
    averaged = torch.optim.swa_utils.AveragedModel(model)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    points = []
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).square().sum().backward()
        optimizer.step()
        averaged.update_parameters(model)
        points.append(first.weight.detach().clone())
    mean = torch.stack(points).mean(0)
    kept = averaged.module.get_parameter("0.weight")
    torch.testing.assert_close(kept.detach(), mean)
    assert not torch.equal(points[0], points[3])
