from dataclasses import replace

import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, diagnose, find_check
from watched import fit, line, sgd, train

CHECK = find_check("GD207")


def slow(params: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=0.05)  # type: ignore[arg-type]


def deep(scale: float, steps: int = 60) -> Evidence:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(10, 16, bias=False), nn.Tanh(), nn.Linear(16, 1, bias=False)
    )  # fmt: skip
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(scale)
    return fit(model, slow, line(), steps)


class Point(nn.Module):
    """A point on the surface x² - y² + y⁴/4, just beside its ridge."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.tensor([1.0, 1e-6]))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.place.expand(len(inputs), 2)


class Height(nn.Module):
    """The height of the surface above its two minima."""

    def forward(self, place: Tensor, _: Tensor) -> Tensor:
        x, y = place.mean(0)
        return x**2 - y**2 + y**4 / 4 + 2


def test_weights_that_begin_near_zero_stay_at_the_saddle_there() -> None:
    seen = deep(1e-3)
    (found,) = CHECK(seen)
    assert (found.code, found.severity) == ("GD207", "warning")
    assert found.numbers["smallest"] < 0
    assert diagnose(seen).findings[0].code == "GD207"


def test_weights_of_the_usual_size_leave_it_at_once() -> None:
    assert not CHECK(deep(1.0))
    assert not CHECK(train(steps=100, at_exit=60.0).evidence)


def test_a_walk_that_ends_on_a_ridge_is_found_though_the_loss_fell_before() -> None:
    nothing = torch.zeros(4, 1)
    seen = fit(Point(), slow, (nothing, nothing), 120, loss_fn=Height())
    (found,) = CHECK(seen)
    assert found.numbers["smallest"] < -1.5
    assert found.numbers["largest"] > 1.5


def test_a_minimum_is_no_saddle() -> None:
    torch.manual_seed(0)
    assert not CHECK(fit(nn.Linear(10, 1), sgd, line(noise=0.5), 150))


def test_a_saddle_that_was_left_late_is_told_by_the_loss_and_the_first_gradients() -> None:
    for scale, right in ((1e-3, True), (1.0, False)):
        seen = deep(scale, 40)
        losses = [1.0] * 25 + [0.2] * 15
        steps = [replace(each, loss=loss) for each, loss in zip(seen.steps, losses, strict=True)]
        found = CHECK(replace(seen, steps=steps, curvature=None))
        assert [each.numbers["last"] for each in found] == [0.2] * right
