import pytest
from torch.optim import lr_scheduler as lrs

from scheduled import Make, scheduled
from thalweg import schedules
from thalweg.doctor import find_check
from thalweg.optim import Optimizer
from watched import train

CHECK = find_check("GD405")


def test_a_cosine_past_its_end_is_told_the_length_of_the_run() -> None:
    (found,) = CHECK(scheduled(lambda each: lrs.CosineAnnealingLR(each, 60)))
    assert (found.code, found.severity) == ("GD405", "warning")
    assert found.change == "T_max=60 → 200"
    assert found.numbers["risen"] > 0.9


@pytest.mark.parametrize(("length", "severity"), [(60, "error"), (150, "warning")])
def test_the_rest_of_a_run_at_no_rate_is_found(length: int, severity: str) -> None:
    (found,) = CHECK(scheduled(lambda each: lrs.LinearLR(each, 1.0, 1e-8, total_iters=length)))
    assert (found.severity, found.change) == (severity, f"total_iters={length} → 200")
    assert found.numbers["idle"] == pytest.approx(1 - length / 200, abs=0.02)


def test_a_decay_without_end_that_leaves_no_rate_is_told_a_slower_one() -> None:
    (found,) = CHECK(scheduled(lambda each: lrs.ExponentialLR(each, 0.9)))
    assert found.change == "gamma=0.9 → 0.977"


@pytest.mark.parametrize(
    "make",
    [
        lambda each: lrs.CosineAnnealingLR(each, 200),
        lambda each: lrs.CosineAnnealingWarmRestarts(each, 50),
        lambda each: lrs.LinearLR(each, 0.01, total_iters=20),
        lambda each: lrs.MultiStepLR(each, [100, 150], 0.1),
        lambda each: lrs.OneCycleLR(each, 0.1, total_steps=200),
        lambda each: lrs.ExponentialLR(each, 0.98),
        lambda each: lrs.PolynomialLR(each, 200, power=2.0),
        lambda each: lrs.SequentialLR(
            each,
            [lrs.LinearLR(each, 0.01, total_iters=20), lrs.CosineAnnealingLR(each, 180)],
            milestones=[20],
        ),
    ],
)
def test_schedules_that_end_with_the_run_or_leave_a_rate_are_left_alone(make: Make) -> None:
    for code in ("GD405", "GD406", "GD407", "GD408"):
        assert not find_check(code)(scheduled(make))


def test_a_rate_that_plateaus_brought_down_is_left_alone() -> None:
    def plateau(optimizer: object) -> object:
        inner = lrs.ReduceLROnPlateau(optimizer, factor=0.1, patience=1)  # type: ignore[arg-type]
        step = inner.step
        inner.step = lambda *_: step(1.0)  # type: ignore[method-assign]
        return inner

    assert not CHECK(scheduled(plateau, updates=60))


def test_a_schedule_that_the_optimizer_follows_is_told_the_length_of_the_run() -> None:
    def cosine(params: object) -> Optimizer:
        return Optimizer(params, "sgd", lr=schedules.cosine(0.1, steps=20))

    (found,) = CHECK(train(cosine, steps=60).evidence)
    assert (found.severity, found.change) == ("error", "steps=20 → 60")
