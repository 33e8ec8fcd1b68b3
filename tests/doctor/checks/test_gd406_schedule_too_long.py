import pytest
from torch.optim import lr_scheduler as lrs

from scheduled import Make, scheduled
from thalweg.doctor import find_check

CHECK = find_check("GD406")


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda each: lrs.CosineAnnealingLR(each, 1000), "T_max=1000 → 100"),
        (lambda each: lrs.OneCycleLR(each, 0.1, total_steps=300), "total_steps=300 → 100"),
        (lambda each: lrs.LinearLR(each, 0.01, total_iters=500), "total_iters=500 → 100"),
    ],
)
def test_a_schedule_that_is_cut_off_is_told_the_length_of_the_run(make: Make, change: str) -> None:
    (found,) = CHECK(scheduled(make, updates=100))
    assert (found.code, found.severity, found.change) == ("GD406", "warning", change)


def test_a_schedule_that_is_nearly_done_or_has_decayed_is_left_alone() -> None:
    assert not CHECK(scheduled(lambda each: lrs.CosineAnnealingLR(each, 130), updates=100))
    assert not CHECK(scheduled(lambda each: lrs.MultiStepLR(each, [30, 60, 300], 0.1), updates=100))


def test_a_few_updates_are_only_a_try() -> None:
    assert not CHECK(scheduled(lambda each: lrs.CosineAnnealingLR(each, 1000), updates=10))
