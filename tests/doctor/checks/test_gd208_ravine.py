import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from thalweg.doctor import Evidence, find_check
from watched import fit, line, train

CHECK = find_check("GD208")


def entangled(ratio: float) -> tuple[Tensor, Tensor]:
    """Standardized inputs that hang together, and targets that need what tells them apart."""
    generator = torch.Generator().manual_seed(2)
    turn = torch.linalg.qr(torch.randn(10, 10, generator=generator))[0]
    sizes = torch.logspace(0, -torch.log10(torch.tensor(ratio)).item() / 2, 10)
    inputs = (torch.randn(400, 10, generator=generator) * sizes) @ turn
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    targets = inputs @ turn.T @ (torch.randn(10, 1, generator=generator) / sizes[:, None])
    return inputs, targets / targets.std()


def descended(ratio: float, lr: float = 0.1, momentum: float = 0.0) -> Evidence:
    torch.manual_seed(0)
    make = lambda params: torch.optim.SGD(params, lr=lr, momentum=momentum)  # noqa: E731
    return fit(nn.Linear(10, 1), make, entangled(ratio), 300)


def test_inputs_that_hang_together_make_a_ravine_with_its_ratio() -> None:
    (found,) = CHECK(descended(1e4))
    assert (found.code, found.severity) == ("GD208", "warning")
    assert found.numbers["ratio"] > 100
    assert found.change.startswith("momentum=0 → 0.9")


def test_inputs_that_do_not_are_left_alone() -> None:
    assert not CHECK(descended(2.0))


def test_a_rate_that_could_be_raised_is_not_the_ravines_fault() -> None:
    assert not CHECK(descended(1e4, lr=0.002))


def test_healthy_runs_are_left_alone() -> None:
    assert not CHECK(train(steps=150, at_exit=60.0).evidence)
    assert not CHECK(fit(nn.Linear(10, 1), lambda params: torch.optim.SGD(params, 0.1), line(), 60))


def test_a_loss_whose_falls_halve_from_quarter_to_quarter_arrives_and_is_left_alone() -> None:
    seen = descended(1e4)
    course = [0.6 + 0.4 * math.exp(-k / 80) for k in range(300)]
    steps = [replace(each, loss=loss) for each, loss in zip(seen.steps, course, strict=True)]
    assert not CHECK(replace(seen, steps=steps))
    straight = [1 - k / 1000 for k in range(300)]
    steps = [replace(each, loss=loss) for each, loss in zip(seen.steps, straight, strict=True)]
    assert CHECK(replace(seen, steps=steps))
